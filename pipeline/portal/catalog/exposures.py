"""Metrics and dashboards in the catalog, and the glossary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from sqlglot import exp

from pipeline.metrics.definition import Metric as Definition
from pipeline.metrics.measure import Kind, condition
from pipeline.portal.catalog.entries import Exposure, Metric, Term, Tile
from pipeline.portal.columns import reads
from pipeline.portal.dashboard import Dashboard
from pipeline.portal.dashboard import Tile as Shown

_ROW = re.compile(r"^\| \*\*(.+?)\*\* \| (.+?) \|$")
_WORDS = {
    Kind.SUM: "sum of {}",
    Kind.COUNT: "number of rows with a value of {}",
    Kind.LAST: "{} at the end of the period",
    Kind.STORED: "{} as stored for the period",
}


def metric_entries(definitions: Mapping[str, Definition]) -> tuple[Metric, ...]:
    """The metrics with the columns, or the metrics of a ratio, that their values are computed from."""
    return tuple(_metric(definitions[name]) for name in sorted(definitions))


def terms(text: str) -> Iterator[Term]:
    """The terms of a glossary in Markdown: the rows of its table, whose first cell is bold."""
    for line in text.splitlines():
        if found := _ROW.match(line.strip()):
            yield Term(found[1], _plain(found[2]))


def exposure_entries(
    dashboards: Iterable[Dashboard], definitions: Mapping[str, Definition], columns: Mapping[str, Iterable[str]]
) -> tuple[Exposure, ...]:
    """The dashboards with what each tile shows: metrics with their time and dimension, or the columns of a query.

    Args:
        columns: names of the columns that queries may read, by table.
    """
    return tuple(
        Exposure(
            page.name,
            page.title,
            page.owner,
            page.question,
            tuple(
                Tile(tile.id, tile.title, str(tile.kind), tile.question, _shown(tile, definitions, columns))
                for tile in page.tiles
                if tile.metrics or tile.sql
            ),
        )
        for page in dashboards
    )


def _shown(tile: Shown, definitions: Mapping[str, Definition], columns: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in tile.metrics:
        metric = definitions[name]
        found[f"metric:{name}"] = None
        if tile.by:
            found[f"{metric.table}.{tile.by}"] = None
    if tile.sql:
        found |= dict.fromkeys(sorted(f"{table}.{name}" for table, name in reads(tile.sql, columns).columns))
    return tuple(found)


def _metric(definition: Definition) -> Metric:
    measure = definition.measure
    if measure.kind is Kind.RATIO:
        words = " ÷ ".join(measure.ratio)
        upstream = tuple(f"metric:{name}" for name in measure.ratio)
    else:
        words = _WORDS[measure.kind].format(measure.expression)
        columns = measure.columns() | _columns(definition.where)
        upstream = tuple(f"{definition.table}.{name}" for name in sorted(columns))
    return Metric(
        definition.name,
        definition.label,
        definition.description,
        definition.owner,
        definition.domain,
        definition.unit,
        str(definition.format),
        definition.table,
        f"{words}, where {definition.where}" if definition.where else words,
        str(definition.direction),
        tuple(map(str, definition.grains)),
        dict(definition.dimensions),
        definition.synonyms,
        upstream,
    )


def _columns(where: str) -> set[str]:
    return {column.name for column in condition(where).find_all(exp.Column)} if where else set()


def _plain(markdown: str) -> str:
    """Text without Markdown's emphasis, code marks and links."""
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"(\*{1,2}|`)(.+?)\1", r"\2", text)
