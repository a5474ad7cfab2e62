"""The definitions of sessions as functions, on single cases, and what random clicks contain."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from tests.shop_sessions import (
    DAY,
    MICROSECOND,
    PAUSE,
    Session,
    business_date,
    channel,
    click,
    customers,
    is_automaton,
    moment,
    newest,
    random_clicks,
    reached,
    runs,
    sessions,
)

NOON = dt.datetime(2026, 3, 10, 12)


def clicks(*times: dt.datetime, **fields: Any) -> list[dict[str, Any]]:
    return [click(f"c{number}", time, **fields) for number, time in enumerate(times)]


def test_pause_of_exactly_the_length_ends_a_session() -> None:
    found = sessions(clicks(NOON, NOON + PAUSE - MICROSECOND, NOON + 2 * PAUSE - MICROSECOND))
    assert [(row.started_at, row.clicks) for row in found] == [(NOON, 2), (NOON + 2 * PAUSE - MICROSECOND, 1)]


def test_automaton_is_cut_off_at_the_second_midnight_until_a_pause() -> None:
    midnight = dt.datetime(2026, 3, 10)
    assert not is_automaton(midnight, midnight - DAY)
    assert is_automaton(midnight, midnight - DAY - MICROSECOND)
    times = [NOON + number * dt.timedelta(minutes=20) for number in range(3 * 72)]
    found = sessions(clicks(*times, times[-1] + PAUSE))
    assert [(row.started_at, row.ended_at) for row in found] == [
        (NOON, dt.datetime(2026, 3, 11, 23, 40)),
        (times[-1] + PAUSE, times[-1] + PAUSE),
    ]
    assert found[0].clicks == 36 + 72


def test_business_dates_of_the_days_on_which_clocks_change() -> None:
    spring, autumn = dt.datetime(2026, 3, 28, 23), dt.datetime(2026, 10, 24, 22)
    assert [business_date(spring + n * MICROSECOND).day for n in (-1, 0)] == [28, 29]
    assert business_date(spring + dt.timedelta(hours=23)) == dt.date(2026, 3, 30)
    assert business_date(autumn + dt.timedelta(hours=25) - MICROSECOND) == dt.date(2026, 10, 25)
    assert business_date(dt.datetime(2026, 3, 10, 3), "America/New_York") == dt.date(2026, 3, 9)


@pytest.mark.parametrize(
    ("kinds", "steps"),
    [
        (["view", "add_to_cart", "begin_checkout", "purchase"], 4),
        (["view", "begin_checkout", "purchase"], 4),
        (["view", "add_to_cart", "purchase"], 2),
        (["add_to_cart", "view"], 1),
        (["begin_checkout", "view", "purchase"], 1),
        (["search", "purchase"], 0),
    ],
)
def test_funnel_is_closed(kinds: list[str], steps: int) -> None:
    assert sum(reached(click("c", NOON, kind) for kind in kinds)) == steps


def test_last_line_of_a_click_and_date_counts() -> None:
    lines = [click("a", NOON, device="old"), click("a", NOON + DAY), click("a", NOON + PAUSE, device="new")]
    assert [(moment(line["occurred_at"]), line["device"]) for line in newest(lines)] == [
        (NOON + PAUSE, "new"),
        (NOON + DAY, "mobile"),
    ]


def test_random_clicks_contain_every_boundary() -> None:
    kinds: Counter[str] = Counter()
    for number in range(3):
        lines = random_clicks(number, dt.date(2026, 3, 26), 7)
        assert lines == random_clicks(number, dt.date(2026, 3, 26), 7)
        rows = sessions(lines)
        kinds["older versions"] += len(lines) - len(newest(lines))
        kinds["on two dates"] += len(newest(lines)) - len({line["event_id"] for line in lines})
        kinds["no agent"] += sum("user_agent" not in line for line in lines)
        kinds["offset"] += sum(line["occurred_at"].endswith("-05:00") for line in lines)
        for row in rows:
            kinds[row.channel] += 1
            kinds["over midnight"] += row.ended_at.date() > row.date
            kinds["other business date"] += row.business_date != row.date
            kinds["the shop's long or short day"] += row.business_date == dt.date(2026, 3, 29)
            kinds["whole funnel"] += row.has_funnel_purchase
            kinds["purchase beside the funnel"] += row.has_purchase and not row.has_funnel_purchase
        kinds["automata"] += len(_kept(lines)) < len(_human(lines))
        kinds["customers"] += len({customer for customer in customers(lines).values() if customer})
        for run in runs(lines):
            named = [line["customer_id"] for line in run if "customer_id" in line]
            kinds["login in the middle"] += bool(named) and "customer_id" not in run[0]
            kinds["two customers"] += len(set(named)) > 1
            times = [moment(line["occurred_at"]) for line in run]
            kinds["equal times"] += len(set(times)) < len(times)
            kinds["just below the pause"] += any(
                later - earlier == PAUSE - MICROSECOND for earlier, later in pairwise(times)
            )
        kinds["exactly the pause"] += _exact_pauses(rows)
    channels = {channel(click("c", NOON, utm_medium=medium)) for medium in ("cpc", "display", "email", "affiliate")}
    expected = channels | {"paid_social", "organic_social", "organic_search", "other", "referral", "direct"}
    expected |= {"older versions", "on two dates", "no agent", "offset", "over midnight", "other business date"}
    expected |= {"the shop's long or short day", "whole funnel", "purchase beside the funnel", "automata", "customers"}
    expected |= {"login in the middle", "two customers", "equal times", "just below the pause", "exactly the pause"}
    assert expected <= {name for name, count in kinds.items() if count}


def _kept(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for run in runs(lines) for line in run]


def _human(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in newest(lines) if line.get("user_agent", "").startswith("Mozilla")]


def _exact_pauses(rows: list[Session]) -> int:
    """Sessions that begin exactly a pause after the one before of their visitor."""
    ends = {(row.visitor_key, row.ended_at + PAUSE) for row in rows}
    return sum((row.visitor_key, row.started_at) in ends for row in rows)
