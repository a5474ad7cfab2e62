"""Numbers as people read them: from the page, for every period, filter and comparison, equal to query and SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from pipeline.metrics.definition import Metric, load_metrics
from pipeline.metrics.filters import Filter, Operator
from pipeline.metrics.period import Compare, Grain
from pipeline.metrics.query import answer
from pipeline.metrics.request import Query
from tests.pipeline.portal.conftest import Site
from tests.pipeline.portal.reading import Reader, reading
from tests.portal_release import FIRST, HOSTILE, LAST

DAY = dt.timedelta(days=1)
NOTHING = "\N{EN DASH}"
PERIODS = {
    "7d": (LAST - 6 * DAY, LAST),
    "28d": (LAST - 27 * DAY, LAST),
    "90d": (LAST - 89 * DAY, LAST),
    "12m": (dt.date(2025, 11, 1), LAST),
    "all": (FIRST, LAST),
    "custom": (dt.date(2024, 2, 27), dt.date(2024, 6, 3)),
}
FILTERS: dict[str, tuple[dict[str, str], str, Filter | None]] = {
    "everything": ({}, "TRUE", None),
    "country": (
        {"by": "country_code", "is_": "in"},
        "country_code = 'in'",
        Filter("country_code", Operator.EQ, ("in",)),
    ),
    "unknown": (
        {"by": "country_code", "unknown": "1"},
        "country_code IS NULL",
        Filter("country_code", Operator.IS_NULL),
    ),
    "hostile": (
        {"by": "country_code", "is_": HOSTILE},
        f"country_code = '{HOSTILE}'",
        Filter("country_code", Operator.EQ, (HOSTILE,)),
    ),
    "device": ({"by": "device", "is_": "tablet"}, "device = 'tablet'", Filter("device", Operator.EQ, ("tablet",))),
}
SQL = {
    "Plays": "SUM(plays)",
    "Finish rate": "SUM(finished)::DOUBLE / NULLIF(SUM(plays), 0)",
    "Time spent": "SUM(seconds)",
}
NAMES = {"Plays": "plays", "Finish rate": "finish_rate", "Time spent": "time_spent"}


@pytest.fixture(scope="module")
def page(browser: Any, site: Site) -> Iterator[Reader]:
    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open("use")
        yield reader
        assert reader.trouble == []


@pytest.fixture(scope="module")
def release(site: Site) -> Iterator[duckdb.DuckDBPyConnection]:
    with site.published.connect(1) as connection:
        yield connection


@pytest.fixture(scope="module")
def metrics(site: Site) -> dict[str, Metric]:
    return load_metrics(site.sources.metrics)


def _state(period: str) -> dict[str, str]:
    since, until = PERIODS[period]
    return {"from": str(since), "to": str(until)} if period == "custom" else {"period": period}


@pytest.mark.parametrize("chosen", FILTERS)
@pytest.mark.parametrize("period", PERIODS)
def test_numbers_equal_query_and_sql(
    page: Reader, release: duckdb.DuckDBPyConnection, metrics: dict[str, Metric], period: str, chosen: str
) -> None:
    parameters, where, filtered = FILTERS[chosen]
    since, until = PERIODS[period]
    page.go("use", **_state(period), **parameters)
    query = Query(tuple(NAMES.values()), where=(filtered,) if filtered else (), since=since, until=until)
    answered = answer(release, metrics, query).rows[0]
    for (title, sql), value in zip(SQL.items(), answered, strict=True):
        ((expected,),) = release.execute(
            f"SELECT {sql} FROM gold.plays_daily WHERE date BETWEEN '{since}' AND '{until}' AND {where}"
        ).fetchall()
        assert page.number(title) == pytest.approx(float(expected), rel=1e-9), title
        assert float(value) == pytest.approx(float(expected), rel=1e-9), title


@pytest.mark.parametrize("compare", list(Compare))
@pytest.mark.parametrize("period", ["7d", "28d", "90d", "12m", "custom"])
def test_comparisons_equal_the_query(
    page: Reader, release: duckdb.DuckDBPyConnection, metrics: dict[str, Metric], period: str, compare: Compare
) -> None:
    since, until = PERIODS[period]
    page.go("use", **_state(period), compare=compare.value)
    (row,) = answer(release, metrics, Query(("plays",), since=since, until=until, compare=compare)).rows
    value, before, _, change = row
    shown = page.tile("Plays").locator(".change").inner_text()
    if before is None:
        assert shown == "no earlier data"
        return
    assert f"from {int(before):,}" in shown
    assert f"{abs(change) * 100:.1f}".rstrip("0").rstrip(".") + "%" in shown
    assert page.number("Plays") == value
    assert ("▲" if change > 0 else "▼") in shown


def test_period_before_that_begins_before_the_data_stands_at_its_own_days(
    page: Reader, release: duckdb.DuckDBPyConnection, metrics: dict[str, Metric]
) -> None:
    since, until = FIRST + 5 * DAY, FIRST + 14 * DAY
    page.go("use", **{"from": str(since), "to": str(until)}, compare="previous")
    rows = answer(release, metrics, Query(("plays",), grain=Grain.DAY, since=FIRST, until=until)).rows
    plays = {day: float(value) for day, value in rows}
    days = [since + number * DAY for number in range(10)]
    found = page.table("Plays over time")
    assert [row[1] for row in found] == [plays[day] for day in days]
    assert [row[2] for row in found] == [plays.get(day - 10 * DAY, NOTHING) for day in days]
    assert [row[2] for row in found][:5] == [NOTHING] * 5


@pytest.mark.parametrize("period", ["28d", "90d", "12m", "all"])
def test_tables_behind_charts_equal_the_query(
    page: Reader, release: duckdb.DuckDBPyConnection, metrics: dict[str, Metric], period: str
) -> None:
    since, until = PERIODS[period]
    grain = {"28d": Grain.DAY, "90d": Grain.WEEK}.get(period, Grain.MONTH)
    page.go("use", **_state(period), compare="none")
    rows = answer(release, metrics, Query(("plays",), grain=grain, since=since, until=until)).rows
    assert [row[1] for row in page.table("Plays over time")] == [float(value) for _, value in rows]
    by = answer(release, metrics, Query(("plays",), ("device",), grain, since=since, until=until)).rows
    stacked = page.table("Devices")
    phones = [float(value) for _, device, value in by if device == "phone"]
    assert [row[1] for row in stacked] == phones
    countries = answer(release, metrics, Query(("plays", "finish_rate"), ("country_code",), since=since, until=until))
    shown = {"de": "Germany", "fr": "France", "in": "India", None: "unknown", "": "(empty)"}
    expected = {shown.get(name, name): (float(plays), rate) for name, plays, rate in countries.rows}
    found = page.table("Countries")
    assert {row[0]: (row[1], pytest.approx(row[2])) for row in found} == expected
    assert [row[0] for row in found][-1] == "unknown"


def test_a_tile_that_cannot_follow_a_filter_says_why(page: Reader) -> None:
    page.go("use", period="28d", by="country_code", is_="in")
    assert page.tile("Devices").locator(".unfollowed").inner_text() == (
        "Shows all: it is divided by Device, and cannot be filtered by Country too."
    )
    assert page.tile("Active by day").locator(".unfollowed").inner_text() == (
        "Shows all: Active users is not divided by Country."
    )
    assert not page.tile("Plays over time").locator(".unfollowed").count()
    page.go("money", period="12m")
    assert page.tile("Fees").locator(".empty").inner_text() == (
        "Fees of different values of Currency cannot be added: choose one."
    )


def test_balances_are_those_of_the_last_period(
    page: Reader, release: duckdb.DuckDBPyConnection, metrics: dict[str, Metric]
) -> None:
    for parameters, where in (({}, "TRUE"), ({"by": "plan", "is_": "basic"}, "plan = 'basic'")):
        page.go("money", period="12m", **parameters)
        ((closing, opening),) = release.execute(
            "SELECT SUM(closing) FILTER (month_date = '2026-10-01'), SUM(closing) FILTER (month_date = '2025-10-01') "
            f"FROM gold.mrr_monthly WHERE {where}"
        ).fetchall()
        assert page.number("MRR") == float(closing)
        steps = {row[0]: row[1] for row in page.table("What moved MRR")}
        assert (steps["Opening"], steps["Closing"]) == (float(opening), float(closing))
    page.go("money", period="12m", by="plan", is_="old")
    assert page.number("MRR") == 0, "a plan that has ended has no balance"
    value = answer(
        release,
        metrics,
        Query(("mrr",), where=(Filter("plan", Operator.EQ, ("old",)),), since=PERIODS["12m"][0], until=LAST),
    ).rows
    assert value == [(Decimal(0),)]


def test_months_of_a_short_period_are_whole(page: Reader, release: duckdb.DuckDBPyConnection) -> None:
    page.go("money", period="28d")
    steps = dict(page.table("What moved MRR"))
    ((new,),) = release.execute("SELECT SUM(new) FROM gold.mrr_monthly WHERE month_date = '2026-10-01'").fetchall()
    assert steps["New"] == float(new)
    assert "Oct 2026" in page.tile("What moved MRR").locator(".caption").inner_text()


def test_the_year_that_leads_to_a_month_is_loaded(browser: Any, site: Site, release: duckdb.DuckDBPyConnection) -> None:
    """The sparkline of one month shows twelve months before it, which lie in a year that the period does not need."""
    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open("money", **{"from": "2024-12-01", "to": "2024-12-31"}, compare="none")
        (path,) = (
            reader.tile("MRR").locator(".spark path").evaluate_all("(all) => all.map((one) => one.getAttribute('d'))")
        )
        ((months,),) = release.execute(
            "SELECT COUNT(DISTINCT month_date) FROM gold.mrr_monthly "
            "WHERE month_date BETWEEN '2023-12-01' AND '2024-12-01'"
        ).fetchall()
        assert (path.count("M"), path.count("L")) == (1, months - 1), "one line through all of them"
        assert reader.trouble == []


def test_numbers_do_not_depend_on_what_was_opened_before(browser: Any, page: Reader, site: Site) -> None:
    parameters = {"from": "2024-01-05", "to": "2024-01-09"}
    page.go("money", period="all")
    page.go("money", **parameters, compare="year")
    with reading(browser, site.folder.as_uri() + "/") as fresh:
        fresh.open("money", **parameters, compare="year")
        for title in ("What moved MRR", "Cohorts", "Fees by currency"):
            assert fresh.table(title) == page.table(title), title
        assert fresh.number("MRR") == page.number("MRR")
        spark = "(one) => one.outerHTML"
        assert fresh.tile("MRR").locator(".spark").evaluate(spark) == page.tile("MRR").locator(".spark").evaluate(spark)


def test_cohorts_are_a_triangle(page: Reader) -> None:
    page.go("money", period="12m")
    rows = page.table("Cohorts")
    assert [row[0] for row in rows][:1] == ["Nov 2025"]
    assert rows[0][1:] == [pytest.approx(1 - number / 20) for number in range(12)]
    assert rows[-1][1:] == [1.0, *[NOTHING] * 11]


def test_stored_tables_and_hostile_values_are_text(page: Reader) -> None:
    page.go("money")
    assert page.table("Themes") == [
        [HOSTILE, 3.0, 0.5, "31 Oct 2026, 04:05 UTC", "yes"],
        ["=1+1", 2.0, NOTHING, NOTHING, "no"],
    ]
    assert page.tab.locator("img").count() == 0
