"""Stock and marketing spend of random records that land in any order, with cycles between, are those of all at once."""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import random
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sample.database import Database, Row, as_json
from sample.shop import TABLES
from tests.home import Home, copy_project, keep_sales, switch_rules_off, use_project
from tests.revenue import Rates
from tests.shop_clicks import compute
from tests.shop_sessions import DAY, seed
from tests.shop_stock import Record, levels, newest_movements, random_exports, random_movements, risks, spends

SHOPS = int(os.environ.get("SHOPS", "1"))
MODELS = ("inventory_levels", "marketing_spend", "fct_inventory_daily", "fct_marketing_daily", "rpt_stock_risk")
PRODUCTS = ("products", "change_marks", "dim_product", "exchange_rates")
AUDITS = ("assert_levels_go_on", "assert_movements_are_explained")
FIRST, DAYS = (dt.date(2026, 3, 1), dt.date(2025, 10, 2)), 36
"""From some weeks before the clocks change to some days after."""
RATES = Rates(seed("exchange_rates"), "EUR")
LEVELS = (
    "SELECT business_date, product_id, location, opening_level, received_quantity, sold_quantity, returned_quantity, "
    "transferred_quantity, adjusted_quantity, unexplained_quantity, closing_level, is_stock_out "
    "FROM gold.fct_inventory_daily"
)
RISKS = (
    "SELECT business_date, product_id, location, product_name, category, risk, level, sold_quantity, sale_days, "
    "demand, days_of_cover FROM gold.rpt_stock_risk"
)
SPENDS = (
    "SELECT date, channel, campaign, currency, spend_amount, spend_amount_reporting, impressions, clicks "
    "FROM gold.fct_marketing_daily"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's SQLMesh side with what stock and spend need alone; read-only."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "stock")
    keep_sales(folder)
    for path in (*(folder / "models").glob("*/shop/*.sql"), *(folder / "audits").glob("assert_*.sql")):
        if path.stem not in (*MODELS, *PRODUCTS, *AUDITS):
            path.unlink()
    switch_rules_off(folder)
    return folder


@pytest.fixture
def lake(home: Home, project: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    use_project(project, monkeypatch)
    return home


class Catalogue:
    """The shop's products 1 to 5, which change while movements arrive; movements of a sixth are of an unknown one."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.database = Database("shop", TABLES, lambda: 8)
        self._at = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
        self.database.connect(self._at)
        for number in range(1, 6):
            self._write(number, self._row(number))

    def _row(self, number: int) -> Row:
        category = self._dice.choice(("books", "toys", None))
        return {"product_id": number, "name": f"Thing {self._dice.random()}", "category": category, "description": "x"}

    def _write(self, number: int, row: Row | None) -> None:
        self._at += dt.timedelta(seconds=1)
        transaction = self.database.begin()
        self.database.write(transaction, "products", (number,), row)
        self.database.commit(transaction, self._at)

    def change(self) -> None:
        """Delete a product, or bring one back under another name."""
        number = self._dice.randrange(1, 6)
        is_there = (number,) in self.database.rows["products"]
        self._write(number, None if is_there and self._dice.random() < 0.5 else self._row(number))

    def land(self, home: Home, name: str) -> None:
        """Land what changed since the last time."""
        home.put("products", name, *(as_json(record).encode() for record in self.database.records))
        self.database.records.clear()

    def products(self) -> dict[int, Row]:
        return {number: row for (number,), row in self.database.rows["products"].items()}


def put_export(home: Home, name: str, rows: Sequence[Record]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    home.landing("marketing_spend").put(name, text.getvalue().encode())


def ordered(rows: Any) -> list[tuple[Any, ...]]:
    """Rows in order; decimals without trailing zeros, floats to nine digits."""

    def value(item: Any) -> Any:
        if isinstance(item, float):
            return f"{item:.9g}"
        return f"{item.normalize():f}" if isinstance(item, Decimal) else item

    return sorted((tuple(map(value, row)) for row in rows), key=repr)


def in_parts(items: Sequence[Any], dice: random.Random, count: int) -> list[list[Any]]:
    """Items in any order: two large parts, then small ones, each of which changes few dates."""
    waiting = list(items)
    dice.shuffle(waiting)
    late = [[waiting.pop() for _ in range(dice.randrange(1, 4))] for _ in range(count - 2)]
    cut = dice.randrange(len(waiting) // 4, len(waiting))
    return [waiting[:cut], waiting[cut:], *late]


@pytest.mark.parametrize("number", range(SHOPS))
def test_stock_and_spend_are_those_of_all_records_after_each_cycle(
    number: int, lake: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(f"loads {number}")
    first = FIRST[number % 2]
    monkeypatch.setenv("LAKE_START", str(first))
    catalogue = Catalogue(dice)
    loads = in_parts(random_movements(number, first - DAY, DAYS + 1), dice, 4)  # also before the history of the lake
    exports = in_parts(random_exports(number, first - DAY, DAYS + 1), dice, 4)
    ends = sorted(dice.randrange(DAYS // 2, DAYS) for _ in loads[1:])  # some cycles on the same day, some after others
    movements: list[Record] = []
    spent: list[Record] = []
    for place, (load, exported, computed) in enumerate(zip(loads, exports, [*ends, DAYS - 1], strict=True)):
        lake.put("inventory", f"{place:04}.json", *load)
        movements += load
        for part, rows in enumerate(exported):
            put_export(lake, f"{place:04}-{part:04}.csv", rows)
            spent += rows
        if place:
            catalogue.change()
        catalogue.land(lake, f"{place:04}.json")
        lake.ingest("inventory", "marketing_spend", "products")
        last = first + computed * DAY
        now = dt.datetime.combine(last + DAY, dt.time(0, 5), dt.UTC)
        if place == 0:
            lake.plan(execution_time=now)
        else:
            compute(lake, now)
        expected = levels(movements, first, last)
        with duckdb.connect(lake.options.warehouse_path, read_only=True) as warehouse:
            for query, wanted in (
                (LEVELS, expected),
                (RISKS, risks(expected, catalogue.products())),
                (SPENDS, spends(spent, first, last, RATES)),
            ):
                assert ordered(warehouse.execute(query).fetchall()) == ordered(wanted), query
    assert len(expected) > 200
    must_pass_audits(lake, sum(row.unexplained != 0 for row in expected))


def must_pass_audits(home: Home, unexplained: int) -> None:
    """Run the standalone audits over all dates."""
    context = home.context()
    try:
        for name, count in zip(AUDITS, (0, unexplained), strict=True):
            query = context.standalone_audits[name].render_audit_query()
            assert len(context.engine_adapter.fetchall(query)) == count, name
    finally:
        home.close(context)


def previewed(home: Home, now: str) -> dict[str, str]:
    """The dates that a plan names, by model; the last one stands for all of a FULL model."""
    context = home.context()
    try:
        plan = context.plan("prod", no_prompts=True, skip_tests=True, execution_time=now)
        return {
            item.snapshot_id.name.replace('"', "").split(".", 1)[1]: item.format_intervals()
            for item in plan.missing_intervals
        }
    finally:
        home.close(context)


def test_late_movement_computes_later_dates_and_a_restated_spend_its_own(
    lake: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_START", "2026-03-01")
    Catalogue(random.Random(1)).land(lake, "1.json")
    moved = {"product_id": 1, "location": "shop", "movement_type": "receipt", "quantity": 5}
    row = {"channel": "email", "campaign": "weekly", "currency": "EUR", "exported_at": "2026-03-10T04:00:00Z"}
    rows = [row | {"spend_date": f"2026-03-0{day}", "amount": "1.00"} for day in (4, 5, 6)]
    lake.put("inventory", "1.json", moved | {"movement_id": 1, "level": 5, "moved_at": "2026-03-02T12:00:00Z"})
    put_export(lake, "1.csv", rows)
    lake.ingest()
    lake.plan(execution_time="2026-03-11 00:05:00")
    lake.put("inventory", "2.json", moved | {"movement_id": 2, "level": 10, "moved_at": "2026-03-05T12:00:00Z"})
    restated = [row | {"spend_date": "2026-03-05", "amount": "2.00", "exported_at": "2026-03-10T05:00:00Z"}, rows[0]]
    put_export(lake, "2.csv", restated)  # and a row as it is already
    lake.ingest()
    assert previewed(lake, "2026-03-11 10:00:00") == {
        "silver.inventory_levels": "2026-03-05 - 2026-03-05",
        "gold.fct_inventory_daily": "2026-03-05 - 2026-03-10",
        "gold.rpt_stock_risk": "2026-03-10 - 2026-03-10",
        "silver.marketing_spend": "2026-03-05 - 2026-03-05",
        "gold.fct_marketing_daily": "2026-03-05 - 2026-03-05",
    }


def test_together_records_have_every_trouble() -> None:
    kinds: Counter[str] = Counter()
    for number in range(4):
        first = FIRST[number % 2]
        lines = random_movements(number, first, DAYS)
        rows = levels(lines, first, first + DAYS * DAY)
        newest = newest_movements(lines)
        kinds["older version"] += len(lines) - len(newest)
        kinds["on two dates"] += len(newest) - len({line["movement_id"] for line in newest})
        stocks = Counter((line["product_id"], line["location"], line["moved_at"]) for line in newest)
        kinds["one moment"] += max(stocks.values()) > 1
        for row in rows:
            kinds["unexplained"] += row.unexplained != 0
            kinds["oversold"] += row.closing < 0
            kinds["stock-out at 0"] += row.closing == 0
            kinds["sold out of nothing"] += row.is_stock_out and row.sold < 0
            kinds["without movements"] += not any(row[4:9])
        products = {product: {"name": "x", "category": None} for product in range(1, 6)}
        kinds.update(risk.risk for risk in risks(rows, products))
        exports = [row for rows in random_exports(number, first, DAYS) for row in rows]
        kinds["restated"] += len(exports) - len({(row["spend_date"], row["campaign"]) for row in exports})
    troubles = {"older version", "on two dates", "one moment", "unexplained", "oversold", "stock-out at 0"}
    troubles |= {"sold out of nothing", "without movements", "out", "low", "ok", "restated"}
    assert troubles <= {name for name, count in kinds.items() if count}


@pytest.mark.parametrize("column", ["quantity", "level"])
def test_number_that_no_sum_can_have_is_quarantined(home: Home, column: str) -> None:
    """One such record would fail the computation of every later date, and so withhold every release."""
    movement = {
        "movement_id": 1,
        "product_id": 1,
        "location": "berlin",
        "movement_type": "adjustment",
        "quantity": 1,
        "level": 1,
        "moved_at": "2026-03-01T10:00:00Z",
    }
    home.put("inventory", "a.json", movement, movement | {"movement_id": 2, column: -(2**63)})
    (report,) = home.ingest("inventory").feeds
    assert (report.rows, report.quarantined, report.reasons) == (1, 1, (("constraint_violated", 1),))
