"""Each of Lakemesh's own audits finds bad rows and passes good ones, in the query that SQLMesh itself would run."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest
from sqlglot import exp
from sqlmesh import Context

from tests.audits.stock_cases import STOCK_CASES

EVENTS = "silver.activity_events(event_id, event_date)"
ENRICHED = "silver.activity_events_enriched(date, event_id, completed_flag)"
METRICS = (
    "gold.activity_engagement_metrics(date, country_code, os_name, os_version, app_version, subscription_status, "
    "activity_type, collection_id, activities_played, completed_plays, total_time_spent, capped_time_spent)"
)
POPULARITY = (
    "gold.activity_popularity_daily(date, activity_id, plays, completed_plays, total_time_spent, capped_time_spent)"
)
PERIODS, WORDS = ("weekly", "monthly", "yearly"), ("week", "month", "year")
ROLLUP = "gold.activity_engagement_metrics_{}(activities_played, completed_plays, completion_rate)"
MRR_DAYS = "gold.fct_mrr_daily(date, account_id, currency, mrr)"
MRR_MONTHS = "gold.rpt_mrr_monthly(month_date, closing_mrr)"
RATES = "silver.exchange_rates(currency, rate, valid_from, valid_to)"
INVOICES = "silver.invoices(invoice_id, account_id, amount_refunded)"
REFUNDS = "silver.invoice_refunds(invoice_id, refund_amount)"
CHANGES = "silver.subscription_changes(account_id, plan_id)"
LINES = "silver.invoice_lines(plan_id)"
ACCOUNTS = "silver.accounts(account_id, is_current)"
PLANS = "seeds.plans(plan_id)"
SHOP_ORDERS = "gold.fct_orders(order_id, customer_key, is_guest, is_reconciled, item_count, currency, total_amount)"
SALES = "gold.fct_sales(order_id, product_key, event_type)"
CLICKS = "silver.clickstream(event_id, visitor_id, is_bot_agent, occurred_at, event_date)"
SESSIONS = "silver.sessions(date, visitor_id, started_at, clicks, next_date_clicks)"
VALUES = ["'us'", "'iOS'", "'14.2'", "'7.40.0'", "'free'", "'game'", "NULL"]
GROUP = ", ".join(VALUES)
# The group, and those that differ from it in one column only
GROUPS = [GROUP, *(", ".join([*VALUES[:at], "'other'", *VALUES[at + 1 :]]) for at in range(len(VALUES)))]
D1, D2, D3 = "DATE '2026-01-01'", "DATE '2026-01-02'", "DATE '2026-01-03'"
AT_MIDNIGHT = {  # a session over midnight, a bot, an automaton since before, and another session
    CLICKS: [
        f"'a', 'v1', FALSE, {D1} + INTERVAL 1420 MINUTE, {D1}",
        f"'b', 'v1', FALSE, {D2} + INTERVAL 5 MINUTE, {D2}",
        f"'c', 'v2', TRUE, {D1} + INTERVAL 9 HOUR, {D1}",
        f"'d', 'v3', FALSE, {D2} + INTERVAL 1799 SECOND, {D2}",
        f"'e', 'v1', FALSE, {D3} + INTERVAL 9 HOUR, {D3}",
    ],
    SESSIONS: [
        f"{D1}, 'v1', {D1} + INTERVAL 1420 MINUTE, 2, 1",
        f"{D3}, 'v1', {D3} + INTERVAL 9 HOUR, 1, 0",
    ],
}

# audit: (tables with good rows, [(rows that make them bad, what the audit must find)])
CASES: dict[str, tuple[dict[str, list[str]], list[tuple[dict[str, list[str]], list[tuple[object, ...]]]]]] = {
    "assert_event_id_on_one_date": (
        {EVENTS: [f"'a', {D1}", f"'a', {D1}", f"'b', {D2}"]},
        [({EVENTS: [f"'b', {D1}", f"'b', {D2}"]}, [("b", 2)])],
    ),
    "assert_enriched_reconciles_with_events": (
        {EVENTS: [f"'a', {D1}", f"'b', {D2}"], ENRICHED: [f"{D1}, 'a', TRUE", f"{D2}, 'b', NULL"]},
        [
            ({EVENTS: [f"'c', {D1}"]}, [("2026-01-01", 2, 1)]),
            ({ENRICHED: [f"{D2}, 'b', NULL"]}, [("2026-01-02", 1, 2)]),
            ({EVENTS: [f"'c', {D3}"]}, [("2026-01-03", 1, None)]),
            ({ENRICHED: [f"{D3}, 'c', TRUE"]}, [("2026-01-03", None, 1)]),
        ],
    ),
    "assert_engagement_grain_is_unique": (
        {METRICS: [f"{D1}, {GROUP}, 1, 1, 5.0, 5.0", *(f"{D2}, {group}, 1, 1, 5.0, 5.0" for group in GROUPS)]},
        [
            (
                {METRICS: [f"{D2}, {GROUP}, 7, 7, 7.0, 7.0"]},
                [("2026-01-02", "us", "iOS", "14.2", "7.40.0", "free", "game", None, 2)],
            )
        ],
    ),
    "assert_engagement_reconciles_with_events": (
        {
            ENRICHED: [f"{D1}, 'a', TRUE", f"{D1}, 'b', NULL", f"{D2}, 'c', FALSE"],
            METRICS: [f"{D1}, {GROUP}, 2, 1, 5.0, 5.0", f"{D2}, {GROUP}, 1, 0, 5.0, 5.0"],
        },
        [
            ({ENRICHED: [f"{D2}, 'd', FALSE"]}, [("2026-01-02", 2, 1, 0, 0)]),
            ({METRICS: [f"{D1}, {GROUP}, 0, 1, 0.0, 0.0"]}, [("2026-01-01", 2, 2, 1, 2)]),
            ({ENRICHED: [f"{D3}, 'd', TRUE"]}, [("2026-01-03", 1, None, 1, None)]),
            ({METRICS: [f"{D3}, {GROUP}, 1, 0, 5.0, 5.0"]}, [("2026-01-03", None, 1, None, 0)]),
        ],
    ),
    "assert_rollups_add_up": (
        {
            METRICS: [f"{D1}, {GROUP}, 2, 1, 5.0, 5.0", f"{D2}, {GROUP}, 1, 0, 5.0, 5.0"],
            **{ROLLUP.format(period): ["3, 1, 0.5"] for period in PERIODS},
        },
        [
            ({METRICS: [f"{D3}, {GROUP}, 0, 1, 5.0, 5.0"]}, [(period, 3, 3, 1, 2, 0) for period in WORDS]),
            ({METRICS: [f"{D3}, {GROUP}, 1, 0, 5.0, 5.0"]}, [(period, 3, 4, 1, 1, 0) for period in WORDS]),
            *(
                ({ROLLUP.format(period): ["0, 0, 1.5"]}, [(word, 3, 3, 1, 1, 1)])
                for period, word in zip(PERIODS, WORDS, strict=True)
            ),
            ({ROLLUP.format("monthly"): ["0, 0, NULL", "0, 0, -0.1"]}, [("month", 3, 3, 1, 1, 2)]),
        ],
    ),
    "assert_popularity_grain_is_unique": (
        {POPULARITY: [f"{D1}, 'x', 1, 1, 5.0, 5.0", f"{D1}, NULL, 1, 1, 5.0, 5.0", f"{D2}, 'x', 1, 1, 5.0, 5.0"]},
        [({POPULARITY: [f"{D1}, NULL, 9, 9, 9.0, 9.0"]}, [("2026-01-01", None, 2)])],
    ),
    "assert_popularity_reconciles_with_engagement": (
        {
            METRICS: [f"{D1}, {GROUP}, 2, 1, 1e9, 1e9", f"{D2}, {GROUP}, 1, 0, NULL, NULL"],
            POPULARITY: [
                f"{D1}, 'x', 1, 1, 4e8, 4e8",
                f"{D1}, 'y', 1, 0, 600000000.0001, 600000000.0001",
                f"{D2}, 'x', 1, 0, NULL, NULL",
            ],
        },
        [
            ({POPULARITY: [f"{D2}, 'y', 1, 0, 0.0, 0.0"]}, [("2026-01-02", 1, 2, 0, 0, 0.0, 0.0, 0.0, 0.0)]),
            ({METRICS: [f"{D2}, {GROUP}, 0, 1, 0.0, 0.0"]}, [("2026-01-02", 1, 1, 1, 0, 0.0, 0.0, 0.0, 0.0)]),
            ({POPULARITY: [f"{D2}, 'y', 0, 0, 3.0, 0.0"]}, [("2026-01-02", 1, 1, 0, 0, 0.0, 3.0, 0.0, 0.0)]),
            ({METRICS: [f"{D2}, {GROUP}, 0, 0, 0.0, 2.0"]}, [("2026-01-02", 1, 1, 0, 0, 0.0, 0.0, 2.0, 0.0)]),
            # More than one part in a million of 1e9
            (
                {METRICS: [f"{D1}, {GROUP}, 0, 0, 2e3, 0.0"]},
                [("2026-01-01", 2, 2, 1, 1, 1000002000.0, 1000000000.0001, 1e9, 1000000000.0001)],
            ),
            ({POPULARITY: [f"{D3}, 'x', 1, 0, 3.0, 2.0"]}, [("2026-01-03", None, 1, None, 0, None, 3.0, None, 2.0)]),
            ({METRICS: [f"{D3}, {GROUP}, 1, 0, 3.0, 2.0"]}, [("2026-01-03", 1, None, 0, None, 3.0, None, 2.0, None)]),
        ],
    ),
    "assert_mrr_report_reconciles_with_days": (
        {
            MRR_DAYS: [
                "DATE '2026-01-31', 'a', 'EUR', 10",
                "DATE '2026-01-31', 'b', 'USD', 10",
                "DATE '2026-02-27', 'a', 'EUR', 99",
            ],
            MRR_MONTHS: ["DATE '2026-01-01', 19.0", "DATE '2026-02-01', 0"],
            RATES: ["'EUR', 1.0, DATE '2026-01-01', NULL::DATE", "'USD', 0.9, DATE '2026-01-01', NULL::DATE"],
        },
        [
            ({MRR_DAYS: ["DATE '2026-02-28', 'a', 'EUR', 1"]}, [("2026-02-01", Decimal(0), Decimal(1))]),
            ({MRR_DAYS: ["DATE '2026-03-31', 'a', 'EUR', 1"]}, [("2026-03-01", None, Decimal(1))]),
            ({MRR_MONTHS: ["DATE '2026-03-01', 1"]}, [("2026-03-01", Decimal(1), None)]),
        ],
    ),
    "assert_refunds_reconcile_with_invoices": (
        {INVOICES: ["'i1', 'a', 30", "'i2', 'a', 0"], REFUNDS: ["'i1', 50", "'i1', -20"]},
        [
            ({REFUNDS: ["'i1', 1"]}, [("i1", 30, 31)]),
            ({REFUNDS: ["'i2', 1"]}, [("i2", 0, 1)]),
            ({REFUNDS: ["'i3', 1"]}, [("i3", None, 1)]),
            ({INVOICES: ["'i3', 'a', 5"]}, [("i3", 5, None)]),
        ],
    ),
    "assert_sessions_hold_every_human_click": (
        AT_MIDNIGHT,
        [
            ({CLICKS: [f"'f', 'v1', FALSE, {D1} + INTERVAL 1430 MINUTE, {D1}"]}, [("2026-01-01", 1, 2, 1)]),
            ({CLICKS: [f"'f', 'v4', FALSE, {D2} + INTERVAL 30 MINUTE, {D2}"]}, [("2026-01-02", 1, 1, None)]),
            ({SESSIONS: [f"{D2}, 'v4', {D2} + INTERVAL 9 HOUR, 1, 0"]}, [("2026-01-02", 1, None, 1)]),
            ({SESSIONS: [f"{D3}, 'v1', {D3} + INTERVAL 10 HOUR, 2, 1"]}, [("2026-01-03", 1, 1, 2)]),
        ],
    ),
    "assert_sessions_go_on_after_midnight": (
        AT_MIDNIGHT,
        [
            ({CLICKS: [f"'f', 'v1', FALSE, {D2} + INTERVAL 20 MINUTE, {D2}"]}, [("2026-01-01", 1, 2, 1)]),
            ({SESSIONS: [f"{D2}, 'v1', {D2} + INTERVAL 5 MINUTE, 1, 0"]}, [("2026-01-01", 1, 0, 1)]),
            ({SESSIONS: [f"{D2}, 'v5', {D2} + INTERVAL 9 HOUR, 2, 1"]}, [("2026-01-02", 1, 0, 1)]),
        ],
    ),
    "assert_revenue_references_are_known": (
        {
            CHANGES: ["'a', 'plus'"],
            INVOICES: ["'i1', 'a', 0"],
            LINES: ["'plus'", "NULL"],
            ACCOUNTS: ["'a', FALSE", "'a', TRUE"],
            PLANS: ["'plus'"],
        },
        [
            ({CHANGES: ["'nobody', 'plus'", "'nobody', 'plus'"]}, [("account_id of subscriptions", "nobody", 2)]),
            ({CHANGES: ["'a', 'a'"]}, [("plan_id of subscriptions", "a", 1)]),
            ({INVOICES: ["'i2', 'plus', 0"]}, [("account_id of invoices", "plus", 1)]),
            ({LINES: ["'gold'"]}, [("plan_id of invoice lines", "gold", 1)]),
        ],
    ),
    "assert_shop_references_are_known": (
        {
            SHOP_ORDERS: ["1, 'c1', FALSE, TRUE, 2, 'EUR', 1", "2, '-1', TRUE, TRUE, 1, 'EUR', 1"],
            SALES: ["1, 'p1', 'sale'", "1, 'p1', 'refund'", "1, '-1', 'refund'"],
        },
        [
            ({SHOP_ORDERS: ["3, '-1', FALSE, TRUE, 1, 'EUR', 1"]}, [("customer", 3, 1)]),
            ({SALES: ["1, '-1', 'sale'", "1, '-1', 'sale'"]}, [("product", 1, 2)]),
        ],
    ),
    "assert_orders_are_reconciled": (
        {SHOP_ORDERS: ["1, 'c1', FALSE, TRUE, 2, 'EUR', 1"]},
        [({SHOP_ORDERS: ["2, 'c1', FALSE, FALSE, 0, 'EUR', 7"]}, [(2, "EUR", 7)])],
    ),
    **STOCK_CASES,
}


def offenders(
    project: Context,
    case: tuple[str, str],
    tables: dict[str, list[str]],
    more: dict[str, list[str]],
    **interval: str,
) -> set[object]:
    """The first column of the rows that the audit of a model finds in the given tables.

    Args:
        case: names of model and audit.
        interval: `start` and `end` of the computed dates.
    """
    name, audit_name = case
    model = project.get_model(name, raise_if_missing=True)
    query = model.render_audit_query(project._audits[audit_name], **interval)
    return {row[0] for row in found(query, tables, more)}


def found(query: exp.Query, tables: dict[str, list[str]], more: dict[str, list[str]]) -> list[tuple[object, ...]]:
    """The rows that a query finds in the given tables, dates as text."""
    with duckdb.connect(":memory:") as connection:
        connection.execute("ATTACH ':memory:' AS warehouse; USE warehouse")
        connection.execute("CREATE SCHEMA bronze; CREATE SCHEMA seeds; CREATE SCHEMA silver; CREATE SCHEMA gold")
        for signature, rows in tables.items():
            name, columns = signature.rstrip(")").split("(")
            values = ", ".join(f"({row})" for row in rows + more.get(signature, []))
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM (VALUES {values}) AS v({columns})")
        rows = connection.execute(query.sql("duckdb")).fetchall()
    return [tuple(str(cell) if hasattr(cell, "isoformat") else cell for cell in row) for row in rows]


@pytest.mark.parametrize("audit", CASES)
def test_standalone_audit_passes_good_rows(project: Context, audit: str) -> None:
    assert found(project.standalone_audits[audit].render_audit_query(), CASES[audit][0], {}) == []


@pytest.mark.parametrize(
    ("audit", "bad", "expected"), [(audit, *fault) for audit, (_, faults) in CASES.items() for fault in faults]
)
def test_standalone_audit_finds_exactly_the_bad_rows(
    project: Context, audit: str, bad: dict[str, list[str]], expected: list[tuple[object, ...]]
) -> None:
    assert found(project.standalone_audits[audit].render_audit_query(), CASES[audit][0], bad) == expected


def test_session_goes_on_into_a_date_that_waits_for_completeness(project: Context) -> None:
    """Its clicks are not in silver yet, though a later date is."""
    tables = AT_MIDNIGHT | {CLICKS: [row for row in AT_MIDNIGHT[CLICKS] if not row.endswith(D2)]}
    query = project.standalone_audits["assert_sessions_go_on_after_midnight"].render_audit_query()
    assert found(query, tables, {}) == []


def test_every_standalone_audit_is_tested(project: Context) -> None:
    assert set(project.standalone_audits) == set(CASES)


def test_referential_integrity_finds_orphans_and_ignores_null(project: Context) -> None:
    model = project.get_model("silver.activity_events_enriched", raise_if_missing=True)
    audit, arguments = next(
        (model.audit_definitions.get(name) or project._audits[name], arguments)
        for name, arguments in model.audits
        if name == "referential_integrity"
    )
    start, end = "2026-01-01", "2026-01-31"
    query = model.render_audit_query(audit, start=start, end=end, **arguments)
    good = {
        "silver.activity_events_enriched(date, user_id)": [f"{D1}, 'u1'", f"{D1}, NULL"],
        "silver.users(user_id)": ["'u1'"],
    }
    bad = {"silver.activity_events_enriched(date, user_id)": [f"{D2}, 'nobody'", "DATE '2025-12-31', 'out of range'"]}
    assert found(query, good, {}) == []
    assert found(query, good, bad) == [("nobody",)]


def test_created_rows_without_values_are_found_until_a_later_one_has_them(project: Context) -> None:
    model = project.get_model("silver.customers", raise_if_missing=True)
    name, arguments = next(item for item in model.audits if item[0] == "created_rows_are_whole")
    query = model.render_audit_query(project._audits[name], **arguments)
    assert str(arguments["blocking"]).upper() == "FALSE"
    table = "bronze.customers(customer_id, _operation, _position, _unavailable, _source_file, _source_line)"
    good = [
        "1, 'create', '1', NULL, 'f', 1",
        "1, 'update', '2', ['note'], 'f', 2",
        "2, 'create', '3', ['note'], 'f', 3",
        "2, 'read', '4', NULL, 'f', 4",
    ]
    assert found(query, {table: good}, {}) == []
    for bad in (
        ["3, 'create', '5', ['note'], 'g', 1"],
        ["3, 'create', '5', ['note'], 'g', 1", "3, 'delete', '6', NULL, 'g', 2"],
        ["1, 'create', '5', ['note'], 'g', 1", "1, 'update', '6', ['note'], 'g', 2"],
    ):
        assert found(query, {table: good}, {table: bad}) == [("g", 1)]


@pytest.mark.parametrize(
    ("name", "audit", "key"),
    [
        ("silver.activity_events_enriched", "referential_integrity", "user_id"),
        ("silver.accounts", "periods_join", "account_id"),
        ("silver.accounts", "grain_is_unique", "account_id"),
    ],
)
def test_keys_in_offending_rows_keep_their_names(project: Context, name: str, audit: str, key: str) -> None:
    """Personal values are hidden by the names of their columns."""
    model = project.get_model(name, raise_if_missing=True)
    arguments = next(arguments for given, arguments in model.audits if given == audit)
    assert key in model.render_audit_query(project._audits[audit], **arguments).named_selects
