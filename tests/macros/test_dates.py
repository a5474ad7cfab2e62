"""The shop's days, hours and weeks: by the clock of a time zone and by the first day of its week."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from sqlglot import parse_one
from sqlmesh import Context
from sqlmesh.core.macros import MacroEvaluator, normalize_macro_name


def rendered(project: Context, expression: str, **variables: Any) -> str:
    """An expression over the column `t.x` with variables, as DuckDB gets it."""
    evaluator = MacroEvaluator(dialect="duckdb")
    evaluator.locals.update(__sqlmesh__vars__=variables)
    evaluator.macros.update({normalize_macro_name(name): item.func for name, item in project._macros.items()})
    return str(evaluator.transform(parse_one(f"SELECT {expression} FROM t", dialect="duckdb")).sql("duckdb"))


def values(project: Context, expression: str, column: list[Any], **variables: Any) -> list[Any]:
    query = rendered(project, expression, **variables)
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")  # that of the session is no matter
        return [
            row[0] for row in connection.execute(f"WITH t AS (SELECT UNNEST($1) AS x) {query}", [column]).fetchall()
        ]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"])
def test_business_time_is_that_of_the_clock_on_the_wall(project: Context, zone: str) -> None:
    moments = [dt.datetime(2025, 12, 31) + dt.timedelta(minutes=17 * number) for number in range(31_500)]
    found = values(project, "@BUSINESS_TIME(t.x)", moments, reporting_timezone=zone)
    local = [moment.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in moments]
    assert found == local


@pytest.mark.parametrize(
    ("zone", "date", "hours", "missing", "twice"),
    [
        ("America/New_York", dt.date(2026, 3, 8), 23, {2}, set()),
        ("America/New_York", dt.date(2026, 11, 1), 25, set(), {1}),
        ("Europe/Berlin", dt.date(2026, 3, 29), 23, {2}, set()),
        ("Europe/Berlin", dt.date(2026, 10, 25), 25, set(), {2}),
        ("Europe/Berlin", dt.date(2026, 6, 1), 24, set(), set()),
    ],
)
def test_days_on_which_clocks_change_have_23_or_25_hours(
    project: Context, zone: str, date: dt.date, hours: int, missing: set[int], twice: set[int]
) -> None:
    start = dt.datetime.combine(date, dt.time()) - dt.timedelta(days=1)
    moments = [start + dt.timedelta(hours=number) for number in range(72)]
    found = values(project, "@BUSINESS_TIME(t.x)", moments, reporting_timezone=zone)
    counts = Counter(local.hour for local in found if local.date() == date)
    assert sum(counts.values()) == hours
    assert set(range(24)) - set(counts) == missing
    assert {hour for hour, count in counts.items() if count == 2} == twice


def test_time_without_a_value_is_null_and_an_unknown_zone_is_named(project: Context) -> None:
    assert values(project, "@BUSINESS_TIME(t.x::TIMESTAMP)", [None], reporting_timezone="Europe/Berlin") == [None]
    with pytest.raises(Exception, match="reporting_timezone: expected a name such as Europe/Berlin, found Mars"):
        rendered(project, "@BUSINESS_TIME(t.x)", reporting_timezone="Mars")


@pytest.mark.parametrize("first", range(1, 8))
def test_business_weeks_begin_on_the_first_day(project: Context, first: int) -> None:
    days = [dt.date(2025, 12, 20) + dt.timedelta(days=number) for number in range(40)]
    found = values(project, "@BUSINESS_WEEK(t.x)", days, first_day_of_week=first)
    for day, week in zip(days, found, strict=True):
        assert week.isoweekday() == first
        assert dt.timedelta(0) <= day - week < dt.timedelta(days=7)


@pytest.mark.parametrize("first", [0, 8, "Monday"])
def test_another_first_day_is_refused(project: Context, first: Any) -> None:
    with pytest.raises(Exception, match="first_day_of_week: expected 1 for Monday to 7 for Sunday, found"):
        rendered(project, "@BUSINESS_WEEK(t.x)", first_day_of_week=first)
