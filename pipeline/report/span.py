"""One day, week or longer period that a figure is about."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Self

from pipeline.metrics.period import Grain, add_periods, last_of, start_of


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A period, named by its first day."""

    first: dt.date
    grain: Grain

    @classmethod
    def last_complete(cls, end: dt.date, grain: Grain) -> Self:
        """The last period that is over once a day is."""
        span = cls(start_of(end, grain), grain)
        return span if span.last == end else span.before()

    @property
    def last(self) -> dt.date:
        """Its last day."""
        return last_of(self.first, self.grain)

    def before(self, count: int = 1) -> Self:
        """The period so many periods before."""
        return type(self)(add_periods(self.first, self.grain, -count), self.grain)

    def __str__(self) -> str:
        """As in `Sat 28 Nov 2026`, `week 48, 23 to 29 Nov 2026`, `Nov 2026`, `Q4 2026`, `2026`."""
        match self.grain:
            case Grain.DAY:
                return f"{self.first:%a} {self.first.day} {self.first:%b %Y}"
            case Grain.WEEK:
                begins = str(self.first.day) if self.first.month == self.last.month else short(self.first)
                return f"week {self.first.isocalendar().week}, {begins} to {short(self.last)} {self.last:%Y}"
            case Grain.MONTH:
                return f"{self.first:%b %Y}"
            case Grain.QUARTER:
                return f"Q{(self.first.month + 2) // 3} {self.first.year}"
        return str(self.first.year)

    @property
    def brief(self) -> str:
        """Without the year, as in `Sat 28 Nov`, `week 48`; longer periods as a whole."""
        if self.grain == Grain.DAY:
            return f"{self.first:%a} {short(self.first)}"
        return f"week {self.first.isocalendar().week}" if self.grain == Grain.WEEK else str(self)


def short(day: dt.date) -> str:
    """A day without its year, as in `28 Nov`."""
    return f"{day.day} {day:%b}"
