"""A lake in a temporary folder, driven through the same functions as the command line."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ingest.contracts.contract import contracts
from ingest.ledger.ledger import Ledger
from ingest.records.report import FeedReport
from ingest.steps.load import ingest_feed
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from ingest.upkeep.orphans import landed_objects
from pipeline.warehouse.bronze import bronze_query

START = dt.date(2021, 1, 1)


class Lake:
    """Landing and lake below one folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = Store(str(home / "lake"))
        self.contracts = dict(contracts())

    def agree(self, feed: str, **fields: Any) -> None:
        """Change fields of a feed's contract."""
        self.contracts[feed] = self.contracts[feed].model_copy(update=fields)

    def landing(self, feed: str) -> Landing:
        return Landing(str(self.home / "landing" / self.contracts[feed].source.bucket))

    def put(self, feed: str, key: str, *records: dict[str, Any] | bytes) -> None:
        """Write one landing object of JSON lines."""
        lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in records]
        self.landing(feed).put(key, b"".join(line + b"\n" for line in lines))

    def ingest(self, feed: str = "events", **options: Any) -> FeedReport:
        return ingest_feed(self.contracts[feed], self.landing(feed), self.store, START, **options)

    def ledger(self, feed: str = "events") -> Ledger:
        return Ledger(self.store, feed)

    def landed(self, feed: str = "events") -> pa.Array:
        """bucket/key of each object in the landing."""
        return landed_objects(self.contracts[feed], self.landing(feed))

    def bronze(self, feed: str = "events", columns: str = "*") -> list[dict[str, Any]]:
        """The visible rows, as any reader gets them."""
        files = self.ledger(feed).state().bronze_files()
        query = bronze_query(self.contracts[feed], self.store.uri, files)
        table = duckdb.sql(f"SELECT {columns} FROM ({query}) ORDER BY _source_file, _source_line").to_arrow_table()
        return table.to_pylist()

    def quarantine(self, feed: str = "events") -> list[dict[str, Any]]:
        """The visible quarantined records."""
        files = [
            f"{self.store.uri}/{path}" for path in self.ledger(feed).state().files if path.startswith("quarantine/")
        ]
        if not files:
            return []
        query = f"SELECT * FROM read_parquet({files}) ORDER BY _source_file, _source_line"
        return duckdb.sql(query).to_arrow_table().to_pylist()

    def parquet(self) -> list[Path]:
        """Every Parquet file of bronze and quarantine on disk, visible or not."""
        return [path for path in (self.home / "lake").rglob("*.parquet") if "ledger" not in path.parts]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


@pytest.fixture
def event() -> Callable[..., dict[str, Any]]:
    """Make a valid event; keyword arguments replace fields."""

    def make(event_id: str = "e1", occurred_at: str = "2026-01-02 10:00:00.000", **fields: Any) -> dict[str, Any]:
        return {
            "event_id": event_id,
            "name": "activity_exit",
            "occurred_at": occurred_at,
            "user_id": "u1",
            "child_id": None,
            "data": {"activity_id": "a1", "duration": 1.5, "completed": True, "collection_id": ""},
            "context": {"os": {"name": "iOS", "version": "14.2"}, "app": {"version": "7.40.0"}},
        } | fields

    return make
