"""Random shops over fifteen months: acquisition, cohorts, value and recommendations by the models and plain Python."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.settings import PROJECT
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.releases.release import Releases
from sample.database import Row
from tests.e2e.test_shop_sales import DIGITS, RATES, ZONE, put
from tests.home import Home, copy_project, keep_sales, keep_upstream, switch_rules_off, template
from tests.random_growth import ENDS, START, LongShop, random_growth
from tests.shop_growth import Growth
from tests.shop_recommendations import Recommendations
from tests.shop_sessions import DAY, Record

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
SELECT month_date, channel, customers, spend_amount, cac, blended_cac, is_valued, margin_12_months, payback_months
FROM gold.rpt_acquisition_monthly
"""
RECOMMENDATIONS = """
SELECT month_date, product_id, rank, recommended_product_id, basis, lift, support FROM gold.rpt_product_recommendations
"""
HITS = """
SELECT month_date, baskets, hits, popularity_hits, hit_rate, popularity_hit_rate FROM gold.rpt_recommendation_hits
"""


REPORTS = (
    "gold.rpt_acquisition_monthly",
    "gold.rpt_customer_cohorts",
    "gold.rpt_recommendation_hits",
    "gold.rpt_sales_daily",
)
"""What is compared, and what the notebook asks of; other models that these do not read are left out."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's SQLMesh side with what these reports need of the shop; read-only."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "growth")
    keep_sales(folder)
    keep_upstream(folder, *REPORTS)
    switch_rules_off(folder)
    return folder


@dataclass(frozen=True)
class Grown:
    """A lake with a random shop.

    Attributes:
        done: the last cycle.
        last: the last date that is computed.
    """

    home: Home
    done: RunSummary
    shop: LongShop
    clicks: list[Record]
    spend: list[Record]
    last: dt.date


@pytest.fixture(scope="module", params=range(SHOPS))
def grown(request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    """A shop that arrived in two parts, some orders, payments, clicks and exports late; read-only."""
    number: int = request.param
    shop, clicks, spend = random_growth(number)
    last = ENDS[number % len(ENDS)]
    dice = random.Random(f"loads {number}")
    records = list(shop.database.records)
    dice.shuffle(records)
    refunded = {item["order_id"] for item in shop.database.rows["refunds"].values()}
    late = [record for record in records if is_late(record, refunded)]
    with template(tmp_path_factory.mktemp("grown"), project) as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_START", str(START))
        put(home, "first", [record for record in records if not is_late(record, refunded)])
        home.put("clickstream", "first.json", *clicks[::2])
        put_spend(home, "first", spend[: len(spend) // 2])
        home.ingest()
        home.plan(execution_time=midnight(START + dice.randrange(300, (last - START).days) * DAY))
        put(home, "second", late)
        home.put("clickstream", "second.json", *clicks[1::2])
        put_spend(home, "second", spend[len(spend) // 2 :])
        now = midnight(last + DAY)
        done = run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None, now=lambda: now)
        yield Grown(home, done, shop, clicks, spend, last)


def is_late(record: Row, refunded: set[int]) -> bool:
    """Whether a change is of a third of the orders, or of half of the payments; refunds must not come first."""
    key = record["key"]
    if "payment_id" in key:
        return bool(key["payment_id"] % 2)
    return "order_id" in key and key["order_id"] not in refunded and key["order_id"] % 3 == 0


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


def test_growth_of_random_shops_by_models_and_plain_python_agrees(
    grown: Grown, record_property: Callable[[str, object], None]
) -> None:
    assert (grown.done.errors, grown.done.outcome) == ([], "published")
    growth = Growth(grown.shop.database, RATES, DIGITS, ZONE, grown.clicks, grown.spend, (START, grown.last))
    recommended = Recommendations(growth, ZONE)
    with duckdb.connect(grown.home.options.warehouse_path, read_only=True) as warehouse:
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


QUESTIONS = {
    "channels": "SELECT channel, SUM(customers), SUM(spend_amount) / NULLIF(SUM(customers), 0), "
    "SUM(margin_12_months) / NULLIF(SUM(customers) FILTER (is_valued), 0) FROM gold.rpt_acquisition_monthly GROUP BY 1",
    "cohorts": "SELECT cohort_month_date, month_number, active_customers / customers FROM gold.rpt_customer_cohorts",
    "months": "SELECT DATE_TRUNC('MONTH', business_date)::DATE, SUM(net_amount), SUM(profit_amount) "
    "FROM gold.rpt_sales_daily GROUP BY 1",
    "pairs": "SELECT (SELECT product_name FROM gold.dim_product WHERE product_id = a.product_id AND is_current), "
    "(SELECT product_name FROM gold.dim_product WHERE product_id = recommended_product_id AND is_current), lift, "
    "support FROM gold.rpt_product_recommendations AS a WHERE basis = 'lift' AND product_id < recommended_product_id "
    "QUALIFY month_date = MAX(month_date) OVER () ORDER BY lift DESC, product_id, recommended_product_id LIMIT 10",
    "hits": "SELECT month_date, hit_rate, popularity_hit_rate FROM gold.rpt_recommendation_hits WHERE baskets > 0",
}
"""Frames of the notebook, and the same by SQL alone."""


def test_notebook_over_the_release_answers_as_sql_does(grown: Grown) -> None:
    nbformat = pytest.importorskip("nbformat", reason="notebook: nbformat is not installed, the extra `notebook`")
    nbclient = pytest.importorskip("nbclient", reason="notebook: nbclient is not installed, the extra `notebook`")
    notebook = nbformat.read(PROJECT / "docs/examples/shop_release.ipynb", as_version=4)
    assert [cell["id"] for cell in notebook.cells if cell.get("outputs")] == []  # numbers of some lake
    drawn = {cell["id"]: cell for cell in notebook.cells if cell["id"] in QUESTIONS}
    assert list(drawn) == list(QUESTIONS)
    for name in QUESTIONS:
        show = f"print({name}.to_json(orient='values', date_format='iso', double_precision=15))"
        notebook.cells.append(nbformat.v4.new_code_cell(show, id=f"values-{name}"))

    # WHEN it runs as people run it, in a kernel with the settings of the lake
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(PROJECT)}}).execute()

    # THEN every question has a picture, a table, and the numbers of SQL
    outputs = {cell["id"]: cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"}
    with Releases(grown.home.options).connect() as release:
        for name, query in QUESTIONS.items():
            kinds = {kind for output in outputs[name] for kind in output["data"]}
            assert {"image/svg+xml", "text/html"} <= kinds, name
            (printed,) = outputs[f"values-{name}"]
            found = [list(row) for row in json.loads(printed["text"])]
            expected = release.execute(query).fetchall()
            assert expected, name
            assert rounded(known(found)) == rounded(known(expected)), name


def known(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The rows of which something is known: metrics also name groups and periods without rows."""
    rows = [[0 if cell == 0 else cell for cell in row] for row in rows]
    return [row for row in rows if any(isinstance(cell, int | float | Decimal) and cell for cell in row[-2:])]


def rounded(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Rows in order, as text: numbers to nine digits, dates without a time."""

    def value(cell: Any) -> str:
        if isinstance(cell, int | float | Decimal):
            return f"{float(cell):.9g}"
        return str(cell).split("T")[0]

    return sorted(repr([value(cell) for cell in row]) for row in rows)
