"""The SQL of a query: its scans side by side, joined on period and dimensions, ratios divided last.

    scan_1_bounds  first and last date that the table covers
    scan_1         its rows by period and dimensions, and so on for each table, and for each range compared with
    joined         SELECT period, country_code, SUM(plays) AS plays, … FROM (scan_1 UNION ALL scan_2 …) GROUP BY 1, 2
    known          0 instead of nothing where the table covers the period
    then           completed_plays / plays AS completion_rate, and the differences

A union of the scans joins them on equal keys, NULL included, and keeps keys that only one of them has.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from pipeline.metrics.definition import Metric, base_names
from pipeline.metrics.measure import Kind
from pipeline.metrics.period import (
    BEFORE,
    CHANGE,
    DIFFERENCE,
    LENGTHS,
    Compare,
    Grain,
    add_months,
    last_of,
    start_of,
    truncated,
)
from pipeline.metrics.request import Query
from pipeline.metrics.scan import FIRST, LAST, LAST_PERIOD, PERIOD, Range, Scan, column, date, scans

JOINED, _KNOWN, _VALUES = "joined", "known", "compared"
_YEAR_OF_WEEKS = 364


def select(definitions: Mapping[str, Metric], query: Query) -> exp.Select:
    """The SQL of a query that is known to be possible, see `Query`."""
    names = list(dict.fromkeys(base for name in query.metrics for base in base_names(definitions, name)))
    bases = [definitions[name] for name in names]
    dates = (query.since, query.until)
    reads = scans(bases, query.grain, query.by, query.where, dates)
    if query.compare:
        step = _step(query.compare, query.grain, dates)
        shifted = _before(dates, step)
        reads += scans(bases, query.grain, query.by, query.where, shifted, _shift(step), BEFORE)
    keys = ([PERIOD] if query.grain else []) + list(query.by)
    steps = [*(step for read in reads for step in read.ctes()), (JOINED, joined(reads, keys, periods=not query.by))]
    steps.append((_KNOWN, _known(reads, query, keys)))
    suffixes = ("", BEFORE) if query.compare else ("",)
    values = [
        _value(definitions, name, suffix).as_(name + suffix, quoted=True)
        for name in query.metrics
        for suffix in suffixes
    ]
    final = exp.select(*map(column, keys), *values).from_(_KNOWN)
    if query.compare:
        steps.append((_VALUES, final))
        compared = (item for name in query.metrics for item in _comparison(name))
        final = exp.select(*map(column, keys), *compared).from_(_VALUES)
    for name, step in steps:
        final = final.with_(name, as_=step)
    order = [exp.Ordered(this=column(key), nulls_first=False) for key in keys]
    return final.order_by(*order) if order else final


def joined(reads: Sequence[Scan], keys: Sequence[str], periods: bool = False) -> exp.Select:
    """One row per key of any scan.

    Args:
        periods: whether to add periods of the tables' ranges in which they have no row.
    """
    columns = [(read.name, metric.name + read.suffix) for read in reads for metric in read.metrics]
    parts: list[exp.Query] = []
    for read in reads:
        own = [column(name) if source == read.name else exp.Null().as_(name, quoted=True) for source, name in columns]
        parts.append(exp.select(*map(column, keys), *own).from_(read.name))
        if read.grain and periods and not read.suffix:  # with values by `_known`
            empty = (exp.Null().as_(name, quoted=True) for _, name in columns)
            series = exp.select(_periods(read, read.grain), *empty).from_(read.bounds)
            parts.append(series.where(column(FIRST).is_(exp.Null()).not_()))
    union = parts[0]
    for part in parts[1:]:
        union = exp.union(union, part, distinct=False)
    sums = (exp.Sum(this=column(name)).as_(name, quoted=True) for _, name in columns)
    found = exp.select(*map(column, keys), *sums).from_(union.subquery("sources"))
    return found.group_by(*map(column, keys)) if keys else found


def _known(reads: Sequence[Scan], query: Query, keys: Sequence[str]) -> exp.Select:
    """The joined rows, in which nothing found is 0 where the table covers the period, and otherwise unknown.

    It also stays unknown for a metric that cannot be summed over everything: the currency or the month of a cohort
    that has no row is not one with 0.
    """
    known = exp.select(*(column(key, JOINED) for key in keys)).from_(JOINED)
    for read in reads:
        known = known.join(read.bounds, on=exp.true())
        if read.has_last():
            same = exp.EQ(this=column(LAST_PERIOD, read.lasts), expression=column(PERIOD, JOINED))
            known = known.join(read.lasts, on=same if query.grain else exp.true(), join_type="left")
        for metric in read.metrics:
            name = metric.name + read.suffix
            value: exp.Expression = column(name, JOINED)
            if metric.kind != Kind.STORED and not metric.not_over:
                zero = exp.Coalesce(this=value, expressions=[exp.Literal.number(0)])
                value = exp.Case(ifs=[exp.If(this=_covered(read, metric, query.grain), true=zero)])
            known = known.select(value.as_(name, quoted=True))
    return known


def _periods(read: Scan, grain: Grain) -> exp.Expression:
    """All periods of the range that the table covers."""
    first = _latest(column(FIRST), read.dates[0])
    last = _earliest(column(LAST), read.dates[1])
    unit, number = LENGTHS[grain]
    step = exp.Interval(this=exp.Literal.string(str(number)), unit=exp.Var(this=unit))
    series = exp.func("GENERATE_SERIES", truncated(first, grain), truncated(last, grain), step)
    return exp.cast(exp.Unnest(expressions=[series]), "DATE").as_(PERIOD, quoted=True)


def _latest(value: exp.Expression, day: dt.date | None) -> exp.Expression:
    return exp.func("GREATEST", value, date(day)) if day else value


def _earliest(value: exp.Expression, day: dt.date | None) -> exp.Expression:
    return exp.func("LEAST", value, date(day)) if day else value


def _covered(read: Scan, metric: Metric, grain: Grain | None) -> exp.Expression:
    """Whether a table covers a period: it has begun and not ended; one compared with must lie in it from its beginning.

    A value of the last date needs a date.
    """
    if metric.kind == Kind.LAST:
        return exp.Not(this=exp.Is(this=column(LAST, read.lasts), expression=exp.Null()))
    first, last = column(FIRST, read.bounds), column(LAST, read.bounds)
    since, until = read.dates
    if not grain:
        ends = [exp.GTE(this=last, expression=date(since))] if since else []
        begins = date(since) if read.suffix and since else date(until) if until else last.copy()
        return exp.and_(*ends, exp.LTE(this=first, expression=begins))
    period = column(PERIOD, JOINED)
    ends = [exp.GTE(this=read.shift(truncated(last, grain)), expression=period)]
    if read.suffix:
        return exp.and_(*ends, exp.LTE(this=read.shift(first), expression=_latest_shifted(read, period)))
    return exp.and_(*ends, exp.LTE(this=truncated(first, grain), expression=period.copy()))


def _latest_shifted(read: Scan, period: exp.Expression) -> exp.Expression:
    since = read.dates[0]
    return exp.func("GREATEST", period.copy(), read.shift(date(since))) if since else period.copy()


def _value(definitions: Mapping[str, Metric], name: str, suffix: str) -> exp.Expression:
    """The value of a metric; a ratio of nothing is unknown."""
    parts = definitions[name].measure.ratio
    if not parts:
        return column(name + suffix)
    numerator, denominator = (exp.cast(_value(definitions, part, suffix), "DOUBLE") for part in parts)
    return exp.Div(this=numerator, expression=_unless_zero(denominator))


def _unless_zero(value: exp.Expression) -> exp.Expression:
    return exp.Nullif(this=value, expression=exp.Literal.number(0))


def _comparison(name: str) -> list[exp.Expression]:
    """The value, the value before, the difference to it, and the difference as a share of its size."""
    now, before = column(name), column(name + BEFORE)
    difference = exp.Sub(this=now, expression=before)
    size = exp.func("ABS", exp.cast(before.copy(), "DOUBLE"))
    share = exp.Div(this=exp.cast(exp.paren(difference.copy()), "DOUBLE"), expression=_unless_zero(size))
    return [
        now.copy(),
        before.copy(),
        difference.as_(name + DIFFERENCE, quoted=True),
        share.as_(name + CHANGE, quoted=True),
    ]


def _step(compare: Compare, grain: Grain | None, dates: Range) -> tuple[str, int]:
    """How far before a value the one lies that it is compared with, as unit and number."""
    since, until = dates
    months = _whole_months(since, until) if not grain and since and until else 0
    if compare == Compare.YEAR:
        return ("MONTH", 12) if months or (grain and LENGTHS[grain][0] == "MONTH") else ("DAY", _YEAR_OF_WEEKS)
    if grain:
        return LENGTHS[grain]
    assert since
    assert until
    return ("MONTH", months) if months else ("DAY", (until - since).days + 1)


def _whole_months(since: dt.date, until: dt.date) -> int:
    """How many whole months a range consists of; 0 if it consists of others."""
    if since != start_of(since, Grain.MONTH) or until != last_of(until, Grain.MONTH):
        return 0
    return (until.year - since.year) * 12 + until.month - since.month + 1


def _before(dates: Range, step: tuple[str, int]) -> Range:
    """The range before. It ends on the last day of a month if the range does."""
    since, until = dates
    unit, number = step
    if unit == "DAY":
        days = dt.timedelta(days=number)
        return since and since - days, until and until - days
    return since and add_months(since, -number), until and add_months(until, -number, keep_end=True)


def _shift(step: tuple[str, int]) -> Callable[[exp.Expression], exp.Expression]:
    unit, number = step
    interval = exp.Interval(this=exp.Literal.string(str(number)), unit=exp.Var(this=unit))
    return lambda period: exp.cast(exp.Add(this=period.copy(), expression=interval.copy()), "DATE")
