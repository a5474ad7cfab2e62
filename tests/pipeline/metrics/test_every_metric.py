"""Every metric of the project equals plain Python over the rows of its table."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from sqlglot import exp
from sqlmesh import Context

from ingest.settings import PROJECT
from pipeline.metrics.check import Described, described
from pipeline.metrics.definition import Metric, base_names, load_metrics
from pipeline.metrics.measure import Kind
from pipeline.metrics.period import add_months
from pipeline.metrics.query import Query, answer

Row = dict[str, Any]
Value = Callable[[Sequence[Row]], Any]
TIMES = {
    "gold.activity_engagement_metrics": "date",
    "gold.activity_popularity_daily": "date",
    "gold.rpt_active_users_by_country": "date",
    "gold.rpt_retention": "cohort_date",
    "gold.rpt_mrr_monthly": "month_date",
    "gold.rpt_mrr_trailing": "month_date",
    "gold.rpt_mrr_daily": "date",
    "gold.fct_mrr_daily": "date",
    "gold.fct_mrr_movements": "month_date",
    "gold.rpt_cohort_retention": "cohort_month_date",
    "gold.rpt_customer_lifetime": "cohort_month_date",
    "gold.rpt_revenue_recognised_monthly": "month_date",
    "gold.fct_revenue_recognition": "month_date",
    "gold.fct_invoices": "issued_date",
    "gold.rpt_engagement_by_subscription": "month_date",
    "gold.rpt_sales_daily": "business_date",
    "gold.fct_orders": "business_date",
    "gold.rpt_customer_segments": "month_date",
    "gold.rpt_churn_risk": "month_date",
    "gold.rpt_funnel_daily": "business_date",
    "gold.rpt_conversion_daily": "business_date",
    "gold.fct_inventory_daily": "business_date",
    "gold.rpt_stock_risk": "business_date",
    "gold.fct_marketing_daily": "date",
    "gold.rpt_top_products": "month_date",
    "gold.rpt_acquisition_monthly": "month_date",
    "gold.rpt_customer_cohorts": "cohort_month_date",
    "gold.rpt_recommendation_hits": "month_date",
    "ops.quality_daily": "date",
    "ops.quarantine_daily": "ingest_date",
    "ops.release_lag_daily": "release_date",
    "ops.cost_daily": "date",
}
TEXTS = {
    "user_kind": ["account", "child"],
    "currency": ["EUR", "JPY"],
    "use_band": ["none", "regular"],
    "movement_type": ["new", "churn", "fx"],
    "risk": ["out", "idle", "low", "ok"],
    "kind": ["cpu", "model", "request", "moved", "stored"],
    "segment": ["none", "prospect", "new", "loyal"],
}
ODD = ["fr", "it's", 'a "b"', None]


def total(*columns: str) -> Value:
    """The sum of columns; a minus before a name subtracts it."""

    def value(rows: Sequence[Row]) -> Any:
        signs = [(-1, name[1:]) if name.startswith("-") else (1, name) for name in columns]
        return sum(sign * row[name] for row in rows for sign, name in signs if row[name] is not None)

    return value


def last(column: str, time: str) -> Value:
    """The sum of a column over the rows of the last date."""
    return lambda rows: total(column)([row for row in rows if row[time] == max(row[time] for row in rows)])


def ratio(above: Value, below: Value) -> Value:
    return lambda rows: float(above(rows)) / float(below(rows)) if below(rows) else None


def only(value: Value, **wanted: Any) -> Value:
    """The value over the rows that have these values."""
    return lambda rows: value([row for row in rows if all(row[name] == item for name, item in wanted.items())])


def of_month(column: str) -> Value:
    return last(column, "month_date")


RETAINED = ("opening_mrr", "fx_mrr", "contraction_mrr", "churn_mrr")
LIFETIME_ARPA = ratio(total("mrr_to_date"), total("customer_months"))
LIFETIME_CHURN = ratio(total("churn_count"), total("opening_months"))
ENGAGEMENT: dict[str, Value] = {
    "plays": total("activities_played"),
    "completed_plays": total("completed_plays"),
    "completion_rate": ratio(total("completed_plays"), total("activities_played")),
    "time_spent": total("capped_time_spent"),
    "reported_time_spent": total("total_time_spent"),
    "time_per_play": ratio(total("capped_time_spent"), total("activities_played")),
    "activity_plays": total("plays"),
    "activity_completed_plays": total("completed_plays"),
    "activity_completion_rate": ratio(total("completed_plays"), total("plays")),
    "activity_time_spent": total("capped_time_spent"),
    "activity_accounts": total("user_count"),
}
for kind, kinds in (("account", "accounts"), ("child", "children")):
    days, users = last("active_user_days", "date"), last("monthly_active_users", "date")
    ENGAGEMENT |= {
        f"daily_active_{kinds}": only(last("daily_active_users", "date"), user_kind=kind),
        f"weekly_active_{kinds}": only(last("weekly_active_users", "date"), user_kind=kind),
        f"monthly_active_{kinds}": only(users, user_kind=kind),
        f"mean_daily_active_{kinds}": only(lambda rows, days=days: days(rows) / 28, user_kind=kind),
        f"stickiness_of_{kinds}": only(ratio(lambda rows, days=days: days(rows) / 28, users), user_kind=kind),
        f"new_{kinds}": only(total("users"), user_kind=kind),
        f"returned_{kinds}": only(total("retained_users"), user_kind=kind),
        f"retention_of_{kinds}": only(ratio(total("retained_users"), total("users")), user_kind=kind),
    }
REVENUE: dict[str, Value] = {
    "mrr": of_month("closing_mrr"),
    "mrr_daily": last("mrr", "date"),
    "mrr_in_currency": last("mrr", "date"),
    "paying_subscriptions": last("paying_subscriptions", "date"),
    "customers": of_month("accounts"),
    "arpa": ratio(of_month("closing_mrr"), of_month("accounts")),
    "new_mrr": total("new_mrr"),
    "expansion_mrr": total("expansion_mrr"),
    "contraction_mrr": total("contraction_mrr"),
    "churn_mrr": total("churn_mrr"),
    "reactivation_mrr": total("reactivation_mrr"),
    "fx_mrr": total("fx_mrr"),
    "net_new_mrr": total("new_mrr", "expansion_mrr", "contraction_mrr", "churn_mrr", "reactivation_mrr"),
    "mrr_movements": total("amount"),
    "new_customers": total("new_accounts"),
    "churned_customers": total("churned_accounts"),
    "reactivated_customers": total("reactivated_accounts"),
    "opening_customer_months": total("opening_accounts"),
    "logo_churn_rate": ratio(total("churned_accounts"), total("opening_accounts")),
    "retention_base_mrr": total("opening_mrr", "fx_mrr"),
    "gross_retained_mrr": total(*RETAINED),
    "net_retained_mrr": total(*RETAINED, "expansion_mrr"),
    "gross_retention": ratio(total(*RETAINED), total("opening_mrr", "fx_mrr")),
    "net_retention": ratio(total(*RETAINED, "expansion_mrr"), total("opening_mrr", "fx_mrr")),
    "trailing_base_mrr": of_month("base_mrr"),
    "trailing_retained_mrr": of_month("retained_mrr"),
    "trailing_capped_mrr": of_month("capped_mrr"),
    "trailing_net_retention": ratio(of_month("retained_mrr"), of_month("base_mrr")),
    "trailing_gross_retention": ratio(of_month("capped_mrr"), of_month("base_mrr")),
    "gained_mrr": total("new_mrr", "reactivation_mrr", "expansion_mrr"),
    "lost_mrr": total("-contraction_mrr", "-churn_mrr"),
    "quick_ratio": ratio(
        total("new_mrr", "reactivation_mrr", "expansion_mrr"), total("-contraction_mrr", "-churn_mrr")
    ),
    "cohort_customers": total("accounts"),
    "cohort_retained_customers": total("retained_accounts"),
    "cohort_retention": ratio(total("retained_accounts"), total("accounts")),
    "cohort_opening_mrr": total("opening_mrr"),
    "cohort_retained_mrr": total("retained_mrr"),
    "cohort_revenue_retention": ratio(total("retained_mrr"), total("opening_mrr")),
    "acquired_customers": total("accounts"),
    "remaining_customers": total("active_accounts"),
    "mrr_to_date": total("mrr_to_date"),
    "customer_months": total("customer_months"),
    "churned_customer_months": total("churn_count"),
    "exposed_customer_months": total("opening_months"),
    "lifetime_arpa": LIFETIME_ARPA,
    "lifetime_churn_rate": LIFETIME_CHURN,
    "lifetime_revenue": lambda rows: LIFETIME_ARPA(rows) / LIFETIME_CHURN(rows),
    "recognised_revenue": only(total("recognised_amount_reporting"), is_complete=True),
    "recognised_revenue_in_currency": only(total("recognised_amount"), is_complete=True),
    "invoiced_revenue_in_currency": only(total("invoiced_amount"), is_complete=True),
    "deferred_revenue_in_currency": only(of_month("deferred_amount"), is_complete=True),
    "refunds_in_currency": only(total("refund_amount"), is_complete=True),
    "revenue_by_service": total("amount"),
    "invoices": only(len, is_billed=True),
    "invoiced_revenue": only(total("net_amount_reporting"), is_billed=True),
    "renewable_customers": total("accounts"),
    "renewed_customers": total("retained_accounts"),
    "renewal_rate": ratio(total("retained_accounts"), total("accounts")),
}
PIPELINE: dict[str, Value] = {
    "quarantined_records": total("open_count"),
    "discarded_records": total("discarded_count"),
    "released_rows": total("row_count"),
    "landing_to_release": total("p90_landing_seconds"),
    "written_records": total("record_count"),
    "good_records": total("good_count"),
    "validity": ratio(total("good_count"), total("record_count")),
    "running_cost": total("cost_usd"),
    "cpu_time": only(total("quantity"), kind="cpu"),
    "model_time": only(total("quantity"), kind="model"),
    "store_requests": only(total("quantity"), kind="request"),
    "moved_gb": only(total("quantity"), kind="moved"),
    "stored_gb_months": only(total("quantity"), kind="stored"),
}
SHOP: dict[str, Value] = {
    "net_revenue": total("net_amount"),
    "gross_sales": total("gross_amount"),
    "discounts": total("discount_amount"),
    "refunds": total("refunded_amount"),
    "cancellations": total("cancelled_amount"),
    "items_sold": total("sold_quantity"),
    "items_returned": total("returned_quantity"),
    "profit": total("profit_amount"),
    "costed_net_revenue": total("costed_net_amount"),
    "margin": ratio(total("profit_amount"), total("costed_net_amount")),
    "orders": len,
    "ordered_net_revenue": total("net_amount_reporting"),
    "average_order_value": ratio(total("net_amount_reporting"), len),
}
SESSIONS: dict[str, Value] = {
    "sessions": total("sessions"),
    "purchase_sessions": total("purchase_sessions"),
    "conversion_rate": ratio(total("purchase_sessions"), total("sessions")),
    "view_step_sessions": total("view_step_sessions"),
    "cart_step_sessions": total("cart_step_sessions"),
    "checkout_step_sessions": total("checkout_step_sessions"),
    "purchase_step_sessions": total("purchase_step_sessions"),
    "view_rate": ratio(total("view_step_sessions"), total("sessions")),
    "cart_rate": ratio(total("cart_step_sessions"), total("view_step_sessions")),
    "checkout_rate": ratio(total("checkout_step_sessions"), total("cart_step_sessions")),
    "completion_of_checkout": ratio(total("purchase_step_sessions"), total("checkout_step_sessions")),
    "clicks": total("clicks"),
    "daily_visitors": last("visitors", "business_date"),
}
STOCK: dict[str, Value] = {
    "stock_level": last("closing_level", "business_date"),
    "stock_received": total("received_quantity"),
    "stock_sold": total("-sold_quantity"),
    "stock_unexplained": total("unexplained_quantity"),
    "stock_dates": len,
    "stock_out_dates": lambda rows: sum(row["is_stock_out"] for row in rows),
    "stock_out_rate": ratio(lambda rows: sum(row["is_stock_out"] for row in rows), len),
    "watched_stocks": len,
    "stocks_at_risk": lambda rows: sum(row["risk"] in ("out", "low") for row in rows),
    "sellable_stock": total("level"),
    "stock_demand": total("demand"),
    "days_of_cover": ratio(total("level"), total("demand")),
}
MARKETING: dict[str, Value] = {
    "marketing_spend": total("spend_amount_reporting"),
    "impressions": total("impressions"),
    "advertising_clicks": total("clicks"),
    "click_through_rate": ratio(total("clicks"), total("impressions")),
    "cost_per_click": ratio(total("spend_amount_reporting"), total("clicks")),
}
PRODUCTS: dict[str, Value] = {
    "product_net_revenue": total("net_amount"),
    "product_profit": total("profit_amount"),
    "product_costed_net_revenue": total("costed_net_amount"),
    "product_margin": ratio(total("profit_amount"), total("costed_net_amount")),
    "product_items_sold": total("sold_quantity"),
    "product_items_returned": total("returned_quantity"),
}
GROWTH: dict[str, Value] = {
    "shop_customers_acquired": total("customers"),
    "acquisition_spend": total("spend_amount"),
    "acquisition_cost": ratio(total("spend_amount"), total("customers")),
    "valued_customers": only(total("customers"), is_valued=True),
    "first_year_margin": only(total("margin_12_months"), is_valued=True),
    "customer_value": only(ratio(total("margin_12_months"), total("customers")), is_valued=True),
    "valued_spend": only(total("spend_amount"), is_valued=True),
    "value_to_cost": only(ratio(total("margin_12_months"), total("spend_amount")), is_valued=True),
    "shop_cohort_customers": total("customers"),
    "shop_cohort_active_customers": total("active_customers"),
    "shop_cohort_retention": ratio(total("active_customers"), total("customers")),
    "shop_cohort_margin": total("profit_amount"),
    "shop_cohort_margin_per_customer": ratio(total("profit_amount"), total("customers")),
    "judged_baskets": total("baskets"),
    "hit_baskets": total("hits"),
    "popular_hit_baskets": total("popularity_hits"),
    "recommendation_hit_rate": ratio(total("hits"), total("baskets")),
    "popularity_hit_rate": ratio(total("popularity_hits"), total("baskets")),
}


def existing(value: Value) -> Value:
    """The value over the rows of customers who exist at the end."""
    return lambda rows: value([row for row in rows if row["segment"] != "none"])


CUSTOMERS: dict[str, Value] = {
    "shop_customers": existing(of_month("customers")),
    "shop_prospects": only(of_month("customers"), segment="prospect"),
    "shop_buyers": existing(of_month("buyers")),
    "shop_buyer_share": existing(ratio(of_month("buyers"), of_month("customers"))),
    "segment_net_revenue": existing(of_month("monetary_amount")),
    "net_revenue_per_customer": existing(ratio(of_month("monetary_amount"), of_month("customers"))),
    "moved_customers": total("moved_customers"),
    "joined_customers": total("new_customers"),
    "deleted_customers": total("left_customers"),
    "scored_customers": of_month("scored_customers"),
    "expected_churned_customers": of_month("expected_churned_customers"),
    "expected_churn": ratio(of_month("expected_churned_customers"), of_month("scored_customers")),
    "churn_outcomes": total("outcome_customers"),
    "churned_shop_customers": total("churned_customers"),
    "shop_churn_rate": ratio(total("churned_customers"), total("outcome_customers")),
    "tested_churn_scores": total("tested_customers"),
    "churn_squared_error": total("squared_error"),
    "base_squared_error": total("base_squared_error"),
    "brier_score": ratio(total("squared_error"), total("tested_customers")),
    "base_brier_score": ratio(total("base_squared_error"), total("tested_customers")),
}
SHOPS = SHOP | SESSIONS | STOCK | MARKETING | PRODUCTS | GROWTH | CUSTOMERS
EXPECTED = ENGAGEMENT | REVENUE | SHOPS | PIPELINE
DEFINITIONS = load_metrics(PROJECT / "metrics")


def cell(name: str, kind: exp.DataType, grain: tuple[str, ...], chance: random.Random) -> Any:
    """A random value for a column that is neither the time nor a key made below."""
    if name in TEXTS:
        return chance.choice(TEXTS[name])
    if kind.is_type(*exp.DataType.TEXT_TYPES):
        return chance.choice(ODD)
    if kind.is_type("boolean"):
        return chance.random() < 0.7
    if kind.is_type(*exp.DataType.TEMPORAL_TYPES):
        return dt.datetime(2026, 1, 1)
    if name in grain or name.endswith("_number"):
        return chance.choice([0, 1, 7])
    if kind.is_type("decimal"):
        return Decimal(chance.randint(-(10**9), 10**9)) / 10**4
    return chance.randint(1, 1000) if kind.is_type(*exp.DataType.INTEGER_TYPES) else chance.random() * 1000


def filled(table: Described, time: str, chance: random.Random) -> list[Row]:
    """Rows of five periods, each combination of the grain once."""
    first = dt.date(2025, 12, 29)
    dates = [first + dt.timedelta(days=number) for number in range(5)]
    if "month" in time:
        dates = [add_months(first.replace(day=1), number) for number in range(-1, 4)]
    rows: dict[tuple[Any, ...], Row] = {}
    for number in range(120):
        row = {name: cell(name, kind, table.grain, chance) for name, kind in table.types.items()}
        keys = {"invoice_id": f"i{number}", "order_id": number}
        row |= {time: dates[number % 5]} | {name: key for name, key in keys.items() if name in row}
        rows[tuple(row[name] for name in table.grain)] = row
    return list(rows.values())


@pytest.fixture(scope="module")
def rows(project: Context) -> dict[str, list[Row]]:
    """Rows of each table that metrics are computed from, with its columns and grain."""
    tables = described(project)
    assert {metric.table for metric in DEFINITIONS.values()} == set(TIMES)
    chance = random.Random(15)
    return {name: filled(tables[name], time, chance) for name, time in TIMES.items()}


@pytest.fixture(scope="module")
def gold(project: Context, rows: dict[str, list[Row]]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with these rows."""
    tables = described(project)
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA gold; CREATE SCHEMA ops")
        for name, found in rows.items():
            types = tables[name].types
            columns = ", ".join(f'"{column}" {kind.sql("duckdb")}' for column, kind in types.items())
            connection.execute(f"CREATE TABLE {name} ({columns})")
            marks = ", ".join("?" * len(types))
            connection.executemany(f"INSERT INTO {name} VALUES ({marks})", [list(row.values()) for row in found])
        yield connection


