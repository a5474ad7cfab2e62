"""Random shops: sales by the models and by plain Python agree, in whatever order the changes arrive."""

from __future__ import annotations

import csv
import datetime as dt
import os
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.settings import PROJECT
from pipeline.cycle.cycle import run_cycle
from pipeline.lake import Lake
from sample.database import Database, Row, as_json
from sample.shop import TABLES
from tests.home import Home, copy_home, copy_project, keep_sales, switch_rules_off, template, use_project
from tests.random_shop import LAST, RandomShop
from tests.revenue import Rates
from tests.shop_products import product_months
from tests.shop_sales import FIRST_MEASURE, Sales, periods

ZONE = "Europe/Berlin"
SALES = """
SELECT order_id, line_number, event_type, refund_id, customer_key, product_key, currency, business_date, business_hour,
  event_at, quantity, gross_amount, discount_amount, net_amount, tax_amount, shipping_amount, cost_amount,
  gross_amount_reporting, discount_amount_reporting, net_amount_reporting, cost_amount_reporting,
  profit_amount_reporting
FROM gold.fct_sales
"""
ORDERS = """
SELECT order_id, customer_key, order_status, is_first_order, item_count, quantity, gross_amount, discount_amount,
  net_amount, tax_amount, shipping_amount, net_amount_reporting, remaining_quantity, remaining_net_amount,
  remaining_tax_amount, remaining_shipping_amount, remaining_net_amount_reporting, ordered_at, paid_at, shipped_at,
  delivered_at, cancelled_at
FROM gold.fct_orders
"""
DAILY = """
SELECT business_date, category, subcategory, country_code, event_count, sold_quantity, returned_quantity, gross_amount,
  discount_amount, cancelled_amount, refunded_amount, net_amount, costed_net_amount, cost_amount, profit_amount
FROM gold.rpt_sales_daily
"""
HOURLY = """
SELECT business_date, category, subcategory, country_code, SUM(event_count), SUM(sold_quantity),
  SUM(returned_quantity), SUM(gross_amount), SUM(discount_amount), SUM(cancelled_amount), SUM(refunded_amount),
  SUM(net_amount), SUM(costed_net_amount), SUM(cost_amount), SUM(profit_amount)
FROM gold.rpt_sales_hourly GROUP BY ALL
"""
PRODUCTS = """
SELECT month_date, product_id, product_name, category, subcategory, revenue_rank, event_count, sold_quantity,
  returned_quantity, order_count, net_amount, costed_net_amount, profit_amount
FROM gold.rpt_top_products
"""


