"""Business dates: dates by the clock of the reporting time zone, as moments in UTC."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo

from pipeline.live.event import DAY, SECOND

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class BusinessDays:
    """The business dates of a time zone.

    Args:
        timezone: by its IANA name.

    Raises:
        ZoneInfoNotFoundError: there is none of that name.
    """

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self.start = lru_cache(maxsize=64)(self._start)
        self._today: tuple[int, int, dt.date] = (0, 0, dt.date.min)

    def of(self, at: int) -> dt.date:
        """The business date of a moment."""
        first, end, day = self._today
        if first <= at < end:
            return day
        day = moment(at).astimezone(self._zone).date()
        self._today = self.start(day), self.start(day + dt.timedelta(days=1)), day
        return day

    def _start(self, day: dt.date) -> int:
        """The moment at which a business date begins; it ends with the start of the next one."""
        return microseconds(dt.datetime.combine(day, dt.time(), self._zone))


def utc_day(at: int) -> int:
    """The UTC date of a moment, as days since 1970-01-01."""
    return at // DAY


def moment(at: int) -> dt.datetime:
    """A moment as a datetime in UTC."""
    return _EPOCH + dt.timedelta(microseconds=at)


def microseconds(when: dt.datetime) -> int:
    """A datetime with offset as a moment."""
    delta = when - _EPOCH
    return (delta.days * 86400 + delta.seconds) * SECOND + delta.microseconds


def text(at: int) -> str:
    """A moment as ISO 8601 text, seconds, UTC."""
    return moment(at).strftime("%Y-%m-%dT%H:%M:%SZ")
