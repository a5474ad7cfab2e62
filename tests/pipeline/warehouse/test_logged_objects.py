"""Objects of the logs in the warehouse: what entries have, whatever became of the logs, and each entry read once."""

from __future__ import annotations

import datetime as dt
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmesh.core.config.connection import DuckDBConnectionConfig

from ingest.contracts.contract import contracts
from ingest.ledger.ledger import Ledger
from ingest.steps.rename import hide_names
from ingest.storage.store import Store
from pipeline.cycle.maintain import maintain_feed
from pipeline.lake import Lake
from pipeline.warehouse import pins
from pipeline.warehouse.operations import registration
from tests.engagement import play
from tests.home import Home

ENTRY = re.compile(r"ledger/(\w+)/(\d{20})\.parquet")


class Registered:
    """A warehouse in which operations are registered.

    Attributes:
        read: the entries that the last registration read, by feed and number.
    """

    def __init__(self, home: Home) -> None:
        self.lake = Store(home.options.lake_uri, home.options)
        self.adapter = DuckDBConnectionConfig(connector_config={"TimeZone": "UTC"}).create_engine_adapter()
        self.adapter.execute("CREATE SCHEMA bronze")
        self.read: list[tuple[str, int]] = []

    def register(self, *lost: str) -> None:
        statements = registration(self.adapter, self.lake, lost)
        self.read = sorted((feed, int(number)) for line in statements for feed, number in ENTRY.findall(line))
        with self.adapter.transaction():
            for statement in statements:
                self.adapter.cursor.execute(statement)

    def rows(self, query: str = "SELECT * FROM operations.objects ORDER BY ALL") -> list[tuple[Any, ...]]:
        return list(self.adapter.fetchall(query))

    def expected(self, feed: str = "events") -> list[tuple[int, str, str, int]]:
        """What the entries of a log say, each read by itself."""
        found = []
        for position, entry in Ledger(self.lake, feed).entries(0):
            found += [(position, item.load_id, item.source_file, item.rows) for item in entry.objects]
        return sorted(found)

    def found(self, feed: str = "events") -> list[tuple[int, str, str, int]]:
        columns = "position, load_id, source_file, rows"
        return self.rows(f"SELECT {columns} FROM operations.objects WHERE feed = '{feed}' ORDER BY ALL")


@pytest.fixture
def warehouse(home: Home) -> Iterator[Registered]:
    found = Registered(home)
    yield found
    found.adapter.close()


def load(home: Home, *names: str) -> None:
    for name in names:
        home.put("events", f"{name}.json", play(name, "2026-01-01"))
        home.ingest("events")


def test_a_registration_reads_only_the_entries_that_are_new(home: Home, warehouse: Registered) -> None:
    load(home, "a", "b")
    warehouse.register()
    assert warehouse.read == [("events", 1), ("events", 2)]
    warehouse.register()
    assert warehouse.read == []
    load(home, "c")
    warehouse.register()
    assert warehouse.read == [("events", 3)]
    assert warehouse.found() == warehouse.expected()
    assert [row[2] for row in warehouse.found()] == ["raw-events/a.json", "raw-events/b.json", "raw-events/c.json"]


def test_all_versions_of_an_object_are_kept(home: Home, warehouse: Registered) -> None:
    load(home, "a")
    warehouse.register()
    home.put("events", "a.json", play("a", "2026-01-01"), play("b", "2026-01-01"))
    home.ingest("events")
    warehouse.register()
    assert [row[3] for row in warehouse.found()] == [1, 2]
    assert warehouse.found() == warehouse.expected()


def test_names_that_were_hidden_in_the_log_do_not_stay(home: Home, warehouse: Registered) -> None:
    load(home, "someone", "b")
    warehouse.register()
    hide_names(warehouse.lake, Ledger(warehouse.lake, "events"), {"raw-events/someone.json": "raw-events/hidden"})
    warehouse.register()
    assert [row[2] for row in warehouse.found()] == ["raw-events/hidden", "raw-events/b.json"]
    warehouse.register()
    assert warehouse.read == []


def test_what_was_read_while_names_are_hidden_is_read_again(
    home: Home, warehouse: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(home, "someone", "b")
    rewrite = Ledger.rewrite

    def beside_a_registration(ledger: Ledger, change: Any) -> None:
        warehouse.register()
        rewrite(ledger, change)

    monkeypatch.setattr(Ledger, "rewrite", beside_a_registration)
    hide_names(warehouse.lake, Ledger(warehouse.lake, "events"), {"raw-events/someone.json": "raw-events/hidden"})
    assert warehouse.found()[0][2] == "raw-events/someone.json"
    warehouse.register()
    assert warehouse.found()[0][2] == "raw-events/hidden"


def test_another_log_with_entries_of_the_same_numbers_is_read_as_a_whole(home: Home, warehouse: Registered) -> None:
    load(home, "a", "b", "c")
    warehouse.register()
    log = Ledger(warehouse.lake, "events")
    last = log.entry(3)
    (Path(home.options.lake_uri) / f"{log.prefix}/{3:020d}.parquet").unlink()
    for name in ("20260101T000000-000000000001", "20260101T000000-000000000002"):  # as if restored, and loaded into
        objects = tuple(replace(item, load_id=name) for item in last.objects)
        log.commit(replace(last, load_id=name, objects=objects), log.position())
    warehouse.register()
    assert warehouse.read == [("events", number) for number in (1, 2, 3, 4)]
    assert warehouse.found() == warehouse.expected()
    shutil.rmtree(Path(home.options.lake_uri) / log.prefix)
    warehouse.register()
    assert (warehouse.read, warehouse.found()) == ([], [])


def test_a_pinned_position_shows_no_later_entry_though_it_was_read(home: Home, warehouse: Registered) -> None:
    load(home, "a", "b")
    with pins.pinned({"events": 1}):
        load(home, "c")
        warehouse.register()
        assert [row[0] for row in warehouse.found()] == [1]
    warehouse.register()
    assert warehouse.read == [("events", 2), ("events", 3)]
    with pins.pinned({"events": 2}):
        warehouse.register()
        assert (warehouse.read, [row[0] for row in warehouse.found()]) == ([], [1, 2])


def test_a_feed_without_an_intact_log_is_left_out_and_comes_back(home: Home, warehouse: Registered) -> None:
    load(home, "a")
    home.put("users", "u.json", {"user_id": "u1", "country_code": "fr"})
    home.ingest("users")
    warehouse.register()
    warehouse.register("events")
    assert (warehouse.found(), len(warehouse.found("users"))) == ([], 1)
    warehouse.register()
    assert warehouse.read == []
    assert warehouse.found() == warehouse.expected()


@pytest.mark.parametrize("seed", range(4))
def test_after_random_loads_it_has_what_the_entries_have(home: Home, warehouse: Registered, seed: int) -> None:
    dice = random.Random(seed)
    for number in range(8):
        match dice.randrange(4):
            case 0:
                load(home, *(f"{number}-{place}" for place in range(dice.randint(1, 3))))
            case 1:
                home.put("events", f"{dice.randrange(4)}.json", play(f"e{number}", "2026-01-01"), b"{")
                home.ingest("events")
            case 2:
                maintain_feed(Lake(home.options), contracts()["events"], dt.timedelta(0))
            case _:
                warehouse.register()
                assert warehouse.found() == warehouse.expected()
    warehouse.register()
    assert warehouse.found() == warehouse.expected()