def seed(name: str) -> list[dict[str, str]]:
    with (PROJECT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


RATES = Rates(seed("exchange_rates"), "EUR")
DIGITS = {row["currency"]: int(row["digits"]) for row in seed("currencies")}


@pytest.fixture(scope="module")
def sales_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's SQLMesh side with the shop alone; read-only."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "sales")
    keep_sales(folder)
    switch_rules_off(folder)
    return folder


@pytest.fixture(scope="module")
def planned(sales_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake before the shop opened, planned."""
    with template(tmp_path_factory.mktemp("planned"), sales_project) as home:
        home.plan()
    return home


@pytest.fixture
def home(planned: Home, sales_project: Path, monkeypatch: pytest.MonkeyPatch, clean_settings: Path) -> Home:
    """A copy of that lake."""
    use_project(sales_project, monkeypatch)
    return copy_home(planned, Home())


def put(home: Home, name: str, records: Sequence[Row]) -> None:
    """Write an object of each table's records."""
    for table in TABLES:
        lines = [as_json(record).encode() for record in records if record["topic"].endswith(f".{table.name}")]
        if lines:
            home.put(table.name, f"{name}.json", *lines)


def comparable(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Rows in order, numbers without trailing zeros."""

    def value(item: Any) -> Any:
        is_number = isinstance(item, int | Decimal) and not isinstance(item, bool)
        return f"{(Decimal(item) + 0).normalize():f}" if is_number else item

    return sorted(repr([value(item) for item in row]) for row in rows)


def must_agree(home: Home, expected: Sales, database: Database) -> None:
    """Assert that sales, orders and all reports on them are those of plain Python."""
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        for query, rows in (
            (SALES, expected.sales),
            (ORDERS, expected.orders),
            (DAILY, expected.days),
            (HOURLY, expected.days),
            (PRODUCTS, product_months(expected, database)),
        ):
            assert comparable(warehouse.execute(query).fetchall()) == comparable(rows), query


def computed_by_key(home: Home) -> int:
    """How often gold.fct_sales was computed by key since it was computed as a whole."""
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        query = "SELECT (state->>'sequence')::INT FROM lakemesh.by_key WHERE name LIKE '%.gold__fct_sales__%'"
        rows = warehouse.execute(query).fetchall()
    return sum(int(count) for (count,) in rows)


@pytest.mark.parametrize("number", range(int(os.environ.get("SHOPS", "1"))))
def test_models_and_plain_python_agree(number: int, home: Home, record_property: Callable[[str, object], None]) -> None:
    shop = RandomShop(number, RATES, DIGITS, ZONE)
    expected = Sales(shop.database, RATES, DIGITS, ZONE)
    dice = random.Random(number)
    records = list(shop.database.records)
    dice.shuffle(records)
    bound = dice.randrange(len(records) // 4, len(records))

    # WHEN a part arrives, of which some order lacks items or its customer, and the audits may refuse it
    put(home, "first", records[:bound])
    run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None)
    put(home, "second", records[bound:])
    done = run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None)

    # THEN all of it is right, and was computed by key
    assert (done.errors, done.outcome) == ([], "published")
    must_agree(home, expected, shop.database)
    assert computed_by_key(home) == 2
    record_property("sales", len(expected.sales))
    assert len(expected.sales) > 40


def computed_orders(home: Home, table: str) -> set[int]:
    """Orders that the last change of a table computed, whether or not their rows differ."""
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        ((log,),) = warehouse.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'lakemesh' AND table_name LIKE ?",
            [f"gold__{table}__%"],
        ).fetchall()
        query = f"SELECT order_id FROM lakemesh.{log} QUALIFY _sequence = MAX(_sequence) OVER ()"
        return {number for (number,) in warehouse.execute(query).fetchall()}


def test_a_changed_product_or_customer_computes_only_its_orders(home: Home) -> None:
    shop = RandomShop(1, RATES, DIGITS, ZONE)
    database, at = shop.database, LAST + dt.timedelta(days=1)
    put(home, "all", database.records)
    assert run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None).errors == []

    def change(table: str, key: tuple[int, ...], **changed: Any) -> None:
        nonlocal at
        at += dt.timedelta(seconds=1)
        written = len(database.records)
        transaction = database.begin()
        database.write(transaction, table, key, database.rows[table][key] | changed)
        database.commit(transaction, at)
        put(home, f"{table}-{at:%S}", database.records[written:])
        assert run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None).errors == []

    # WHEN a product changes THEN its orders are computed, removed items of it included, and no others
    product = next(iter(database.rows["products"]))
    change("products", product, category="other", cost=Decimal(1))
    keys = [key for table, key in database.history if table == "order_items"]
    rows = {key: [period.row for period in periods(database, "order_items", key)] for key in keys}
    orders = {key[0] for key, held in rows.items() if any(row["product_id"] == product[0] for row in held)}
    assert 0 < len(orders) < len(database.rows["orders"])
    assert computed_orders(home, "fct_sales") == orders

    # WHEN an item gets another product THEN its order changed itself, whatever led to it before
    (order, line), item = next((key, row) for key, row in database.rows["order_items"].items() if key[0] not in orders)
    change("order_items", (order, line), product_id=product[0])
    assert computed_orders(home, "fct_sales") == {order}
    change("order_items", (order, line), product_id=item["product_id"])

    # WHEN a customer changes THEN the customer's orders are computed in both facts
    customers = {row["customer_id"] for row in database.rows["orders"].values()}
    (customer,) = next(key for key in database.rows["customers"] if key[0] in customers)
    change("customers", (customer,), country_code="NL")
    orders = {key[0] for key, row in database.rows["orders"].items() if row["customer_id"] == customer}
    assert computed_orders(home, "fct_sales") == orders == computed_orders(home, "fct_orders")
    must_agree(home, Sales(database, RATES, DIGITS, ZONE), database)
    assert computed_by_key(home) == 5


def test_together_shops_have_every_trouble() -> None:
    found: set[str] = set()
    for number in range(6):
        shop = RandomShop(number, RATES, DIGITS, ZONE)
        sales = Sales(shop.database, RATES, DIGITS, ZONE)
        found |= {name for name, count in shop.done.items() if count}
        found |= {sale.event_type for sale in sales.sales}
        found |= {"unknown customer" for sale in sales.sales if sale.customer_key == "-1"}
        found |= {"unknown product" for sale in sales.sales if sale.product_key == "-1"}
        found |= {"unknown cost" for sale in sales.sales if sale.cost is None and sale.product_key != "-1"}
        found |= {"order without items" for order in sales.orders if not order.item_count}
        found |= {"refund of money" for sale in sales.sales if sale.event_type == "refund" and not sale.quantity}
        found |= {"another UTC date" for sale in sales.sales if sale.event_at.date() != sale.business_date}
        placed = {sale[:2]: sale.event_at.month for sale in sales.sales if sale.event_type == "sale"}
        found |= {
            "refund in another month"
            for sale in sales.sales
            if sale.event_type == "refund" and sale.event_at.month != placed[sale[:2]]
        }
        refunded = {sale[:2] for sale in sales.sales if sale.event_type == "refund"}
        found |= {
            "cancellation of what refunds left"
            for sale in sales.sales
            if sale.event_type == "cancellation" and sale[:2] in refunded and any(sale[FIRST_MEASURE:])
        }
        cancelled = {order.order_id for order in sales.orders if order.cancelled_at}
        refunds = [row for row in shop.database.rows["refunds"].values() if row["order_id"] in cancelled]
        counted = {sale.refund_id for sale in sales.sales}
        found |= {"payment back" for row in refunds if row["refund_id"] not in counted}
        found |= {f"in {sale.currency}" for sale in sales.sales}
        found |= {f"at {sale.business_hour}" for sale in sales.sales if str(sale.business_date) == "2026-03-29"}
    troubles = {"unknown customer", "unknown product", "unknown cost", "order without items", "refund of money"}
    troubles |= {"another UTC date", "refund in another month", "cancellation of what refunds left", "payment back"}
    troubles |= {"in EUR", "in USD", "in JPY", "at 1", "at 3", "sale", "refund", "cancellation", "bring_back", "resume"}
    troubles |= {"renumber_item", "remove_item", "correct_quantity", "correct_refund", "delete_refund", "delete_order"}
    assert troubles <= found
    assert "at 2" not in found
