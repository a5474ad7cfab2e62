"""What is unusual: values far from those of the same weekday in the weeks before.

    history    of a day the same weekday in the 8 weeks before, of a week the 12 weeks before; at least 5 are known
    usual      the median of the history
    spread     1.4826 · MAD (median of the distances from the median, scaled to a standard deviation) of the history;
               of a day at least that of all days of the 8 weeks, each from the median of its weekday and as a share of
               it; at least 2 % of the usual value, and of a count or share at least what chance alone makes of it:
               √usual, or √(p (1 - p) ÷ n)
    unusual    |value - usual| > 4 · spread

Median and MAD ignore a single outlier among the weeks before, such as a holiday. Iglewicz and Hoaglin, How to Detect
and Handle Outliers (1993), take 3.5 for 4, for one question and one set of values; a report asks several each day. Of
ordinary days (normally distributed, by 10 %) the rule calls 3 in 1,000 unusual, and 7 in 10 of those with half as much.

Counts of less than 30, and ratios of less than 30, are not judged. A balance, such as MRR, is judged by its change from
the period before, which must also be at least 2 % of it: its level follows growth, not weekdays. Stored values and
periods longer than a week are not judged: there are too few to compare with.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import Any

import duckdb

from pipeline.metrics.definition import Format, Metric
from pipeline.metrics.measure import Kind
from pipeline.metrics.period import Grain
from pipeline.report.figures import Figure, read_values, shown
from pipeline.report.span import Span

PERIODS, LEAST = {Grain.DAY: 8, Grain.WEEK: 12}, 5
"""Earlier periods that a value is compared with, and how many of them must be known."""
LIMIT = 4
"""Spreads that a value may differ."""
CONSISTENT = 1.4826
"""Makes the MAD of normally distributed values their standard deviation."""
SHARE = 0.02
"""The least spread, as a share of the median."""
VOLUME = 30
"""Counts, and denominators of ratios, that are judged."""
STEPS = {Grain.DAY: 7, Grain.WEEK: 1}
"""Periods between two that are compared."""


@dataclass(frozen=True, slots=True)
class Usual:
    """The values that are not unusual: from `low` to `high`."""

    middle: float
    spread: float

    @property
    def low(self) -> float:
        return self.middle - LIMIT * self.spread

    @property
    def shown_low(self) -> float:
        """The lower end as it is shown: of what is usually no less than 0, no less than 0."""
        return max(self.low, 0.0) if self.middle >= 0 else self.low

    @property
    def high(self) -> float:
        return self.middle + LIMIT * self.spread


@dataclass(frozen=True, slots=True)
class Unusual:
    """An unusual value.

    Attributes:
        value: of a balance its change from the period before.
        is_change: whether it is such a change.
    """

    metric: Metric
    span: Span
    value: float
    usual: Usual
    is_change: bool = False

    @property
    def distance(self) -> float:
        """How many spreads it lies from the usual value."""
        return abs(self.value - self.usual.middle) / self.usual.spread

    @property
    def verdict(self) -> int:
        """1 for good news, -1 for bad, 0 for neither."""
        return self.metric.verdict(self.value - self.usual.middle)


@dataclass(frozen=True, slots=True)
class Course:
    """A metric over time with what was usual.

    Attributes:
        points: the last periods with their values, ascending; None where the value is unknown.
        usual: what was usual, by the first day of a period; of a balance for its change. Periods that are not judged
            are left out.
        unusual: what is unusual in the period of the report.
    """

    metric: Metric
    points: tuple[tuple[Span, float | None], ...]
    usual: Mapping[dt.date, Usual]
    unusual: tuple[Unusual, ...]


def courses(
    connection: duckdb.DuckDBPyConnection,
    definitions: Mapping[str, Metric],
    figures: Mapping[str, Figure],
    period: Grain,
) -> list[Course]:
    """The courses of all figures of a report's period, except of stored values.

    A weekly report also judges the days of its week, for metrics that are known by day.
    """
    found: list[Course] = []
    judged = {
        name: item for name, item in figures.items() if item.metric.kind != Kind.STORED and item.span.grain == period
    }
    for grain in dict.fromkeys((period, Grain.DAY)):
        spans = {name: _within(item.span, grain) for name, item in judged.items() if grain in item.metric.grains}
        if not spans:
            continue
        counted = {name: part for name in spans if (part := counted_denominator(definitions, name))}
        first = min(own[0] for own in spans.values()).before(shown(grain) + PERIODS[grain] * STEPS[grain])
        last = max(own[-1] for own in spans.values())
        values = read_values(connection, definitions, list({*spans, *counted.values()}), first, last)
        for name, own in spans.items():
            found.append(course(definitions[name], own, values[name], values.get(counted.get(name, ""), {})))
    return found


def _within(span: Span, grain: Grain) -> list[Span]:
    """The periods of a grain within one."""
    if grain == span.grain:
        return [span]
    return [Span(span.first + dt.timedelta(days=day), grain) for day in range((span.last - span.first).days + 1)]


def counted_denominator(definitions: Mapping[str, Metric], name: str) -> str:
    """The denominator of a ratio if it is a count, which says how much the ratio is worth; otherwise empty."""
    ratio = definitions[name].measure.ratio
    return ratio[1] if ratio and definitions[ratio[1]].format == Format.INTEGER else ""


def course(
    metric: Metric, spans: Sequence[Span], values: Mapping[dt.date, Any], counts: Mapping[dt.date, Any]
) -> Course:
    """The course of a metric up to the last of some periods of one grain, which are judged.

    Args:
        values: the metric's, by the first day of a period.
        counts: the ratio's denominators; empty if it has no counted one.
    """
    shown_spans = [spans[-1].before(number) for number in reversed(range(max(shown(spans[-1].grain), len(spans))))]
    known = {first: float(value) for first, value in values.items()}
    is_change = metric.kind == Kind.LAST
    compared = known
    if is_change:
        befores = {first: Span(first, spans[-1].grain).before().first for first in known}
        compared = {first: known[first] - known[before] for first, before in befores.items() if before in known}
    usual: dict[dt.date, Usual] = {}
    unusual: list[Unusual] = []
    for span in shown_spans:
        value = compared.get(span.first)
        history, *others = _histories(span)
        past = [compared[first] for first in history if first in compared]
        if value is None or len(past) < LEAST:
            continue
        count = float(counts.get(span.first) or 0)
        around = [[compared[first] for first in other if first in compared] for other in others]
        found = usual_of(metric, past, around, count, abs(known[span.first]) if is_change else 0.0)
        if counts:
            is_enough = min(count, median(float(counts.get(first) or 0) for first in history)) >= VOLUME
        else:
            is_enough = not _is_count(metric) or max(value, found.middle) >= VOLUME
        if is_enough:
            usual[span.first] = found
            if span in spans and not found.low <= value <= found.high:
                unusual.append(Unusual(metric, span, value, found, is_change))
    points = tuple((span, known.get(span.first)) for span in shown_spans)
    return Course(metric, points, usual, tuple(unusual))


def _histories(span: Span) -> list[list[dt.date]]:
    """The first days of the periods before one, by weekday, its own first; of weeks one list."""
    step = STEPS[span.grain]
    return [
        [span.before(step * number - ahead).first for number in range(1, PERIODS[span.grain] + 1)]
        for ahead in range(step)
    ]


def usual_of(
    metric: Metric,
    history: Sequence[float],
    around: Sequence[Sequence[float]] = (),
    count: float = 0.0,
    level: float = 0.0,
) -> Usual:
    """What is usual after some earlier values.

    Args:
        history: values compared with.
        around: those of the other weekdays.
        count: denominator of a ratio now; 0 if it has no counted one.
        level: of a balance, whose changes are given.
    """
    middle = median(history)
    spread = median(abs(value - middle) for value in history)
    if distances := [item for values in (history, *around) if values for item in _distances(values, bool(level))]:
        spread = max(spread, median(distances) * (1 if level else abs(middle)))
    chance = 0.0
    if _is_count(metric):
        chance = sqrt(abs(middle))
    elif metric.format == Format.PERCENT and count and 0 <= middle <= 1:
        chance = sqrt(middle * (1 - middle) / count)
    return Usual(middle, max(CONSISTENT * spread, SHARE * abs(middle), SHARE * level / LIMIT, chance, 1e-9))


def _distances(values: Sequence[float], is_change: bool) -> list[float]:
    """The distances of values from their median, as a share of it unless they are changes."""
    middle = median(values)
    unit = 1.0 if is_change else abs(middle)
    return [abs(value - middle) / unit for value in values] if unit else []


def _is_count(metric: Metric) -> bool:
    return metric.kind in (Kind.SUM, Kind.COUNT) and metric.format == Format.INTEGER