def test_every_metric_has_a_value_in_python() -> None:
    assert set(EXPECTED) == set(DEFINITIONS)


def is_same(found: Any, expected: Any) -> bool:
    if isinstance(found, float) or isinstance(expected, float):
        return found == pytest.approx(expected, rel=1e-12)
    return bool(found == expected)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_metric_equals_plain_python(name: str, gold: duckdb.DuckDBPyConnection, rows: dict[str, list[Row]]) -> None:
    """Per period and in total; where it must not be summed over a dimension, per value of that."""
    metric, expected = DEFINITIONS[name], EXPECTED[name]
    time, own = TIMES[metric.table], rows[metric.table]
    keys = tuple(metric.dimensions) if metric.kind == Kind.STORED and not metric.not_over else metric.not_over
    found = answer(gold, DEFINITIONS, Query((name,), keys, metric.grains[0]))
    checked = 0
    for period, *values, value in found.rows:
        same = [row for row in own if row[time] == period and [row[key] for key in keys] == values]
        if any(_counts(metric, row) for row in same):
            assert is_same(value, expected(same)), (period, values)
            checked += 1
    assert checked >= 3
    if not keys:
        assert is_same(found.totals[name], expected([row for row in own if _counts(metric, row)]))
    else:
        assert name in found.refused


