"""Change events as Debezium's connectors write them, made for tests and recorded from a real connector."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from ingest.contracts.contract import Contract
from ingest.records.parsed import Parsed
from ingest.records.parts import Piece
from ingest.steps.parse import Parser
from tests.conftest import REFERENCE

NOBODY = "The customers of the recorded events never were."
COLUMNS: tuple[dict[str, Any], ...] = (
    {"name": "id", "type": "integer", "required": True},
    {"name": "name", "type": "string", "required": True, "not_personal": NOBODY},
    {"name": "plan", "type": "string"},
    {"name": "mrr", "type": "decimal(9, 2)"},
    {"name": "tags", "type": "string", "repeated": True},
    {"name": "attrs", "type": "string"},
    {"name": "created_at", "type": "timestamp"},
    {"name": "updated_at", "type": "timestamp"},
    {"name": "born", "type": "date", "not_personal": NOBODY},
)
"""Of the table that the recorded events are of."""


def column(name: str, kind: str, **rules: Any) -> dict[str, Any]:
    """A column of a contract."""
    return {"name": name, "type": kind, "description": f"The {name}.", **rules}


def customers(*more: dict[str, Any], **changes: Any) -> Contract:
    """The contract of a change feed of customers, with more columns."""
    fields: dict[str, Any] = {
        "feed": "customers",
        "domain": "shop",
        "version": 1,
        "kind": "change",
        "owner": "shop",
        "description": "One record per change of a customer.",
        "source": {"bucket": "raw-customers", "format": "debezium"},
        "key": ["id"],
        "created_at": "created_at",
        "freshness_seconds": 3600,
        "max_quarantined_share": 1,
        "columns": [{"description": "A column.", **column} for column in (*COLUMNS, *more)],
    }
    return Contract.model_validate(fields | changes)


def source(**fields: Any) -> dict[str, Any]:
    """The origin of a change in PostgreSQL's log."""
    return {
        "version": "3.6.1.Final",
        "connector": "postgresql",
        "name": "shop",
        "ts_ms": 1_770_000_000_123,
        "snapshot": "false",
        "db": "shop",
        "sequence": '["100","200"]',
        "ts_us": 1_770_000_000_123_456,
        "ts_ns": 1_770_000_000_123_456_000,
        "schema": "shop",
        "table": "customers",
        "txId": 7,
        "lsn": 200,
        "xmin": None,
    } | fields


MYSQL = {
    "version": "3.6.1.Final",
    "connector": "mysql",
    "name": "shop",
    "ts_ms": 1_770_000_000_000,
    "snapshot": "false",
    "db": "shop",
    "table": "customers",
    "server_id": 1,
    "gtid": "3e11fa47-71ca-11e1-9e33-c80aa9429562:23",
    "file": "mysql-bin.000003",
    "pos": 484,
    "row": 0,
}
"""The origin of a change in MySQL's log."""


def customer(key: Any = 1, **fields: Any) -> dict[str, Any]:
    """A row of the table."""
    return {"id": key, "name": "Ada", "plan": "pro"} | fields


def envelope(op: str = "c", **fields: Any) -> dict[str, Any]:
    """An envelope without a schema part: by default of a creation."""
    return {
        "before": None,
        "after": customer(),
        "source": source(),
        "transaction": {"id": "7:200", "total_order": 3, "data_collection_order": 1},
        "op": op,
        "ts_ms": 1_770_000_000_500,
    } | fields


def record(value: Any, key: Any = None, **fields: Any) -> dict[str, Any]:
    """A record as it is in Kafka."""
    return {"topic": "shop.shop.customers", "partition": 0, "offset": 5, "key": key, "value": value} | fields


def schema(*fields: dict[str, Any]) -> dict[str, Any]:
    """The schema part of an envelope whose rows have these fields."""
    row = {"type": "struct", "fields": list(fields), "optional": True, "name": "shop.shop.customers.Value"}
    return {
        "type": "struct",
        "name": "shop.shop.customers.Envelope",
        "fields": [{**row, "field": "before"}, {**row, "field": "after"}, {"type": "string", "field": "op"}],
    }


def line(item: Any) -> bytes:
    """An event as a line, compact as connectors write it; bytes as they are."""
    if isinstance(item, bytes):
        return item
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode()


def parse(contract: Contract, *items: Any) -> Parsed:
    """Parse events, one per line."""
    parser = Parser(contract, [dt.datetime(2026, 11, 29, tzinfo=dt.UTC)])
    return parser.parse([Piece(0, 1, b"".join(line(item) + b"\n" for item in items))])


def recorded() -> dict[str, dict[str, Any]]:
    """The events that a real connector wrote, by name: read, create, update, delete, truncate and what is no change."""
    folder = REFERENCE / "debezium"
    if not folder.is_dir():
        pytest.skip(f"the recorded events are not there: {folder}")
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
