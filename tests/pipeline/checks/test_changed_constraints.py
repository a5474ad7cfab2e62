"""Changed constraints judge from then on: earlier rows stay, checks agree, and replay loads what is valid now."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ingest.contracts.contract import Contract
from ingest.errors import ContractRefused
from ingest.ledger.evolution import as_loaded
from ingest.ledger.ledger import Ledger
from ingest.records.report import FeedReport
from ingest.steps.constraints import Constraints
from ingest.steps.load import ingest_feed
from ingest.steps.replay import Replay, replay
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from ingest.upkeep.compact import compact
from pipeline.checks.verify import FeedVerdict, verify_feed
from pipeline.invalidation.continuity import LakeRecords
from pipeline.warehouse import operations
from pipeline.warehouse.bronze import bronze_query, readable
from pipeline.warehouse.spark.bronze import parts_of
from tests.duck_adapter import adapter_of

START, NOW = dt.date(2021, 1, 1), dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
SMALL = {"column": "amount", "range": {"min": 0, "max": 100}}
SHORT = {"column": "status", "length": {"max": 4}, "policy": "warn"}


def contract(version: int, *constraints: dict[str, Any]) -> Contract:
    def column(name: str, kind: str, **rules: Any) -> dict[str, Any]:
        return {"name": name, "type": kind, "description": "x", **rules}

    return Contract.model_validate(
        {
            "feed": "orders",
            "domain": "shop",
            "version": version,
            "kind": "event",
            "owner": "me",
            "description": "Orders.",
            "source": {"bucket": "raw-orders"},
            "key": ["id"],
            "event_time": "at",
            "freshness_seconds": 60,
            "columns": [
                column("id", "integer", required=True),
                column("at", "timestamp", required=True),
                column("amount", "integer"),
                column("status", "string"),
            ],
            "constraints": constraints,
        }
    )


class Orders:
    """The lake of one feed, whose contract each call names."""

    def __init__(self, home: Path) -> None:
        self.landing, self.store = Landing(str(home / "landing")), Store(str(home / "lake"))
        self.ledger = Ledger(self.store, "orders")

    def put(self, key: str, *records: dict[str, Any]) -> None:
        lines = ({"id": number, "at": "2026-01-02T10:00:00Z"} | record for number, record in enumerate(records))
        self.landing.put(key, b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    def ingest(self, agreed: Contract) -> FeedReport:
        return ingest_feed(agreed, self.landing, self.store, START)

    def replay(self, agreed: Contract) -> Replay:
        return replay(agreed, self.store, self.ledger, NOW)

    def verify(self, agreed: Contract) -> FeedVerdict:
        return verify_feed(agreed, self.landing, self.store, duckdb.connect, LakeRecords(), START, deep=True)

    def rows(self, agreed: Contract, *columns: str) -> list[tuple[Any, ...]]:
        query = bronze_query(agreed, self.store.uri, self.ledger.state().bronze_files())
        shown = ", ".join(columns)
        return duckdb.sql(f"SELECT {shown} FROM ({query}) ORDER BY _source_file, _source_line").fetchall()


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    return Orders(tmp_path)


def test_warnings_are_counted_and_in_bronze_and_files_without_them_read_as_null(orders: Orders) -> None:
    for name in "abcd":
        orders.put(f"{name}.json", {"status": "paid"}, {"status": "shipped"})
        orders.ingest(contract(1))
    warned = contract(2, SHORT, {"column": "amount", "range": {"min": 0}, "policy": "warn"})
    orders.put("e.json", {"status": "shipped", "amount": -1}, {"status": "shipped"}, {"status": "paid"})
    report = orders.ingest(warned)
    assert (report.rows, report.quarantined) == (3, 0)
    assert report.warnings == (("amount_range", 1), ("status_length", 2))
    found = [None] * 8 + [["amount_range", "status_length"], ["status_length"], None]
    assert [row for (row,) in orders.rows(warned, "_warnings")] == found
    assert compact(orders.store, orders.ledger, NOW).before == 4
    assert [row for (row,) in orders.rows(warned, "_warnings")] == found
    # WHEN the contract has no such constraint any more, THEN bronze has no such column
    assert len(orders.rows(contract(3), "id")) == 11
    with pytest.raises(duckdb.BinderException, match="_warnings"):
        orders.rows(contract(3), "_warnings")
    # AND Spark reads both shapes of files with the same columns
    files: dict[str, list[Any]] = {}
    for file in orders.ledger.state().bronze_files():
        files.setdefault(file.columns, []).append(file)
    queries = parts_of(warned, files, [])
    assert ["CAST(CAST(NULL AS ARRAY<STRING>) AS ARRAY<STRING>) AS `_warnings`" in query for query in queries] == [
        '"_warnings"' not in columns for columns in files
    ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ((), r"'amount_range' was amount at least 0 and at most 100 \(quarantine\) and is absent"),
        (
            (SMALL | {"policy": "warn"},),
            r"at most 100 \(quarantine\) and is amount at least 0 and at most 100 \(warn\)",
        ),
        ((SMALL | {"name": "is_small"},), "'is_small' was absent and is amount"),
        ((SMALL, SHORT), r"'status_length' was absent and is status a length of at most 4 \(warn\)"),
    ],
)
def test_changed_constraints_need_a_new_version_and_nothing_else(
    orders: Orders, changed: tuple[dict[str, Any], ...], message: str
) -> None:
    orders.put("a.json", {"amount": 1})
    orders.ingest(contract(1, SMALL))
    with pytest.raises(
        ContractRefused, match=f"version 1 is recorded with other constraints: .*{message}.*raise `version`"
    ):
        orders.ingest(contract(1, *changed))
    assert orders.ingest(contract(2, *changed)).objects == 0
    assert orders.verify(contract(2, *changed)).differences == []


def test_a_constraint_in_a_value_that_words_leave_out_needs_a_version_too(orders: Orders) -> None:
    orders.put("a.json", {"amount": 1})
    orders.ingest(contract(1, {"column": "amount", "accepted_values": list(range(12))}))
    with pytest.raises(ContractRefused, match="version 1 is recorded with other constraints; raise"):
        orders.ingest(contract(1, {"column": "amount", "accepted_values": [*range(11), 99]}))


def test_rows_that_a_tightened_constraint_would_reject_stay_and_are_counted(orders: Orders) -> None:
    wide, narrow = contract(1, SMALL), contract(2, SMALL | {"range": {"min": 0, "max": 10}})
    orders.put("a.json", {"amount": 10}, {"amount": 11}, {"amount": 100}, {"amount": 101})
    orders.ingest(wide)
    assert orders.verify(wide) == FeedVerdict("orders", objects=1, records=4, rows=3, quarantined=1, files=2)
    # WHEN it is tightened
    verdict = orders.verify(narrow)
    # THEN the rows are there, and counted as judged differently
    assert (verdict.differences, verdict.rejudged, verdict.rows) == ([], 2, 3)
    # AND what is loaded from now on is judged by it
    orders.put("b.json", {"amount": 10}, {"amount": 11})
    report = orders.ingest(narrow)
    assert (report.rows, report.quarantined, report.reasons) == (1, 1, (("constraint_violated", 1),))
    assert orders.rows(narrow, "amount") == [(10,), (11,), (100,), (10,)]
    verdict = orders.verify(narrow)
    assert (verdict.differences, verdict.rejudged) == ([], 2)


def test_records_that_a_loosened_constraint_accepts_are_loaded_by_replay(orders: Orders) -> None:
    narrow, wide = contract(1, SMALL), contract(2, SMALL | {"range": {"min": 0, "max": 200}}, SHORT)
    orders.put("a.json", {"amount": 100}, {"amount": 150, "status": "shipped"}, {"amount": 201})
    orders.ingest(narrow)
    assert orders.replay(narrow) == Replay(2, 0)
    verdict = orders.verify(wide)
    assert (verdict.differences, verdict.rejudged, verdict.quarantined) == ([], 1, 2)
    assert orders.replay(wide) == Replay(2, 1)
    assert orders.rows(wide, "amount", "_warnings") == [(100, None), (150, ["status_length"])]
    verdict = orders.verify(wide)
    assert (verdict.differences, verdict.rejudged, verdict.rows, verdict.quarantined) == ([], 0, 2, 1)
    # WHEN it is tightened again, THEN the replayed row stays and is counted
    again = contract(3, SMALL, SHORT)
    verdict = orders.verify(again)
    assert (verdict.differences, verdict.rejudged) == ([], 1)


def test_a_constraint_that_only_warns_from_now_on_loads_by_replay_what_it_rejected(orders: Orders) -> None:
    orders.put("a.json", {"amount": 150}, {"amount": 1})
    orders.ingest(contract(1, SMALL))
    warns = contract(2, SMALL | {"policy": "warn"})
    assert orders.replay(warns) == Replay(1, 1)
    assert orders.rows(warns, "amount", "_warnings") == [(150, ["amount_range"]), (1, None)]
    assert (orders.verify(warns).differences, orders.verify(warns).rejudged) == ([], 0)


def test_rows_that_other_constraints_warn_of_are_counted_and_their_values_still_compared(
    orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders.put("a.json", {"status": "shipped"}, {"status": "paid"}, {"status": "new"})
    orders.ingest(contract(1, SHORT))
    other = contract(2, SHORT | {"length": {"max": 3}})
    verdict = orders.verify(other)
    assert (verdict.differences, verdict.rejudged) == ([], 1), "paid alone: shipped is marked as before"
    # WHEN rows would get other warnings under the same contract, THEN each is a difference
    real = Constraints.warnings
    monkeypatch.setattr(
        Constraints, "warnings", lambda self, violated, count: pa.array([None] * (count - 1) + [["status_length"]])
    )
    assert orders.verify(contract(1, SHORT)).differences == [
        "warning only in the lake: raw-orders/a.json line 1",
        "warning only in the source: raw-orders/a.json line 3",
    ]
    monkeypatch.setattr(Constraints, "warnings", real)
    assert orders.verify(contract(1, SHORT)).differences == []


def test_a_refused_contract_reads_bronze_with_the_warnings_of_the_recorded_one(orders: Orders) -> None:
    orders.put("a.json", {"status": "shipped"})
    orders.ingest(contract(2, SHORT))
    refused = contract(1)
    shown = readable(refused, orders.store, orders.ledger.state())
    assert shown.constraints == contract(2, SHORT).constraints
    assert orders.rows(shown, "_warnings") == [(["status_length"],)]
    assert as_loaded(refused, orders.ledger.state()).version == 2


def test_operations_list_violations_by_constraint(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    agreed = contract(1, SMALL, SHORT, {"column": "amount", "range": {"min": 9}, "name": "not_tiny", "policy": "warn"})
    orders.put("a.json", {"amount": 101}, {"amount": 1, "status": "shipped"}, {"amount": "x"}, {"amount": 50})
    orders.ingest(agreed)
    monkeypatch.setattr(operations, "contracts", lambda: {"orders": agreed})
    with duckdb.connect() as warehouse:
        query = bronze_query(agreed, orders.store.uri, orders.ledger.state().bronze_files())
        warehouse.execute("CREATE SCHEMA bronze")
        warehouse.execute(f"CREATE VIEW bronze.orders AS {query}")
        for statement in operations.registration(adapter_of(warehouse), orders.store):
            warehouse.execute(statement)
        rejected = "SELECT source_line, reason, constraint_name FROM operations.quarantine ORDER BY ALL"
        assert warehouse.execute(rejected).fetchall() == [
            (1, "constraint_violated", "amount_range"),
            (3, "wrong_type", None),
        ]
        assert warehouse.execute("FROM operations.warnings ORDER BY ALL").fetchall() == [
            ("orders", "raw-orders/a.json", 2, "not_tiny"),
            ("orders", "raw-orders/a.json", 2, "status_length"),
        ]
        # WHEN a contract is new, or gone, and bronze may lack the column, THEN there is none
        for changed in (contract(2), contract(2, SMALL)):
            monkeypatch.setattr(operations, "contracts", lambda changed=changed: {"orders": changed})
            for statement in operations.registration(adapter_of(warehouse), orders.store):
                warehouse.execute(statement)
            assert warehouse.execute("FROM operations.warnings").fetchall() == []
