"""Random shops over fifteen months: acquisition, cohorts, value and recommendations by the models and plain Python."""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.cycle.cycle import run_cycle
from pipeline.lake import Lake
from sample.database import Row
from tests.e2e.test_shop_sales import DIGITS, RATES, ZONE, put
from tests.home import Home, copy_home, copy_project, keep_sales, switch_rules_off, template, use_project
from tests.random_growth import ENDS, START, random_growth
from tests.shop_growth import Growth
from tests.shop_recommendations import Recommendations
from tests.shop_sessions import DAY

SHOPS = int(os.environ.get("SHOPS", "1"))
ACQUISITIONS = """
SELECT customer_id, order_id, session_key, channel, business_date, cohort_month_date, ordered_at
FROM gold.fct_acquisitions
"""
COHORTS = """
SELECT cohort_month_date, month_number, month_date, customers, active_customers, active_share, orders, net_amount,
  costed_net_amount, profit_amount
FROM gold.rpt_customer_cohorts
"""
VALUES = """
SELECT cohort_month_date, channel, customers, is_valued, margin_12_months, value_12_months FROM gold.rpt_customer_value
"""
MONTHLY = """
SELECT month_date, channel, customers, spend_amount, cac, blended_cac, payback_months FROM gold.rpt_acquisition_monthly
"""
RECOMMENDATIONS = """
SELECT month_date, product_id, rank, recommended_product_id, basis, lift, support FROM gold.rpt_product_recommendations
"""
HITS = """
SELECT month_date, baskets, hits, popularity_hits, hit_rate, popularity_hit_rate FROM gold.rpt_recommendation_hits
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's SQLMesh side with the shop alone; read-only."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "growth")
    keep_sales(folder)
    switch_rules_off(folder)
    return folder


@pytest.fixture(scope="module")
def planned(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake before the shop opened, planned as of its second date."""
    with template(tmp_path_factory.mktemp("planned"), project) as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_START", str(START))
        home.plan(execution_time=midnight(START + DAY))
    return home


@pytest.fixture
def home(planned: Home, project: Path, monkeypatch: pytest.MonkeyPatch, clean_settings: Path) -> Home:
    """A copy of that lake."""
    use_project(project, monkeypatch)
    monkeypatch.setenv("LAKE_START", str(START))
    return copy_home(planned, Home())


def midnight(day: dt.date) -> dt.datetime:
    """Soon after the start of a UTC date."""
    return dt.datetime.combine(day, dt.time(0, 5), dt.UTC)


def put_spend(home: Home, name: str, rows: Sequence[Row]) -> None:
    """Write an export of spend."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    home.landing("marketing_spend").put(f"{name}.csv", text.getvalue().encode())


def comparable(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Rows in order; numbers without trailing zeros, shares to twelve digits."""

    def value(item: Any) -> Any:
        if isinstance(item, float):
            return f"{item:.12g}"
        is_number = isinstance(item, int | Decimal) and not isinstance(item, bool)
        return f"{(Decimal(item) + 0).normalize():f}" if is_number else item

    return sorted(repr([value(item) for item in row]) for row in rows)


@pytest.mark.parametrize("number", range(SHOPS))
def test_growth_of_random_shops_by_models_and_plain_python_agrees(
    number: int, home: Home, record_property: Callable[[str, object], None]
) -> None:
    shop, clicks, spend = random_growth(number)
    last = ENDS[number % len(ENDS)]
    dice = random.Random(f"loads {number}")
    records = list(shop.database.records)
    dice.shuffle(records)
    bound = dice.randrange(len(records) // 4, len(records))

    def cycle(now: dt.datetime) -> Any:
        return run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None, now=lambda: now)

    # WHEN a part arrives, as of some date, and the audits may refuse it
    put(home, "first", records[:bound])
    home.put("clickstream", "first.json", *clicks[::2])
    put_spend(home, "first", spend[: len(spend) // 2])
    cycle(midnight(START + dice.randrange(300, (last - START).days) * DAY))
    put(home, "second", records[bound:])
    home.put("clickstream", "second.json", *clicks[1::2])
    put_spend(home, "second", spend[len(spend) // 2 :])
    done = cycle(midnight(last + DAY))

    # THEN all of it is right in the end
    assert (done.errors, done.outcome) == ([], "published")
    growth = Growth(shop.database, RATES, DIGITS, ZONE, clicks, spend, (START, last))
    recommended = Recommendations(growth, ZONE)
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        for query, rows in (
            (ACQUISITIONS, list(growth.acquisitions.values())),
            (COHORTS, growth.cohorts()),
            (VALUES, growth.values()),
            (MONTHLY, growth.acquired_monthly()),
            (RECOMMENDATIONS, recommended.rows),
            (HITS, recommended.hits),
        ):
            assert comparable(warehouse.execute(query).fetchall()) == comparable(rows), query
    record_property("acquisitions", len(growth.acquisitions))
    assert len(growth.acquisitions) > 8
