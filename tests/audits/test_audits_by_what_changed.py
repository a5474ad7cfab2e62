"""A late change breaks an old period: the audits of the cycle that computes it find that.

Each fault is put into the warehouse after the cycle and taken back, so all cases share one cycle. The same fault in a
key that did not change is none of the cycle's audits, but of the pass over everything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
from sqlmesh import Context
from sqlmesh.core.snapshot import Snapshot

from ingest.settings import PROJECT
from pipeline.releases.audits import BY_DATE, standalone_audits
from pipeline.warehouse.engines import engine_of
from sample.database import Database, as_json
from sample.shop import TABLES
from tests.engagement import play
from tests.home import Home, template
from tests.revenue_records import account, change, invoice
from tests.shop_sessions import click

DAY = dt.timedelta(days=1)
START = dt.datetime(2026, 1, 1)
PLANNED = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
"""Not at the end of a month: with a new one the balances of every account change."""
LATE = "2026-02-10"
DOUBLED = "INSERT INTO {table} SELECT * FROM {table} WHERE {key} = '{value}' LIMIT 1"
MONTH = "month_date = '2026-02-01'"
SHOP = (
    *("silver.customers", "silver.products", "silver.orders", "silver.refunds", "silver.payments", "silver.shipments"),
    *("gold.dim_customer", "gold.dim_product"),
)
SALES = ("silver.order_items", "silver.current_orders", "silver.first_orders", "gold.fct_sales", "gold.fct_orders")
BUYERS = "gold.fct_customer_monthly"
FEATURES = ("silver.customer_order_changes", "gold.fct_customer_features", "gold.fct_customer_features_known")
KEYED = ("silver.users", "silver.activities", "silver.accounts", "silver.subscription_changes", "silver.subscriptions")
INVOICES = ("silver.invoices", "silver.invoice_lines", "silver.invoice_refunds", "gold.fct_invoices")
BALANCES = ("gold.dim_account", "gold.fct_subscription_lifecycle", "gold.fct_mrr_monthly", "gold.fct_mrr_movements")
# model, audit, a fault in the rows of a key
FAULTS = [
    *((model, "grain_is_unique", DOUBLED) for model in (*KEYED, *INVOICES, "gold.fct_revenue_recognition", *BALANCES)),
    *((model, "grain_is_unique", DOUBLED) for model in (*SHOP, *SALES, BUYERS, *FEATURES)),
    *(
        (
            model,
            "periods_join",
            "UPDATE {table} SET valid_from = valid_from + INTERVAL 1 SECOND WHERE {key} = '{value}'",
        )
        for model in ("silver.accounts", "silver.subscriptions", "gold.dim_account", *SHOP)
    ),
    (
        "gold.fct_revenue_recognition",
        "lines_are_recognised_exactly",
        "UPDATE {table} SET amount = amount + 0.01 WHERE {key} = '{value}' AND line_number = 1",
    ),
    (
        "gold.fct_revenue_recognition",
        "lines_are_recognised_exactly",
        "DELETE FROM {table} WHERE {key} = '{value}'",
    ),
    (
        "gold.fct_mrr_monthly",
        "closing_is_next_opening",
        f"UPDATE {{table}} SET opening_mrr = opening_mrr + 1 WHERE {{key}} = '{{value}}' AND {MONTH}",
    ),
    (
        "gold.fct_mrr_monthly",
        "balances_are_those_of_the_days",
        f"UPDATE {{table}} SET closing_mrr = closing_mrr + 1 WHERE {{key}} = '{{value}}' AND {MONTH}",
    ),
    (
        "gold.fct_mrr_movements",
        "movements_explain_balances",
        "UPDATE {table} SET amount = amount + 1 WHERE {key} = '{value}'",
    ),
    (
        "gold.fct_sales",
        "sales_add_up_to_orders",
        "UPDATE {table} SET tax_amount = tax_amount + 1 WHERE {key} = '{value}' AND event_type = 'sale'",
    ),
    ("gold.fct_sales", "items_are_sold", "DELETE FROM {table} WHERE {key} = '{value}'"),
    (
        "gold.fct_sales",
        "refunds_are_of_what_was_sold",
        "UPDATE {table} SET quantity = quantity - 100 WHERE {key} = '{value}' AND event_type = 'refund'",
    ),
    (
        "gold.fct_sales",
        "refunds_are_of_what_was_sold",
        "UPDATE {table} SET net_amount = net_amount - 100 WHERE {key} = '{value}' AND event_type = 'refund'",
    ),
    ("gold.fct_sales", "refunds_are_of_what_was_sold", "DELETE FROM {table} WHERE {key} = '{value}'"),
    (
        "gold.fct_sales",
        "cancellations_leave_nothing",
        "UPDATE {table} SET event_type = 'cancellation' WHERE {key} = '{value}' AND event_type = 'refund'",
    ),
    (BUYERS, "months_are_of_who_exists", f"DELETE FROM {{table}} WHERE {{key}} = '{{value}}' AND {MONTH}"),
    (
        BUYERS,
        "months_have_all_sales",
        f"UPDATE {{table}} SET net_amount = net_amount + 1 WHERE {{key}} = '{{value}}' AND {MONTH}",
    ),
    (
        BUYERS,
        "scores_are_of_buyers",
        f"UPDATE {{table}} SET monetary_score = NULL WHERE {{key}} = '{{value}}' AND {MONTH}",
    ),
]
CHANGED = {"user_id": "u1", "activity_id": "a1", "account_id": "a1", "subscription_id": "s1", "invoice_id": "i1"}
UNCHANGED = {"user_id": "u2", "activity_id": "a2", "account_id": "a2", "subscription_id": "s2", "invoice_id": "i2"}
NUMBERED = ("customer_id", "product_id", "order_id", "refund_id", "payment_id", "shipment_id")
CHANGED |= dict.fromkeys(NUMBERED, "1")
UNCHANGED |= dict.fromkeys(NUMBERED, "2")
# standalone audit: a fault in the rows of the late date
DATED = {
    "assert_engagement_grain_is_unique": "INSERT INTO {0} SELECT * FROM {0} WHERE date = '{1}' LIMIT 1",
    "assert_engagement_reconciles_with_events": "UPDATE {0} SET completed_plays = 0 WHERE date = '{1}'",
    "assert_enriched_reconciles_with_events": "DELETE FROM {0} WHERE date = '{1}'",
    "assert_popularity_grain_is_unique": "INSERT INTO {0} SELECT * FROM {0} WHERE date = '{1}' LIMIT 1",
    "assert_popularity_reconciles_with_engagement": "UPDATE {0} SET plays = plays + 1 WHERE date = '{1}'",
    "assert_sessions_hold_every_human_click": "DELETE FROM {0} WHERE date = '{1}'",
}
BROKEN = {
    "assert_engagement_grain_is_unique": "gold.activity_engagement_metrics",
    "assert_engagement_reconciles_with_events": "gold.activity_engagement_metrics",
    "assert_enriched_reconciles_with_events": "silver.activity_events_enriched",
    "assert_popularity_grain_is_unique": "gold.activity_popularity_daily",
    "assert_popularity_reconciles_with_engagement": "gold.activity_popularity_daily",
    "assert_sessions_hold_every_human_click": "silver.sessions",
}


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """The project after a run of the next day, before which late records of old periods arrived."""
    patch = pytest.MonkeyPatch()
    patch.setenv("LAKE_START", f"{START:%Y-%m-%d}")
    with template(tmp_path_factory.mktemp("late"), PROJECT) as home:
        shop = fill(home)
        home.put("users", "2.json", {"user_id": "u1", "country_code": "fr"})
        home.put("activities", "2.json", {"activity_id": "a1", "name": "other", "type": "game"})
        home.put("accounts", "2.json", account("a1", f"{LATE}T00:00:00Z", country_code="fr"))
        home.put("subscriptions", "2.json", change("s1", 2, f"{LATE}T00:00:00Z", quantity=2))
        home.put("invoices", "2.json", invoice("i1", "2026-02-25T00:00:00Z", amount_refunded=1190))
        home.put("events", "2.json", play("late", LATE))
        home.put("clickstream", "2.json", click("late", f"{LATE}T11:00:00Z"))
        write(shop, (1,), dt.datetime.fromisoformat(f"{LATE}T00:00:00Z"))
        land(home, shop, "2.json")
        home.ingest()
        context = home.context()
        next_day = PLANNED + DAY
        assert context.run(execution_time=next_day, end=next_day, skip_janitor=True).is_success
        home.close(context)
        context = home.context()  # with the intervals of the run
        yield context
        home.close(context)
    patch.undo()


def write(shop: Database, numbers: Iterable[int], at: dt.datetime) -> None:
    """Change a row of each table of the shop, or insert it: an order of an item, a piece of which came back."""
    placed, amounts = {"ordered_at": START.replace(hour=12), "currency": "EUR"}, ("discount_amount", "shipping_amount")
    changed = {
        "customers": {"name": f"{at}"},
        "products": {"name": f"{at}"},
        "orders": {"status": "paid", "tax_amount": 0, "total_amount": at.day, **placed, **dict.fromkeys(amounts, 0)},
        "order_items": {"quantity": at.day, "unit_price": 1},
        "refunds": {"line_number": 1, "quantity": 1, "amount": 1, "tax_amount": 0, "refunded_at": at},
        "payments": {"status": "captured", "captured_at": at},
        "shipments": {"shipped_at": at},
    }
    transaction = shop.begin()
    for number in numbers:
        for table in TABLES:
            row = dict.fromkeys(("customer_id", "product_id", "order_id", *table.key), number)
            row |= dict.fromkeys(table.stored_apart) | changed[table.name] | dict.fromkeys(table.key[1:], 1)
            shop.write(transaction, table.name, tuple(row[name] for name in table.key), row)
    shop.commit(transaction, at)


def land(home: Home, shop: Database, name: str) -> None:
    """Land what the connector has written since the last time."""
    for table in TABLES:
        written = [as_json(record).encode() for record in shop.records if record["topic"].endswith(f".{table.name}")]
        home.put(table.name, name, *written)
    shop.records.clear()


def fill(home: Home) -> Database:
    """Two of everything, both with several versions, planned; return the shop's database."""
    shop = Database("shop", TABLES, lambda: 8)
    shop.connect(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    for day in (2, 20):
        write(shop, (1, 2), dt.datetime(2026, 1, day, tzinfo=dt.UTC))
    land(home, shop, "1.json")
    home.put("users", "1.json", *({"user_id": name, "country_code": "de"} for name in ("u1", "u2")))
    home.put("activities", "1.json", *({"activity_id": name, "name": "x", "type": "game"} for name in ("a1", "a2")))
    times = ("2026-01-01T00:00:00Z", "2026-01-20T00:00:00Z")
    home.put("accounts", "1.json", *(account(name, at) for name in ("a1", "a2") for at in times))
    home.put(
        "subscriptions",
        "1.json",
        *(change(f"s{n}", 1, "2026-01-05T00:00:00Z", account_id=f"a{n}") for n in (1, 2)),
        *(change(f"s{n}", 3, "2026-03-05T00:00:00Z", account_id=f"a{n}", quantity=3) for n in (1, 2)),
    )
    paid = [invoice(f"i{n}", "2026-01-31T00:00:00Z", account_id=f"a{n}") for n in (1, 2)]
    back = [invoice(f"i{n}", "2026-02-20T00:00:00Z", account_id=f"a{n}", amount_refunded=595) for n in (1, 2)]
    home.put("invoices", "1.json", *paid, *back)
    home.put("events", "1.json", play("early", LATE), play("other", "2026-02-11", "u2"))
    home.put("clickstream", "1.json", *(click(f"c{day}", f"2026-02-{day}T10:00:00Z") for day in (10, 11)))
    home.ingest()
    home.plan(execution_time=PLANNED)
    return shop


def snapshot_of(context: Context, name: str) -> Snapshot:
    return next(item for item in context.snapshots.values() if item.name.replace('"', "").endswith(name))


@contextmanager
def broken(context: Context, statement: str) -> Iterator[None]:
    """A warehouse with a fault that ends with the body."""
    cursor = context.engine_adapter.cursor
    cursor.execute("BEGIN")
    try:
        cursor.execute(statement)
        yield
    finally:
        cursor.execute("ROLLBACK")


def found(context: Context, name: str, audit: str, start: dt.datetime) -> int:
    """Rows that an audit of a model finds if the interval from a date on is audited."""
    snapshot = snapshot_of(context, name)
    now = PLANNED + DAY
    results = context.snapshot_evaluator.audit(
        snapshot=snapshot, snapshots={item.name: item for item in context.snapshots.values()}, start=start, end=now
    )
    counts = [result.count for result in results if result.audit.name == audit]
    assert counts, f"{name} has no audit {audit}"
    return sum(count or 0 for count in counts)


@pytest.mark.parametrize(("name", "audit", "fault"), FAULTS)
def test_fault_of_an_old_period_is_found_by_the_cycle_that_computes_it(
    computed: Context, name: str, audit: str, fault: str
) -> None:
    model = snapshot_of(computed, name).model
    key = str(model.kind.materialization_properties["key"].name)
    table = snapshot_of(computed, name).table_name()
    newest = PLANNED.replace(hour=0)

    with broken(computed, fault.format(table=table, key=key, value=CHANGED[key])):
        assert found(computed, name, audit, newest), "the key changed in this cycle"
    with broken(computed, fault.format(table=table, key=key, value=UNCHANGED[key])):
        assert not found(computed, name, audit, newest), "the key did not change"
        assert found(computed, name, audit, START), "the pass over everything looks at every key"
    assert not found(computed, name, audit, START)


@pytest.mark.parametrize("name", DATED)
def test_fault_of_an_old_date_is_found_by_the_cycle_that_computes_it(computed: Context, name: str) -> None:
    snapshots = {item.name: item for item in computed.snapshots.values()}
    scopes = {audit.name: audit.defaults["scope"].name for audit in computed.standalone_audits.values()}
    fault = DATED[name].format(snapshot_of(computed, BROKEN[name]).table_name(), LATE)
    assert scopes[name] == BY_DATE

    def rows(date: str) -> int:
        days = {dt.date.fromisoformat(date)}
        outcomes = standalone_audits(snapshots, scopes, engine_of(computed.engine_adapter), days, pytest.fail)
        return next(item.rows for item in outcomes if item.name == name)

    with broken(computed, fault):
        assert rows(LATE)
        assert not rows("2026-02-11")
    assert not rows(LATE)


def test_every_audit_by_what_changed_has_a_fault(computed: Context) -> None:
    by_key = {
        (model.name, audit)
        for model in computed.models.values()
        for audit, _ in model.audits
        if model.kind.is_custom
        and audit in computed._audits
        and "IS_CHANGED" in computed._audits[audit].query.sql().upper()
    }
    assert by_key == {(name, audit) for name, audit, _ in FAULTS}
    by_date = {audit.name for audit in computed.standalone_audits.values() if audit.defaults["scope"].name == BY_DATE}
    assert by_date == set(DATED)
