"""Human-readable output of `lake metrics`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from ingest.text import printable
from pipeline.cli.layout import table, text
from pipeline.metrics.definition import Format, Metric
from pipeline.metrics.measure import Kind
from pipeline.metrics.query import Answer, Column
from pipeline.metrics.shown import shown
from pipeline.metrics.standing import Standing

UNKNOWN = "-"
KEYS = ("period", "dimension")
_RULES = {
    Kind.SUM: "over time and dimensions",
    Kind.COUNT: "over time and dimensions",
    Kind.LAST: "over dimensions; over time the value of the last date",
    Kind.STORED: "over nothing, each value stands for itself",
    Kind.RATIO: "its parts, then divided",
}


def show_list(definitions: Iterable[Metric]) -> str:
    """Format the metrics by domain."""
    rows = table("metric", "domain", "label", "unit", texts=4)
    for metric in definitions:
        rows.add_row(metric.name, metric.domain, metric.label, metric.unit)
    return text(rows)


def show_definition(metric: Metric) -> str:
    """Format one definition."""
    measure = metric.measure
    lines = [
        f"{metric.name}: {metric.label} ({metric.unit})",
        metric.description,
        "",
        f"computed from  {metric.table}" + (f" where {metric.where}" if metric.where else ""),
        f"measure        {' / '.join(measure.ratio) or f'{measure.kind} of {measure.expression}'}",
        f"summed         {rule(metric)}",
        f"time           {metric.time}, by {', '.join(metric.grains)}",
    ]
    lines += [f"dimension      {name}: {label}" for name, label in metric.dimensions.items()]
    lines.append(f"good           {metric.direction}")
    lines.append(f"owner          {metric.owner}, in metrics/{metric.domain}.yaml")
    lines += [f"also called    {', '.join(metric.synonyms)}"] if metric.synonyms else []
    return text(*map(printable, lines))


def rule(metric: Metric) -> str:
    """What may be summed, in words."""
    but = f"; never over {', '.join(metric.not_over)}" if metric.not_over else ""
    return _RULES[metric.kind] + but


def show_answer(answer: Answer, standing: Standing) -> str:
    """Format the result of a query, with the release that it comes from.

    Of a comparison the value before and the change are shown: of a share the difference, otherwise the change in
    percent.
    """
    shares = {column.metric for column in answer.columns if column.role == "value" and column.format == Format.PERCENT}
    hidden = {True: "change", False: "difference"}
    chosen = [
        (number, column)
        for number, column in enumerate(answer.columns)
        if column.role != hidden[column.metric in shares]
    ]
    keys = sum(column.role in KEYS for _, column in chosen)
    rows = table(*(_header(column) for _, column in chosen), texts=keys)
    for row in answer.rows:
        rows.add_row(*(cell(row[number], column) for number, column in chosen))
    if keys and answer.totals:
        totals = (cell(answer.totals.get(column.name), column) for _, column in chosen[keys:])
        rows.add_row("total", *[""] * (keys - 1), *totals)
    refused = [f"no total of {name}: it {reason}" for name, reason in answer.refused.items()] if keys else []
    return text(rows, *refused, "", *_standing(standing))


def _standing(standing: Standing) -> list[str]:
    complete = f"complete to {standing.complete_to}" if standing.complete_to else "empty"
    positions = ", ".join(f"{feed} {position}" for feed, position in sorted(standing.positions.items()))
    at = f"{standing.published_at:%Y-%m-%d %H:%M:%S}"
    return [
        f"release {standing.release}, published {at}; {complete}; passed {len(standing.audits)} audits",
        f"ledger positions: {positions}",
    ]


def _header(column: Column) -> str:
    if column.role in KEYS:
        return column.name
    return {"value": column.metric, "before": "before"}.get(column.role, "change")


def cell(value: Any, column: Column) -> str:
    """Format a value for people.

    A share is shown in percent, its difference in points, seconds as minutes or hours; `-` is unknown.
    """
    if value is None:
        return UNKNOWN
    if column.format is None:
        return value.isoformat() if isinstance(value, dt.date) else printable(str(value))
    is_difference = column.role == "difference"
    return shown(value, column.format, is_difference or column.role == "change", is_points=is_difference)
