"""The state in Postgres: for teams that share environments, and so that a look at them holds up no run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ingest.errors import ConfigError, LakemeshError, RetriableError
from ingest.settings import Settings
from pipeline.process import postgres
from pipeline.state.state import TABLES, Row, State

ASIDE = "_before_rebuild"
psycopg2 = postgres.driver()
_NULL = "\\N"
_SCHEMAS = ("sqlmesh", "lakemesh")


class PostgresState(State):
    """A session on the database; any number may be open.

    Raises:
        RetriableError: the server cannot be reached.
        ConfigError: psycopg2 is missing, or the server refuses us.
    """

    def __init__(self, options: Settings) -> None:
        self.name = postgres.place(options)
        self._wait_seconds = options.state_lock_seconds
        self._session = postgres.connect(options)
        try:
            self._create_tables()
        except BaseException:
            self._session.close()
            raise

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """See State."""
        with self._told(), self._session.cursor() as cursor:
            cursor.execute(_percent(query), tuple(values))
            return list(cursor.fetchall())

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """See State."""
        with self._told(), self._session.cursor() as cursor:
            cursor.execute(_percent(statement), tuple(values))

    def append(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """See State."""
        text = io.StringIO()
        csv.writer(text).writerows([_NULL if value is None else value for value in row] for row in rows)
        text.seek(0)
        with self._told(), self._session.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT csv, NULL '{_NULL}')", text)

    @contextmanager
    def changing(self, intervals: bool = False) -> Iterator[None]:
        """See State. SQLMesh compacts its interval rows in one transaction, which is kept out like any other."""
        has_intervals = intervals and self._has("sqlmesh._intervals")
        # The locks come first: they take no snapshot, so the transaction sees all that was committed before them.
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            self.execute(f"SET LOCAL lock_timeout = {max(1, int(self._wait_seconds * 1000))}")
            if has_intervals:
                self.execute("LOCK TABLE sqlmesh._intervals IN ACCESS EXCLUSIVE MODE")
            self.execute("LOCK TABLE lakemesh.collected IN EXCLUSIVE MODE")
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(LakemeshError):  # a session that was lost has rolled back by itself
                self.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """See State."""
        self._session.close()

    def _create_tables(self) -> None:
        if all(self._has(table.split(" ", 1)[0]) for table in TABLES):
            return
        self.execute("BEGIN")
        # two that begin at once would both see no table
        self.execute("SELECT pg_advisory_xact_lock(?, ?)", [postgres.LOCKS, postgres.Lock.TABLES])
        self.execute("CREATE SCHEMA IF NOT EXISTS lakemesh")
        for table in TABLES:
            self.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        self.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what the server says into our errors, one line each; a statement that is wrong stays what it is."""
        try:
            yield
        except psycopg2.errors.LockNotAvailable:
            raise RetriableError(
                f"{self.name}: another session has kept the state's tables for {self._wait_seconds:.0f} seconds; look "
                "for it with `SELECT * FROM pg_stat_activity WHERE xact_start IS NOT NULL`, end it, and run this again"
            ) from None
        except psycopg2.errors.InsufficientPrivilege as error:
            raise ConfigError(
                f"{self.name}: {postgres.reason(error)}. The state's user has to own the database, or be granted "
                "CREATE on it"
            ) from None
        except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.InternalError) as error:
            raise RetriableError(f"{self.name}: {postgres.reason(error)}") from error

    def _has(self, table: str) -> bool:
        """Whether a table is there, asked without a look at the catalog's views."""
        return self.row("SELECT to_regclass(?)", [table]) != (None,)


def set_aside(options: Settings) -> None:
    """Keeps the state as it is under another name, so that a new one begins; what a rebuild left half done goes."""
    with PostgresState(options) as state, state.changing():
        names = {name for (name,) in state.rows("SELECT nspname FROM pg_namespace")}
        is_kept = any(f"{schema}{ASIDE}" in names for schema in _SCHEMAS)
        for schema in filter(names.__contains__, _SCHEMAS):
            if is_kept:
                state.execute(f"DROP SCHEMA {schema} CASCADE")
            else:
                state.execute(f"ALTER SCHEMA {schema} RENAME TO {schema}{ASIDE}")


def drop_aside(options: Settings) -> None:
    """Drops what `set_aside` kept."""
    with PostgresState(options) as state:
        for schema in _SCHEMAS:
            state.execute(f"DROP SCHEMA IF EXISTS {schema}{ASIDE} CASCADE")


def _percent(statement: str) -> str:
    """`?` as psycopg2 takes it."""
    return statement.replace("%", "%%").replace("?", "%s")
