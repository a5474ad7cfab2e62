"""Compares tables by the hashes of their rows, whatever the order of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from ingest.sql import dotted, identifier

_FLOATS = ("DOUBLE", "FLOAT")
_DIGITS = 9
"""Significant digits by which floating-point numbers are compared: their sums depend on the order of addition."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The content of a table.

    Attributes:
        columns: names and types, by name.
        hash: the sum of the hashes of its rows; equal rows count as often as they occur.
    """

    columns: tuple[str, ...]
    rows: int
    hash: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A table before and after; None where it does not exist."""

    name: str
    before: Fingerprint | None
    after: Fingerprint | None

    @property
    def is_equal(self) -> bool:
        """Whether both have the same rows."""
        return self.before is not None and self.before == self.after


def fingerprint(reader: duckdb.DuckDBPyConnection, name: str) -> Fingerprint:
    """The content of a table or view.

    Args:
        reader: of one version of DuckDB for all tables that are compared, since its hashes change with versions.
    """
    kinds = sorted((row[0], row[1]) for row in reader.execute(f"DESCRIBE {dotted(name)}").fetchall())
    chosen = ", ".join(_exact(column, kind) for column, kind in kinds)
    query = f"SELECT COUNT(*), COALESCE(SUM(HASH(ROW({chosen}))), 0)::VARCHAR FROM {dotted(name)}"
    rows, total = reader.execute(query).fetchall()[0]
    return Fingerprint(tuple(map(" ".join, kinds)), int(rows), str(total))


def _exact(column: str, kind: str) -> str:
    """A column as it is compared."""
    value = identifier(column)
    if kind not in _FLOATS:
        return value
    digits = f"({_DIGITS - 1} - FLOOR(LOG10(ABS({value}))))::INTEGER"
    return f"CASE WHEN {value} = 0 OR NOT ISFINITE({value}) THEN {value} ELSE ROUND({value}, {digits}) END"
