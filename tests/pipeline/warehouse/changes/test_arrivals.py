"""Whatever order changes arrive in, and however often, histories that are computed by key equal those computed at once.

The records of a shop are shuffled, doubled and loaded in parts; after each part only the keys that changed are
computed, from the ledger's files. ORDERS sets the number of random orders, LOADS the number of parts. SQLMesh is left
out, so that many orders are cheap; test_orders.py has it.
"""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp, parse_one

from ingest.contracts.contract import contracts
from ingest.ledger.ledger import Ledger
from ingest.sql import identifier
from ingest.steps.load import ingest_feed
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from pipeline.warehouse.bronze import POSITIONS, bronze_query
from pipeline.warehouse.by_key.definition import ByKey
from pipeline.warehouse.by_key.log import Log
from pipeline.warehouse.by_key.sources import Sources
from pipeline.warehouse.by_key.table import Table
from pipeline.warehouse.changes import marks_query, versions_query
from pipeline.warehouse.project import DAY_MS
from sample.database import Row, as_json
from sample.options import SampleOptions
from sample.shop import TABLES, Shop

ORDERS, LOADS = int(os.environ.get("ORDERS", "2")), int(os.environ.get("LOADS", "5"))
OPTIONS = SampleOptions(dt.date(2026, 1, 25), events=1, days=25, orders=60, accounts=0, resnapshots=0.15, reloads=0.1)
FEEDS = tuple(table.name for table in TABLES)
START = dt.date(2021, 1, 1)
MARKS = exp.to_table("warehouse.silver.change_marks", dialect="duckdb")


@cache
def records() -> list[Row]:
    """What the connector of a shop has written."""
    shop = Shop(OPTIONS)
    list(shop.days())
    return shop.database.records


class Lake:
    """A lake with the feeds of the shop, and their histories, each computed by key after every load."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._store = Store(str(home / "lake"))
        self._connection = duckdb.connect()
        self._connection.execute(
            "ATTACH ':memory:' AS warehouse; USE warehouse; CREATE SCHEMA bronze; CREATE SCHEMA silver"
        )
        self._parts = 0

    def close(self) -> None:
        self._connection.close()

    def load(self, arriving: Sequence[Row]) -> None:
        """Load records, each table's as an object, and compute what they change."""
        self._parts += 1
        positions = []
        for feed in FEEDS:
            contract, landing = contracts()[feed], Landing(str(self._home / f"raw-{feed}"))
            lines = [as_json(record) for record in arriving if record["topic"].endswith(f".{feed}")]
            if lines:
                landing.put(f"{self._parts:03d}.json", "\n".join(lines).encode())
                ingest_feed(contract, landing, self._store, START)
            live = Ledger(self._store, feed).live()
            query = bronze_query(contract, self._store.uri, live.bronze_files())
            self._connection.execute(f"CREATE OR REPLACE VIEW bronze.{feed} AS {query}")
            positions.append(f"SELECT '{feed}' AS feed, {live.position} AS position")
        self._connection.execute(f"CREATE OR REPLACE VIEW {POSITIONS} AS {' UNION ALL '.join(positions)}")
        self._connection.execute(f"CREATE OR REPLACE TABLE {MARKS.sql('duckdb')} AS {marks_query(FEEDS)}")
        for feed in FEEDS:
            self._compute(feed)

    def _compute(self, feed: str) -> None:
        contract = contracts()[feed]
        key, columns = contract.key[0], [*(column.name for column in contract.columns), "valid_from", "valid_to"]
        query = parse_one(versions_query(contract, MARKS.sql("duckdb")), dialect="duckdb")
        assert isinstance(query, exp.Query)
        table = exp.to_table(f"warehouse.silver.{feed}", dialect="duckdb")
        sources = Sources(self._connection, self._store, contracts())
        read = [
            sources.feed(exp.to_table(f"bronze.{feed}", dialect="duckdb"), contract, key),
            sources.whole(MARKS, query),
        ]

        def replace_all() -> None:
            self._connection.execute(f"CREATE OR REPLACE TABLE {table.sql('duckdb')} AS {query.sql('duckdb')}")

        columns += ["is_deleted", "changed_at", "known_at"]
        Table(self._connection, table, columns, ByKey(key, (key,)), "versions").compute(
            query, read, (0, DAY_MS), replace_all
        )

    def changes(self) -> int:
        """How often a history was computed by key."""
        logs = [Log(self._connection, exp.to_table(f"warehouse.silver.{feed}")).read() for feed in FEEDS]
        return sum(state.sequence for state in logs if state)

    def hashes(self) -> dict[str, tuple[int, int]]:
        """The number of versions, and a number that follows from all of them, by table.

        When a version was known does not count: that depends on the objects that the records came in.
        """
        found = {}
        for feed in FEEDS:
            versions = f"(SELECT * EXCLUDE (known_at) FROM silver.{identifier(feed)}) AS versions"
            query = f"SELECT COUNT(*), SUM(HASH(versions::TEXT)) FROM {versions}"
            count, total = self._connection.execute(query).fetchall()[0]
            found[feed] = (count, int(total))
        return found

    def differing(self) -> list[str]:
        """Tables whose rows, all columns of them, are not those of their query."""
        found = []
        for feed in FEEDS:
            query = versions_query(contracts()[feed], MARKS.sql("duckdb"))
            table = f"SELECT * FROM silver.{identifier(feed)}"
            both = f"(({table}) EXCEPT ALL ({query})) UNION ALL (({query}) EXCEPT ALL ({table}))"
            (count,) = self._connection.execute(f"SELECT COUNT(*) FROM ({both})").fetchall()[0]
            found += [feed] if count else []
        return found


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int]]:
    """The histories of all records, loaded in order and at once."""
    lake = Lake(tmp_path_factory.mktemp("once"))
    lake.load(records())
    found = lake.hashes()
    lake.close()
    assert min(count for count, _ in found.values()) > 5
    return found


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    found = Lake(tmp_path)
    yield found
    found.close()


@pytest.mark.parametrize("seed", range(1, ORDERS + 1))
def test_every_order_gives_the_same_histories(at_once: dict[str, tuple[int, int]], lake: Lake, seed: int) -> None:
    dice = random.Random(seed)
    arriving = [*records(), *dice.sample(records(), len(records()) // 3)]
    dice.shuffle(arriving)
    bounds = sorted(dice.sample(range(1, len(arriving)), LOADS - 1))
    for start, end in pairwise([0, *bounds, len(arriving)]):
        lake.load(arriving[start:end])
    assert lake.hashes() == at_once
    assert lake.differing() == []
    again = lake.changes()
    lake.load(dice.sample([record for record in records() if record["value"] and record["value"]["op"] in "cud"], 5))
    assert lake.hashes() == at_once
    assert lake.changes() > again, "computed as a whole, so nothing is shown"
