"""Fast generation of many subscribers: one subscription each, renewed by month or year, as columns, then JSON lines.

Simpler than `lake sample`: few plans and currencies, every change at a renewal, at most one return.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sample.days import DAY_MS, HOUR, date_of, folder, midnight, stamps
from sample.draw import Bools, Ints
from sample.prices import CURRENCIES, PLANS, price

CHUNK = 10_000
"""Subscribers in memory at once; each chunk writes its own objects."""
_TRIED, _CONVERTED, _TRIAL_DAYS = 0.5, 0.61, 14
_ANNUAL, _CHURN, _CHURN_OF_A_YEAR = 0.2, 0.04, 0.35
_OTHER_PLAN, _OTHER_QUANTITY, _FAILED, _REPORTED_LATE, _RETURNED = 0.02, 0.01, 0.04, 0.1, 0.2
_PRICES = np.array(
    [[[price(plan, interval, currency) for currency in CURRENCIES] for interval in ("month", "year")] for plan in PLANS]
)
_TAX = 20  # percent
_FEEDS = ("accounts", "subscriptions", "invoices")
Found = dict[tuple[str, int], list[str]]
"""Lines by feed and date of change."""


@dataclass(slots=True)
class _Subscribers:
    """Current state of the subscribers, as columns.

    Attributes:
        first: number of the first subscriber.
        begins: when payment begins, milliseconds since 1970 UTC; on the 28th of a month at the latest.
        years: 1 for yearly billing, else 0.
    """

    first: int
    begins: Ints
    plans: Ints
    years: Ints
    currencies: Ints
    quantities: Ints
    versions: Ints
    bills: Ints

    def __len__(self) -> int:
        return len(self.begins)


def write_subscribers(landing: Path, accounts: int, first: dt.date, last: dt.date, seed: int = 1) -> dict[str, int]:
    """Write an object per feed, month and chunk; objects of the last date are in a separate folder of that date.

    Returns:
        Number of lines by feed.
    """
    counts = dict.fromkeys(_FEEDS, 0)
    for start in range(0, accounts, CHUNK):
        rng = np.random.default_rng([seed, start + 1])
        found = _chunk(rng, start, min(CHUNK, accounts - start), first, last)
        bodies: dict[tuple[str, str], list[str]] = {}
        for (feed, day), lines in sorted(found.items()):
            is_last = day == last.toordinal()
            place = folder(day) if is_last else folder(day)[:7]
            bodies.setdefault((feed, f"{place}/{feed}-{start:07d}.json"), []).extend(lines)
            counts[feed] += len(lines)
        for (feed, key), lines in bodies.items():
            path = landing / f"raw-{feed}" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return counts


def _chunk(rng: np.random.Generator, start: int, count: int, first: dt.date, last: dt.date) -> Found:
    days = last.toordinal() - first.toordinal() + 1
    signed = midnight(first.toordinal()) + (np.sqrt(rng.random(count)) * days).astype(np.int64) * DAY_MS
    signed = _on_the_28th(signed + rng.integers(0, DAY_MS - HOUR, count))
    tried = rng.random(count) < _TRIED
    subscribers = _Subscribers(
        start,
        _on_the_28th(signed + np.where(tried, _TRIAL_DAYS * DAY_MS, 0)),
        rng.integers(0, len(PLANS), count),
        (rng.random(count) < _ANNUAL).astype(np.int64),
        rng.integers(0, len(CURRENCIES), count),
        np.where(rng.random(count) < 0.05, rng.integers(2, 40, count), 1),
        np.zeros(count, dtype=np.int64),
        np.zeros(count, dtype=np.int64),
    )
    lines = _Lines(subscribers, signed, midnight(last.toordinal() + 1))
    lines.accounts()
    lines.states(np.flatnonzero(tried), signed, "trialing", subscribers.begins)
    leaves = tried & (rng.random(count) >= _CONVERTED)
    lines.states(np.flatnonzero(leaves), subscribers.begins, "canceled", subscribers.begins, ended=subscribers.begins)
    ends = _pay(rng, lines, np.flatnonzero(~leaves), subscribers.begins)
    returned = np.flatnonzero((ends > 0) & (rng.random(count) < _RETURNED))
    away = rng.integers(7 * DAY_MS, 120 * DAY_MS, count)
    _pay(rng, lines, returned, _on_the_28th(ends + away))
    return lines.found


def _pay(rng: np.random.Generator, lines: _Lines, paying: Ints, begins: Ints) -> Ints:
    """Renew month by month until the end; return when the end of each was reported, 0 for never."""
    chunk = lines.subscribers
    ends, month = np.zeros(len(chunk), dtype=np.int64), 0
    while len(paying):
        at = _months_after(begins, month)
        paying = paying[at[paying] < lines.until]
        due = paying[(chunk.years[paying] == 0) | (month % 12 == 0)]
        changed = due[rng.random(len(due)) < _OTHER_PLAN]
        chunk.plans[changed] = rng.integers(0, len(PLANS), len(changed))
        changed = due[rng.random(len(due)) < _OTHER_QUANTITY]
        chunk.quantities[changed] = rng.integers(0, 40, len(changed))
        until = np.where(chunk.years == 1, _months_after(begins, month + 12), _months_after(begins, month + 1))
        lines.states(due, at, "active", until)
        failed = rng.random(len(due)) < _FAILED
        lines.invoices(due, at, until, failed)
        lines.states(due[failed], at + HOUR, "past_due", until)
        lines.states(due[failed], at + 3 * DAY_MS, "active", until)
        churn = np.where(chunk.years[due] == 1, _CHURN_OF_A_YEAR, _CHURN)
        gone = due[rng.random(len(due)) < churn]
        lines.states(gone, at + 5 * DAY_MS, "active", until, cancel=until)
        reported = until + np.where(rng.random(len(chunk)) < _REPORTED_LATE, 2 * DAY_MS, 1000)
        lines.states(gone, reported, "canceled", until, cancel=until, ended=until)
        ends[gone] = reported[gone]
        paying = paying[ends[paying] == 0]
        month += 1
    return np.where(ends < lines.until, ends, 0)


class _Lines:
    """The lines of a chunk; changes at `until` or later are omitted."""

    def __init__(self, subscribers: _Subscribers, signed: Ints, until: int) -> None:
        self.subscribers, self.until, self.found = subscribers, until, Found()
        self._signed = signed
        self._started = stamps(signed)

    def accounts(self) -> None:
        """Add each account once."""
        for place, (number, at) in enumerate(self._stamped(np.arange(len(self.subscribers)), self._signed)):
            self._add(
                "accounts",
                self._signed[place],
                f'{{"account_id": "a{number}", "country_code": "de", "acquisition_channel": "organic", '
                f'"created_at": "{at}", "updated_at": "{at}"}}',
            )

    def states(
        self,
        places: Ints,
        moments: Ints,
        status: str,
        until: Ints,
        cancel: Ints | None = None,
        ended: Ints | None = None,
    ) -> None:
        """Add a version of each subscription at the given places."""
        chunk, places = self.subscribers, places[moments[places] < self.until]
        chunk.versions[places] += 1
        ends = stamps(until[places])
        extra = ', "cancel_at": "{0}"' * (cancel is not None) + ', "ended_at": "{0}"' * (ended is not None)
        columns = (chunk.plans, chunk.years, chunk.currencies, chunk.quantities, chunk.versions)
        rows = zip(
            self._stamped(places, moments), ends, places.tolist(), *(c[places].tolist() for c in columns), strict=True
        )
        for (number, at), end, place, plan, year, currency, quantity, version in rows:
            self._add(
                "subscriptions",
                moments[place],
                f'{{"subscription_id": "s{number}", "version": {version}, "account_id": "a{number}", '
                f'"plan_id": "{PLANS[plan]}", "status": "{status}", "interval": "{"year" if year else "month"}", '
                f'"quantity": {quantity}, "unit_amount": {_PRICES[plan, year, currency]}, '
                f'"currency": "{CURRENCIES[currency]}", "started_at": "{self._started[place]}", '
                f'"current_period_end": "{end}"{extra.format(end)}, "updated_at": "{at}"}}',
            )

    def invoices(self, places: Ints, moments: Ints, until: Ints, failed: Bools) -> None:
        """Add the invoice of a period, paid within minutes or after three days."""
        chunk = self.subscribers
        paid = moments.copy()
        paid[places] += np.where(failed, 3 * DAY_MS, HOUR // 6)
        places = places[paid[places] < self.until]
        chunk.bills[places] += 1
        amounts = _PRICES[chunk.plans[places], chunk.years[places], chunk.currencies[places]] * chunk.quantities[places]
        columns = (chunk.plans[places], chunk.currencies[places], chunk.bills[places], amounts)
        begins, ends, dates = stamps(moments[places]), stamps(until[places]), paid[places].tolist()
        rows = zip(
            self._stamped(places, paid), begins, ends, dates, *(column.tolist() for column in columns), strict=True
        )
        for (number, at), begin, end, date, plan, currency, bill, amount in rows:
            tax = amount * _TAX // 100
            self._add(
                "invoices",
                date,
                f'{{"invoice_id": "i{number}-{bill}", "number": "N{number}-{bill}", "account_id": "a{number}", '
                f'"subscription_id": "s{number}", "status": "paid", "currency": "{CURRENCIES[currency]}", '
                f'"issued_at": "{begin}", "due_at": "{begin}", "paid_at": "{at}", "lines": [{{'
                f'"plan_id": "{PLANS[plan]}", "period_start": "{begin}", "period_end": "{end}", "amount": {amount}, '
                f'"proration": false, "tax": {tax}}}], "amount_due": {amount + tax}, "amount_paid": {amount + tax}, '
                f'"amount_refunded": 0, "updated_at": "{at}"}}',
            )

    def _stamped(self, places: Ints, moments: Ints) -> Iterator[tuple[int, str]]:
        """Yield (number, moment as text) of each."""
        return zip((places + self.subscribers.first).tolist(), stamps(moments[places]), strict=True)

    def _add(self, feed: str, moment: int, line: str) -> None:
        self.found.setdefault((feed, date_of(int(moment))), []).append(line)


def _on_the_28th(moments: Ints) -> Ints:
    """The same moments, or the 28th of the month if that is earlier."""
    months = moments.astype("datetime64[ms]").astype("datetime64[M]")
    starts = months.astype("datetime64[ms]").astype(np.int64)
    earlier: Ints = np.minimum(moments, starts + 27 * DAY_MS + moments % DAY_MS)
    return earlier


def _months_after(moments: Ints, count: int) -> Ints:
    """The same times `count` months later; no moment is after the 28th."""
    months = moments.astype("datetime64[ms]").astype("datetime64[M]")
    into = moments - months.astype("datetime64[ms]").astype(np.int64)
    moved: Ints = (months + count).astype("datetime64[ms]").astype(np.int64) + into
    return moved
