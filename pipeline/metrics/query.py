"""Queries of metrics over a release."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
from sqlglot import exp

from ingest.errors import ConfigError
from ingest.text import printable
from pipeline.metrics.compile import select
from pipeline.metrics.definition import Format, Metric, base_names
from pipeline.metrics.period import BEFORE, CHANGE, DIFFERENCE, Compare, last_of
from pipeline.metrics.request import Query, check, check_range, known, refusal
from pipeline.metrics.scan import PERIOD, scans
from pipeline.warehouse.engine import DIALECT

__all__ = ["Answer", "Column", "Query", "answer", "compile_query", "covered", "within"]

_ANY_DAY = dt.date(1970, 1, 1)
"""A range for empty tables, in which everything is unknown."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer.

    Attributes:
        role: period, dimension, value, before (the value compared with), difference, or change (difference as a share
            of the size of the value before).
        metric: the metric that it belongs to; empty for keys.
    """

    name: str
    label: str
    role: str
    metric: str = ""
    format: Format | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a query.

    Attributes:
        rows: in the order of columns, by period and dimensions; amounts are exact decimals.
        totals: a value per column of a metric, over all rows; of a refused one none.
        refused: metrics without a total, with the reason.
        sql: the query of the rows, see `compile_query`.
    """

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    sql: str
    totals: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def compile_query(definitions: Mapping[str, Metric], query: Query) -> exp.Select:
    """The SQL of a query, over tables named as in the definitions (`gold.x`).

    Columns are `period` if there is a grain, the dimensions, and the metrics, each followed by `_before`,
    `_difference` and `_change` if it is compared.

    Raises:
        ConfigError: a metric or dimension does not exist, or a value would be a sum of what cannot be summed.
    """
    check(definitions, query)
    return select(definitions, query)


def answer(connection: duckdb.DuckDBPyConnection, definitions: Mapping[str, Metric], query: Query) -> Answer:
    """Compute a query.

    Args:
        connection: to a release, see `Releases.connect`.

    Raises:
        ConfigError: see `compile_query`; or a value of a filter is none of the column's type, or the release lacks a
            table.
    """
    query = within(connection, definitions, query)
    built = compile_query(definitions, query)
    _check_values(connection, definitions, query)
    rows = _fetch(connection, definitions[query.metrics[0]], built)
    totals: dict[str, Any] = {}
    refused: dict[str, str] = {}
    columns = _columns(definitions, query)
    if query.totals and not query.grain and not query.by:  # its only row
        totals = dict(zip((item.name for item in columns), rows[0], strict=True))
    elif query.totals:
        whole = replace(query, by=(), grain=None)
        refused = {name: reason for name in query.metrics if (reason := refusal(definitions, name, whole))}
        summed = tuple(name for name in query.metrics if name not in refused)
        if summed:
            whole = replace(whole, metrics=summed)
            (row,) = _fetch(connection, definitions[summed[0]], compile_query(definitions, whole))
            totals = dict(zip((item.name for item in _columns(definitions, whole)), row, strict=True))
    return Answer(columns, rows, built.sql(DIALECT, pretty=True), totals, refused)


def _columns(definitions: Mapping[str, Metric], query: Query) -> tuple[Column, ...]:
    columns = [Column(PERIOD, query.grain.capitalize(), "period")] if query.grain else []
    first = definitions[query.metrics[0]]
    columns += [Column(name, first.dimensions[name], "dimension") for name in query.by]
    for name in query.metrics:
        metric = definitions[name]
        columns.append(Column(name, metric.label, "value", name, metric.format, metric.unit))
        if query.compare:
            before = "before" if query.compare == Compare.PREVIOUS else "a year before"
            about = (name, metric.format, metric.unit)
            columns += [
                Column(name + BEFORE, f"{metric.label}, {before}", "before", *about),
                Column(name + DIFFERENCE, f"{metric.label}, difference", "difference", *about),
                Column(name + CHANGE, f"{metric.label}, change", "change", name, Format.PERCENT, ""),
            ]
    return tuple(columns)


def _tables(definitions: Mapping[str, Metric], names: Sequence[str]) -> dict[str, Metric]:
    return {definitions[base].table: definitions[base] for name in names for base in base_names(definitions, name)}


def within(connection: duckdb.DuckDBPyConnection, definitions: Mapping[str, Metric], query: Query) -> Query:
    """Close the open range of a comparison with the dates that the tables cover, so that both ranges are as long.

    Raises:
        ConfigError: a metric does not exist, the range is open at both ends, or the release lacks its table.
    """
    for name in query.metrics:
        known(definitions, name)
    check_range(query, is_closed=False)
    if not query.compare or (query.since and query.until):
        return query
    first, last = covered(connection, definitions, query.metrics)
    first, last = first or _ANY_DAY, last or _ANY_DAY
    since = query.since or min(first, query.until or first)
    return replace(query, since=since, until=query.until or max(last, since))


def covered(
    connection: duckdb.DuckDBPyConnection, definitions: Mapping[str, Metric], names: Sequence[str]
) -> tuple[dt.date | None, dt.date | None]:
    """The first and last date that any of the metrics' tables covers, of a period its last day; None if they are empty.

    Raises:
        ConfigError: the release lacks a table.
    """
    bases = [definitions[base] for name in names for base in base_names(definitions, name)]
    firsts, lasts = [], []
    for scan in scans(bases, None, (), (), (None, None)):
        _, bounds = next(scan.ctes())
        (row,) = _fetch(connection, scan.metrics[0], bounds)
        firsts.append(row[0])
        lasts.append(row[1] and last_of(row[1], scan.metrics[0].grains[0]))
    return (min(filter(None, firsts), default=None), max(filter(None, lasts), default=None))


def _check_values(connection: duckdb.DuckDBPyConnection, definitions: Mapping[str, Metric], query: Query) -> None:
    """Refuse a filter whose value is none of the column's type."""
    for table, metric in _tables(definitions, query.metrics).items():
        if not query.where:
            return
        described = _fetch(connection, metric, exp.Describe(this=exp.to_table(table)))
        kinds = {name: kind for name, kind, *_ in described}
        for item in query.where:
            for value in item.values:
                kind = kinds.get(item.dimension, "VARCHAR")
                (found,) = connection.execute(f"SELECT TRY_CAST(? AS {kind}) IS NULL", [value]).fetchall()
                if found[0]:
                    raise ConfigError(f"{printable(str(item))}: '{printable(value)}' is no {kind} as in {table}")


def _fetch(connection: duckdb.DuckDBPyConnection, metric: Metric, built: exp.Expression) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(built.sql(DIALECT)).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise ConfigError(
            f"{metric.name} cannot be computed from this release: {printable(str(error).splitlines()[0])}. Its "
            "definition does not match the tables of this release; choose another release, or run `lake publish`"
        ) from error
