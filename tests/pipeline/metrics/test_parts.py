"""What a page computes from parts equals what a query answers, for any range, filter and grain."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from ingest.errors import ConfigError
from pipeline.metrics.definition import Metric
from pipeline.metrics.filters import Filter, Operator
from pipeline.metrics.measure import Kind
from pipeline.metrics.parts import parts
from pipeline.metrics.period import Grain, last_of, start_of
from pipeline.metrics.query import Query, answer
from tests.pipeline.metrics.definitions import day, tables

Shop = dict[str, Metric]
COUNTRIES = ("fr", "de", "it's", 'a "quoted", <b>', "", None)
FIRST, DAYS = dt.date(2024, 1, 20), 500
DAILY = ("sales", "returns", "return_rate", "kept", "turnover", "web_sales", "web_share")
MONTHLY = ("balance", "customers", "balance_per_customer")


@pytest.fixture(scope="module")
def random_release() -> Iterator[duckdb.DuckDBPyConnection]:
    """Both tables with random rows: days and months without rows, unknown and odd countries."""
    chance = random.Random(5)
    with tables() as connection:
        connection.execute("TRUNCATE gold.sales_daily")
        connection.execute("TRUNCATE gold.balances_monthly")
        days = [FIRST + dt.timedelta(days=number) for number in range(DAYS)]
        sales = [
            (
                date,
                country,
                store,
                chance.randint(1, 50),
                chance.randint(0, 5),
                Decimal(chance.randint(-9, 999999)) / 10000,
                1,
            )
            for date, country, store in itertools.product(days, COUNTRIES, ("web", "shop"))
            if chance.random() < 0.03
        ]
        months = sorted({date.replace(day=1) for date in days})
        balances = [
            (month, country, plan, Decimal(chance.randint(1, 10**9)) / 10**6, chance.randint(0, 5))
            for month, country, plan in itertools.product(months, COUNTRIES, "ab")
            if chance.random() < 0.5
        ]
        connection.executemany("INSERT INTO gold.sales_daily VALUES (?, ?, ?, ?, ?, ?, ?)", sales)
        connection.executemany("INSERT INTO gold.balances_monthly VALUES (?, ?, ?, ?, ?)", balances)
        yield connection


def page(shop: Shop, name: str, rows: list[dict[str, Any]], last: dt.date | None) -> Any:
    """The value of a metric as a page computes it from rows of parts; `last` is the last period of the result."""
    metric = shop[name]
    if metric.kind == Kind.RATIO:
        numerator, denominator = (page(shop, part, rows, last) for part in metric.measure.ratio)
        return float(numerator) / float(denominator) if denominator else None
    if metric.kind == Kind.LAST:
        rows = [row for row in rows if row["period"] == last]
    return sum((row[name] for row in rows if row[name] is not None), Decimal(0))


def read(release: duckdb.DuckDBPyConnection, query: Any) -> list[dict[str, Any]]:
    cursor = release.execute(query.sql("duckdb"))
    names = [item[0] for item in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def is_equal(found: Any, expected: Any) -> bool:
    if isinstance(found, float) or isinstance(expected, float):
        return found == pytest.approx(expected)
    return bool(found == expected)


@limits(max_examples=25, deadline=None)
@given(data=st.data())
def test_sums_of_parts_equal_the_query(
    shop: Shop, random_release: duckdb.DuckDBPyConnection, data: st.DataObject
) -> None:
    """GIVEN whole periods from one to another, and any filter on one dimension or none."""
    name = data.draw(st.sampled_from([*DAILY, *MONTHLY]))
    metric = shop[name]
    grain = data.draw(st.sampled_from(metric.grains))
    dimension = data.draw(st.sampled_from([None, *metric.dimensions]))
    begins, length = data.draw(st.integers(0, DAYS - 1)), data.draw(st.integers(0, DAYS))
    since = start_of(FIRST + dt.timedelta(days=begins), grain)
    until = last_of(since + dt.timedelta(days=length), grain)
    rows = [
        row for row in read(random_release, parts(shop, [name], grain, dimension)) if since <= row["period"] <= until
    ]
    last = max((row["period"] for row in rows), default=None)
    where: tuple[Filter, ...] = ()
    if dimension:
        value = data.draw(st.sampled_from([None, *sorted({row["value"] for row in rows if row["value"] is not None})]))
        where = (Filter(dimension, Operator.IS_NULL) if value is None else Filter(dimension, Operator.EQ, (value,)),)
        rows = [row for row in rows if row["value"] == value]
    found = answer(random_release, shop, Query((name,), where=where, since=since, until=until))
    ((direct,),) = found.rows
    assert is_equal(direct if direct is not None else page(shop, name, [], None), page(shop, name, rows, last))
    by_period = answer(random_release, shop, Query((name,), (), grain, where, since, until, totals=False))
    for period, value in by_period.rows:
        own = [row for row in rows if row["period"] == period]
        assert is_equal(value if value is not None else page(shop, name, [], None), page(shop, name, own, period))


def test_parts_of_several_metrics_stand_side_by_side(release: duckdb.DuckDBPyConnection, shop: Shop) -> None:
    found = read(release, parts(shop, ["web_share", "return_rate"], "week", "country"))
    assert list(found[0]) == ["period", "value", "web_sales", "sales", "returns"]
    assert found[0] == {"period": day("2025-12-22"), "value": "fr", "web_sales": 4, "sales": 4, "returns": 1}
    assert [row["value"] for row in found] == ["fr", "de", "fr", None, "de", "fr", "it's", "fr"]


def test_parts_without_a_dimension_have_no_value(release: duckdb.DuckDBPyConnection, shop: Shop) -> None:
    found = read(release, parts(shop, ["balance"], Grain.YEAR))
    assert found == [
        {"period": day("2025-01-01"), "value": None, "balance": Decimal("11.000004")},
        {"period": day("2026-01-01"), "value": None, "balance": Decimal("21.000011")},
    ]


def test_values_are_text(release: duckdb.DuckDBPyConnection, shop: Shop) -> None:
    assert {row["value"] for row in read(release, parts(shop, ["invoices"], "day", "number"))} == {"1", "2", "10"}


@pytest.mark.parametrize(
    ("names", "grain", "dimension", "message"),
    [
        (
            ["sales", "balance"],
            "month",
            None,
            "sales is computed from gold.sales_daily, but balance from gold.balances",
        ),
        (["sales"], "day", "plan", "sales has no dimension 'plan'"),
        (["balance"], "day", None, "balance is not known by day"),
        (["fees"], "month", None, "fees cannot be summed over currency"),
        (["buyers"], "day", "country", "buyers cannot be summed over store"),
    ],
)
def test_parts_that_a_page_could_not_sum_are_refused(
    shop: Shop, names: list[str], grain: str, dimension: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parts(shop, names, grain, dimension)
