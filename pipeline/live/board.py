"""The board: windows, dates, sessions and orders from records in any order. It knows no clock, no topic and no file.

What a window shows when it closes depends on the records alone that came before the watermark passed it, not on their
order; a click that comes twice counts once.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.live.business import BusinessDays, utc_day
from pipeline.live.distinct import HashSet, hashed
from pipeline.live.event import DAY, HOUR, MINUTE, SECOND, SIZES, Click, Order, Place
from pipeline.live.orders import OrderBook
from pipeline.live.sessions import DaySessions, Sessions
from pipeline.live.watermark import Watermark
from pipeline.live.window import Counts, Shown, Tally, of_click, without_members

KEPT = {SECOND: 15 * 60, MINUTE: 26 * 60, HOUR: 48}
"""How many closed windows of each size are kept for display."""
MOST_MEMBERS = 50
"""Members of a dimension that a window shows, the largest."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the board goes by.

    Attributes:
        lateness: how long after its end a window waits for events, microseconds.
        timeout: the pause that ends a session, microseconds.
        days: business dates.
    """

    lateness: int
    timeout: int
    days: BusinessDays


@dataclass(frozen=True, slots=True)
class ClosedDay:
    """A business date all of whose sessions have ended.

    Attributes:
        start: the moment at which it began.
    """

    day: dt.date
    start: int
    sessions: DaySessions


@dataclass(frozen=True, slots=True)
class Closed:
    """What closed at once, in whole minutes.

    Attributes:
        first, until: the minutes from the first on, until the other, exclusive; equal if no minute closed.
        windows: seconds, minutes and hours that closed, empty ones left out.
        late: what came for windows after they had closed, since the time before.
        positions: the next offset of each source: what the windows have is before it.
    """

    first: int
    until: int
    windows: tuple[Shown, ...]
    days: tuple[ClosedDay, ...]
    late: Mapping[tuple[int, int], Counts]
    positions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Restored:
    """What an earlier process has shown.

    Attributes:
        until: the minutes up to here are closed, exclusive.
        windows: what closed windows showed.
        days: business dates that are closed.
        positions: as of Closed; what is late before them has been counted.
    """

    until: int
    windows: tuple[Shown, ...] = ()
    days: tuple[dt.date, ...] = ()
    positions: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Counters:
    """What became of records.

    Attributes:
        clicks: clicks that count, bots left out.
        duplicates: clicks whose identifier was there already.
        bots: clicks of bots by their agent.
        old: records of dates that are no longer in memory.
        late: clicks and orders that came after their minute had closed.
    """

    clicks: int = 0
    duplicates: int = 0
    bots: int = 0
    old: int = 0
    late: int = 0


class Board:
    """Counts clicks and orders.

    Args:
        sources: the partitions of topics that are read; the watermark follows them.
        restored: what an earlier process has shown.
        floor: what happened before it is old.
    """

    def __init__(
        self, settings: Settings, sources: Iterable[str], restored: Restored | None = None, floor: int = 0
    ) -> None:
        self._settings = settings
        self._watermark = Watermark(sources, settings.lateness)
        self._restored = restored or Restored(0)
        self._closed = {size: self._restored.until // size * size for size in SIZES}
        self._until = self._shown_from = self._restored.until
        self._windows: dict[int, dict[int, Tally]] = {size: {} for size in SIZES}
        self._shown: dict[int, deque[Shown]] = {size: deque(maxlen=KEPT[size]) for size in SIZES}
        for shown in sorted(self._restored.windows, key=lambda item: item.start):
            self._shown[shown.size].append(shown)
        self._pending: list[Shown] = []
        self._seen: dict[int, HashSet] = {}
        self._floor = floor
        self._days: dict[dt.date, Tally] = {}
        self._closed_days = set(self._restored.days)
        self._sessions = Sessions(settings.timeout, settings.days)
        self._orders = OrderBook()
        self._late: defaultdict[tuple[int, int], Counts] = defaultdict(Counts)
        self.positions: dict[str, int] = {}
        self.counters = Counters()

    @property
    def watermark(self) -> int:
        """The moment up to which windows are closed, once they have been."""
        return self._watermark.at

    def add_source(self, source: str) -> None:
        """Follow a partition that was added."""
        self._watermark.add(source)

    def idle(self, source: str, until: int) -> None:
        """A source has no more records up to a moment."""
        self._watermark.observe(source, until)

    def passed(self, source: str, offset: int, at: int | None = None) -> None:
        """A record of a source was read; of one that the watermark does not follow, such as an object, it says nothing.

        Args:
            offset: of the record.
            at: when what it says happened, but not after it was written; None if it says nothing.
        """
        if self._watermark.follows(source):
            self.positions[source] = max(self.positions.get(source, 0), offset + 1)
            if at is not None:
                self._watermark.observe(source, at)

    def add_click(self, click: Click, place: Place) -> None:
        """Count a click unless it is a bot's, was there before, or is of a date that is no longer in memory."""
        if click.is_bot:
            self.counters.bots += 1
            return
        if click.at < self._floor:
            self.counters.old += 1
            return
        if not self._seen.setdefault(utc_day(click.at), HashSet()).add(hashed(click.event_id)):
            self.counters.duplicates += 1
            return
        self.counters.clicks += 1
        visitor = hashed(click.visitor_id)
        self._day(click.at).add_click(click, visitor)
        is_late = False
        for size in SIZES:
            start = click.at // size * size
            if start < self._closed[size]:
                is_late |= self._count_late(place, size, start, of_click(click))
            else:
                self._window(size, start).add_click(click, visitor)
        self.counters.late += is_late
        if click.at >= self._watermark.at:
            self._sessions.add(click, visitor)

    def add_order(self, order: Order, place: Place) -> None:
        """Take a version of an order: what counted of the one before no longer does."""
        if order.placed_at is not None and order.placed_at < self._floor:
            self.counters.old += 1
            return
        is_known, is_late = order.order_id in self._orders, False
        for change in self._orders.add(order):
            self._day(change.at).add_order(change.sign, change.net_amount)
            for size in SIZES:
                start = change.at // size * size
                if start >= self._closed[size]:
                    self._window(size, start).add_order(change.sign, change.net_amount)
                elif not is_known:  # a later version of an order that was shown corrects it
                    is_late |= self._count_late(place, size, start, Counts(orders=1, net_amount=change.net_amount))
        self.counters.late += is_late

    def advance(self) -> Closed | None:
        """Close what the watermark has passed.

        Returns:
            What closed, once a minute has; None before.
        """
        watermark = self._watermark.advance()
        until = watermark // MINUTE * MINUTE
        if not self._until and watermark:  # the first watermark: nothing was shown before
            self._until = self._shown_from = max(until - MINUTE, 0)
            self._closed = {size: max(self._closed[size], self._until // size * size) for size in SIZES}
        for size in SIZES:
            bound = watermark // size * size
            if bound <= self._closed[size]:
                continue
            windows = self._windows[size]
            for start in sorted(start for start in windows if start < bound):
                shown = windows.pop(start).shown(start, size, MOST_MEMBERS)
                if size == SECOND:
                    shown = without_members(shown)
                self._shown[size].append(shown)
                self._pending.append(shown)
            self._closed[size] = bound
        if until <= self._until:
            return None
        self._sessions.end(watermark)
        first, self._until = self._until, until
        now = tuple(shown for shown in self._pending if first < shown.start + shown.size <= until)
        self._pending = [shown for shown in self._pending if shown.start + shown.size > until]
        late, self._late = dict(self._late), defaultdict(Counts)
        closed = Closed(first, until, now, self._close_days(watermark), late, dict(self.positions))
        self._forget(watermark)
        return closed

    # ---- what it shows -------------------------------------------------------------------------------------------
    def windows(self, size: int, most: int) -> list[Shown]:
        """The newest windows of a size, closed and open, oldest first; empty ones are left out."""
        closed = list(self._shown[size])[-most:]
        found = self._windows[size]
        opened = [found[start].shown(start, size, MOST_MEMBERS) for start in sorted(found)]
        return [*closed, *opened][-most:]

    def is_closed(self, start: int, size: int) -> bool:
        """Whether a window is closed."""
        return start < self._closed[size]

    def series(self, size: int, most: int) -> list[tuple[int, Counts, bool]]:
        """The newest windows of a size without their members: start, measures, whether it is closed; oldest first."""
        found = self._windows[size]
        opened = sorted(found)[-most:]
        closed = list(self._shown[size])[-(most - len(opened)) :] if len(opened) < most else []
        rows = [(shown.start, shown.counts, True) for shown in closed]
        return [*rows, *((start, found[start].counts, False) for start in opened)]

    def closed_minutes(self, first: int, until: int) -> Counts:
        """The sum of closed minutes; visitors of several minutes count several times."""
        found = Counts()
        for shown in reversed(self._shown[MINUTE]):
            if shown.start < first:
                break
            if shown.start < until:
                found += shown.counts
        return found

    def day(self, day: dt.date) -> Shown:
        """A business date so far, late records included."""
        start = self._settings.days.start(day)
        found = self._days.get(day)
        return found.shown(start, DAY, MOST_MEMBERS) if found else Shown(start, DAY, Counts())

    def day_counts(self, day: dt.date) -> Counts:
        """The measures of a business date so far."""
        found = self._days.get(day)
        return found.counts if found else Counts()

    def sessions(self, day: dt.date) -> DaySessions:
        """The sessions of a business date so far."""
        return self._sessions.of(day)

    @property
    def active_visitors(self) -> int:
        """Visitors whose session may still go on."""
        return len(self._sessions)

    @property
    def identifiers(self) -> int:
        """Identifiers of clicks in memory, by which repeated ones are found."""
        return sum(map(len, self._seen.values()))

    # ---- inside --------------------------------------------------------------------------------------------------
    def _window(self, size: int, start: int) -> Tally:
        windows = self._windows[size]
        found = windows.get(start)
        if found is None:
            found = windows[start] = Tally(size != SECOND)
        return found

    def _day(self, at: int) -> Tally:
        day = self._settings.days.of(at)
        found = self._days.get(day)
        if found is None:
            found = self._days[day] = Tally(True)
        return found

    def _count_late(self, place: Place, size: int, start: int, counts: Counts) -> bool:
        """Count what came too late, unless an earlier process did or its window had it; seconds have no say.

        Of an object's records it is unknown when they came: nothing but drift shows them.
        """
        is_followed = size != SECOND and self._watermark.follows(place.source)
        is_late = is_followed and place.offset >= self._restored.positions.get(place.source, 0)
        if is_late:
            self._late[size, start] += counts
        return is_late

    def _close_days(self, watermark: int) -> tuple[ClosedDay, ...]:
        found = []
        for day in self._sessions.days():
            sessions = self._sessions.of(day)
            is_over = self._settings.days.start(day + dt.timedelta(days=1)) <= watermark
            if is_over and not sessions.open and day not in self._closed_days:
                self._closed_days.add(day)
                if self._settings.days.start(day + dt.timedelta(days=1)) >= self._shown_from:
                    found.append(ClosedDay(day, self._settings.days.start(day), sessions))
        return tuple(found)

    def _forget(self, watermark: int) -> None:
        """Forget what is older than the business date before that of the watermark."""
        first = self._settings.days.of(watermark) - dt.timedelta(days=1)
        floor = self._settings.days.start(first)
        if floor <= self._floor:
            return
        self._floor = floor
        for number in [number for number in self._seen if number < utc_day(floor)]:
            del self._seen[number]
        for day in [day for day in self._days if day < first]:
            del self._days[day]
        self._sessions.forget(first)
        self._orders.forget(floor)


def settings(lateness_seconds: float, timeout_minutes: int, timezone: str) -> Settings:
    """Settings in the units of the command line and of config.yaml."""
    return Settings(int(lateness_seconds * SECOND), timeout_minutes * MINUTE, BusinessDays(timezone))
