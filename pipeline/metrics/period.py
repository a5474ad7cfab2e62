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


_MONTHS = {Grain.MONTH: 1, Grain.QUARTER: 3, Grain.YEAR: 12}


def start_of(day: dt.date, grain: Grain) -> dt.date:
    """The first day of the period that contains a day."""
    if grain == Grain.DAY:
        return day
    if grain == Grain.WEEK:
        return day - dt.timedelta(days=day.weekday())
    months = _MONTHS[grain]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def last_of(day: dt.date, grain: Grain) -> dt.date:
    """The last day of the period that contains a day."""
    first = start_of(day, grain)
    if grain in _MONTHS:
        return add_months(first, _MONTHS[grain]) - dt.timedelta(days=1)
    return first + dt.timedelta(days=6 if grain == Grain.WEEK else 0)


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
