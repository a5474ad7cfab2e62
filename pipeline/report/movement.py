"""Which dimension moved most: the change of a metric, divided by the values of its dimensions.

A sum's change is the sum of the changes of its values. A ratio's change Δ(N ÷ D) is divided exactly into two effects
of each value v, with its share s of the denominator and its own ratio r, and bars for the mean of then and now:

    rate effect   s̄ · Δr              the ratio of v changed
    mix effect    Δs · (r̄ - R̄)        v became more or less of the whole, whose ratio is R

Where v had no denominator at one of the two times, its ratio counts as unchanged, so that its effect is one of mix.

Every value would contribute to a change that is the same everywhere. So the dimension shown is the one with the value
whose effect differs most from its expected one: its share (of the sum before, or of the denominator) of the change.
Values that count fewer than the minimum group size at one of the two times are not named, and are summed up. A sum of
one would be that value: the total and the others give it away. The next smallest value then joins it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from pipeline.metrics.definition import Metric
from pipeline.metrics.query import Query, answer
from pipeline.report.figures import Figure
from pipeline.report.span import Span

Parts = Mapping[str | None, tuple[float, ...]]
"""The value of a sum, or numerator and denominator of a ratio, by value of a dimension; None for unknown."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one value of a dimension contributes to a change.

    Attributes:
        value: of the dimension; None for unknown.
        before, now: the metric for that value; None if a ratio had no denominator.
        effect: contribution to the change.
        expected: contribution if the change were the same everywhere.
        rate, mix: the two effects of a ratio; 0 for a sum.
        counts: what the value counts then and now: a sum itself, or the denominator of a ratio.
    """

    value: str | None
    before: float | None
    now: float | None
    effect: float
    expected: float
    rate: float = 0.0
    mix: float = 0.0
    counts: tuple[float, float] = (0.0, 0.0)

    def is_small(self, minimum: int) -> bool:
        """Whether it counts so few that it must not be named. Nobody is not few."""
        return any(0 < count < minimum for count in self.counts)

    @property
    def excess(self) -> float:
        """How far it is from what was expected."""
        return self.effect - self.expected


@dataclass(frozen=True, slots=True)
class Movement:
    """The change of a metric, divided by the dimension that moved most.

    Attributes:
        before: the period compared with.
        change: of the metric.
        effects: of the values that may be named, the farthest from expected first.
        small: of all others together; with the effects they sum up to the change.
        hidden: how many others there are.
    """

    metric: Metric
    dimension: str
    span: Span
    before: Span
    change: float
    effects: tuple[Effect, ...]
    small: Effect
    hidden: int

    @property
    def label(self) -> str:
        """The dimension in words."""
        return self.metric.dimensions[self.dimension]


def movement_of(
    connection: duckdb.DuckDBPyConnection,
    definitions: Mapping[str, Metric],
    figure: Figure,
    dimensions: Sequence[str],
    minimum: int,
) -> Movement | None:
    """The one of some dimensions that moved most against the last comparison of a figure.

    Args:
        minimum: size of a group from which on it may be named.

    Returns:
        None if one of the two periods is unknown, or no dimension divides the change.
    """
    metric, before = figure.metric, figure.changes[-1].span
    if figure.changes[-1].difference is None:
        return None
    names = metric.measure.ratio or (metric.name,)
    found: list[Movement] = []
    for dimension in dimensions:
        query = Query(names, (dimension,), before.grain, since=before.first, until=figure.span.last, totals=False)
        then: dict[str | None, tuple[float, ...]] = {}
        now: dict[str | None, tuple[float, ...]] = {}
        kept: dict[dt.date, dict[str | None, tuple[float, ...]]] = {before.first: then, figure.span.first: now}
        for period, value, *values in answer(connection, definitions, query).rows:
            if period in kept:
                text = None if value is None else str(value)
                kept[period][text] = tuple(float(item or 0) for item in values)
        effects = ratio_effects(then, now) if metric.measure.ratio else sum_effects(then, now)
        large, small = divided(effects, minimum)
        if len(effects) > 1 and large:
            change = sum(item.effect for item in effects)
            found.append(
                Movement(metric, dimension, figure.span, before, change, tuple(large), together(small), len(small))
            )
    return max(found, key=lambda item: abs(item.effects[0].excess), default=None)


def divided(effects: Sequence[Effect], minimum: int) -> tuple[list[Effect], list[Effect]]:
    """The effects that may be named, and the others: none, or at least two where there are as many."""
    large = [item for item in effects if not item.is_small(minimum)]
    small = [item for item in effects if item.is_small(minimum)]
    if len(small) == 1 and large:
        next_smallest = min(large, key=lambda item: sum(item.counts))
        large.remove(next_smallest)
        small.append(next_smallest)
    return large, small


def together(effects: Sequence[Effect]) -> Effect:
    """Several effects as one."""
    sums = [sum(getattr(item, part) for item in effects) for part in ("effect", "expected", "rate", "mix")]
    return Effect(None, None, None, *sums)


def sum_effects(then: Parts, now: Parts) -> list[Effect]:
    """The effects on a sum, the farthest from expected first."""
    total, change = _total(then, 0), _total(now, 0) - _total(then, 0)
    found = []
    for value in dict.fromkeys((*then, *now)):
        (before,), (after,) = then.get(value, (0.0,)), now.get(value, (0.0,))
        expected = before / total * change if total else 0.0
        found.append(Effect(value, before, after, after - before, expected, counts=(before, after)))
    return _ordered(found)


def ratio_effects(then: Parts, now: Parts) -> list[Effect]:
    """The effects on a ratio, the farthest from expected first.

    None if a denominator is 0 on the whole, or that of a value whose numerator is not: it has no effect of its own.
    """
    wholes = (_total(then, 1), _total(now, 1))
    if not all(wholes) or any(part[0] and not part[1] for parts in (then, now) for part in parts.values()):
        return []
    ratios = (_total(then, 0) / wholes[0], _total(now, 0) / wholes[1])
    middle, change = sum(ratios) / 2, ratios[1] - ratios[0]
    found = []
    for value in dict.fromkeys((*then, *now)):
        parts = (then.get(value, (0.0, 0.0)), now.get(value, (0.0, 0.0)))
        shares = [part[1] / whole for part, whole in zip(parts, wholes, strict=True)]
        own = [part[0] / part[1] if part[1] else None for part in parts]
        known = [item for item in own if item is not None]
        before = own[0] if own[0] is not None else (known[0] if known else middle)
        after = own[1] if own[1] is not None else (known[0] if known else middle)
        share = sum(shares) / 2
        rate, mix = share * (after - before), (shares[1] - shares[0]) * ((before + after) / 2 - middle)
        found.append(Effect(value, own[0], own[1], rate + mix, share * change, rate, mix, (parts[0][1], parts[1][1])))
    return _ordered(found)


def _total(parts: Parts, place: int) -> float:
    return sum(values[place] for values in parts.values())


def _ordered(effects: list[Effect]) -> list[Effect]:
    return sorted(effects, key=lambda item: (-abs(item.excess), item.value is None, item.value or ""))
