"""Properties of the board: windows are those of a plain count, whatever the order of arrival, and however often."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import settings as example
from hypothesis import strategies as st

from pipeline.live.board import Board, Closed, Restored, settings
from pipeline.live.business import BusinessDays, microseconds, utc_day
from pipeline.live.event import DAY, HOUR, MINUTE, SECOND, SIZES, Click, Order, Place
from pipeline.live.window import Counts

ZONE, TIMEOUT_MINUTES, LATENESS = "Europe/Berlin", 30, 10
DAYS = BusinessDays(ZONE)
BEGIN = microseconds(dt.datetime(2026, 3, 28, 20, tzinfo=dt.UTC))
"""The evening before clocks go forward in Berlin."""
SOURCES = ("kafka:clicks/0", "kafka:clicks/1", "kafka:orders/0")
KINDS = ("view", "search", "add_to_cart", "remove_from_cart", "begin_checkout", "purchase")


@dataclass(frozen=True)
class Arrival:
    """A record and when it is written."""

    event: Click | Order
    at: int
    written: int
    source: str


def board(restored: Restored | None = None) -> Board:
    return Board(settings(LATENESS, TIMEOUT_MINUTES, ZONE), SOURCES, restored)


def click(number: int, at: int, visitor: int = 0, kind: str = "view", product: int | None = 1) -> Click:
    return Click(f"e{number}", f"v{visitor}", kind, at, product, "mobile", "DE", False)


moments = st.integers(0, 8 * 3600 * 10).map(lambda tenths: BEGIN + tenths * SECOND // 10)
clicks = st.builds(
    click,
    st.integers(0, 10**9),
    moments,
    st.integers(0, 4),
    st.sampled_from(KINDS),
    st.one_of(st.none(), st.integers(1, 3)),
)
orders = st.builds(
    lambda number, at, version, net, exists: Order(number, (f"{version:04d}", 1, f"{version:04d}", 0), at, net, exists),
    st.integers(1, 5),
    moments,
    st.integers(1, 50),
    st.integers(0, 10**9),
    st.booleans(),
)


@st.composite
def arrivals(draw: st.DrawFn, least: int = 0) -> list[Arrival]:
    """Records in the order in which they are written, each at most the allowed lateness after it happened."""
    events: list[Click | Order] = draw(st.lists(clicks, min_size=least, max_size=60, unique_by=lambda c: c.event_id))
    found: dict[int, Order] = {}
    for order in draw(
        st.lists(orders, max_size=10, unique_by=lambda order: (order.order_id, order.version))
    ):  # versions of an order agree on when it was placed
        first = found.setdefault(order.order_id, order)
        events.append(replace(order, placed_at=first.placed_at))
    made = []
    for event in events:
        at = event.at if isinstance(event, Click) else event.placed_at
        assert at is not None
        delay = draw(st.integers(0, LATENESS * SECOND))
        source = SOURCES[2] if isinstance(event, Order) else SOURCES[draw(st.integers(0, 1))]
        made.append(Arrival(event, at, at + delay, source))
    return sorted(made, key=lambda item: item.written)


def feed(to: Board, items: Iterable[Arrival], every: int = 1, offsets: Counter[str] | None = None) -> list[Closed]:
    """Give records to a board that closes after every so many; the others are idle up to then."""
    offsets = Counter() if offsets is None else offsets
    closed = []
    for number, item in enumerate(items, 1):
        add(to, item, offsets)
        for source in SOURCES:
            to.idle(source, item.written)
        if number % every == 0 and (found := to.advance()):
            closed.append(found)
    return closed


def add(to: Board, item: Arrival, offsets: Counter[str]) -> None:
    place = Place(item.source, offsets[item.source])
    offsets[item.source] += 1
    if isinstance(item.event, Click):
        to.add_click(item.event, place)
    else:
        to.add_order(item.event, place)
    to.passed(item.source, place.offset, item.at)


def finish(to: Board, at: int) -> list[Closed]:
    for source in SOURCES:
        to.idle(source, at)
    found = to.advance()
    return [found] if found else []


END = BEGIN + DAY


def plain(events: Sequence[Click | Order]) -> dict[tuple[int, int], Counts]:
    """Windows counted without a thought of time: each identifier once, each order as its newest version says."""
    found: defaultdict[tuple[int, int], Counts] = defaultdict(Counts)
    visitors: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    newest: dict[int, Order] = {}
    seen: set[str] = set()
    for event in events:
        if isinstance(event, Order):
            before = newest.get(event.order_id)
            newest[event.order_id] = event if before is None else max(before, event, key=lambda item: item.version)
            continue
        if event.event_id in seen:
            continue
        seen.add(event.event_id)
        is_view = event.kind == "view" and event.product_id is not None
        for size in SIZES:
            key = size, event.at // size * size
            found[key] += Counts(1, int(is_view), int(event.kind == "add_to_cart"))
            visitors[key].add(event.visitor_id)
    for order in newest.values():
        if order.exists and order.placed_at is not None:
            for size in SIZES:
                found[size, order.placed_at // size * size] += Counts(orders=1, net_amount=order.net_amount or 0)
    return {key: replace(counts, visitors=len(visitors[key])) for key, counts in found.items()}


def shown(closed: Iterable[Closed]) -> dict[tuple[int, int], Counts]:
    windows = [(item.size, item.start, item.counts) for found in closed for item in found.windows]
    assert len({(size, start) for size, start, _ in windows}) == len(windows), "a window closed twice"
    return {(size, start): counts for size, start, counts in windows if counts != Counts()}


@example(deadline=None, max_examples=150)
@given(arrivals())
def test_windows_are_those_of_a_plain_count_and_nothing_is_late(items: list[Arrival]) -> None:
    # GIVEN versions of orders that come in any order, but before their windows close
    made = [item for item in items if isinstance(item.event, Click)]
    one = board()
    closed = [*finish(one, BEGIN), *feed(one, made), *finish(one, END)]
    assert shown(closed) == plain([item.event for item in made])
    assert all(found.late == {} for found in closed)
    assert [found.until for found in closed][:-1] == [found.first for found in closed][1:]


@example(deadline=None, max_examples=150)
@given(arrivals(least=1), st.randoms(use_true_random=False), st.integers(1, 7))
def test_any_order_within_the_watermark_gives_the_same_windows_and_sessions(
    items: list[Arrival], random: object, every: int
) -> None:
    one, other = board(), board()
    usual = [*finish(one, BEGIN), *feed(one, items), *finish(one, END)]
    # WHEN what is written within the lateness comes in another order, and windows close less often
    groups: list[list[Arrival]] = [[]]
    for before, item in pairwise([items[0], *items]):
        if item.written // (LATENESS * SECOND // 2) != before.written // (LATENESS * SECOND // 2):
            groups.append([])
        groups[-1].append(item)
    mixed = []
    for group in groups:
        random.shuffle(group)  # type: ignore[attr-defined]
        mixed += group
    assume(all(item.at >= _watermark(mixed[:number]) for number, item in enumerate(mixed)))
    found = [*finish(other, BEGIN), *feed(other, mixed, every), *finish(other, END)]
    orders_in_time = _orders_before_close(items) and _orders_before_close(mixed)
    if orders_in_time:
        assert shown(found) == shown(usual)
    assert [day for item in found for day in item.days] == [day for item in usual for day in item.days]


def _watermark(items: Sequence[Arrival]) -> int:
    return max((item.written for item in items), default=BEGIN) - LATENESS * SECOND


def _orders_before_close(items: Sequence[Arrival]) -> bool:
    """Whether no version of an order corrects a window that had closed."""
    for number, item in enumerate(items):
        if isinstance(item.event, Order) and item.at // SECOND * SECOND < _watermark(items[:number]) // SECOND * SECOND:
            return False
    return True


@example(deadline=None, max_examples=100)
@given(arrivals(), st.data())
def test_duplicates_change_nothing(items: list[Arrival], data: st.DataObject) -> None:
    once, often = board(), board()
    usual = [*finish(once, BEGIN), *feed(once, items), *finish(once, END)]
    repeated: list[Arrival] = []
    for item in items:
        repeated.append(item)
        if repeated and data.draw(st.booleans()):  # however long ago it came first
            old = data.draw(st.sampled_from(repeated))
            repeated.append(replace(old, at=item.at, written=item.written))
    found = [*finish(often, BEGIN), *feed(often, repeated), *finish(often, END)]
    assert shown(found) == shown(usual)
    assert [day for item in found for day in item.days] == [day for item in usual for day in item.days]
    assert {key: value for item in found for key, value in item.late.items()} == {
        key: value for item in usual for key, value in item.late.items()
    }


@example(deadline=None, max_examples=100)
@given(arrivals(), st.lists(clicks, max_size=5, unique_by=lambda c: c.event_id))
def test_each_late_click_is_counted_as_late_and_no_closed_window_changes(
    items: list[Arrival], late: list[Click]
) -> None:
    made = [item for item in items if isinstance(item.event, Click)]
    known = {item.event.event_id for item in made if isinstance(item.event, Click)}
    late = [item for item in late if item.event_id not in known]
    one = board()
    closed = [*finish(one, BEGIN), *feed(one, made), *finish(one, END)]
    for event in late:
        one.add_click(event, Place(SOURCES[0], 10_000))
    closed += finish(one, END + MINUTE)
    assert shown(closed) == plain([item.event for item in made])
    counted: defaultdict[tuple[int, int], Counts] = defaultdict(Counts)
    for found in closed:
        for key, counts in found.late.items():
            counted[key] += counts
    expected = {key: replace(value, visitors=0) for key, value in plain(late).items() if key[0] != SECOND}
    assert dict(counted) == expected
    assert one.counters.late == len(late)
    # AND dates have them, since what is live shows all that is known
    dates = {DAYS.of(item.at) for item in late}
    everything = [*[item.event for item in made], *late]
    for day in dates:
        on_day = [item for item in everything if isinstance(item, Click) and DAYS.of(item.at) == day]
        assert one.day(day).counts.clicks == len(on_day)


@example(deadline=None, max_examples=100)
@given(arrivals(least=2), st.data())
def test_a_process_that_is_killed_shows_the_windows_of_an_undisturbed_one(
    items: list[Arrival], data: st.DataObject
) -> None:
    items = [item for item in items if isinstance(item.event, Click)]
    undisturbed = board()
    usual = [*finish(undisturbed, BEGIN), *feed(undisturbed, items), *finish(undisturbed, END)]
    # WHEN it dies after any record, and another one reads everything again, source by source
    died = data.draw(st.integers(0, len(items)))
    first, offsets = board(), Counter[str]()
    before = [*finish(first, BEGIN), *feed(first, items[:died], offsets=offsets)]
    kept = Restored(
        before[-1].until,
        tuple(window for found in before for window in found.windows),
        tuple(day.day for found in before for day in found.days),
        before[-1].positions,
    )
    second, again = board(kept), Counter[str]()
    for source in SOURCES:
        for item in items[:died]:
            if item.source == source:
                add(second, item, again)
    after = [*feed(second, items[died:], offsets=again), *finish(second, END)]
    assert shown([*before, *after]) == shown(usual)
    assert all(found.late == {} for found in after)
    assert [day for item in [*before, *after] for day in item.days] == [day for item in usual for day in item.days]
    day = DAYS.of(BEGIN)
    assert second.day(day) == undisturbed.day(day)


def sessions_of(events: Iterable[Click], timeout: int) -> dict[dt.date, tuple[int, int, int]]:
    """(sessions, those with a purchase, clicks) by business date, by docs/metrics.md."""
    by_visitor: defaultdict[str, list[Click]] = defaultdict(list)
    for event in events:
        by_visitor[event.visitor_id].append(event)
    found: defaultdict[dt.date, list[int]] = defaultdict(lambda: [0, 0, 0])
    for items in by_visitor.values():
        items.sort(key=lambda item: item.at)
        runs = [[items[0]]]
        for before, item in pairwise(items):
            if item.at - before.at >= timeout:
                runs.append([])
            runs[-1].append(item)
        for run in runs:
            counted = [item for item in run if utc_day(item.at) <= utc_day(run[0].at) + 1]
            day = found[DAYS.of(run[0].at)]
            day[0] += 1
            day[1] += any(item.kind == "purchase" for item in counted)
            day[2] += len(counted)
    return {day: (a, b, c) for day, (a, b, c) in found.items()}


@example(deadline=None, max_examples=150)
@given(arrivals(least=1))
def test_sessions_of_a_date_are_those_of_the_definition(items: list[Arrival]) -> None:
    items = [item for item in items if isinstance(item.event, Click)]
    one = board()
    closed = [*finish(one, BEGIN), *feed(one, items), *finish(one, END)]
    expected = sessions_of([item.event for item in items if isinstance(item.event, Click)], 30 * MINUTE)
    found = {
        day.day: (day.sessions.sessions, day.sessions.purchase_sessions, day.sessions.clicks)
        for item in closed
        for day in item.days
    }
    is_over = {day: value for day, value in expected.items() if DAYS.start(day + dt.timedelta(1)) <= END}
    assert found == is_over


def test_clicks_of_bots_count_nowhere_but_move_the_watermark() -> None:
    one = board()
    finish(one, BEGIN)
    one.add_click(replace(click(1, BEGIN + HOUR), is_bot=True), Place(SOURCES[0], 0))
    one.passed(SOURCES[0], 0, BEGIN + HOUR)
    found = finish(one, BEGIN + HOUR)
    assert [item.windows for item in found] == [()]
    assert one.counters.bots == 1
    assert one.active_visitors == 0


def test_a_source_that_was_not_heard_of_keeps_windows_open() -> None:
    one = board()
    one.add_click(click(1, BEGIN), Place(SOURCES[0], 0))
    one.passed(SOURCES[0], 0, BEGIN + HOUR)
    one.idle(SOURCES[1], BEGIN + HOUR)
    assert one.advance() is None
    one.idle(SOURCES[2], BEGIN + HOUR)
    assert one.advance() is not None


def test_a_newer_version_of_an_order_replaces_what_it_added_and_a_deletion_takes_it_back() -> None:
    one = board()
    finish(one, BEGIN)
    first = Order(7, ("0001", 1, "0001", 0), BEGIN + SECOND, 5_000_000)
    one.add_order(replace(first, version=("0002", 1, "0002", 0), net_amount=7_000_000), Place(SOURCES[2], 0))
    one.add_order(first, Place(SOURCES[2], 1))
    day = DAYS.of(BEGIN)
    assert (one.day(day).counts.orders, one.day(day).counts.net_amount) == (1, 7_000_000)
    one.add_order(replace(first, version=("0003", 1, "0003", 0), exists=False), Place(SOURCES[2], 2))
    assert (one.day(day).counts.orders, one.day(day).counts.net_amount) == (0, 0)
    assert one.windows(MINUTE, 1)[0].counts == Counts()


def test_dates_before_yesterday_leave_the_memory_and_their_clicks_are_old() -> None:
    one = board()
    finish(one, BEGIN)
    for number in range(5):
        one.add_click(click(number, BEGIN + number * DAY), Place(SOURCES[0], number))
        finish(one, BEGIN + number * DAY + LATENESS * SECOND)
    assert one.identifiers == 3  # yesterday began two hours before midnight UTC
    one.add_click(click(9, BEGIN), Place(SOURCES[0], 9))
    assert one.counters.old == 1


@pytest.mark.parametrize("number", [1, 40_000])
def test_a_hash_set_has_exactly_what_was_added(number: int) -> None:
    from pipeline.live.distinct import HashSet, hashed

    found = HashSet()
    values = [hashed(str(item)) for item in range(number)]
    assert all(found.add(value) for value in values)
    assert not any(found.add(value) for value in values)
    assert len(found) == number
    assert hashed("another") not in found
