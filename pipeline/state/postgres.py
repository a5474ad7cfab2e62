"""The state in Postgres, for teams that share environments and read them without blocking runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from ingest.errors import LakemeshError
from ingest.settings import Settings
from pipeline.process import postgres
from pipeline.state.state import TABLES, Row, State

_RIGHTS = "The user of the state must own the database or be granted CREATE on it"
_NULL = "\\N"
SCHEMAS = ("sqlmesh", "lakemesh")


class PostgresState(State):
    """A session on the state database; any number may be open.

    Raises:
        RetriableError: the server cannot be reached.
        ConfigError: psycopg2 is missing, or the server rejects the login.
    """

    def __init__(self, options: Settings) -> None:
        self.name = postgres.address(options)
        self._wait_seconds = options.state_lock_seconds
        self._session = postgres.connect(options)
        try:
            self._create_tables()
        except BaseException:
            self._session.close()
            raise

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """See State."""
        with self._translated_errors(), self._session.cursor() as cursor:
            cursor.execute(_percent(query), tuple(values))
            return list(cursor.fetchall())

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """See State."""
        with self._translated_errors(), self._session.cursor() as cursor:
            cursor.execute(_percent(statement), tuple(values))

    def append(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """See State."""
        text = io.StringIO()
        csv.writer(text).writerows([_NULL if value is None else value for value in row] for row in rows)
        text.seek(0)
        with self._translated_errors(), self._session.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT csv, NULL '{_NULL}')", text)

    @contextmanager
    def transaction(self, intervals: bool = False) -> Iterator[None]:
        """See State. The locks also exclude the transaction in which SQLMesh compacts its interval rows."""
        has_intervals = intervals and self._has("sqlmesh._intervals")
        # The locks come first: they take no snapshot, so the transaction sees everything committed before it got them.
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            self.execute(f"SET LOCAL lock_timeout = {max(1, int(self._wait_seconds * 1000))}")
            if has_intervals:
                self.execute("LOCK TABLE sqlmesh._intervals IN ACCESS EXCLUSIVE MODE")
            self.execute("LOCK TABLE lakemesh.collected IN EXCLUSIVE MODE")
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(LakemeshError):  # a lost session has already rolled back
                self.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """See State."""
        self._session.close()

    def _create_tables(self) -> None:
        if all(self._has(table.split(" ", 1)[0]) for table in TABLES):
            return
        self.execute("BEGIN")
        # two processes starting at once would both find the tables missing
        self.execute("SELECT pg_advisory_xact_lock(?, ?)", [postgres.LOCKS, postgres.Lock.TABLES])
        self.execute("CREATE SCHEMA IF NOT EXISTS lakemesh")
        for table in TABLES:
            self.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        self.execute("COMMIT")

    def _translated_errors(self) -> AbstractContextManager[None]:
        return postgres.translate_errors(self.name, self._wait_seconds, _RIGHTS)

    def _has(self, table: str) -> bool:
        """Whether a table exists, without querying the catalog's views."""
        return self.row("SELECT to_regclass(?)", [table]) != (None,)


def _percent(statement: str) -> str:
    """Convert `?` placeholders to the `%s` of psycopg2."""
    return statement.replace("%", "%%").replace("?", "%s")
