"""Sessions on the serving Postgres, one transaction each, their lock and their errors."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from ingest.errors import ConfigError, RetriableError, ServingRefused
from ingest.retry import while_busy
from ingest.settings import Settings
from pipeline.process import duck, postgres

LOCK_SECONDS = 30.0
"""How long to wait for another session's lock on a served table."""
_KEPT = "Postgres keeps its current release"
_RIGHTS = (
    "The user of SERVING_DSN must own schema and tables, or be granted CREATE on the database; creating a missing "
    "SERVING_ROLE requires CREATEROLE"
)


def connect(options: Settings) -> tuple[postgres.Session, str]:
    """A session on the serving Postgres, and its name for messages.

    Raises:
        ConfigError, RetriableError: see `postgres.open_session`.
    """
    import psycopg2
    from psycopg2.extensions import parse_dsn

    try:
        wanted = parse_dsn(options.serving_dsn)
    except psycopg2.ProgrammingError:  # its message may contain the password
        raise ConfigError(
            "SERVING_DSN cannot be read; expected postgresql://user:password@host:port/database, or host=… dbname=…"
        ) from None
    host, port, database = (
        wanted.get(name) or os.environ.get(variable) or default
        for name, variable, default in (
            ("host", "PGHOST", "localhost"),
            ("port", "PGPORT", "5432"),
            ("dbname", "PGDATABASE", wanted.get("user") or ""),
        )
    )
    place = f"postgresql://{host}:{port}/{database}, schema {options.serving_schema}"
    session = postgres.open_session(wanted, place, "SERVING_DSN")
    # the role may have other defaults, which would read an old snapshot or fail to write
    session.set_session(isolation_level="READ COMMITTED", readonly=False, autocommit=False)
    return session, place


def lock(session: postgres.Session, cursor: Any, options: Settings, wait_seconds: float, place: str) -> None:
    """Lock out other processes that serve this schema until the transaction ends.

    Raises:
        RetriableError: another process serves it.
    """
    number = lock_key(options.serving_schema)
    cursor.execute("SET LOCAL statement_timeout = 0")
    cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    cursor.execute(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}")

    def locked() -> None:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", (postgres.LOCKS, number))
        if cursor.fetchone() != (True,):
            raise BlockingIOError

    try:
        while_busy(locked, lambda error: isinstance(error, BlockingIOError), wait_seconds)
    except BlockingIOError:
        raise RetriableError(
            f"{place}: in use by {postgres.holder(session, number)}; wait for it, or use --wait"
        ) from None


def lock_key(schema: str) -> int:
    """The second key of a schema's advisory lock; distinct from `postgres.Lock`, as both may be in one database."""
    return zlib.crc32(schema.encode()) & 0x3FFFFFFF | 0x40000000


@contextmanager
def translate_errors(place: str) -> Iterator[None]:
    """Translate errors of Postgres, psycopg2 and DuckDB into Lakemesh's errors, on one line."""
    import psycopg2

    try:
        with (
            postgres.translate_errors(place, LOCK_SECONDS, _RIGHTS, _KEPT),
            duck.translate_errors(place, f"; {_KEPT}, run this again", (duckdb.Error,)),
        ):
            yield
    except psycopg2.Error as error:
        raise ServingRefused(
            f"{place}: {postgres.error_text(error)}; {_KEPT}. Fix the model, or what conflicts with it"
        ) from error
    except OSError as error:
        raise RetriableError(f"{place}: {postgres.error_text(error)}; {_KEPT}, run this again") from error