@pytest.mark.parametrize("name", [name for name, metric in DEFINITIONS.items() if metric.dimensions])
def test_a_metric_by_its_first_dimension_equals_plain_python(
    name: str, gold: duckdb.DuckDBPyConnection, rows: dict[str, list[Row]]
) -> None:
    metric, expected = DEFINITIONS[name], EXPECTED[name]
    dimension = metric.not_over[0] if metric.not_over else next(iter(metric.dimensions))
    grain = metric.grains[0] if metric.kind == Kind.STORED else None
    time = TIMES[metric.table]
    own = [row for row in rows[metric.table] if _counts(metric, row)]
    ends = max(row[time] for row in own)
    for row in answer(gold, DEFINITIONS, Query((name,), (dimension,), grain)).rows:
        *period, group, value = row
        same = [item for item in own if item[dimension] == group and (not period or item[time] == period[0])]
        if _is_last(metric):
            same = [item for item in same if item[time] == ends]
        if same:
            assert is_same(value, expected(same)), group


def _is_last(metric: Metric) -> bool:
    """Whether the value is that of the last date of the table."""
    parts = metric.measure.ratio
    return _is_last(DEFINITIONS[parts[0]]) if parts else metric.kind == Kind.LAST


def _counts(metric: Metric, row: Row) -> bool:
    """Whether a row is one that the metric, or any part of it, is about."""
    conditions = {
        "": True,
        "is_complete": row.get("is_complete"),
        "is_billed": row.get("is_billed"),
        "is_stock_out": row.get("is_stock_out"),
        "risk IN ('out', 'low')": row.get("risk") in ("out", "low"),
        "is_valued": row.get("is_valued"),
        "user_kind = 'account'": row.get("user_kind") == "account",
        "user_kind = 'child'": row.get("user_kind") == "child",
        "segment <> 'none'": row.get("segment") != "none",
        "segment = 'prospect'": row.get("segment") == "prospect",
        **{f"kind = '{kind}'": row.get("kind") == kind for kind in TEXTS["kind"]},
    }
    return any(conditions[DEFINITIONS[name].where] for name in base_names(DEFINITIONS, metric.name))
