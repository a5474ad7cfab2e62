"""The dates that a changed entity affects: those its versions name, else those of its facts, else all."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from ingest.contracts.contract import Contract, Reference
from ingest.ledger.entry import Entry
from ingest.ledger.ledger import Ledger
from ingest.steps.load import ingest_feed
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from ingest.upkeep.compact import compact
from pipeline.invalidation.changed_dates import FeedChange, feed_changes
from tests.envelopes import customer, customers, envelope, record, source

START = dt.date(2021, 1, 1)
COLUMNS = [
    {"name": "seat_id", "type": "string", "required": True, "description": "x"},
    {"name": "version", "type": "integer", "required": True, "description": "x"},
    {"name": "state", "type": "string", "description": "x"},
    {"name": "updated_at", "type": "timestamp", "description": "x"},
    {"name": "ended_at", "type": "timestamp", "description": "x"},
]


class Seats:
    """An entity feed that no facts refer to."""

    def __init__(self, home: Path, **fields: Any) -> None:
        self.contract = Contract.model_validate(
            {
                "feed": "seats",
                "domain": "test",
                "version": 1,
                "kind": "entity",
                "owner": "tests",
                "description": "x",
                "source": {"bucket": "raw-seats"},
                "key": ["seat_id", "version"],
                "latest_by": ["updated_at"],
                "freshness_seconds": 60,
                "columns": COLUMNS,
            }
            | fields
        )
        self.lake, self.landing = Store(str(home / "lake")), Landing(str(home / "raw-seats"))
        self.settled: dict[str, int] = {}

    def load(self, key: str, *records: dict[str, Any]) -> FeedChange:
        """Load one more object and return what it changes."""
        self.landing.put(key, "\n".join(map(json.dumps, records)).encode())
        ingest_feed(self.contract, self.landing, self.lake, START)
        with duckdb.connect() as connection:
            (change,) = feed_changes(self.lake, {"seats": self.contract}, self.settled, connection)
        self.settled = {"seats": change.position}
        return change


def seat(version: int, updated_at: str, state: str = "active", ended_at: str | None = None) -> dict[str, Any]:
    return {"seat_id": "s1", "version": version, "state": state, "updated_at": updated_at, "ended_at": ended_at}


def days(*texts: str) -> Iterable[dt.date]:
    return frozenset(map(dt.date.fromisoformat, texts))


def test_changed_versions_affect_the_dates_that_they_name(tmp_path: Path) -> None:
    seats = Seats(tmp_path, dates=["updated_at", "ended_at"])

    first = seats.load("1.json", seat(1, "2026-01-05T10:00:00Z"), seat(2, "2026-03-01T00:00:00Z"))
    late = seats.load("2.json", seat(3, "2026-03-09T00:00:00Z", "canceled", "2026-02-28T23:59:59Z"))

    assert (first.dates, first.affects_all_dates) == (days("2026-01-05", "2026-03-01"), False)
    assert late.dates == days("2026-03-09", "2026-02-28")


def test_a_late_older_version_affects_its_dates(tmp_path: Path) -> None:
    seats = Seats(tmp_path, dates=["updated_at"])
    seats.load("1.json", seat(1, "2026-01-05T10:00:00Z"), seat(3, "2026-03-01T00:00:00Z"))

    assert seats.load("2.json", seat(2, "2026-02-01T00:00:00Z")).dates == days("2026-02-01")


def test_a_corrected_version_affects_its_old_and_its_new_dates(tmp_path: Path) -> None:
    seats = Seats(tmp_path, dates=["updated_at"])
    seats.load("1.json", seat(1, "2026-01-05T10:00:00Z"))

    assert seats.load("2.json", seat(1, "2026-01-07T10:00:00Z")).dates == days("2026-01-05", "2026-01-07")


def test_a_version_sent_again_affects_nothing(tmp_path: Path) -> None:
    seats = Seats(tmp_path)
    seats.load("1.json", seat(1, "2026-01-05T10:00:00Z"))

    again = seats.load("2.json", seat(1, "2026-01-05T10:00:00Z"))

    assert (again.changed, again.dates, again.affects_all_dates) == (True, frozenset(), False)


def test_an_entity_without_dates_and_facts_affects_every_date(tmp_path: Path) -> None:
    change = Seats(tmp_path).load("1.json", seat(1, "2026-01-05T10:00:00Z"))

    assert (change.dates, change.affects_all_dates) == (frozenset(), True)


def test_a_rebuilt_ledger_affects_every_date(tmp_path: Path) -> None:
    seats = Seats(tmp_path, dates=["updated_at"])
    seats.load("1.json", seat(1, "2026-01-05T10:00:00Z"))
    for item in list(seats.lake.list("ledger/seats")):
        seats.lake.delete([item.key])
    rebuilt = Entry("R", dt.datetime.now(dt.UTC), begins=1001)
    seats.lake.put(f"ledger/seats/{1001:020d}.parquet", rebuilt.to_bytes())

    change = seats.load("2.json", seat(2, "2026-03-01T00:00:00Z"))

    assert (change.position, change.changed, change.affects_all_dates) == (1002, True, True)
    assert seats.load("3.json", seat(3, "2026-03-02T00:00:00Z")).affects_all_dates is False


def test_an_entity_referred_to_by_facts_of_a_lost_ledger_affects_every_date(tmp_path: Path) -> None:
    seats = Seats(tmp_path, dates=["updated_at"])
    seats.load("1.json", seat(1, "2026-01-05T10:00:00Z"))
    reference = {"column": "seat_id", "feed": "seats", "key": "seat_id"}
    facts = seats.contract.model_copy(update={"feed": "sittings", "references": (Reference(**reference),)})
    seats.landing.put("2.json", json.dumps(seat(2, "2026-02-01T00:00:00Z")).encode())
    ingest_feed(seats.contract, seats.landing, seats.lake, START)

    with duckdb.connect() as connection:
        known = {"seats": seats.contract, "sittings": facts}
        (change,) = feed_changes(seats.lake, known, {"seats": 1, "sittings": 7}, connection, {"seats": 2})

    assert (change.dates, change.affects_all_dates) == (days("2026-02-01"), True)


class Customers(Seats):
    """A change feed that no facts refer to."""

    def __init__(self, home: Path, **fields: Any) -> None:
        super().__init__(home)
        self.contract = customers(feed="seats", source={"bucket": "raw-seats", "format": "debezium"}, **fields)


def plan_since(day: str, op: str = "u", **fields: Any) -> dict[str, Any]:
    return envelope(op, after=customer(updated_at=f"{day}T10:00:00Z", **fields), source=source(lsn=int(day[-2:])))


def test_every_change_affects_the_dates_that_it_names_in_any_order(tmp_path: Path) -> None:
    feed = Customers(tmp_path, dates=["updated_at"])
    first = feed.load("1.json", plan_since("2026-01-03"), plan_since("2026-01-05"))
    assert (first.dates, first.affects_all_dates) == (days("2026-01-03", "2026-01-05"), False)
    # an older change is no latest version, but a version of the history
    assert feed.load("2.json", plan_since("2026-01-01")).dates == days("2026-01-01")


def test_a_replaced_change_affects_its_old_and_its_new_dates(tmp_path: Path) -> None:
    feed = Customers(tmp_path, dates=["updated_at"])
    feed.load("1.json", plan_since("2026-01-03"), plan_since("2026-01-05"))
    change = feed.load("1.json", plan_since("2026-01-03"), plan_since("2026-01-07"))
    assert change.dates == days("2026-01-05", "2026-01-07")


def test_skipped_messages_affect_nothing(tmp_path: Path) -> None:
    feed = Customers(tmp_path, dates=["updated_at"])
    feed.load("1.json", plan_since("2026-01-03"))
    change = feed.load("2.json", {"ts_ms": 5}, record(None, {"id": 1}))
    assert (change.changed, change.dates, change.affects_all_dates) == (False, frozenset(), False)


def test_compaction_of_changes_affects_nothing(tmp_path: Path) -> None:
    feed = Customers(tmp_path, dates=["updated_at"])
    for number in range(5):
        feed.load(f"{number}.json", plan_since(f"2026-01-0{number + 1}"))
    assert compact(feed.lake, Ledger(feed.lake, "seats"), dt.datetime.now(dt.UTC)).after == 1
    with duckdb.connect() as connection:
        (change,) = feed_changes(feed.lake, {"seats": feed.contract}, feed.settled, connection)
    assert (change.dates, change.affects_all_dates) == (frozenset(), False)


def test_a_truncation_affects_every_date(tmp_path: Path) -> None:
    feed = Customers(tmp_path, dates=["updated_at"])
    feed.load("1.json", plan_since("2026-01-03"))
    assert feed.load("2.json", envelope("t", after=None)).affects_all_dates


def test_a_change_feed_without_dates_and_facts_affects_every_date(tmp_path: Path) -> None:
    assert Customers(tmp_path).load("1.json", plan_since("2026-01-03")).affects_all_dates
