"""Completeness: the days of a feed that can be computed by its contract's rule."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ingest.contracts.contract import Contract
from ingest.errors import LostLedger
from ingest.ledger.ledger import Ledger
from ingest.storage.landing import Landing
from ingest.storage.store import Store

REPORTED_DAYS = 7
"""Days that ended longer ago are not checked: those that passed their deadline were reported then."""
_NO_DAYS: frozenset[dt.date] = frozenset()
_released: list[tuple[dt.datetime, Mapping[str, Collection[dt.date]]]] = []
"""What decides instead of clock and landing, the innermost last."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The incomplete days among some days of a feed.

    Attributes:
        withheld: days not yet past their deadline.
        forced: days of the last REPORTED_DAYS past their deadline, which are computed anyway.
    """

    withheld: frozenset[dt.date] = _NO_DAYS
    forced: frozenset[dt.date] = _NO_DAYS

    def warning(self, contract: Contract) -> str:
        """The warning about forced days; empty if there are none."""
        if not self.forced or contract.completeness is None:
            return ""
        rule = contract.completeness
        sign = f"`{rule.marker}` is missing" if rule.marker else "no object arrived after their end"
        days = ", ".join(map(str, sorted(self.forced)))
        return (
            f"{contract.feed}: {days} passed the deadline of {rule.deadline_seconds:,} s, but {sign}; computed "
            "anyway. Later data is computed when it arrives"
        )


def utc_now() -> dt.datetime:
    """The current time, which deadlines are compared with."""
    return dt.datetime.now(dt.UTC)


@contextmanager
def as_released(at: dt.datetime, days: Mapping[str, Collection[dt.date]]) -> Iterator[None]:
    """Withhold, while the body runs, the days that a release lacks: its landing is not there, and its time is over.

    Args:
        at: when it was published.
        days: those of each feed that it has.
    """
    _released.append((at, days))
    try:
        yield
    finally:
        _released.pop()


def judge(contract: Contract, days: Collection[dt.date], landing: Landing, lake: Store) -> Verdict:
    """Check some days of a feed; all count as complete if the contract has no rule.

    Raises:
        ConfigError, RetriableError: ledger or landing cannot be read.
    """
    if _released:
        at, released = _released[-1]
        recent = {day for day in days if (at - _end(day)).days < REPORTED_DAYS}
        return Verdict(frozenset(recent.difference(released.get(contract.feed, days))))
    rule, now = contract.completeness, utc_now()
    recent = {day for day in days if (now - _end(day)).days < REPORTED_DAYS}
    if rule is None or not recent:
        return Verdict()
    if rule.marker:
        prefix = f"{contract.source.folder}/" if contract.source.folder else ""
        marker = rule.marker
        incomplete = {day for day in recent if landing.find(prefix + marker.format(date=day)) is None}
    else:
        newest = None
        with suppress(LostLedger):  # unknown until the log is restored
            newest = Ledger(lake, contract.feed).live().newest_object_at
        after = dt.timedelta(seconds=rule.after_seconds or 0)
        incomplete = {day for day in recent if newest is None or newest < _end(day) + after}
    deadline = dt.timedelta(seconds=rule.deadline_seconds)
    withheld = frozenset(day for day in incomplete if now < _end(day) + deadline)
    return Verdict(withheld, frozenset(incomplete - withheld))


def _end(day: dt.date) -> dt.datetime:
    """The midnight UTC after a day."""
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)
