"""The SQL that reads one table for a query: rows grouped by period and dimensions, and what the table covers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from pipeline.metrics.definition import Metric
from pipeline.metrics.filters import Filter
from pipeline.metrics.measure import Kind, condition
from pipeline.metrics.period import Grain, truncated

PERIOD, FIRST, LAST, LAST_PERIOD = "period", "_first", "_last", "_period"
Range = tuple[dt.date | None, dt.date | None]


def column(name: str, table: str = "") -> exp.Column:
    """A quoted column."""
    return exp.column(name, table=table or None, quoted=True)


def date(day: dt.date) -> exp.Expression:
    """A date literal."""
    return exp.cast(exp.Literal.string(day.isoformat()), "DATE")


def between(time: exp.Expression, dates: Range) -> Iterator[exp.Expression]:
    """The conditions that a date lies in a range, whose ends are inclusive and may be open."""
    since, until = dates
    if since:
        yield exp.GTE(this=time, expression=date(since))
    if until:
        yield exp.LTE(this=time.copy(), expression=date(until))


@dataclass(frozen=True, slots=True)
class Scan:
    """One reading of a table, for metrics that share table, time column and condition.

    Attributes:
        name: the prefix of its CTEs.
        metrics: of kinds other than ratio.
        dates: the range of the table's dates that it reads.
        shift: applied to a period, so that a period of the range before gets the name of the one compared with it.
        suffix: of the columns of its values.
    """

    name: str
    metrics: tuple[Metric, ...]
    grain: Grain | None
    by: tuple[str, ...]
    where: tuple[Filter, ...]
    dates: Range
    shift: Callable[[exp.Expression], exp.Expression]
    suffix: str = ""

    @property
    def table(self) -> exp.Table:
        return exp.to_table(self.metrics[0].table)

    @property
    def time(self) -> exp.Column:
        return column(self.metrics[0].time)

    @property
    def bounds(self) -> str:
        return f"{self.name}_bounds"

    @property
    def lasts(self) -> str:
        return f"{self.name}_lasts"

    def has_last(self) -> bool:
        """Whether a metric has the value of the last date of a period."""
        return any(metric.kind == Kind.LAST for metric in self.metrics)

    def ctes(self) -> Iterator[tuple[str, exp.Select]]:
        """The named queries, in the order in which they read each other."""
        yield self.bounds, self._bounds()
        if self.has_last():
            yield self.lasts, self._lasts()
        yield self.name, self.rows()

    def _period(self) -> exp.Expression:
        assert self.grain
        return self.shift(truncated(self.time, self.grain))

    def _selected(self) -> exp.Select:
        where = self.metrics[0].where
        return exp.select().from_(self.table).where(*([condition(where)] if where else []))

    def _bounds(self) -> exp.Select:
        """The first and last date that the table covers, whatever a query filters."""
        return self._selected().select(exp.Min(this=self.time).as_(FIRST), exp.Max(this=self.time).as_(LAST))

    def _lasts(self) -> exp.Select:
        """The last date of each period, whatever a query filters: a value that ended before it is no longer there."""
        query = self._selected().where(*between(self.time, self.dates)).select(exp.Max(this=self.time).as_(LAST))
        return query.select(self._period().as_(LAST_PERIOD)).group_by(self._period()) if self.grain else query

    def rows(self) -> exp.Select:
        """One row per period and combination of dimension values that has any."""
        query = self._selected().where(*between(self.time, self.dates), *(item.sql() for item in self.where))
        keys = ([self._period().as_(PERIOD, quoted=True)] if self.grain else []) + [column(name) for name in self.by]
        if self.has_last():
            on = exp.EQ(this=column(LAST_PERIOD, self.lasts), expression=self._period()) if self.grain else exp.true()
            query = query.join(self.lasts, on=on)
        query = query.select(*keys, *(self._value(metric) for metric in self.metrics))
        groups = ([self._period()] if self.grain else []) + [column(name) for name in self.by]
        return query.group_by(*groups)

    def _value(self, metric: Metric) -> exp.Expression:
        value = metric.measure.tree()
        match metric.kind:
            case Kind.COUNT:
                value = exp.Count(this=value)
            case Kind.STORED:
                value = exp.Max(this=value)
            case Kind.LAST:
                is_last = exp.EQ(this=self.time, expression=column(LAST, self.lasts))
                value = exp.Sum(this=exp.Case(ifs=[exp.If(this=is_last, true=value)]))
            case _:
                value = exp.Sum(this=value)
        return value.as_(metric.name + self.suffix, quoted=True)


def scans(
    metrics: Sequence[Metric],
    grain: Grain | None,
    by: tuple[str, ...],
    where: tuple[Filter, ...],
    dates: Range,
    shift: Callable[[exp.Expression], exp.Expression] = lambda period: period,
    suffix: str = "",
) -> list[Scan]:
    """Group metrics, none of them a ratio, into as few readings as possible."""
    groups: dict[tuple[str, str, str], list[Metric]] = {}
    for metric in metrics:
        groups.setdefault((metric.table, metric.time, metric.where), []).append(metric)
    return [
        Scan(f"scan_{number}{suffix}", tuple(group), grain, by, where, dates, shift, suffix)
        for number, group in enumerate(groups.values(), 1)
    ]
