"""Queries of metrics over a release."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import duckdb
from sqlglot import exp

from ingest.errors import ConfigError
from ingest.text import printable
from pipeline.metrics.compile import BEFORE, CHANGE, DIFFERENCE, select
from pipeline.metrics.definition import Format, Metric, base_names
from pipeline.metrics.filters import Filter
from pipeline.metrics.measure import Kind
from pipeline.metrics.period import Compare, Grain
from pipeline.metrics.scan import PERIOD, scans
from pipeline.warehouse.engine import DIALECT


@dataclass(frozen=True, slots=True)
class Query:
    """What to compute.

    Attributes:
        metrics: names.
        by: dimensions to group by.
        grain: periods to group by; None for one value over the whole range.
        where: filters, all of which hold.
        since: first date, inclusive; None from the beginning. A row of a periodic table counts by the first day of
            its period.
        until: last date, inclusive; None to the end.
        compare: what each value is compared with; None for nothing.
        totals: whether to compute the totals over all rows.
    """

    metrics: tuple[str, ...]
    by: tuple[str, ...] = ()
    grain: Grain | None = None
    where: tuple[Filter, ...] = ()
    since: dt.date | None = None
    until: dt.date | None = None
    compare: Compare | None = None
    totals: bool = True


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
    """

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    totals: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def compile_query(definitions: Mapping[str, Metric], query: Query) -> exp.Select:
    """The SQL of a query, over tables named as in the definitions (`gold.x`).

    Columns are `period` if there is a grain, the dimensions, and the metrics, each followed by `_before`,
    `_difference` and `_change` if it is compared.

    Raises:
        ConfigError: a metric or dimension does not exist, or a value would be a sum of what cannot be summed.
    """
    if not query.metrics:
        raise ConfigError("no metric is named; expected at least one, `lake metrics list` shows them")
    for name in query.metrics:
        known(definitions, name)
    for name in query.metrics:
        if reason := refusal(definitions, name, query):
            raise ConfigError(f"{name} {reason}")
    _check_shared(definitions, query)
    if query.since and query.until and query.since > query.until:
        raise ConfigError(f"since {query.since} is after until {query.until}; expected a range of dates")
    if query.compare and not query.grain and not (query.since and query.until):
        raise ConfigError("a comparison needs a grain, or since and until: all of the past has nothing before it")
    return select(definitions, query)


def known(definitions: Mapping[str, Metric], name: str) -> Metric:
    """The metric of a name.

    Raises:
        ConfigError: there is none; the message names the nearest names and synonyms.
    """
    if name in definitions:
        return definitions[name]
    words = {name: name for name in definitions}
    words |= {word.lower(): item.name for item in definitions.values() for word in (*item.synonyms, item.label)}
    near = get_close_matches(name.lower().replace("_", " "), words, 5, 0.6) + get_close_matches(name, words, 5, 0.6)
    found = list(dict.fromkeys(words[word] for word in near))[:3]
    hint = f"did you mean {' or '.join(found)}?" if found else "`lake metrics list` shows them"
    raise ConfigError(f"there is no metric '{printable(name)}'; {hint}")


def refusal(definitions: Mapping[str, Metric], name: str, query: Query) -> str:
    """The reason why a metric cannot be computed for a query, to be read after its name; empty if it can."""
    for base in dict.fromkeys((name, *base_names(definitions, name))):
        if reason := _refusal(definitions[base], query):
            return reason if base == name else f"is computed from {base}, which {reason}"
    return ""


def _refusal(metric: Metric, query: Query) -> str:
    for dimension in (*query.by, *(item.dimension for item in query.where)):
        if dimension not in metric.dimensions:
            return f"has no dimension '{printable(dimension)}'; it has {', '.join(metric.dimensions) or 'none'}"
    if query.grain and query.grain not in metric.grains:
        return f"is not known by {query.grain}; it is by {', '.join(metric.grains)}"
    if metric.kind == Kind.STORED and query.grain is None:
        return f"is stored per {metric.grains[0]} and cannot be summed over time; group it by {metric.grains[0]}"
    free = set(metric.dimensions) if metric.kind == Kind.STORED else set(metric.not_over)
    free -= metric.fixed() | set(query.by) | {item.dimension for item in query.where if item.fixes()}
    if free:
        first = next(name for name in metric.dimensions if name in free)
        return f"cannot be summed over {first}; group by it or fix it to one value"
    return ""


def _check_shared(definitions: Mapping[str, Metric], query: Query) -> None:
    """Refuse to join metrics on dimensions that only have the same name."""
    for dimension in (*query.by, *(item.dimension for item in query.where)):
        labels = {definitions[name].dimensions[dimension]: name for name in query.metrics}
        if len(labels) > 1:
            (label, name), (other, second) = list(labels.items())[:2]
            raise ConfigError(
                f"{dimension} is '{label}' of {name}, but '{other}' of {second}: they cannot be joined; "
                "query them one by one"
            )


def answer(connection: duckdb.DuckDBPyConnection, definitions: Mapping[str, Metric], query: Query) -> Answer:
    """Compute a query.

    Args:
        connection: to a release, see `Releases.connect`.

    Raises:
        ConfigError: see `compile_query`; or a value of a filter is none of the column's type, or the release lacks a
            table.
    """
    for name in query.metrics:
        known(definitions, name)
    if query.compare and not (query.since and query.until):
        query = _within(connection, definitions, query)
    built = compile_query(definitions, query)
    _check_values(connection, definitions, query)
    rows = _run(connection, definitions, query, built)
    totals: dict[str, Any] = {}
    refused: dict[str, str] = {}
    if query.totals:
        whole = replace(query, by=(), grain=None)
        refused = {name: reason for name in query.metrics if (reason := refusal(definitions, name, whole))}
        summed = tuple(name for name in query.metrics if name not in refused)
        if summed:
            whole = replace(whole, metrics=summed)
            (row,) = _run(connection, definitions, whole, compile_query(definitions, whole))
            totals = dict(zip((item.name for item in _columns(definitions, whole)), row, strict=True))
    return Answer(_columns(definitions, query), rows, totals, refused)


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


def _within(connection: duckdb.DuckDBPyConnection, definitions: Mapping[str, Metric], query: Query) -> Query:
    """Close an open range with the dates that the tables cover, so that the range before has the same length."""
    first, last = covered(connection, definitions, query.metrics)
    return replace(query, since=query.since or first, until=query.until or last)


def covered(
    connection: duckdb.DuckDBPyConnection, definitions: Mapping[str, Metric], names: Sequence[str]
) -> tuple[dt.date | None, dt.date | None]:
    """The first and last date that any of the metrics' tables covers; None if they are empty.

    Raises:
        ConfigError: the release lacks a table.
    """
    bases = [definitions[base] for name in names for base in base_names(definitions, name)]
    firsts, lasts = [], []
    for scan in scans(bases, None, (), (), (None, None)):
        _, bounds = next(scan.ctes())
        (row,) = _fetch(connection, scan.metrics[0], bounds)
        firsts.append(row[0])
        lasts.append(row[1])
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


def _run(
    connection: duckdb.DuckDBPyConnection, definitions: Mapping[str, Metric], query: Query, built: exp.Select
) -> list[tuple[Any, ...]]:
    return _fetch(connection, definitions[query.metrics[0]], built)


def _fetch(connection: duckdb.DuckDBPyConnection, metric: Metric, built: exp.Expression) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(built.sql(DIALECT)).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise ConfigError(
            f"{metric.name} cannot be computed from this release: {printable(str(error).splitlines()[0])}. The "
            "definitions are newer or older than it; choose another release, or publish one"
        ) from error
