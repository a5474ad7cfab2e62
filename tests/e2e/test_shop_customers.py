"""Random shops over eighteen months: segments, churn risk and values by the models and by plain Python agree."""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.cycle.cycle import run_cycle
from pipeline.lake import Lake
from tests.e2e.test_shop_sales import DIGITS, RATES, ZONE, comparable, put, seed
from tests.home import Home, copy_home, copy_project, keep_upstream, switch_rules_off, template, use_project
from tests.random_customers import LongShop
from tests.shop_customers import Customers, Seeds
from tests.shop_sales import Sales

SEEDS = Seeds(seed("rfm_cuts"), seed("rfm_segments"))
MONTHS = """
SELECT month_date, customer_id, segment, recency_score, frequency_score, monetary_score, last_order_date, recency_days,
  order_count, frequency, net_amount, margin_amount, monetary_amount, lifetime_value
FROM gold.fct_customer_monthly
"""
MOVES = """
SELECT month_date, previous_segment, segment, customers, buyers, moved_customers, new_customers, left_customers,
  monetary_amount
FROM gold.rpt_customer_segments
"""
RISKS = """
SELECT month_date, recency_score, frequency_score, segment, customers, history_customers, history_churned_customers,
  base_rate, churn_score, scored_customers, expected_churned_customers, outcome_customers, churned_customers,
  tested_customers, squared_error, base_squared_error
FROM gold.rpt_churn_risk
"""
MEMBERS = "SELECT customer_key, customer_id, segment, lifetime_value FROM gold.dim_customer"


@pytest.fixture(scope="module")
def sales_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's SQLMesh side with these tables and what they read; read-only."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "customers")
    keep_upstream(folder, "gold.rpt_customer_segments", "gold.rpt_churn_risk", "gold.dim_customer")
    switch_rules_off(folder)
    return folder


@pytest.fixture(scope="module")
def planned(sales_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A lake before the shop opened, planned from a date within a month on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_START", "2025-01-10")
        with template(tmp_path_factory.mktemp("planned"), sales_project) as home:
            home.plan()
        yield home


@pytest.fixture
def home(planned: Home, sales_project: Path, monkeypatch: pytest.MonkeyPatch, clean_settings: Path) -> Home:
    """A copy of that lake."""
    use_project(sales_project, monkeypatch)
    monkeypatch.setenv("LAKE_START", "2025-01-10")
    return copy_home(planned, Home())


def rows(home: Home, query: str) -> list[Any]:
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        return warehouse.execute(query).fetchall()


def rounded(found: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows with floats to nine digits, which sums in another order do not change where the tenth is a five."""
    return [[f"{item + 1e-12:.9f}" if isinstance(item, float) else item for item in row] for row in found]


def expected_of(home: Home, shop: LongShop) -> Customers:
    """What plain Python says of the dates that are computed."""
    ((first, last),) = rows(home, "SELECT MIN(business_date), MAX(business_date) FROM silver.business_dates")
    return Customers(shop.database, Sales(shop.database, RATES, DIGITS, ZONE), SEEDS, ZONE, (first, last))


def must_agree(home: Home, expected: Customers) -> None:
    """Assert that the four tables are those of plain Python."""
    for query, wanted in (
        (MONTHS, expected.months),
        (MOVES, expected.moves),
        (RISKS, expected.risks),
        (MEMBERS, expected.members),
    ):
        found, true = comparable(rounded(rows(home, query))), comparable(rounded(wanted))
        assert found == true, (query, sorted(set(found) ^ set(true))[:6])


def cycle(home: Home) -> Any:
    return run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None)


def computed_customers(home: Home, table: str = "fct_customer_monthly") -> set[int]:
    """Customers whose rows the last change of a table computed, whether or not they differ."""
    log = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'lakemesh' AND table_name LIKE"
    ((name,),) = rows(home, f"{log} 'gold__{table}__%'")
    found = rows(home, f"SELECT customer_id FROM lakemesh.{name} QUALIFY _sequence = MAX(_sequence) OVER ()")
    return {number for (number,) in found}


@pytest.mark.parametrize("number", range(int(os.environ.get("SHOPS", "1"))))
def test_models_and_plain_python_agree(number: int, home: Home, record_property: Callable[[str, object], None]) -> None:
    shop, dice = LongShop(number, RATES, DIGITS, ZONE), random.Random(number)
    records = list(shop.database.records)
    dice.shuffle(records)
    bound = dice.randrange(len(records) // 4, len(records))

    # WHEN a part arrives, of which some order lacks items or its customer, and the audits may refuse it
    put(home, "first", records[:bound])
    cycle(home)
    put(home, "second", records[bound:])
    done = cycle(home)

    # THEN all of it is right
    assert (done.errors, done.outcome) == ([], "published")
    expected = expected_of(home, shop)
    must_agree(home, expected)
    record_property("customer months", len(expected.months))
    assert len(expected.months) > 100

    # WHEN one order changes THEN its customers alone, before and after, are computed
    database, at = shop.database, shop.last + dt.timedelta(days=1)
    customers = {key[0] for key in database.rows["customers"]}
    key, order = next(item for item in database.rows["orders"].items() if item[1]["customer_id"] in customers)
    other = next(name for name in sorted(customers) if name != order["customer_id"])
    written, transaction = len(database.records), database.begin()
    status = "paid" if order["status"] == "cancelled" else "cancelled"
    database.write(transaction, "orders", key, order | {"customer_id": other, "status": status})
    database.commit(transaction, at)
    put(home, "third", database.records[written:])
    assert cycle(home).errors == []
    assert computed_customers(home) == {order["customer_id"], other}
    must_agree(home, expected_of(home, shop))


def test_together_shops_have_every_trouble() -> None:
    found: set[str] = set()
    dates = (dt.date(2025, 1, 10), dt.date(2026, 11, 28))
    for number in range(4):
        shop = LongShop(number, RATES, DIGITS, ZONE)
        customers = Customers(shop.database, Sales(shop.database, RATES, DIGITS, ZONE), SEEDS, ZONE, dates)
        found |= {name for name, count in shop.done.items() if count}
        found |= {row.segment for row in customers.months}
        found |= {
            f"{name} {value}" for row in customers.months for name, value in row._asdict().items() if "score" in name
        }
        found |= {"negative net revenue" for row in customers.months if row.monetary < 0}
        found |= {"left" for move in customers.moves if move.left}
        found |= {"scored by others" for risk in customers.risks if risk.score and not risk.history}
        found |= {
            "better than the base"
            for risk in customers.risks
            if (risk.squared_error or 9) < (risk.base_squared_error or 0)
        }
        found |= {"without base" for risk in customers.risks if risk.base_rate is None}
        found |= {"outcome ahead" for risk in customers.risks if risk.churned is None}
        found |= {"deleted now" for member in customers.members if member.segment is None and member.customer_id > 0}
    troubles = {"leave", "come_back", "rename", "hand_over", "cancel", "resume", "date_back", "delete_order"}
    troubles |= {row["segment"] for row in SEEDS.segments} | {"prospect", "left", "scored by others", "outcome ahead"}
    troubles |= {"without base", "better than the base", "deleted now", "negative net revenue"}
    troubles |= {f"{name}_score {score}" for name in ("recency", "frequency", "monetary") for score in range(1, 6)}
    assert troubles - found == set()
