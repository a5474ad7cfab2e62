"""The rule for what is unusual, on made-up values."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable

import pytest

from ingest.settings import PROJECT
from pipeline.metrics.definition import Metric, load_metrics
from pipeline.metrics.period import Grain
from pipeline.report.span import Span
from pipeline.report.unusual import Course, Usual, course

DAY = dt.date(2026, 6, 20)
METRICS = load_metrics(PROJECT / "metrics")


def judged(
    metric: Metric, value: Callable[[dt.date], float | None], count: Callable[[dt.date], int] | None = None
) -> Course:
    """The course of a day whose values, and denominators, are given by date."""
    days = [DAY - dt.timedelta(days=number) for number in range(100)]
    values = {day: found for day in days if (found := value(day)) is not None}
    return course(metric, [Span(DAY, Grain.DAY)], values, {day: count(day) for day in days} if count else {})


def on_the_day(usual: float, then: float) -> Callable[[dt.date], float]:
    return lambda day: then if day == DAY else usual


def test_a_weekend_is_compared_with_weekends() -> None:
    def plays(day: dt.date) -> float:
        return 500 if day.weekday() > 4 else 100

    assert judged(METRICS["plays"], plays).unusual == ()
    (found,) = judged(METRICS["plays"], lambda day: 100 if day == DAY else plays(day)).unusual
    assert (found.value, found.usual.middle, found.verdict) == (100, 500, -1)


def test_an_outlier_among_the_weeks_before_hides_nothing() -> None:
    holiday = DAY - dt.timedelta(days=14)
    (found,) = judged(METRICS["plays"], lambda day: {DAY: 200.0, holiday: 9000.0}.get(day, 1000.0)).unusual
    assert found.usual.middle == 1000


@pytest.mark.parametrize(
    ("usual", "then", "is_unusual"), [(20, 2, False), (20, 29, False), (20, 80, True), (60, 2, True)]
)
def test_counts_below_the_volume_are_not_judged(usual: float, then: float, is_unusual: bool) -> None:
    assert bool(judged(METRICS["plays"], on_the_day(usual, then)).unusual) is is_unusual


def test_chance_alone_is_not_unusual() -> None:
    """A count of 100 varies by 10: 4 times that is the limit, however regular the weeks before were."""
    assert judged(METRICS["plays"], on_the_day(100, 61)).unusual == ()
    assert judged(METRICS["plays"], on_the_day(100, 59)).unusual != ()


@pytest.mark.parametrize(("count", "is_unusual"), [(20, False), (100, False), (2000, True)])
def test_a_share_is_judged_by_how_much_it_is_of(count: int, is_unusual: bool) -> None:
    found = judged(METRICS["completion_rate"], on_the_day(0.6, 0.5), lambda _: count)
    assert bool(found.unusual) is is_unusual


def test_a_growing_balance_is_judged_by_its_change() -> None:
    def mrr(day: dt.date) -> float:
        return 10_000 + 100 * (day - DAY).days

    assert judged(METRICS["mrr_daily"], mrr).unusual == ()
    (found,) = judged(METRICS["mrr_daily"], lambda day: mrr(day) - 1000 * (day == DAY)).unusual
    assert (found.is_change, found.value, found.usual.middle) == (True, -900, 100)
    assert judged(METRICS["mrr_daily"], lambda day: mrr(day) - 150 * (day == DAY)).unusual == ()


def test_five_of_the_weeks_before_must_be_known() -> None:
    known = lambda weeks: lambda day: 1000.0 if day > DAY - dt.timedelta(days=7 * weeks + 1) else None  # noqa: E731
    assert judged(METRICS["plays"], known(4)).usual == {}
    assert DAY in judged(METRICS["plays"], known(5)).usual


def test_few_ordinary_days_are_called_unusual_and_most_halved_ones_are() -> None:
    chance = random.Random(3)
    ordinary = halved = 0
    for _ in range(80):
        values = {DAY - dt.timedelta(days=number): chance.gauss(1000, 100) for number in range(100)}
        ordinary += bool(judged(METRICS["time_spent"], values.get).unusual)
        halved += bool(judged(METRICS["time_spent"], (values | {DAY: values[DAY] / 2}).get).unusual)
    assert ordinary <= 2
    assert halved >= 55


@pytest.mark.parametrize(("middle", "low"), [(100.0, 60.0), (10.0, 0.0), (0.0, 0.0), (-10.0, -50.0)])
def test_only_what_is_usually_no_less_than_zero_is_shown_from_zero(middle: float, low: float) -> None:
    assert Usual(middle, 10.0).shown_low == low
