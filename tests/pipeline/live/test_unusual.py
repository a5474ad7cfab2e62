"""Unusual rates: entered and left with hysteresis, compared with the same minutes of earlier weeks."""

from __future__ import annotations

import datetime as dt

from pipeline.live.business import microseconds
from pipeline.live.event import MINUTE
from pipeline.live.unusual import SPAN, Rate, Unusual, Usual

ZONE = "Europe/Berlin"
END = microseconds(dt.datetime(2026, 4, 6, 12, tzinfo=dt.UTC))


def judged(counts: list[int], usual: float | None = 400) -> list[bool]:
    """Whether views are unusual after each minute."""
    unusual = Unusual()
    found = []
    for number, count in enumerate(counts):
        unusual.judge(END + number * MINUTE, {"views": Rate(count, usual)})
        found.append(bool(unusual.findings()))
    return found


def test_three_far_minutes_in_a_row_make_a_rate_unusual() -> None:
    assert judged([100, 100, 400, 100, 100, 100]) == [False] * 5 + [True]
    assert judged([900, 900, 900])[-1]


def test_it_stays_unusual_between_the_limits_and_ends_after_five_calm_minutes() -> None:
    far, between, calm = [100] * 3, [230] * 20, [390] * 5
    found = judged([*far, *between, *calm, *between])
    assert found == [False, False, *[True] * 25, *[False] * 21]


def test_few_events_are_not_judged_by_their_factor() -> None:
    assert not any(judged([0] * 10, usual=8))
    assert judged([0] * 3, usual=20)[-1]


def test_without_earlier_weeks_nothing_is_unusual() -> None:
    assert not any(judged([0] * 10, usual=None))


def test_the_finding_says_count_usual_and_since_when() -> None:
    unusual = Unusual()
    for number in range(3):
        unusual.judge(END + number * MINUTE, {"orders": Rate(1, 60.0)})
    (found,) = unusual.findings()
    text = "1 orders in 5 minutes, fewer than the usual 60 of these minutes of the week, since 2026-04-06 12:00 UTC"
    assert str(found) == text


def test_usual_is_the_median_of_the_same_minutes_by_the_clock_of_the_business() -> None:
    # GIVEN clocks went forward on 29 March: noon UTC is 14:00 on 6 April, and 13:00 UTC was 14:00 before
    until = {weeks: END - weeks * 7 * 86400 * 1_000_000 + (60 * MINUTE if weeks > 1 else 0) for weeks in range(1, 5)}
    minutes = {end - MINUTE: {"views": 10 * weeks} for weeks, end in until.items()}
    usual = Usual(minutes, until[4] - SPAN, END, ZONE)
    assert usual.of(END, "views") == 25.0
    assert usual.of(END, "orders") == 0.0
    assert Usual(minutes, until[2] - SPAN, END, ZONE).of(END, "views") is None
