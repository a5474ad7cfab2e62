"""Comparison with the period before and with a year before, over ranges of every kind."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from pipeline.metrics.definition import Metric
from pipeline.metrics.period import Compare, Grain, add_months, last_of, start_of
from pipeline.metrics.query import Answer, Query, answer
from tests.pipeline.metrics.definitions import day

Shop = dict[str, Metric]
Release = duckdb.DuckDBPyConnection


def ask(release: Release, shop: Shop, *names: str, compare: Compare = Compare.PREVIOUS, **fields: Any) -> Answer:
    return answer(release, shop, Query(names, compare=compare, **fields))


def test_a_period_is_compared_with_the_one_before(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "sales", grain=Grain.WEEK, since=day("2026-01-05"), until=day("2026-01-18"))
    assert found.rows == [(day("2026-01-05"), 10, 9, 1, 1 / 9), (day("2026-01-12"), 8, 10, -2, -0.2)]


def test_a_total_is_compared_with_the_range_of_the_same_length_before(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "sales", grain=Grain.WEEK, since=day("2026-01-05"), until=day("2026-01-11"))
    assert found.totals == {"sales": 10, "sales_before": 9, "sales_difference": 1, "sales_change": 1 / 9}


def test_a_period_in_progress_is_compared_with_as_many_days(release: Release, shop: Shop) -> None:
    """The table ends on Wednesday 2026-01-14; of the week before, Monday to Wednesday count."""
    (*_, last) = ask(release, shop, "sales", grain=Grain.WEEK).rows
    assert last == (day("2026-01-12"), 8, 3 + 2 + 5, -2, -0.2)
    (*_, last) = ask(release, shop, "sales", grain=Grain.WEEK, until=day("2026-01-13")).rows
    assert last == (day("2026-01-12"), 0, 5, -5, -1.0)


def test_a_period_before_the_table_is_unknown_and_so_is_one_that_it_has_in_part(release: Release, shop: Shop) -> None:
    first, second, *_ = ask(release, shop, "sales", grain=Grain.WEEK).rows
    assert first == (day("2025-12-22"), 4, None, None, None)
    assert second == (day("2025-12-29"), 9, None, None, None), "the first week has its Sunday only"


def test_values_that_were_there_before_are_shown(release: Release, shop: Shop) -> None:
    found = ask(
        release, shop, "sales", by=("country",), grain=Grain.WEEK, since=day("2026-01-12"), until=day("2026-01-18")
    )
    assert found.rows == [
        (day("2026-01-12"), "de", 0, 5, -5, -1.0),
        (day("2026-01-12"), "fr", 8, 3, 5, 5 / 3),
        (day("2026-01-12"), "it's", 0, 2, -2, -1.0),
    ]


def test_nothing_before_has_a_difference_and_no_change(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "returns", grain=Grain.DAY, since=day("2025-12-31"), until=day("2025-12-31"))
    assert found.rows == [(day("2025-12-31"), 3, 0, 3, None)]


def test_ratios_are_compared_after_they_are_divided(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "return_rate", since=day("2026-01-05"), until=day("2026-01-11"))
    assert found.rows == [(3 / 10, 4 / 9, 3 / 10 - 4 / 9, (3 / 10 - 4 / 9) / (4 / 9))]


def test_balances_are_compared_with_the_last_date_of_the_period_before(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "balance", since=day("2025-11-01"), until=day("2026-01-31"))
    assert found.rows[0][:2] == (Decimal("21.000011"), Decimal("10.000001"))
    by_month = ask(release, shop, "customers", grain=Grain.MONTH)
    assert [row[:3] for row in by_month.rows] == [
        (day("2025-10-01"), 2, None),
        (day("2025-11-01"), 4, 2),
        (day("2025-12-01"), 2, 4),
        (day("2026-01-01"), 5, 2),
    ]


def test_an_open_end_of_a_monthly_table_is_the_end_of_its_last_month(release: Release, shop: Shop) -> None:
    """From November on there are three months, so three are compared with: August to October."""
    found = ask(release, shop, "customers", since=day("2025-12-01"))
    assert found.rows[0][:2] == (5, 4)


@pytest.fixture(scope="module")
def years() -> Release:
    """A sale on each day from 2023 to 2025: the day of the year, and the year as the price."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA gold")
    connection.execute(
        """CREATE TABLE gold.sales_daily AS SELECT CAST(d AS DATE) AS date, 'fr' AS country, 'web' AS store,
        CAST(DAYOFYEAR(d) AS BIGINT) AS sales, 0 AS returned
        FROM GENERATE_SERIES(DATE '2023-01-01', DATE '2025-12-31', INTERVAL 1 DAY) AS days(d)"""
    )
    return connection


