"""Write rows of published tables to Postgres by COPY, only where two releases differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.serving.differences import Differences, Slices
from pipeline.serving.types import NULL

if TYPE_CHECKING:
    from psycopg2.sql import Composable

TEMPORARY = "pg_temp"
_SLICES = "lakemesh_slices"


@dataclass(slots=True)
class Change:
    """The rows written to one table.

    Attributes:
        deleted, written: numbers of rows.
        whole: whether all rows were replaced.
    """

    deleted: int = 0
    written: int = 0
    whole: bool = False


class Rows:
    """Write rows of one schema's tables in a cursor's transaction."""

    def __init__(self, cursor: Any, schema: str, differences: Differences) -> None:
        self._cursor, self._schema, self._differences = cursor, schema, differences
        self.warnings: list[str] = []

    def replace(self, name: str, table: str, columns: Iterable[str]) -> Change | None:
        """Replace the slices that differ; all rows if those are unknown or another user changed them.

        Args:
            name: of the published table.
            table: its name in the serving schema.

        Returns:
            None if no row differs.
        """
        found = self._differences.slices(name)
        if found is None:
            return self.replace_all(name, table, columns)
        if not found.count:
            return None
        deleted = self._delete(name, table, found)
        if deleted == found.old_rows:
            written = self._copy(self._differences.changed_rows(name, found), self._schema, table, columns)
            return Change(deleted, written)
        self.warnings.append(
            f"{name}: Postgres had {deleted:,} rows where it should have {found.old_rows:,}, so another user wrote to "
            "it; the whole table is rewritten"
        )
        change = self.replace_all(name, table, columns)
        return Change(change.deleted + deleted, change.written, True)

    def replace_all(self, name: str, table: str, columns: Iterable[str]) -> Change:
        """Replace all rows by DELETE; unlike TRUNCATE, readers see the old ones until the commit."""
        change = Change(self.delete_all(table), self.add_all(name, table, columns), True)
        self.analyze(table)
        return change

    def delete_all(self, table: str) -> int:
        """Delete all rows and return their number."""
        from psycopg2.sql import SQL, Identifier

        self._cursor.execute(SQL("DELETE FROM {}").format(Identifier(self._schema, table)))
        return int(self._cursor.rowcount)

    def add_all(self, name: str, table: str, columns: Iterable[str], schema: str = "") -> int:
        """Write all rows of a published table and return their number.

        Args:
            schema: of the target table, if other than the serving schema.
        """
        files = self._differences.all_rows(name)
        return sum(self._copy(path, schema or self._schema, table, columns) for path in files)

    def analyze(self, table: str, schema: str = "") -> None:
        """Update the planner statistics of a table whose rows changed."""
        from psycopg2.sql import SQL, Identifier

        self._cursor.execute(SQL("ANALYZE {}").format(Identifier(schema or self._schema, table)))

    def _delete(self, name: str, table: str, found: Slices) -> int:
        from psycopg2.sql import SQL, Identifier

        target, columns = Identifier(self._schema, table), [Identifier(column) for column in found.columns]
        slices = Identifier(TEMPORARY, _SLICES)
        self._cursor.execute(SQL("DROP TABLE IF EXISTS {}").format(slices))
        self._cursor.execute(
            SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WHERE FALSE").format(
                Identifier(_SLICES), SQL(", ").join(columns), target
            )
        )
        self._copy(self._differences.slice_file(name, found), TEMPORARY, _SLICES, found.columns)
        self.analyze(_SLICES, TEMPORARY)
        same = SQL(" AND ").join(SQL("served.{0} = slices.{0}").format(column) for column in columns)
        self._cursor.execute(SQL("DELETE FROM {} AS served USING {} AS slices WHERE {}").format(target, slices, same))
        return int(self._cursor.rowcount)

    def _copy(self, path: Path, schema: str, table: str, columns: Iterable[str]) -> int:
        with path.open("rb") as rows:
            self._cursor.copy_expert(copy_statement(schema, table, columns), rows, 1 << 20)
        path.unlink()
        return int(self._cursor.rowcount)


def copy_statement(schema: str, table: str, columns: Iterable[str]) -> Composable:
    """The statement that reads a CSV file of `Differences` into a table."""
    from psycopg2.sql import SQL, Identifier, Literal

    names = SQL(", ").join(map(Identifier, columns))
    statement = SQL("COPY {} ({}) FROM STDIN (FORMAT csv, NULL {}, ENCODING 'UTF8')")
    return statement.format(Identifier(schema, table), names, Literal(NULL))
