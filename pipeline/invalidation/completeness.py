"""Which days of a feed are complete by its contract, and which are computed though they are not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from ingest.contracts.contract import Contract
from ingest.errors import LostLedger
from ingest.ledger.ledger import Ledger
from ingest.settings import Settings
from ingest.storage.landing import Landing
from ingest.storage.store import Store

TOLD_DAYS = 7
"""A day that passed its deadline longer ago was told of in its time."""
_NO_DAYS: frozenset[dt.date] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of some days of a feed.

    Attributes:
        held: neither complete nor past their deadline.
        forced: past their deadline though not complete, the last TOLD_DAYS of them.
    """

    held: frozenset[dt.date] = _NO_DAYS
    forced: frozenset[dt.date] = _NO_DAYS

    def warning(self, contract: Contract) -> str:
        """What to say of forced days; empty for none."""
        if not self.forced or contract.completeness is None:
            return ""
        rule = contract.completeness
        sign = f"`{rule.marker}` is not there" if rule.marker else "nothing came after their end"
        days = ", ".join(map(str, sorted(self.forced)))
        return (
            f"{contract.feed}: {days} passed the deadline of {rule.deadline_seconds:,} s, but {sign}; computed all the "
            "same. What comes later is computed then"
        )


def utc_now() -> dt.datetime:
    """The clock that deadlines are held against."""
    return dt.datetime.now(dt.UTC)


def judge(contract: Contract, days: Collection[dt.date], options: Settings) -> Verdict:
    """Sorts days of a feed; all are fine when the contract has no rule.

    Raises:
        ConfigError, RetriableError: ledger or landing cannot be read.
    """
    rule, now = contract.completeness, utc_now()
    recent = {day for day in days if (now - _end(day)).days < TOLD_DAYS}
    if rule is None or not recent:
        return Verdict()
    if rule.marker:
        landing = Landing(options.landing(contract.source.bucket), options)
        prefix = f"{contract.source.folder}/" if contract.source.folder else ""
        marker = rule.marker
        incomplete = {day for day in recent if landing.find(prefix + marker.format(date=day)) is None}
    else:
        newest = None
        with suppress(LostLedger):  # until it is restored nobody knows
            newest = Ledger(Store(options.lake_uri, options), contract.feed).live().newest_object_at
        after = dt.timedelta(seconds=rule.after_seconds or 0)
        incomplete = {day for day in recent if newest is None or newest < _end(day) + after}
    deadline = dt.timedelta(seconds=rule.deadline_seconds)
    held = frozenset(day for day in incomplete if now < _end(day) + deadline)
    return Verdict(held, frozenset(incomplete - held))


def _end(day: dt.date) -> dt.datetime:
    """The midnight UTC after a day."""
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)
