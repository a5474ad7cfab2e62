"""SQLMesh's state database, and what Lakemesh keeps in it: one interface over a DuckDB file and over Postgres."""

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
)
"""Our tables beside SQLMesh's. A new column gets a table of its own: these are never altered."""
Row = tuple[Any, ...]


class State(ABC):
    """A connection to the state. Statements are written once, in what DuckDB and Postgres have in common, with `?`.

    Attributes:
        name: what messages call it.
    """

    name: str

    @abstractmethod
    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query."""

    @abstractmethod
    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Runs a statement."""

    @abstractmethod
    def append(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Adds many rows."""

    @abstractmethod
    def changing(self, intervals: bool = False) -> AbstractContextManager[None]:
        """A transaction that sees one moment, and has our tables for itself.

        Args:
            intervals: whether SQLMesh's interval rows are written too, so that nobody else reads or writes them.

        Raises:
            RetriableError: somebody else has them for longer than the settings' state_lock_seconds.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends the connection."""

    def row(self, query: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query; None when it gives none."""
        return next(iter(self.rows(query, values)), None)

    def has_table(self, schema: str, name: str) -> bool:
        """Whether a table is there; SQLMesh's are from the first plan on."""
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
