"""Histories are the same for every order in which change records arrive, and cost what changed.

The records of a shop are shuffled, doubled and loaded in parts, with cycles between.
test_arrivals.py tries many orders.
"""

from __future__ import annotations

import copy
import datetime as dt
import random
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.sql import identifier
from pipeline.cycle.cycle import run_cycle
from pipeline.lake import Lake
from sample.database import Row, as_json
from sample.options import SampleOptions
from sample.shop import TABLES, Shop
from tests.home import Home, copy_home, template

pytestmark = pytest.mark.usefixtures("shop_models")

LOADS = 3
HISTORIES = tuple(f"silver.{table.name}" for table in TABLES)
OPTIONS = SampleOptions(dt.date(2026, 1, 25), events=1, days=25, orders=60, accounts=0, resnapshots=0.15, reloads=0.1)


@cache
def shop() -> Shop:
    """A shop that has closed."""
    found = Shop(OPTIONS)
    assert sum(map(len, found.days())) > 1000
    return found


def put(home: Home, name: str, records: Sequence[Row]) -> None:
    """Write an object of each table's records."""
    for table in TABLES:
        lines = [as_json(record).encode() for record in records if record["topic"].endswith(f".{table.name}")]
        if lines:
            home.put(table.name, f"{name}.json", *lines)


def cycle(home: Home) -> None:
    done = run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None)
    assert done.errors == []


def hashes(home: Home) -> dict[str, int]:
    """A number that follows from all rows of a table but from when they were known, by table."""
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        found = {}
        for table in (*HISTORIES, "silver.change_marks"):
            rest = "SELECT COLUMNS(name -> name <> 'known_at')"
            query = f"SELECT COUNT(*), SUM(HASH(rows::TEXT)) FROM ({rest} FROM {table}) AS rows"
            rows = warehouse.execute(query).fetchone()
            assert rows
            assert rows[0] > 0
            found[table] = int(rows[1])
    return found


def current(home: Home, table: str, columns: str) -> list[Any]:
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        query = f"SELECT {columns} FROM silver.{table} WHERE is_current AND NOT is_deleted ORDER BY ALL"
        return warehouse.execute(query).fetchall()


@pytest.fixture(scope="session")
def whole_shop(shop_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake with all records, loaded in order and at once."""
    with template(tmp_path_factory.mktemp("whole"), shop_project) as home:
        put(home, "all", shop().database.records)
        home.ingest()
        home.plan()
    return home


def test_current_rows_equal_the_database(whole_shop: Home) -> None:
    rows = shop().database.rows
    columns = {
        "customers": ("customer_id", "email", "country_code", "interests", "birth_date", "accepts_marketing"),
        "products": ("product_id", "sku", "subcategory", "price", "cost", "is_active"),
        "orders": ("order_id", "customer_id", "discount_amount", "tax_amount", "total_amount", "shipping_address"),
        "order_items": ("order_id", "line_number", "product_id", "quantity", "unit_price"),
        "payments": ("payment_id", "order_id", "amount", "currency"),
        "shipments": ("shipment_id", "order_id", "carrier"),
        "refunds": ("refund_id", "order_id", "line_number", "quantity", "amount", "tax_amount"),
    }
    for table, names in columns.items():
        expected = [tuple(row[name] for name in names) for _, row in sorted(rows[table].items())]
        assert current(whole_shop, table, ", ".join(names)) == expected, table
    texts = {key: row["description"] for (key,), row in rows["products"].items()}
    assert dict(current(whole_shop, "products", "product_id, product_description")) == texts
    times = {key: row["created_at"].replace(tzinfo=None) for (key,), row in rows["customers"].items()}
    assert dict(current(whole_shop, "customers", "customer_id, created_at")) == times


def test_another_order_of_arrival_gives_the_same_tables(whole_shop: Home, empty_shop: Home, home: Home) -> None:
    dice = random.Random(1)
    records = shop().database.records
    arriving = [*records, *dice.sample(records, len(records) // 3)]
    dice.shuffle(arriving)
    copy_home(empty_shop, home)
    bounds = sorted(dice.sample(range(1, len(arriving)), LOADS - 1))
    for number, (start, end) in enumerate(pairwise([0, *bounds, len(arriving)])):
        put(home, f"{dice.randrange(10**9)}-{number}", arriving[start:end])
        cycle(home)
    assert hashes(home) == hashes(whole_shop)


def test_a_change_computes_its_key_alone_and_a_truncate_its_table(whole_shop: Home, home: Home) -> None:
    copy_home(whole_shop, home)
    before = {name: identity for name, (identity, _) in states(home).items()}
    (order, row), *_ = shop().database.rows["orders"].items()
    database = copy.deepcopy(shop().database)
    before_it = len(database.records)
    transaction = database.begin()
    database.write(transaction, "orders", order, row | {"status": "cancelled"})
    database.truncate(transaction, "products")
    database.commit(transaction, dt.datetime(2026, 1, 26, tzinfo=dt.UTC))
    put(home, "one", database.records[before_it:])
    cycle(home)
    after = states(home)
    assert {name for name, (identity, _) in after.items() if identity != before[name]} == {"products"}
    assert {name for name, (_, sequence) in after.items() if sequence} == {"orders"}
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        (log,) = warehouse.execute(
            "SELECT table_name FROM duckdb_tables() "
            "WHERE schema_name = 'lakemesh' AND table_name LIKE 'silver__orders__%'"
        ).fetchall()
        keys = warehouse.execute(f"SELECT order_id, _is_changed FROM lakemesh.{identifier(log[0])}").fetchall()
        assert keys == [(*order, True)]
        query = "SELECT order_status, valid_from FROM silver.orders WHERE order_id = ? AND is_current"
        assert warehouse.execute(query, order).fetchall() == [("cancelled", dt.datetime(2026, 1, 26))]
    assert current(home, "products", "product_id") == []
    unchanged = {table for table, found in hashes(home).items() if found == hashes(whole_shop)[table]}
    assert unchanged == set(HISTORIES) - {"silver.orders", "silver.products"}


def states(home: Home) -> dict[str, tuple[str, int]]:
    """Identity of the last computation as a whole, and changes since, of each history."""
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        rows = warehouse.execute(
            "SELECT name, state->>'identity', (state->>'sequence')::INT FROM lakemesh.by_key"
        ).fetchall()
    return {name.split("__")[2]: (identity, sequence) for name, identity, sequence in rows}
