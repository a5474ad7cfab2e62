"""The calendar: number of events per date, and their hours."""

from __future__ import annotations

import calendar
import datetime as dt

import numpy as np

from sample.draw import Floats, Ints, Stream, cumulative, generator, pick
from sample.options import SampleOptions

MINUTE, HOUR, DAY_MS = 60_000, 3_600_000, 86_400_000
_EPOCH = dt.date(1970, 1, 1).toordinal()
_ORIGIN = dt.datetime(1970, 1, 1)
# Monday to Sunday, mean 1.
_WEEKDAYS = np.array([0.88, 1.05, 0.80, 1.01, 1.05, 1.01, 1.20])
_SWING = 0.5
# 0 to 23 h UTC.
HOURS = [188, 232, 356, 464, 222, 294, 249, 260, 217, 284, 362, 443, 405, 389, 298, 371, 397, 382, 374, 366, 275, 273]
HOURS += [346, 370]
_HOURS = cumulative(HOURS)


def event_count(options: SampleOptions, day: int) -> int:
    """The number of events that arrive on a date."""
    return count_of(options, day, options.events_per_day)


def count_of(options: SampleOptions, day: int, per_day: float) -> int:
    """The number of things on a date of which an average one has `per_day`: its weekday's share plus a random swing.

    The swing is the difference of two consecutive random numbers, so it cancels over a range of dates: the total
    differs from the expected one by less than one day's, however long the range. A date has at least one.
    """
    swing = _level(options.seed, day) - _level(options.seed, day - 1)
    weekday = (day - 1) % 7  # ordinal 1 was a Monday
    return max(1, round(per_day * (float(_WEEKDAYS[weekday]) + _SWING * swing)))


def _level(seed: int, day: int) -> float:
    return float(generator(seed, day, Stream.VOLUME).random())


def midnight(day: int) -> int:
    """The start of a date, milliseconds since 1970 UTC."""
    return (day - _EPOCH) * DAY_MS


def date_of(moment: int) -> int:
    """The date of milliseconds since 1970 UTC."""
    return moment // DAY_MS + _EPOCH


def dates_of(moments: Ints) -> Ints:
    """Like `date_of`, of a column."""
    return moments // DAY_MS + _EPOCH


def months_after(moment: int, months: int) -> int:
    """The same time a number of months later, on the last day of the month if it has no such day."""
    at = _ORIGIN + dt.timedelta(milliseconds=moment)
    years, month = divmod(at.month - 1 + months, 12)
    year, month = at.year + years, month + 1
    moved = at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))
    return (moved - _ORIGIN) // dt.timedelta(milliseconds=1)


def folder(day: int) -> str:
    """The date as folders of a key."""
    return dt.date.fromordinal(day).strftime("%Y/%m/%d")


def times_of_day(rng: np.random.Generator, count: int) -> Ints:
    """Milliseconds since midnight, by the hourly pattern."""
    hours: Floats = pick(rng, _HOURS, count) + rng.random(count)
    return (hours * 3_600_000).astype(np.int64)


def stamps(milliseconds: Ints) -> list[str]:
    """'YYYY-MM-DD HH:MM:SS.mmm' of milliseconds since 1970 UTC."""
    texts = np.datetime_as_string(milliseconds.astype("datetime64[ms]"), unit="ms").astype("U23")
    texts.view(np.uint32).reshape(-1, 23)[:, 10] = ord(" ")
    spaced: list[str] = texts.tolist()
    return spaced


def stamp(moment: int) -> str:
    """Format one moment like `stamps`."""
    return (_ORIGIN + dt.timedelta(milliseconds=moment)).isoformat(" ", "milliseconds")
