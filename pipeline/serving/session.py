"""Sessions on the Postgres that serves the published state, one transaction each, and what goes wrong with them."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from ingest.errors import ConfigError, RetriableError, ServingRefused
from ingest.settings import Settings
from pipeline.process import postgres

LOCK_SECONDS = 30.0
"""How long to wait for somebody else's lock on one of our tables."""


def connect(options: Settings) -> tuple[postgres.Session, str]:
    """A session on the serving Postgres, and what messages call it.

    Raises:
        ConfigError, RetriableError: as `postgres.open_session`.
    """
    import psycopg2
    from psycopg2.extensions import parse_dsn

    try:
        wanted = parse_dsn(options.serving_dsn)
    except psycopg2.ProgrammingError:  # its message may hold the password
        raise ConfigError(
            "SERVING_DSN cannot be read; expected postgresql://user:password@host:port/database, or host=… dbname=…"
        ) from None
    host, port, database = (
        wanted.get(name) or os.environ.get(variable) or usual
        for name, variable, usual in (
            ("host", "PGHOST", "localhost"),
            ("port", "PGPORT", "5432"),
            ("dbname", "PGDATABASE", wanted.get("user") or ""),
        )
    )
    place = f"postgresql://{host}:{port}/{database}, schema {options.serving_schema}"
    session = postgres.open_session(wanted, place, "SERVING_DSN")
    # the role may have other defaults, under which we would read an old state, or write nothing
    session.set_session(isolation_level="READ COMMITTED", readonly=False, autocommit=False)
    return session, place


def lock(session: postgres.Session, cursor: Any, options: Settings, wait_seconds: float, place: str) -> None:
    """Keeps other processes that serve this schema out until the transaction ends, however it ends.

    Raises:
        RetriableError: another one is at it.
    """
    number = lock_key(options.serving_schema)
    cursor.execute("SET LOCAL statement_timeout = 0")
    cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    cursor.execute(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}")
    deadline = time.monotonic() + wait_seconds
    while True:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", (postgres.LOCKS, number))
        if cursor.fetchone() == (True,):
            return
        if time.monotonic() > deadline:
            raise RetriableError(
                f"{place}: {postgres.holder(session, number)}, brings a state there; wait for it, or use --wait"
            )
        time.sleep(0.2)


def lock_key(schema: str) -> int:
    """The second key of a schema's advisory lock; far from those of `postgres.Lock`, should the state lie there too."""
    return zlib.crc32(schema.encode()) & 0x3FFFFFFF | 0x40000000


@contextmanager
def telling(place: str) -> Iterator[None]:
    """Turns what the server and the library say into our errors, one line each."""
    import psycopg2

    kept = "Postgres keeps the state that it has"
    try:
        yield
    except psycopg2.errors.LockNotAvailable:
        raise RetriableError(
            f"{place}: somebody has kept a lock on one of its tables for {LOCK_SECONDS:.0f} seconds; {kept}. Look for "
            "it with `SELECT * FROM pg_stat_activity WHERE xact_start IS NOT NULL`, end it, and run this again"
        ) from None
    except psycopg2.errors.InsufficientPrivilege as error:
        raise ConfigError(
            f"{place}: {postgres.reason(error)}; {kept}. The user of SERVING_DSN has to own schema and tables, or be "
            "granted CREATE on the database; a SERVING_ROLE that is not there yet asks for CREATEROLE"
        ) from None
    except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.InternalError) as error:
        raise RetriableError(f"{place}: {postgres.reason(error)}; {kept}, run this again") from error
    except psycopg2.Error as error:
        raise ServingRefused(
            f"{place}: {postgres.reason(error)}; {kept}. Mend the model, or what stands in the way"
        ) from error
    except (duckdb.Error, OSError) as error:
        raise RetriableError(f"{place}: {postgres.reason(error)}; {kept}, run this again") from error