def number(text: str) -> int:
    return day(text).timetuple().tm_yday


def summed(since: str, until: str) -> int:
    first, last = day(since), day(until)
    days = [first + dt.timedelta(days=count) for count in range((last - first).days + 1)]
    return sum(item.timetuple().tm_yday for item in days)


@pytest.mark.parametrize(
    ("since", "until", "compare", "before"),
    [
        ("2024-03-01", "2024-03-31", Compare.PREVIOUS, ("2024-02-01", "2024-02-29")),
        ("2024-03-01", "2024-04-30", Compare.PREVIOUS, ("2024-01-01", "2024-02-29")),
        ("2024-03-01", "2024-03-30", Compare.PREVIOUS, ("2024-01-31", "2024-02-29")),
        ("2024-03-10", "2024-03-16", Compare.PREVIOUS, ("2024-03-03", "2024-03-09")),
        ("2024-01-01", "2024-12-31", Compare.PREVIOUS, ("2023-01-01", "2023-12-31")),
        ("2024-02-01", "2024-02-29", Compare.YEAR, ("2023-02-01", "2023-02-28")),
        ("2025-02-01", "2025-02-28", Compare.YEAR, ("2024-02-01", "2024-02-29")),
        ("2024-03-04", "2024-03-10", Compare.YEAR, ("2023-03-06", "2023-03-12")),
    ],
)
def test_ranges_of_whole_months_are_moved_by_months_and_others_by_days(
    years: Release, shop: Shop, since: str, until: str, compare: Compare, before: tuple[str, str]
) -> None:
    found = ask(years, shop, "sales", compare=compare, since=day(since), until=day(until))
    assert found.rows[0][:2] == (summed(since, until), summed(*before))


@pytest.mark.parametrize(
    ("grain", "compare", "first", "before"),
    [
        (Grain.DAY, Compare.PREVIOUS, "2024-03-01", ("2024-02-29", "2024-02-29")),
        (Grain.DAY, Compare.YEAR, "2024-03-01", ("2023-03-03", "2023-03-03")),
        (Grain.WEEK, Compare.YEAR, "2024-03-04", ("2023-03-06", "2023-03-12")),
        (Grain.MONTH, Compare.PREVIOUS, "2024-03-01", ("2024-02-01", "2024-02-29")),
        (Grain.MONTH, Compare.YEAR, "2024-02-01", ("2023-02-01", "2023-02-28")),
        (Grain.MONTH, Compare.YEAR, "2025-02-01", ("2024-02-01", "2024-02-29")),
        (Grain.QUARTER, Compare.PREVIOUS, "2024-01-01", ("2023-10-01", "2023-12-31")),
        (Grain.QUARTER, Compare.YEAR, "2024-01-01", ("2023-01-01", "2023-03-31")),
        (Grain.YEAR, Compare.PREVIOUS, "2025-01-01", ("2024-01-01", "2024-12-31")),
    ],
)
def test_each_grain_is_moved_by_its_own_length(
    years: Release, shop: Shop, grain: Grain, compare: Compare, first: str, before: tuple[str, str]
) -> None:
    found = {row[0]: row[1:] for row in ask(years, shop, "sales", grain=grain, compare=compare).rows}
    assert found[day(first)][:2] == (summed(first, last_of(day(first), grain).isoformat()), summed(*before))
    assert len(found) == len({start_of(day("2023-01-01") + dt.timedelta(days=count), grain) for count in range(1096)})


def test_ranges_outside_of_the_table_have_nothing_to_compare(release: Release, shop: Shop) -> None:
    assert ask(release, shop, "sales", until=day("2020-01-01")).rows == [(None, None, None, None)]
    assert ask(release, shop, "sales", since=day("2030-01-01")).rows == [(None, None, None, None)]


@pytest.mark.parametrize(
    ("start", "months", "keep_end", "expected"),
    [
        ("2024-03-31", -1, False, "2024-02-29"),
        ("2024-02-29", -12, False, "2023-02-28"),
        ("2024-02-29", 1, False, "2024-03-29"),
        ("2024-02-29", 1, True, "2024-03-31"),
        ("2024-01-15", -1, True, "2023-12-15"),
    ],
)
def test_months_are_added(start: str, months: int, keep_end: bool, expected: str) -> None:
    assert add_months(day(start), months, keep_end) == day(expected)
