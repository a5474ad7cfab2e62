"""Sessions as they grow: runs of a visitor's clicks without a pause, as docs/metrics.md defines them."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.live.business import BusinessDays, utc_day
from pipeline.live.distinct import HashSet
from pipeline.live.event import Click


@dataclass(frozen=True, slots=True)
class DaySessions:
    """Sessions by the business date of their first click.

    Attributes:
        purchase_sessions: of these, sessions with a purchase.
        visitors: distinct visitors of sessions that have ended.
        clicks: clicks of these sessions.
        open: sessions that may still grow.
    """

    sessions: int = 0
    purchase_sessions: int = 0
    visitors: int = 0
    clicks: int = 0
    open: int = 0


@dataclass(slots=True)
class _Session:
    """A session; clicks and purchases by UTC date, since those after the date that follows its first do not count."""

    first: tuple[int, int, str]
    end: int
    clicks: Counter[int] = field(default_factory=Counter)
    purchases: Counter[int] = field(default_factory=Counter)

    def counted(self, found: Counter[int]) -> int:
        last = utc_day(self.first[0]) + 1
        return sum(count for day, count in found.items() if day <= last)


@dataclass(slots=True)
class _Day:
    sessions: int = 0
    purchase_sessions: int = 0
    clicks: int = 0
    open: int = 0
    visitors: HashSet = field(default_factory=HashSet)


class Sessions:
    """Open sessions by visitor, and how many there are by business date.

    The result does not depend on the order in which clicks come, as long as each comes before the watermark has passed
    its session.

    Args:
        timeout: the pause that ends a session, microseconds.
    """

    def __init__(self, timeout: int, days: BusinessDays) -> None:
        self._timeout, self._business = timeout, days
        self._open: dict[int, list[_Session]] = {}
        self._days: defaultdict[dt.date, _Day] = defaultdict(_Day)

    def __len__(self) -> int:
        """Visitors with an open session."""
        return len(self._open)

    def add(self, click: Click, visitor: int) -> None:
        """Add a click of a person.

        Args:
            visitor: hash of the visitor.
        """
        day, is_purchase = utc_day(click.at), click.kind == "purchase"
        known = self._open.get(visitor, ())
        if len(known) == 1 and known[0].first < click.order and click.at < known[0].end + self._timeout:
            self._continue(known[0], click.at, day, is_purchase)  # as nearly always
            return
        fresh = _Session(click.order, click.at, Counter({day: 1}), Counter({day: int(is_purchase)}))
        others = []
        for session in known:
            if session.first[0] - self._timeout < click.at < session.end + self._timeout:
                self._count(session, -1)
                fresh.first, fresh.end = min(fresh.first, session.first), max(fresh.end, session.end)
                fresh.clicks += session.clicks
                fresh.purchases += session.purchases
            else:
                others.append(session)
        self._count(fresh, 1)
        self._open[visitor] = [*others, fresh]

    def end(self, watermark: int) -> None:
        """End the sessions that no click from the watermark on can continue."""
        for visitor, found in list(self._open.items()):
            kept = [session for session in found if session.end + self._timeout > watermark]
            if len(kept) == len(found):
                continue
            for session in found:
                if session.end + self._timeout <= watermark:
                    day = self._day(session)
                    day.open -= 1
                    day.visitors.add(visitor)
            if kept:
                self._open[visitor] = kept
            else:
                del self._open[visitor]

    def of(self, day: dt.date) -> DaySessions:
        """The sessions of a business date so far."""
        found = self._days.get(day, _Day())
        return DaySessions(found.sessions, found.purchase_sessions, len(found.visitors), found.clicks, found.open)

    def forget(self, before: dt.date) -> None:
        """Forget the counts of earlier business dates without open sessions."""
        for day in [day for day, found in self._days.items() if day < before and not found.open]:
            del self._days[day]

    def days(self) -> Iterator[dt.date]:
        """The business dates with sessions."""
        return iter(sorted(self._days))

    def _continue(self, session: _Session, at: int, day: int, is_purchase: bool) -> None:
        """Add a click to a session that begins before it."""
        session.end = max(session.end, at)
        if day <= utc_day(session.first[0]) + 1:
            found = self._day(session)
            found.clicks += 1
            if is_purchase:
                found.purchase_sessions += not session.counted(session.purchases)
        session.clicks[day] += 1
        if is_purchase:
            session.purchases[day] += 1

    def _day(self, session: _Session) -> _Day:
        return self._days[self._business.of(session.first[0])]

    def _count(self, session: _Session, sign: int) -> None:
        day = self._day(session)
        day.sessions += sign
        day.open += sign
        day.purchase_sessions += sign * (session.counted(session.purchases) > 0)
        day.clicks += sign * session.counted(session.clicks)
