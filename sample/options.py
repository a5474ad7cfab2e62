"""The options of a sample, checked once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

RATES = ("late", "duplicates", "malformed", "unknown_fields", "future", "unknown_users", "overwrites")
_EARLIEST, _LATEST = dt.date(2000, 1, 1), dt.date(2100, 12, 31)


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """What to generate.

    A date's objects depend on `seed`, `events / days`, `events_per_file`, `compress` and the rates; never on `end`.

    Args:
        end: the last date, UTC.
        events: about how many events over all days.
        days: how many dates, the last being `end`.
        seed: another seed is another population, under other keys.
        events_per_file: events per object; the last object of a date may hold fewer.
        compress: gzip every object.
        late: share of events that arrive 1 to 60 days after they occurred.
        duplicates: copies per event, in a later object of the same or the next date; some are corrected versions.
        malformed: bad lines per event, between the good ones.
        unknown_fields: share of events with a field that no contract names.
        future: share of events that claim to occur 2 to 400 days after their date.
        unknown_users: share of events whose user has no record, or none yet.
        overwrites: share of event objects that a second run replaces.

    Raises:
        ValueError: an option is out of range.
    """

    end: dt.date
    events: int = 20_000
    days: int = 30
    seed: int = 1
    events_per_file: int = 100
    compress: bool = False
    late: float = 0.0
    duplicates: float = 0.0
    malformed: float = 0.0
    unknown_fields: float = 0.0
    future: float = 0.0
    unknown_users: float = 0.0
    overwrites: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.end, dt.datetime) or not _EARLIEST <= self.end <= _LATEST:
            raise ValueError(f"end is {self.end}; expected a date from {_EARLIEST} to {_LATEST}")
        for name, lowest, highest in (
            ("events", 1, 10**12),
            ("days", 1, 10_000),
            ("seed", 0, 2**63),
            ("events_per_file", 1, 10**9),
        ):
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise ValueError(f"{name} is {value}; expected a whole number from {lowest} to {highest}")
        for name in RATES:
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; expected a share from 0 to 1")

    @property
    def events_per_day(self) -> float:
        """Events of an average date."""
        return self.events / self.days

    @property
    def first_day(self) -> int:
        """The first date as a proleptic ordinal, as all dates are inside the package."""
        return self.last_day - self.days + 1

    @property
    def last_day(self) -> int:
        """`end` as a proleptic ordinal."""
        return self.end.toordinal()
