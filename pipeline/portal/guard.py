"""What pages must not show: personal columns, and groups of people that are too small."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import duckdb
from sqlglot import exp, parse_one

from ingest.contracts.classes import Class
from ingest.errors import ConfigError
from ingest.sql import dotted, identifier
from ingest.text import printable
from pipeline.metrics.definition import Metric, base_names
from pipeline.metrics.measure import Kind
from pipeline.portal.columns import reads
from pipeline.portal.dashboard import Dashboard
from pipeline.portal.table import tables_of
from pipeline.warehouse.classes import Classes


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of a project's classes for pages, see docs/privacy.md.

    Attributes:
        restricted: columns that no page may show, by table: of the classes direct and sensitive.
        quasi: columns whose small groups no page may show, by table.
        sizes: the column whose sum is the size of a group, by table; otherwise each row counts as one.
        minimum: the smallest group that a page may show.
    """

    restricted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    quasi: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sizes: Mapping[str, str] = field(default_factory=dict)
    minimum: int = 0

    @classmethod
    def of(cls, classes: Classes, least: int | None = None) -> Guard:
        """The rules that follow from the classes of a project's columns.

        Args:
            least: the least size of a group; by default that of the project.
        """
        tables = classes.columns
        quasi = {
            table: frozenset(name for name, item in columns.items() if item.class_ == Class.QUASI)
            for table, columns in tables.items()
        }
        sizes = {table: size for table in tables if (size := classes.size_column(table))}
        restricted = {table: frozenset(classes.restricted(table)) for table in tables}
        return cls(restricted, quasi, sizes, classes.minimum_group_size if least is None else least)

    def check(self, page: Dashboard, definitions: Mapping[str, Metric], columns: Mapping[str, Iterable[str]]) -> None:
        """Refuse a page that would show a personal column.

        Args:
            columns: names of the columns of the release, by table.

        Raises:
            ConfigError: it names tile and column.
        """
        for tile in page.tiles:
            place = f"dashboard {page.name}: {tile.title}"
            for name in tile.metrics:
                for base in base_names(definitions, name):
                    metric = definitions[base]
                    shown = {*page.filters, *([tile.by] if tile.by else [])} & set(metric.dimensions)
                    shown |= set() if metric.kind == Kind.COUNT else metric.measure.columns()
                    shown |= _columns_of(metric.where)
                    if bad := sorted(shown & self.restricted.get(metric.table, frozenset())):
                        raise ConfigError(
                            f"{place}: {metric.table}.{bad[0]} is personal (direct or sensitive); no page shows it"
                        )
            if tile.sql:
                self._check_sql(place, tile.sql, columns)

    def _check_sql(self, place: str, sql: str, columns: Mapping[str, Iterable[str]]) -> None:
        """Refuse a query that reads a restricted column, or of which it is not known that it reads none."""
        restricted = {table: self.restricted.get(table, frozenset()) for table in tables_of(sql)}
        if not any(restricted.values()):
            return
        found = reads(sql, columns)
        for table, names in sorted(restricted.items()):
            for name in sorted(names):
                if any(table == other and _overlap(name.lower(), path) for other, path in found.columns):
                    raise ConfigError(
                        f"{place}: {table}.{printable(name)} is personal (direct or sensitive); no page shows it"
                    )
        if found.unresolved:
            table, names = next((table, names) for table, names in sorted(restricted.items()) if names)
            raise ConfigError(
                f"{place}: {table}.{printable(min(names))} is personal (direct or sensitive); no page shows it, and "
                f"'{printable(found.unresolved[0])}' may read it: name each column with its table"
            )

    def too_small(self, connection: duckdb.DuckDBPyConnection, metric: Metric, dimension: str) -> set[str | None]:
        """The values of a metric's dimension whose group is too small to be shown, over all periods of its table.

        None is unless the dimension is a quasi identifier. Sizes of balances and distinct counts, which are not summed
        over time, are those of the period with the largest.
        """
        table = metric.table
        if dimension not in self.quasi.get(table, frozenset()):
            return set()
        count = f"SUM({identifier(self.sizes[table])})" if table in self.sizes else "COUNT(*)"
        period = identifier(metric.time) if metric.kind in (Kind.LAST, Kind.STORED) else "1"
        where = f"WHERE {metric.where}" if metric.where else ""
        rows = connection.execute(
            f"""
            SELECT value FROM (
              SELECT {identifier(dimension)}::TEXT AS value, {period} AS period, {count} AS size
              FROM {dotted(table)} {where} GROUP BY ALL
            ) GROUP BY value HAVING COALESCE(MAX(size), 0) < {self.minimum}
            """
        ).fetchall()
        return {row[0] for row in rows}


def _overlap(one: str, other: str) -> bool:
    """Whether two columns are the same, or one is a field of the other."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


NOTHING = Guard()
"""No rules, for tables without personal columns."""


def _columns_of(condition: str) -> set[str]:
    """Names of the columns that a metric's own condition compares; empty without one."""
    return (
        {column.name for column in parse_one(condition, dialect="duckdb").find_all(exp.Column)} if condition else set()
    )
