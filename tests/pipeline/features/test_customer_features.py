"""Features of customers: at past moments they equal pandas, and what arrives later changes nothing that was there."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from sqlglot import exp
from sqlmesh import Context

from ingest.contracts.contract import contracts
from ingest.records.parts import Piece
from ingest.settings import PROJECT
from ingest.steps.parse import Parser
from pipeline.warehouse.changes import change_feeds
from sample.database import as_json
from tests.customer_features import CHANGED, FEATURES, KNOWN, CustomerFeatures, Landed, changes_of
from tests.e2e.test_shop_sales import DIGITS, RATES, ZONE
from tests.random_customers import LongShop
from tests.random_shop import ACTIONS
from tests.shop_sales import Sales

OPENED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
DELAYS = (dt.timedelta(minutes=1), HOUR, HOUR, 20 * HOUR, dt.timedelta(days=20), dt.timedelta(days=90))
MODELS = (
    *("silver.change_marks", "silver.customers", "silver.orders", "silver.order_items", "silver.refunds"),
    *("silver.exchange_rates", "silver.customer_order_changes"),
    *("gold.fct_customer_features", "gold.fct_customer_features_known"),
)
TABLES = {
    CHANGED: ("gold.fct_customer_features", "feature_at"),
    KNOWN: ("gold.fct_customer_features_known", "known_at"),
}


class BusyShop(LongShop):
    """A shop with much trouble around orders."""

    weights = LongShop.weights | {name: 2 for name in ACTIONS if name.endswith(("item", "quantity", "refund"))}


@cache
def shop_of(seed: int) -> BusyShop:
    """A shop that has closed, and whose connector has read everything again."""
    shop = BusyShop(seed, RATES, DIGITS, ZONE, 260)
    shop.database.connect(shop.last + 2 * HOUR)
    return shop


@cache
def landed(seed: int) -> tuple[Landed, ...]:
    """What a shop's connector wrote, in an object per table and transaction, some of them late and some twice."""
    shop, dice = shop_of(seed), random.Random(seed)
    times: dict[tuple[str, int], list[dt.datetime]] = {}
    found = []
    for record in shop.database.records:
        if record["value"] is None:  # after a deletion, for compaction
            continue
        table, source = record["topic"].rsplit(".", 1)[1], record["value"]["source"]
        place = (table, source["txId"])
        if place not in times:
            committed_at = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=source["ts_us"])
            count = 2 if dice.random() < 0.1 else 1
            times[place] = [committed_at + dice.choice(DELAYS) for _ in range(count)]
        found += [Landed(table, at, record) for at in times[place]]
    return tuple(found)


class Warehouse:
    """The models' queries over bronze in memory."""

    def __init__(self, project: Context) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA bronze; CREATE SCHEMA silver; CREATE SCHEMA gold")
        self.connection.execute("CREATE SCHEMA seeds")
        seed = PROJECT / "seeds/exchange_rates.csv"
        types = dict.fromkeys(("reporting_currency", "currency"), "TEXT") | {"month_date": "DATE"}
        types["rate"] = "DECIMAL(18, 8)"
        self.connection.execute(f"CREATE TABLE seeds.exchange_rates AS FROM READ_CSV('{seed}', types = {types})")
        self._queries = {name: self._query(project, name) for name in MODELS}

    @staticmethod
    def _query(project: Context, name: str) -> str:
        model = project.get_model(name, raise_if_missing=True)
        query = model.render_query_or_raise().copy()
        for table in query.find_all(exp.Table):
            table.set("catalog", None)
        return query.sql("duckdb")

    def compute(self, records: Sequence[Landed]) -> None:
        """Load records and compute the models from nothing."""
        for feed, contract in change_feeds().items():
            lines: dict[dt.datetime, list[bytes]] = defaultdict(list)
            for table, at, record in records:
                if table == feed:
                    lines[at].append(as_json(record).encode() + b"\n")
            parts = []
            for at, found in lines.items() or [(OPENED, [b"\n"])]:
                parsed = Parser(contract, [OPENED]).parse([Piece(0, 1, b"".join(found))])
                assert parsed.rejects == []
                modified = pa.array([at.replace(tzinfo=dt.UTC)] * len(parsed.rows), pa.timestamp("us", "UTC"))
                parts.append(parsed.rows.append_column("_source_modified_at", modified))
            self.connection.register("parsed", pa.concat_tables(parts))
            self.connection.execute(f"CREATE OR REPLACE TABLE bronze.{feed} AS FROM parsed")
        for name, query in self._queries.items():
            self.connection.execute(f"CREATE OR REPLACE TABLE {name} AS {query}")

    def rows(self, axis: str, condition: str) -> set[tuple[Any, ...]]:
        """The features whose moment meets a condition."""
        table, at = TABLES[axis]
        return set(self.connection.execute(f"FROM {table} WHERE {condition.format(at=at)}").fetchall())

    def as_of(self, axis: str, moment: dt.datetime) -> dict[int, dict[str, Any]]:
        """The features of each customer as of a moment."""
        table, at = TABLES[axis]
        found = self.connection.execute(
            f"SELECT customer_id, {', '.join(FEATURES)} FROM {table} WHERE {at} <= ? "
            f"QUALIFY ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY {at} DESC) = 1",
            [moment],
        ).fetchall()
        return {number: dict(zip(FEATURES, values, strict=True)) for number, *values in found}


