"""Queries of metrics: what is summed, what is 0 and what is unknown, joins, filters, and what is refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from ingest.errors import ConfigError
from pipeline.metrics.definition import Metric
from pipeline.metrics.filters import Filter, Operator, parse_filter
from pipeline.metrics.period import Compare, Grain
from pipeline.metrics.query import Answer, Query, answer, compile_query
from tests.pipeline.metrics.definitions import day

Shop = dict[str, Metric]
Release = duckdb.DuckDBPyConnection


def ask(release: Release, shop: Shop, *names: str, where: tuple[str, ...] = (), **fields: Any) -> Answer:
    return answer(release, shop, Query(names, where=tuple(map(parse_filter, where)), **fields))


def test_a_sum_is_0_in_periods_without_rows_and_has_no_row_outside_of_its_table(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "sales", grain=Grain.WEEK)
    assert found.rows == [
        (day("2025-12-22"), 4),
        (day("2025-12-29"), 9),
        (day("2026-01-05"), 10),
        (day("2026-01-12"), 8),
    ]
    days = dict(ask(release, shop, "sales", grain=Grain.DAY, since=day("2026-01-01"), until=day("2026-02-01")).rows)
    assert (min(days), max(days)) == (day("2026-01-01"), day("2026-01-14"))
    assert days[day("2026-01-03")] == 0
    assert sum(days.values()) == 19


def test_a_range_without_rows_is_0_inside_of_the_table_and_unknown_outside(release: Release, shop: Shop) -> None:
    inside, outside = (day("2026-01-08"), day("2026-01-13")), (day("2027-01-01"), day("2027-12-31"))
    assert ask(release, shop, "sales", "return_rate", since=inside[0], until=inside[1]).rows == [(0, None)]
    assert ask(release, shop, "sales", since=outside[0], until=outside[1]).rows == [(None,)]


@pytest.mark.parametrize(
    ("grain", "first", "sales"),
    [
        (Grain.DAY, "2025-12-29", 2),
        (Grain.WEEK, "2025-12-29", 9),
        (Grain.MONTH, "2025-12-01", 12),
        (Grain.QUARTER, "2025-10-01", 12),
        (Grain.YEAR, "2025-01-01", 12),
    ],
)
def test_a_period_is_named_by_its_first_day(release: Release, shop: Shop, grain: Grain, first: str, sales: int) -> None:
    assert dict(ask(release, shop, "sales", grain=grain).rows)[day(first)] == sales


def test_ends_of_a_range_are_inclusive(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "sales", since=day("2025-12-29"), until=day("2026-01-05"))
    assert found.rows == [(2 + 6 + 1 + 3 + 2,)]


def test_the_total_of_a_ratio_is_divided_from_the_sums_of_its_parts(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "return_rate", by=("country",))
    assert dict(found.rows) == {"de": 5 / 11, "fr": 3 / 17, "it's": 1 / 2, None: 1.0}
    assert found.totals == {"return_rate": 10 / 31}


def test_amounts_stay_exact_decimals(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "turnover", by=("store",))
    assert found.rows == [("shop", Decimal("90.8000")), ("web", Decimal("222.8000"))]
    assert found.totals == {"turnover": Decimal("313.6000")}


def test_a_balance_has_the_value_of_the_last_date_of_a_longer_period(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "balance", "customers", "balance_per_customer", grain=Grain.QUARTER)
    assert found.rows == [
        (day("2025-10-01"), Decimal("11.000004"), 2, 11.000004 / 2),
        (day("2026-01-01"), Decimal("21.000011"), 5, 21.000011 / 5),
    ]
    assert found.totals == {"balance": Decimal("21.000011"), "customers": 5, "balance_per_customer": 21.000011 / 5}


def test_who_left_before_the_last_date_is_0_and_not_the_balance_then(release: Release, shop: Shop) -> None:
    by_country = ask(release, shop, "balance", by=("country",), grain=Grain.QUARTER).rows
    assert (day("2025-10-01"), "de", Decimal(0)) in by_country
    filtered = ask(release, shop, "balance", where=("country=de",), grain=Grain.MONTH).rows
    assert filtered == [
        (day("2025-10-01"), Decimal(0)),
        (day("2025-11-01"), Decimal("5.000003")),
        (day("2025-12-01"), Decimal(0)),
        (day("2026-01-01"), Decimal(0)),
    ]


def test_a_balance_until_a_date_is_that_of_the_last_date_before(release: Release, shop: Shop) -> None:
    assert ask(release, shop, "balance", until=day("2025-11-30")).rows == [(Decimal("17.000005"),)]


def test_metrics_of_several_tables_are_joined_on_period_and_dimension(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "sales", "customers", by=("country",), grain=Grain.MONTH, since=day("2025-11-01"))
    assert found.rows == [
        (day("2025-11-01"), "de", None, 1),
        (day("2025-11-01"), "fr", None, 3),
        (day("2025-12-01"), "de", 6, 0),
        (day("2025-12-01"), "fr", 6, 2),
        (day("2026-01-01"), "de", 5, 0),
        (day("2026-01-01"), "fr", 11, 4),
        (day("2026-01-01"), "it's", 2, 0),
        (day("2026-01-01"), None, 1, 1),
    ]
    assert found.totals == {"sales": 31, "customers": 5}


def test_a_ratio_may_have_parts_of_several_conditions(release: Release, shop: Shop) -> None:
    assert ask(release, shop, "web_share").rows == [(22 / 31,)]


def test_a_count_counts_rows(release: Release, shop: Shop) -> None:
    assert ask(release, shop, "invoices", by=("country",)).rows == [("fr", 1), ("us", 2)]


@pytest.mark.parametrize(
    ("where", "sales"),
    [
        ("country=fr", 17),
        ("country = it's", 2),
        ("country='it''s'", 2),
        ("country!=fr", 14),
        ("country in (fr, 'it''s')", 19),
        ("country not in (fr, de)", 3),
        ("country is null", 1),
        ("country is not null", 30),
        ("country>=fr", 19),
        ("country<fr", 11),
        ("country=' OR 1=1 --", 0),
        ("country='; DROP TABLE gold.sales_daily; --", 0),
        ('country="fr"', 17),
    ],
)
def test_a_filter_is_a_literal(release: Release, shop: Shop, where: str, sales: int) -> None:
    assert ask(release, shop, "sales", where=(where,)).rows == [(sales,)]


def test_values_of_a_filter_have_the_type_of_the_column(release: Release, shop: Shop) -> None:
    assert ask(release, shop, "invoices", where=("number>=2",)).rows == [(2,)]
    assert ask(release, shop, "invoices", where=("number in (2, 10)",)).rows == [(2,)]
    with pytest.raises(ConfigError, match="number = two: 'two' is no INTEGER"):
        ask(release, shop, "invoices", where=("number=two",))


def test_filters_all_hold(release: Release, shop: Shop) -> None:
    assert ask(release, shop, "sales", where=("country=fr", "store=web")).rows == [(14,)]


def test_a_stored_value_is_shown_at_its_grain_and_has_no_total(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "buyers", "sales", by=("country", "store"), grain=Grain.DAY, until=day("2025-12-29"))
    assert found.rows == [(day("2025-12-28"), "fr", "web", 3, 4), (day("2025-12-29"), "fr", "web", 2, 2)]
    assert found.totals == {"sales": 6}
    assert found.refused == {"buyers": "is stored per day and cannot be summed over time; group it by day"}


def test_a_currency_is_never_summed_over(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "fees", by=("currency",), grain=Grain.MONTH)
    assert found.rows == [
        (day("2025-12-01"), "eur", Decimal("1.5")),
        (day("2025-12-01"), "jpy", Decimal(150)),
        (day("2026-02-01"), "eur", Decimal("2.5")),
    ]
    assert found.totals == {}
    assert found.refused == {"fees": "cannot be summed over currency; group by it or fix it to one value"}
    fixed = ask(release, shop, "fees", where=("currency=eur",), grain=Grain.MONTH)
    assert [row[1] for row in fixed.rows] == [Decimal("1.5"), None, Decimal("2.5")]
    assert fixed.totals == {"fees": Decimal(4)}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query(("sals",)), "there is no metric 'sals'; did you mean sales"),
        (Query(("orders",)), "there is no metric 'orders'; did you mean sales?"),
        (Query(("xyz",)), "there is no metric 'xyz'; `lake metrics list` shows them"),
        (Query(()), "no metric is named"),
        (Query(("sales",), ("plan",)), "sales has no dimension 'plan'; it has country, store"),
        (Query(("sales",), where=(parse_filter("plan=a"),)), "sales has no dimension 'plan'; it has country, store"),
        (Query(("balance",), grain=Grain.WEEK), "balance is not known by week; it is by month, quarter, year"),
        (Query(("buyers",), ("country", "store")), "buyers is stored per day and cannot be summed over time"),
        (Query(("buyers",), ("country",), Grain.DAY), "buyers cannot be summed over store; group by it or fix it"),
        (Query(("fees",)), "fees cannot be summed over currency; group by it or fix it to one value"),
        (
            Query(("fees",), where=(parse_filter("currency in (eur, jpy)"),)),
            "fees cannot be summed over currency; group by it or fix it to one value",
        ),
        (Query(("invoices", "sales"), ("country",)), "country is 'Country of the customer' of invoices, but 'Country'"),
        (Query(("sales",), since=day("2026-02-01"), until=day("2026-01-01")), "since 2026-02-01 is after until"),
        (Query(("sales",), compare=Compare.YEAR), "a comparison needs a grain, or since and until"),
    ],
)
def test_what_has_no_correct_answer_is_refused_with_the_reason(shop: Shop, query: Query, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        compile_query(shop, query)
    assert message in str(error.value)


def test_a_release_without_the_table_is_named(shop: Shop) -> None:
    with duckdb.connect() as empty, pytest.raises(ConfigError, match="sales cannot be computed from this release"):
        answer(empty, shop, Query(("sales",)))


def test_columns_say_what_they_are(release: Release, shop: Shop) -> None:
    found = ask(release, shop, "turnover", by=("country",), grain=Grain.MONTH, compare=Compare.PREVIOUS)
    assert [(column.name, column.role, column.label) for column in found.columns] == [
        ("period", "period", "Month"),
        ("country", "dimension", "Country"),
        ("turnover", "value", "Turnover"),
        ("turnover_before", "before", "Turnover, before"),
        ("turnover_difference", "difference", "Turnover, difference"),
        ("turnover_change", "change", "Turnover, change"),
    ]


def test_an_empty_table_is_unknown(shop: Shop) -> None:
    with duckdb.connect() as empty:
        empty.execute("CREATE SCHEMA gold")
        empty.execute("CREATE TABLE gold.sales_daily (date DATE, country TEXT, store TEXT, sales BIGINT)")
        assert ask(empty, shop, "sales").rows == [(None,)]
        assert ask(empty, shop, "sales", grain=Grain.DAY, compare=Compare.PREVIOUS).rows == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1", Filter("a", Operator.EQ, ("1",))),
        (" a = b c ", Filter("a", Operator.EQ, ("b c",))),
        ("a=", Filter("a", Operator.EQ, ("",))),
        ("a=b=c", Filter("a", Operator.EQ, ("b=c",))),
        ("a='b''c'", Filter("a", Operator.EQ, ("b'c",))),
        ("a='b'c'", Filter("a", Operator.EQ, ("'b'c'",))),
        ("a!=1", Filter("a", Operator.NE, ("1",))),
        ("a>=1", Filter("a", Operator.GE, ("1",))),
        ("a IS NOT  NULL", Filter("a", Operator.IS_NOT_NULL)),
        ("a in b", Filter("a", Operator.IN, ("b",))),
        ("a in ('x, y', \"it's\", z)", Filter("a", Operator.IN, ("x, y", "it's", "z"))),
        ("a not in (1,2)", Filter("a", Operator.NOT_IN, ("1", "2"))),
        ("a in ('')", Filter("a", Operator.IN, ("",))),
        ("a=in (x)", Filter("a", Operator.EQ, ("in (x)",))),
        ("inside=1", Filter("inside", Operator.EQ, ("1",))),
    ],
)
def test_filters_are_read(text: str, expected: Filter) -> None:
    assert parse_filter(text) == expected


@pytest.mark.parametrize("text", ["", "a", "=1", "a like b", "a in ()", "a in (b, , c)", "a b=1", "1=1", "a in"])
def test_other_filters_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_filter(text)


def test_dates_of_a_query_are_dates(release: Release, shop: Shop) -> None:
    (period, _), *_ = ask(release, shop, "sales", grain=Grain.MONTH).rows
    assert type(period) is dt.date
