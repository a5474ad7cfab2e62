"""Unusual rates: closed minutes against the same minutes of earlier weeks, with hysteresis. No clock, no file."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from zoneinfo import ZoneInfo

from pipeline.live.business import microseconds, moment
from pipeline.live.event import MINUTE

MEASURES = ("views", "carts", "orders")
SPAN = 5 * MINUTE
"""Rates are compared over so many minutes: single ones differ by chance."""
WEEKS, LEAST_WEEKS = 8, 3


@dataclass(frozen=True, slots=True)
class Limits:
    """When a rate is unusual.

    Attributes:
        factor: by which it differs from the usual one to become unusual.
        calm: by which it may still differ to become usual again: less, so that it does not flicker.
        deviations: by how many standard deviations of a count it differs at least, so that few are not judged.
        enter, leave: for how many minutes in a row.
    """

    factor: float = 2.0
    calm: float = 1.5
    deviations: float = 4.0
    enter: int = 3
    leave: int = 5


@dataclass(frozen=True, slots=True)
class Rate:
    """A measure's count over SPAN, and what is usual; None if it is unknown."""

    count: int
    usual: float | None


@dataclass(slots=True)
class _State:
    since: int | None = None
    streak: int = 0
    rate: Rate = field(default_factory=lambda: Rate(0, None))


@dataclass(frozen=True, slots=True)
class Finding:
    """A rate that is unusual.

    Attributes:
        since: end of the first minute of those that made it so, microseconds.
    """

    measure: str
    rate: Rate
    since: int

    def __str__(self) -> str:
        usual = self.rate.usual or 0
        what = "fewer" if self.rate.count < usual else "more"
        minutes = SPAN // MINUTE
        return (
            f"{self.rate.count:,} {self.measure} in {minutes} minutes, {what} than the usual {usual:,.0f} "
            f"of these minutes of the week, since {moment(self.since):%Y-%m-%d %H:%M} UTC"
        )


class Unusual:
    """Judges each measure minute by minute."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._states = {measure: _State() for measure in MEASURES}

    def judge(self, until: int, rates: Mapping[str, Rate]) -> None:
        """Judge the minutes up to a moment. A measure of which nothing usual is known stays as it is."""
        for measure, rate in rates.items():
            state = self._states[measure]
            state.rate = rate
            if rate.usual is None:
                state.streak = 0
                continue
            is_unusual = state.since is not None
            moves = self._is_calm(rate) if is_unusual else self._is_far(rate)
            state.streak = state.streak + 1 if moves else 0
            if state.streak >= (self._limits.leave if is_unusual else self._limits.enter):
                state.since = None if is_unusual else until - (state.streak - 1) * MINUTE
                state.streak = 0

    def findings(self) -> list[Finding]:
        """What is unusual now."""
        found = self._states.items()
        return [Finding(name, state.rate, state.since) for name, state in found if state.since is not None]

    def _is_far(self, rate: Rate) -> bool:
        usual = rate.usual or 0.0
        differs = abs(rate.count - usual) > self._limits.deviations * math.sqrt(max(usual, 1.0))
        return differs and not usual / self._limits.factor <= rate.count <= usual * self._limits.factor

    def _is_calm(self, rate: Rate) -> bool:
        usual = rate.usual or 0.0
        is_near = usual / self._limits.calm <= rate.count <= usual * self._limits.calm
        return is_near or abs(rate.count - usual) <= self._limits.deviations / 2 * math.sqrt(max(usual, 1.0))


class Usual:
    """Counts of minutes of earlier weeks.

    Args:
        minutes: counts of each measure, by the start of the minute; absent ones are 0.
        first, until: what they cover.
        timezone: by whose clock minutes of weeks are the same.
    """

    def __init__(self, minutes: Mapping[int, Mapping[str, int]], first: int, until: int, timezone: str) -> None:
        self._minutes, self._first, self._until = minutes, first, until
        self._zone = ZoneInfo(timezone)

    def of(self, until: int, measure: str) -> float | None:
        """The median of the same SPAN in the weeks before; None with fewer than LEAST_WEEKS of them.

        Args:
            until: end of the span.
        """
        here = moment(until).astimezone(self._zone).replace(tzinfo=None)
        found = []
        for week in range(1, WEEKS + 1):
            end = microseconds((here - dt.timedelta(weeks=week)).replace(tzinfo=self._zone))
            if self._first <= end - SPAN and end <= self._until:
                starts = range(end - SPAN, end, MINUTE)
                found.append(sum(self._minutes.get(start, {}).get(measure, 0) for start in starts))
        return float(median(found)) if len(found) >= LEAST_WEEKS else None