@pytest.fixture(scope="module")
def warehouse(project: Context) -> Iterator[Warehouse]:
    assert contracts()
    found = Warehouse(project)
    yield found
    found.connection.close()


def span(records: Sequence[Landed], axis: str) -> list[dt.datetime]:
    """The moments of an axis, ascending."""
    return sorted(at.to_pydatetime() for at in changes_of(records)[axis])


def comparable(found: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Features with amounts as decimals of six digits."""
    amounts = ("gross_amount", "net_amount", "refunded_amount")
    return {
        number: row | {name: Decimal(row[name]).quantize(Decimal("0.000001")) for name in amounts}
        for number, row in found.items()
    }


@pytest.mark.long
@pytest.mark.parametrize("axis", [CHANGED, KNOWN])
def test_features_at_past_moments_equal_pandas(warehouse: Warehouse, axis: str) -> None:
    records = landed(1)
    warehouse.compute(records)
    expected = CustomerFeatures(changes_of(records), RATES, ZONE)
    times, dice = span(records, axis), random.Random(7)
    first, last = times[0] - HOUR, times[-1] + HOUR
    moments = [first + (last - first) * dice.random() for _ in range(100)] + dice.sample(
        times, 100
    )  # and the very moments
    seen: set[str] = set()
    for moment in moments:
        wanted = comparable(expected.at(moment, axis))
        assert comparable(warehouse.as_of(axis, moment)) == wanted, moment
        seen |= {name for row in wanted.values() for name in FEATURES if row[name]}
    assert seen == set(FEATURES)


def test_once_everything_is_known_features_are_those_of_sales(warehouse: Warehouse) -> None:
    records, shop = landed(6), shop_of(6)
    warehouse.compute(records)
    wanted: dict[int, list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    sales = Sales(shop.database, RATES, DIGITS, ZONE)
    grosses = [(sale.order_id, sale.gross_reporting) for sale in sales.sales if sale.event_type == "sale"]
    for order in sales.orders:
        if (customer := shop.database.rows["orders"][order.order_id,]["customer_id"]) is not None:
            count, net, gross = wanted[customer]
            own = sum((amount for number, amount in grosses if number == order.order_id), Decimal(0))
            wanted[customer] = [count + 1, net + order.remaining_net_reporting, gross + own]
    for axis in (CHANGED, KNOWN):
        for number, row in warehouse.as_of(axis, dt.datetime(9999, 1, 1)).items():
            count, net, gross = wanted[number]
            assert row["order_count"] == count
            assert abs(row["net_amount"] - net) < Decimal("0.0001")
            assert abs(row["gross_amount"] - gross) < Decimal("0.0001")
    assert sum(net for _, net, _ in wanted.values()) > 100


def test_later_events_change_no_row_that_was_there(warehouse: Warehouse) -> None:
    records = landed(2)
    times = span(records, CHANGED)
    until = times[len(times) // 2]
    on_time = changes_of(records)[CHANGED] <= until
    warehouse.compute([item for item, is_on_time in zip(records, on_time, strict=True) if is_on_time])
    before = warehouse.rows(CHANGED, "TRUE")
    warehouse.compute(records)
    assert before
    assert warehouse.rows(CHANGED, f"{{at}} <= '{until}'") == before
    assert warehouse.rows(CHANGED, f"{{at}} > '{until}'")


def test_a_late_event_changes_later_rows_alone_and_nothing_that_was_known(warehouse: Warehouse) -> None:
    records, dice = landed(3), random.Random(3)
    by_order = {item.record["value"]["source"]["txId"] for item in records if item.table == "orders"}
    late = dice.choice(sorted(by_order)[5:40])
    lands_at = span(records, KNOWN)[-1] + HOUR
    on_time = [item for item in records if item.record["value"]["source"]["txId"] != late]
    missing = [item._replace(known_at=lands_at) for item in records if item not in on_time]
    happened_at = changes_of(missing)[CHANGED].min()
    warehouse.compute(on_time)
    before = {axis: warehouse.rows(axis, "TRUE") for axis in (CHANGED, KNOWN)}
    warehouse.compute([*on_time, *missing])
    after = {axis: warehouse.rows(axis, "TRUE") for axis in (CHANGED, KNOWN)}
    assert after[CHANGED] != before[CHANGED]
    earlier = f"{{at}} < '{happened_at}'"
    assert warehouse.rows(CHANGED, earlier) == {row for row in before[CHANGED] if row[1] < happened_at}
    assert before[KNOWN] <= after[KNOWN]
    assert {row[1] for row in after[KNOWN] - before[KNOWN]} <= {lands_at}


@pytest.mark.parametrize("seed", [4, 5])
def test_what_lands_later_changes_nothing_that_was_known(warehouse: Warehouse, seed: int) -> None:
    records = landed(seed)
    times = span(records, KNOWN)
    until = times[len(times) // 2]
    warehouse.compute([item for item in records if item.known_at <= until])
    before = warehouse.rows(KNOWN, "TRUE")
    warehouse.compute(records)
    assert before
    assert warehouse.rows(KNOWN, f"{{at}} <= '{until}'") == before
