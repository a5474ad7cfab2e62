"""The figures of a report: values of its metrics for their last complete period, with what they are compared with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import duckdb

from pipeline.metrics.definition import Metric
from pipeline.metrics.period import Grain
from pipeline.metrics.query import Query, answer
from pipeline.report.definition import grain_of
from pipeline.report.span import Span

Value = int | float | Decimal | None
COMPARED = {Grain.DAY: (1, 7)}
"""How many periods before a figure the ones lie that it is compared with; one for other grains. The last is the one
whose change is explained: of a day the same weekday, so that a Monday is not explained by a Sunday."""
SHOWN = {Grain.DAY: 28}
"""How many periods a sparkline shows; PERIODS for other grains."""
PERIODS = 13
FLAT = 0.0005
"""A change of a smaller share is none."""


@dataclass(frozen=True, slots=True)
class Change:
    """A comparison with an earlier period.

    Attributes:
        before: the value then; None if it is unknown.
        difference: now - before.
        share: the difference ÷ the size of the value before.
        verdict: 1 for good news, -1 for bad, 0 for neither.
    """

    span: Span
    before: Value
    difference: Value
    share: float | None
    verdict: int


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric for one period.

    Attributes:
        changes: see COMPARED.
        values: of the periods up to this one, by their first day, ascending; unknown ones are left out.
    """

    metric: Metric
    span: Span
    value: Value
    changes: tuple[Change, ...]
    values: Mapping[dt.date, Value] = field(repr=False)

    def series(self) -> list[tuple[dt.date, Value]]:
        """What a sparkline shows: one point per period, None where the value is unknown."""
        count = shown(self.span.grain)
        spans = [self.span.before(number) for number in reversed(range(count))]
        return [(span.first, self.values.get(span.first)) for span in spans]


def read_figures(
    connection: duckdb.DuckDBPyConnection,
    definitions: Mapping[str, Metric],
    covers: Mapping[str, tuple[dt.date | None, dt.date | None]],
    period: Grain,
    newest: dt.date,
) -> dict[str, Figure]:
    """Compute figures, each for the last period that is complete in its table.

    Args:
        covers: the dates that the tables of each metric cover, see `covered`.
        period: of the report.
        newest: the last day that can be complete.

    Returns:
        By name; a metric without a complete period is left out.

    Raises:
        ConfigError: the release lacks a table.
    """
    spans: dict[str, Span] = {}
    for name, (first, last) in covers.items():
        span = Span.last_complete(min(last, newest), grain_of(definitions[name], period)) if first and last else None
        if first and span and span.last >= first:
            spans[name] = span
    found: dict[str, Figure] = {}
    for grain in dict.fromkeys(span.grain for span in spans.values()):
        own = [name for name, span in spans.items() if span.grain == grain]
        oldest, newest_span = min(spans[name] for name in own), max(spans[name] for name in own)
        values = read_values(connection, definitions, own, oldest.before(shown(grain)), newest_span)
        for name in own:
            past = {first: value for first, value in values[name].items() if first <= spans[name].first}
            found[name] = figure(definitions[name], spans[name], past)
    return {name: found[name] for name in covers if name in found}


def shown(grain: Grain) -> int:
    """How many periods a sparkline shows."""
    return SHOWN.get(grain, PERIODS)


def read_values(
    connection: duckdb.DuckDBPyConnection,
    definitions: Mapping[str, Metric],
    names: Sequence[str],
    first: Span,
    last: Span,
) -> dict[str, dict[dt.date, Value]]:
    """The values of metrics from one period to another, by name and first day; unknown ones are left out."""
    query = Query(tuple(names), grain=last.grain, since=first.first, until=last.last, totals=False)
    rows = answer(connection, definitions, query).rows
    return {name: {row[0]: row[place] for row in rows if row[place] is not None} for place, name in enumerate(names, 1)}


def figure(metric: Metric, span: Span, values: Mapping[dt.date, Value]) -> Figure:
    """A figure from the values of its periods."""
    now = values.get(span.first)
    spans = [span.before(count) for count in COMPARED.get(span.grain, (1,))]
    changes = tuple(_change(metric, now, values.get(before.first), before) for before in spans)
    return Figure(metric, span, now, changes, values)


def _change(metric: Metric, now: Value, before: Value, span: Span) -> Change:
    if now is None or before is None:
        return Change(span, before, None, None, 0)
    difference = subtract(now, before)
    share = float(difference) / abs(float(before)) if before else None
    is_flat = not difference or (share is not None and abs(share) < FLAT)
    return Change(span, before, difference, share, 0 if is_flat else metric.verdict(difference))


def subtract(now: int | float | Decimal, before: int | float | Decimal) -> int | float | Decimal:
    """The exact difference of exact values."""
    if isinstance(now, float) or isinstance(before, float):
        return float(now) - float(before)
    return now - before
