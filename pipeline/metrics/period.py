"""Periods: their grains, and the period before or a year before."""

from __future__ import annotations

import calendar
import datetime as dt
from enum import StrEnum

from sqlglot import exp


class Grain(StrEnum):
    """Length of a period. Weeks begin on Monday; each period is named by its first day."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class Compare(StrEnum):
    """What a value is compared with.

    `previous`: a row of a grain with the period before; a value over a whole range with the range of the same length
    before. `year`: the same a year before: 52 weeks, so that Monday meets Monday, or the same date.
    """

    PREVIOUS = "previous"
    YEAR = "year"


BEFORE, DIFFERENCE, CHANGE = SUFFIXES = ("_before", "_difference", "_change")
"""Suffixes of the columns that a comparison adds to a metric."""
LENGTHS = {
    Grain.DAY: ("DAY", 1),
    Grain.WEEK: ("DAY", 7),
    Grain.MONTH: ("MONTH", 1),
    Grain.QUARTER: ("MONTH", 3),
    Grain.YEAR: ("MONTH", 12),
}
"""How long a period is, as unit of SQL and number."""


def start_of(day: dt.date, grain: Grain) -> dt.date:
    """The first day of the period that contains a day."""
    unit, number = LENGTHS[grain]
    if unit == "DAY":
        return day - dt.timedelta(days=day.weekday() if grain == Grain.WEEK else 0)
    return day.replace(month=(day.month - 1) // number * number + 1, day=1)


def last_of(day: dt.date, grain: Grain) -> dt.date:
    """The last day of the period that contains a day."""
    return add_periods(start_of(day, grain), grain, 1) - dt.timedelta(days=1)


def add_periods(first: dt.date, grain: Grain, count: int) -> dt.date:
    """The first day of the period so many periods later, or earlier if negative."""
    unit, number = LENGTHS[grain]
    if unit == "DAY":
        return first + dt.timedelta(days=number * count)
    return add_months(first, number * count)


def add_months(day: dt.date, months: int, keep_end: bool = False) -> dt.date:
    """The same day of another month, or its last day where it has fewer.

    Args:
        keep_end: the last day of a month becomes the last day of the other.
    """
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    length = calendar.monthrange(year, month + 1)[1]
    is_end = keep_end and day.day == calendar.monthrange(day.year, day.month)[1]
    return dt.date(year, month + 1, length if is_end else min(day.day, length))


def truncated(column: exp.Expression, grain: Grain) -> exp.Expression:
    """The first day of a date's period, as SQL."""
    if grain == Grain.DAY:
        return column
    return exp.cast(exp.TimestampTrunc(this=column, unit=exp.Var(this=grain.upper())), "DATE")
