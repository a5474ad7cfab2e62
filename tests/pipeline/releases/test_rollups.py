"""Rollups as files: which views qualify, that their rows equal the view's, and what is rewritten."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from pathlib import Path

import pytest
from sqlmesh import Context

from ingest.settings import read_settings
from pipeline.releases.audits import EVERYTHING
from pipeline.releases.export import describe_table
from pipeline.releases.release import Release, ReleaseTable
from pipeline.releases.rollups import Rollup, rollup
from tests.gold_states import GoldStates, Table

PERIODS = ("WEEK", "MONTH", "QUARTER", "YEAR")
COLUMNS = {"date": "DATE", "country": "TEXT", "plays": "BIGINT", "seconds": "DOUBLE"}
FIRST, DAYS = dt.date(2023, 11, 20), 500
"""Two ends of a year, a leap day, and weeks across both."""


def summed(period: str, rest: str = "") -> str:
    """A view by period, as models write it."""
    start = f"CAST(DATE_TRUNC('{period}', daily.date) AS DATE)"
    return (
        f"SELECT {start} AS started_on, daily.country AS country, SUM(daily.plays)::BIGINT AS plays, "
        f"COUNT(DISTINCT daily.date)::BIGINT AS days, SUM(daily.seconds) AS seconds FROM gold.daily AS daily {rest} "
        f"GROUP BY {start}, daily.country"
    )


def view(query: str) -> ReleaseTable:
    return ReleaseTable("gold.view", "1", "", (), query=query)


TABLES = {
    "gold.daily": ReleaseTable("gold.daily", "1", "", (), time_column="date"),
    "gold.whole": ReleaseTable("gold.whole", "1", "", ()),
    "gold.seen": view("SELECT * FROM gold.daily"),
}


@pytest.mark.parametrize("period", PERIODS)
def test_a_sum_by_period_is_a_rollup(period: str) -> None:
    assert rollup(view(summed(period)), TABLES) == Rollup("started_on", "gold.daily", period)
    assert rollup(view(summed(period, "WHERE daily.country <> 'x'")), TABLES) is not None


@pytest.mark.parametrize(
    "query",
    [
        summed("DAY"),
        summed("DECADE"),
        summed("MONTH").replace("gold.daily", "gold.whole"),
        summed("MONTH").replace("gold.daily", "gold.seen"),
        summed("MONTH").replace("gold.daily", "gold.unknown"),
        summed("MONTH").replace("daily.date)", "daily.other)"),
        summed("MONTH").replace("CAST(DATE_TRUNC('MONTH', daily.date) AS DATE)", "DATE_TRUNC('MONTH', daily.date)"),
        summed("MONTH", "WHERE daily.date > CURRENT_DATE - 30"),
        summed("MONTH", "JOIN gold.whole AS whole ON whole.country = daily.country"),
        summed("MONTH", "WHERE daily.plays > (SELECT AVG(plays) FROM gold.daily)"),
        summed("MONTH") + " LIMIT 3",
        summed("MONTH").replace("SUM(daily.seconds)", "SUM(SUM(daily.seconds)) OVER ()"),
        summed("MONTH").replace("GROUP BY", "GROUP BY CUBE (") + ")",
        f"WITH found AS ({summed('MONTH')}) SELECT * FROM found",
        f"{summed('MONTH')} UNION ALL {summed('MONTH')}",
        "SELECT CAST(DATE_TRUNC('MONTH', daily.date) AS DATE) AS started_on, daily.plays FROM gold.daily AS daily",
        "SELECT daily.country, SUM(daily.plays) AS plays FROM gold.daily AS daily GROUP BY daily.country",
    ],
)
def test_what_depends_on_more_than_its_period_is_no_rollup(query: str) -> None:
    assert rollup(view(query), TABLES) is None


def daily(days: dict[dt.date, int]) -> Table:
    """A dated table, one file per month: two countries a day, with the given plays."""
    parts: dict[str, list[str]] = {}
    for day, plays in sorted(days.items()):
        for number, country in enumerate(("'fr'", "NULL")):
            rows = parts.setdefault(f"{day:%Y-%m}", [])
            rows.append(f"(DATE '{day}', {country}, {plays + number}, {plays} / 7)")
    queries = {
        part: f"SELECT * FROM (VALUES {', '.join(rows)}) AS t({', '.join(COLUMNS)})" for part, rows in parts.items()
    }
    return Table(COLUMNS, queries, grain=("date", "country"), time_column="date", not_null=("date", "plays"))


def rolled(period: str) -> Table:
    kinds = {"started_on": "DATE", "country": "TEXT", "plays": "BIGINT", "days": "BIGINT", "seconds": "DOUBLE"}
    return Table(kinds, query=summed(period), grain=("started_on", "country"), not_null=("started_on", "plays"))


def keys(state: Release, period: str) -> dict[str, str]:
    return {file.part: file.key for file in state.tables[f"gold.by_{period.lower()}"].files}


def publish(gold: GoldStates, days: dict[dt.date, int], **others: Table) -> Release:
    return gold.publish(daily=daily(days), **{f"by_{period.lower()}": rolled(period) for period in PERIODS}, **others)


def begin(period: str, day: dt.date) -> dt.date:
    """The first day of its period, found by going back day by day."""
    while not (
        day.weekday() == 0
        if period == "WEEK"
        else day.day == 1 and (day.month - 1) % {"M": 1, "Q": 3, "Y": 12}[period[0]] == 0
    ):
        day -= dt.timedelta(days=1)
    return day


@pytest.mark.parametrize("seed", range(3))
def test_rows_equal_the_view_and_only_affected_parts_are_written(seed: int, clean_settings: Path) -> None:
    dice = random.Random(seed)
    gold = GoldStates(read_settings(), rolls_up=True)
    all_days = [FIRST + dt.timedelta(days=number) for number in range(DAYS)]
    days = {day: dice.randint(1, 99) for day in dice.sample(all_days, 60)}
    before = publish(gold, days)
    for _ in range(5):
        changed = dice.sample(all_days, dice.randint(0, 3))
        for day in changed:
            if day in days and dice.random() < 0.4:
                del days[day]
            else:
                days[day] = dice.randint(100, 199)
        after = publish(gold, days)
        for period in PERIODS:
            assert after.tables[f"gold.by_{period.lower()}"].query == ""
            exact = "SELECT * REPLACE (ROUND(seconds, 9) AS seconds) FROM {} ORDER BY ALL"
            rows = gold.rows(exact.format(f"gold.by_{period.lower()}"))
            assert rows == gold.rows(exact.format(f"({summed(period)})"))
            # a changed day rewrites its month's file, and with it all periods of that month's days
            months = {f"{day:%Y-%m}" for day in changed}
            touched = {f"{begin(period, day):%Y-%m}" for day in all_days if f"{day:%Y-%m}" in months}
            old, new = keys(before, period), keys(after, period)
            assert {part for part, key in new.items() if old.get(part) == key} == old.keys() & new.keys() - touched
            assert set(new) == {f"{begin(period, day):%Y-%m}" for day in days}
        before = after


@pytest.mark.parametrize("name", ["weekly", "monthly", "yearly"])
def test_rollups_of_the_project_are_audited_by_their_groups_and_against_the_days(project: Context, name: str) -> None:
    """A run checks the groups of all periods, late data included; the pass over everything sums them all."""
    model = project.get_model(f"gold.activity_engagement_metrics_{name}", raise_if_missing=True)
    groups = {f"{name.removesuffix('ly')}_date", "subscription_status"}
    ((audit, arguments),) = model.audits_with_args
    assert (audit.name, "condition" in arguments) == ("not_null", False)
    described = describe_table(model.fqn, "1", model, {"gold.activity_engagement_metrics"})
    assert set(described.not_null) == groups
    total = project.standalone_audits["assert_rollups_add_up"]
    assert total.defaults["scope"].name == EVERYTHING
    assert model.fqn in total.depends_on


def test_another_query_or_version_is_rewritten_completely(clean_settings: Path) -> None:
    gold = GoldStates(read_settings(), rolls_up=True)
    days = {dt.date(2024, month, 10): month for month in range(1, 7)}
    monthly = rolled("MONTH")
    first = gold.publish(daily=daily(days), by_month=monthly)
    assert keys(gold.publish(daily=daily(days), by_month=replace(monthly, description="Told anew.")), "MONTH") == keys(
        first, "MONTH"
    )
    filtered = replace(monthly, query=summed("MONTH", "WHERE daily.plays > 3"))
    for changed, rows in ((replace(monthly, version="2"), 12), (filtered, 7)):
        state = gold.publish(daily=daily(days), by_month=changed)
        assert not set(keys(state, "MONTH").values()) & set(keys(first, "MONTH").values())
        assert gold.rows("SELECT COUNT(*) FROM gold.by_month") == [(rows,)]


def test_a_view_that_becomes_a_rollup_and_one_without_remaining_days(clean_settings: Path) -> None:
    gold = GoldStates(read_settings())
    publish(gold, {dt.date(2024, 2, 29): 5})
    gold = GoldStates(read_settings(), rolls_up=True)
    days = {dt.date(2024, 2, 29): 5, dt.date(2024, 3, 1): 1}
    assert set(keys(publish(gold, days), "WEEK")) == {"2024-02"}
    assert gold.rows("SELECT started_on, SUM(days) FROM gold.by_week GROUP BY 1") == [(dt.date(2024, 2, 26), 4)]
    empty = publish(gold, {})
    assert not any(keys(empty, period) for period in PERIODS)
    assert gold.rows("FROM gold.by_week") == []
