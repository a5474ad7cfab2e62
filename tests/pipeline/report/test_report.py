"""The numbers of a report equal plain Python over the release's rows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from ingest.errors import ConfigError
from ingest.settings import PROJECT
from pipeline.metrics.period import Grain
from pipeline.report.definition import Section, load_reports
from pipeline.report.figures import Figure
from pipeline.report.health import State
from pipeline.report.movement import Effect, divided
from pipeline.report.report import Report
from pipeline.report.span import Span
from pipeline.report.unusual import courses
from tests.known_release import FIRST, LAST, MARKUP, PUBLISHED, Published

YESTERDAY, WEEK = dt.timedelta(days=1), dt.timedelta(days=7)
SUNDAY = dt.date(2026, 6, 14)
"""The last day of the last complete week."""
SIZES = {"big": (900.0, 900.0), "few": (9.0, 4.0), "fell": (90.0, 7.0), "next": (20.0, 20.0)}


def test_daily_figures_equal_plain_python(published: Published, daily: Report) -> None:
    plays, completed = ("activities_played", "completed_plays")
    figure = daily.figures["plays"]
    assert figure.span.first == daily.span.first == LAST
    assert figure.value == published.sum(plays, LAST)
    for change, before in zip(figure.changes, (LAST - YESTERDAY, LAST - WEEK), strict=True):
        then = published.sum(plays, before)
        assert (change.before, change.difference) == (then, figure.value - then)
        assert change.share == pytest.approx(figure.value / then - 1)
        assert change.verdict == (-1 if figure.value < then else 1)
    rates = [published.sum(completed, day) / published.sum(plays, day) for day in (LAST, LAST - YESTERDAY, LAST - WEEK)]
    rate = daily.figures["completion_rate"]
    assert [rate.value, *(change.before for change in rate.changes)] == pytest.approx(rates)
    assert rate.changes[0].difference == pytest.approx(rates[0] - rates[1])
    assert dict(figure.series()) == {
        day: published.sum(plays, day) for day in (LAST - YESTERDAY * number for number in range(28))
    }
    mrr = {row["date"]: Decimal(row["mrr"]) for row in published.rows["gold.rpt_mrr_daily"]}
    assert (daily.figures["mrr_daily"].value, daily.figures["mrr_daily"].changes[1].before) == (
        mrr[LAST],
        mrr[LAST - WEEK],
    )


def test_weekly_figures_are_of_the_last_whole_iso_week(published: Published, weekly: Report) -> None:
    assert (weekly.span.first, weekly.span.last) == (SUNDAY - 6 * YESTERDAY, SUNDAY)
    now = published.sum("activities_played", SUNDAY - 6 * YESTERDAY, SUNDAY)
    then = published.sum("activities_played", SUNDAY - 13 * YESTERDAY, SUNDAY - WEEK)
    (change,) = weekly.figures["plays"].changes
    assert (weekly.figures["plays"].value, change.before) == (now, then)
    mrr = {row["date"]: row["mrr"] for row in published.rows["gold.rpt_mrr_daily"]}
    assert weekly.figures["mrr_daily"].value == mrr[SUNDAY]


def test_metrics_by_month_show_the_last_complete_month(weekly: Report) -> None:
    nrr, churn = weekly.figures["trailing_net_retention"], weekly.figures["logo_churn_rate"]
    assert str(nrr.span) == str(churn.span) == "May 2026"
    assert (nrr.value, nrr.changes[0].before) == (pytest.approx(0.905), pytest.approx(0.904))
    assert (churn.value, churn.changes[0].before, churn.changes[0].verdict) == (pytest.approx(5 / 200), 4 / 200, -1)


def test_an_unusual_day_is_found_with_what_is_usual(published: Published, daily: Report) -> None:
    found = {item.metric.name: item for item in daily.unusual}
    assert {"plays"} == found.keys()
    assert (found["plays"].span.first, found["plays"].verdict) == (LAST, -1)
    saturdays = sorted(published.sum("activities_played", LAST - WEEK * number) for number in range(1, 9))
    assert found["plays"].usual.middle == (saturdays[3] + saturdays[4]) / 2
    assert found["plays"].usual.low > found["plays"].value


def test_an_ordinary_day_is_not_unusual(published: Published) -> None:
    report = published.report("daily", PUBLISHED - YESTERDAY)
    assert report.span.first == LAST - YESTERDAY
    assert report.unusual == []
    assert {course.metric.name for course in report.courses if LAST - YESTERDAY in course.usual} == set(report.figures)


def test_a_weekly_report_judges_the_days_of_its_week(published: Published) -> None:
    metric = published.metrics["plays"]
    week = Figure(metric, Span(LAST - 5 * YESTERDAY, Grain.WEEK), None, (), {})
    with published.releases.connect(1) as connection:
        found = courses(connection, published.metrics, {"plays": week}, Grain.WEEK)
    days = [item.span for course in found for item in course.unusual if item.span.grain == Grain.DAY]
    assert days == [Span(LAST, Grain.DAY)]


def test_the_dimension_that_moved_most_is_named_with_contributions_that_add_up(
    published: Published, daily: Report
) -> None:
    movement = daily.movements[0]
    assert (movement.metric.name, movement.dimension, movement.before.first) == ("plays", "country_code", LAST - WEEK)
    expected = {
        country: published.sum("activities_played", LAST, country_code=country)
        - published.sum("activities_played", LAST - WEEK, country_code=country)
        for country in ("fr", "de", MARKUP)
    }
    assert {effect.value: effect.effect for effect in movement.effects} == expected
    assert movement.effects[0].value == "fr"
    change = daily.figures["plays"].changes[-1].difference
    assert sum(effect.effect for effect in movement.effects) + movement.small.effect == change == movement.change


def test_groups_below_the_minimum_are_not_named(daily: Report, published: Published) -> None:
    """One alone would be given away by the total, so the next smallest is hidden with it."""
    named = [effect.value for movement in daily.movements for effect in movement.effects]
    assert not {"va", None} & set(named)
    assert daily.movements[0].hidden == 2
    all_named = published.report("daily", minimum_group=0).movements[0]
    assert {"va", None} <= {effect.value for effect in all_named.effects}
    assert all_named.hidden == 0


def test_a_single_small_value_is_joined_by_the_smallest_other_one() -> None:
    effects = [Effect(value, 0, 0, 0, 0, counts=counts) for value, counts in SIZES.items()]
    large, small = divided(effects, 5)
    assert [[item.value for item in part] for part in (large, small)] == [["big", "fell"], ["few", "next"]]
    large, small = divided(effects, 8)
    assert [[item.value for item in part] for part in (large, small)] == [["big", "next"], ["few", "fell"]]
    assert divided(effects, 0) == (effects, [])
    assert divided(effects[1:2], 5) == ([], effects[1:2])


def test_a_ratio_is_split_into_rate_and_mix(published: Published, daily: Report) -> None:
    movement = daily.movements[1]
    assert movement.metric.name == "completion_rate"
    before, now = LAST - WEEK, LAST

    def part(column: str, day: dt.date, value: str | None) -> int:
        return published.sum(column, day, **{movement.dimension: value})

    wholes = {day: published.sum("activities_played", day) for day in (before, now)}
    means = sum(published.sum("completed_plays", day) / wholes[day] for day in (before, now)) / 2
    for effect in movement.effects:
        shares = [part("activities_played", day, effect.value) / wholes[day] for day in (before, now)]
        rates = [
            part("completed_plays", day, effect.value) / part("activities_played", day, effect.value)
            for day in (before, now)
        ]
        assert (effect.before, effect.now) == pytest.approx(tuple(rates))
        assert effect.rate == pytest.approx(sum(shares) / 2 * (rates[1] - rates[0]))
        assert effect.mix == pytest.approx((shares[1] - shares[0]) * (sum(rates) / 2 - means))
    total = sum(effect.rate + effect.mix for effect in movement.effects) + movement.small.effect
    assert total == pytest.approx(daily.figures["completion_rate"].changes[-1].difference)


def test_no_complete_day_yet_is_refused(published: Published) -> None:
    with pytest.raises(ConfigError, match="release 1 has no complete day yet"):
        published.report("daily", dt.datetime.combine(FIRST, dt.time(5), dt.UTC))
    with pytest.raises(ConfigError, match="no complete week yet"):
        published.report("weekly", dt.datetime.combine(FIRST + 3 * YESTERDAY, dt.time(5), dt.UTC))


def test_history_too_short_to_judge_is_said(published: Published) -> None:
    report = published.report("daily", dt.datetime.combine(FIRST + 20 * YESTERDAY, dt.time(5), dt.UTC))
    assert report.figures["plays"].value == published.sum("activities_played", FIRST + 19 * YESTERDAY)
    assert report.unusual == []
    assert all(not course.usual for course in report.courses)


def test_a_section_of_longer_periods_is_not_late(published: Published) -> None:
    weekly = load_reports(PROJECT / "reports", published.metrics)["weekly"]
    months = Section(title="Months", metrics=("logo_churn_rate",))
    report = published.report(weekly.model_copy(update={"sections": (*weekly.sections, months)}))
    (fact,) = [item for item in report.health if item.name == "complete"]
    assert (fact.state, list(fact.values["sections"])) == (State.GOOD, ["Engagement", "Revenue"])
