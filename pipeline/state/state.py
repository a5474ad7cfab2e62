"""SQLMesh's state database with Lakemesh's tables in it: one interface to a DuckDB file and to Postgres."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

TABLES = (
    "lakemesh.settled (feed TEXT PRIMARY KEY, position BIGINT, settled_at TIMESTAMP)",
    "lakemesh.audited (scope TEXT PRIMARY KEY, audited_at TIMESTAMP)",
    "lakemesh.lake (id TEXT PRIMARY KEY, uri TEXT)",
    "lakemesh.warehouse (id TEXT PRIMARY KEY, place TEXT)",
    "lakemesh.collected (newest BIGINT)",
    "lakemesh.recomputed (sequence BIGINT, id TEXT, name TEXT, version TEXT, start_ts BIGINT, end_ts BIGINT)",
    "lakemesh.history (name TEXT, version TEXT, known_after BIGINT, altered_ts BIGINT, PRIMARY KEY (name, version))",
    "lakemesh.published (number BIGINT, sequence BIGINT)",
    "lakemesh.reached (name TEXT, version TEXT, end_ts BIGINT, PRIMARY KEY (name, version))",
)
"""Lakemesh's tables, next to SQLMesh's. They are never altered: a new column goes into a new table."""
Row = tuple[Any, ...]


class State(ABC):
    """A connection to the state. Statements use the SQL common to DuckDB and Postgres, with `?` placeholders.

    Attributes:
        name: the name of the state in messages.
    """

    name: str

    @abstractmethod
    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query."""

    @abstractmethod
    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Run a statement."""

    @abstractmethod
    def append(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Insert many rows."""

    @abstractmethod
    def transaction(self, intervals: bool = False) -> AbstractContextManager[None]:
        """A transaction that reads one snapshot and locks Lakemesh's tables.

        Args:
            intervals: whether SQLMesh's interval rows are written too; then no other session can read or write them.

        Raises:
            RetriableError: another session holds them for longer than the settings' state_lock_seconds.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    def row(self, query: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query; None if there is none."""
        return next(iter(self.rows(query, values)), None)

    def has_table(self, schema: str, name: str) -> bool:
        """Whether a table exists; SQLMesh's tables exist from the first plan on."""
        query = "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"
        return self.row(query, [schema, name]) is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def applied_positions(state: State) -> dict[str, int]:
    """The ledger position of each feed up to which changed dates are marked for recomputation."""
    return dict(state.rows("SELECT feed, position FROM lakemesh.settled"))
