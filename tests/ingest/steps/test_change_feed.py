"""A change feed from the landing to bronze: counted, replayed, overwritten, dropped, evolved and verified."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.contracts.column import Unit
from ingest.contracts.contract import Contract, Kind
from ingest.errors import ContractRefused
from ingest.ledger.evolution import as_loaded, check_compatible
from ingest.ledger.sources import LoadedObject
from ingest.steps.discover import compare
from ingest.steps.drop import drop
from ingest.steps.replay import Replay, replay
from pipeline.access.masking import masked_detail, masked_record
from pipeline.checks.deep import compare_content
from tests.envelopes import (
    COLUMNS,
    column,
    customer,
    customers,
    envelope,
    line,
    parse,
    record,
    recorded,
    schema,
    source,
)

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
START = dt.date(2021, 1, 1)
TOMBSTONE = record(None, {"id": 1})


@pytest.fixture
def shop(lake: Any) -> Any:
    """A lake with a change feed of customers."""
    lake.contracts["customers"] = customers()
    return lake


def put(shop: Any, key: str, *items: Any) -> None:
    shop.put("customers", key, *map(line, items))


def counts(shop: Any, key: str) -> tuple[int, int, int, int, int]:
    """Records, rows, quarantined, dropped and skipped of an object."""
    item: LoadedObject = shop.ledger("customers").state().objects[f"raw-customers/{key}"]
    assert item.is_conserved
    return item.records, item.rows, item.quarantined, item.dropped, item.skipped


def differences(shop: Any) -> dict[str, int]:
    """What a comparison with the source finds, by kind."""
    contract, landing = shop.contracts["customers"], shop.landing("customers")
    state = shop.ledger("customers").state()
    with duckdb.connect() as connection:
        listed = compare(contract, landing, state)
        found = compare_content(connection, contract, landing, shop.store, START, state, listed)
    return {kind: count for kind, _, count in found.differences if count}


def test_recorded_events_are_loaded_and_counted_by_kind(shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    put(shop, "a.json", *recorded().values())

    report = shop.ingest("customers")

    assert (report.records, report.rows, report.quarantined) == (21, 9, 0)
    assert report.skipped == (("tombstone", 2), ("transaction", 10))
    assert counts(shop, "a.json") == (21, 9, 0, 0, 12)
    assert "skipped_tombstone=2 skipped_transaction=10" in caplog.text
    rows = shop.bronze("customers", "_operation, _source_line, ingest_date IS NOT NULL AS is_dated")
    assert [row["_operation"] for row in rows] == [
        *("create",) * 3,
        *("delete",) * 2,
        *("read",) * 2,
        "truncate",
        "update",
    ]
    assert [row["_source_line"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8, 21]
    assert all(row["is_dated"] for row in rows)
    assert differences(shop) == {}


def lines_of(*items: Any) -> bytes:
    return b"".join(line(item) + b"\n" for item in items)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.json", lines_of),
        ("a.json.gz", lambda *items: gzip.compress(lines_of(*items))),
        ("a.json", lambda *items: b"[" + b",\n".join(map(line, items)) + b"]"),
        ("a.json", lambda *items: json.dumps([json.loads(line(item)) for item in items], indent=2).encode()),
        ("a.csv", lines_of),
    ],
    ids=["lines", "gzip", "array", "indented array", "lines named csv"],
)
def test_every_container_of_json_is_read(shop: Any, name: str, pack: Callable[..., bytes]) -> None:
    shop.landing("customers").put(name, pack(envelope(), None, TOMBSTONE, envelope("u")))
    report = shop.ingest("customers")
    assert (report.records, report.rows, report.skipped) == (4, 2, (("tombstone", 2),))


def test_other_formats_are_refused_with_the_reason(shop: Any) -> None:
    shop.landing("customers").put("a.csv", b"id,name\n1,Ada\n")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": [1]}), sink)
    shop.landing("customers").put("b.parquet", sink.getvalue().to_pybytes())
    shop.ingest("customers")
    assert [(bad["reason"], bad["detail"]) for bad in shop.quarantine("customers")] == [
        ("corrupt_object", "it is CSV, by its name; expected change events as JSON lines or a JSON array"),
        ("corrupt_object", "it is Parquet; expected change events as JSON lines or a JSON array"),
    ]


def test_object_without_rows_is_loaded_once(shop: Any) -> None:
    put(shop, "a.json", TOMBSTONE, None)
    assert shop.ingest("customers").objects == 1
    assert counts(shop, "a.json") == (2, 0, 0, 0, 2)
    assert shop.ingest("customers").objects == 0


def test_counts_of_several_loads_add_up(shop: Any) -> None:
    put(shop, "a.json", envelope(), TOMBSTONE, b"{")
    put(shop, "b.json", TOMBSTONE, {"ts_ms": 5})
    report = shop.ingest("customers")
    assert (report.records, report.rows, report.quarantined) == (5, 1, 1)
    assert report.skipped == (("heartbeat", 1), ("tombstone", 2))


def test_fixed_contract_replays_the_original_line(shop: Any) -> None:
    # GIVEN changes of which one lacks a required value, with others around it
    bad = record(envelope("u", after=customer(name=None)), {"id": 1})
    put(shop, "a.json", TOMBSTONE, bad, envelope("d", before=customer(), after=None))
    shop.ingest("customers")
    (quarantined,) = shop.quarantine("customers")
    assert (quarantined["reason"], quarantined["_source_line"], quarantined["raw"]) == (
        "missing_required",
        2,
        line(bad),
    )

    # WHEN the contract no longer requires it
    fixed = [{**item, "required": item["name"] == "id"} for item in COLUMNS]
    contract = customers(version=2, columns=[{"description": "x", **item} for item in fixed])
    assert replay(contract, shop.store, shop.ledger("customers"), NOW) == Replay(1, 1)

    # THEN the change is a row at its own line, as all else of it
    shop.contracts["customers"] = contract
    rows = shop.bronze("customers", "_source_line, _operation, name, _position, _transaction_order")
    first = {"_source_line": 2, "_operation": "update", "name": None}
    assert rows[0] == {**first, "_position": f"{200:020d}", "_transaction_order": 3}
    assert counts(shop, "a.json") == (3, 2, 0, 0, 1)
    assert differences(shop) == {}


def test_message_that_was_quarantined_leaves_by_a_replay_once_it_is_skipped(shop: Any) -> None:
    # GIVEN a message that an older parser took for a bad line
    put(shop, "a.json", envelope(), TOMBSTONE)
    shop.ingest("customers")
    shop.contracts["customers"] = customers(unknown_fields="freeze")
    put(shop, "b.json", record(envelope(after=customer(country="NL"))))
    shop.ingest("customers")
    (path,) = [path for path in shop.ledger("customers").state().files if path.startswith("quarantine/")]
    place = f"{shop.store.uri}/{path}"
    table = pq.read_table(place)
    raw = pa.array([line(TOMBSTONE)], pa.binary())
    pq.write_table(table.set_column(table.schema.get_field_index("raw"), "raw", raw), place)

    # WHEN it is judged again
    assert replay(shop.contracts["customers"], shop.store, shop.ledger("customers"), NOW) == Replay(1, 1)

    # THEN it is counted as skipped
    assert counts(shop, "b.json") == (1, 0, 0, 0, 1)
    assert shop.quarantine("customers") == []
    assert len(shop.bronze("customers")) == 1


def test_overwritten_object_has_the_counts_of_its_new_content(shop: Any) -> None:
    put(shop, "a.json", envelope(), TOMBSTONE, TOMBSTONE)
    shop.ingest("customers")
    put(shop, "a.json", envelope("u"), envelope("u"), {"ts_ms": 5}, b"[]")
    report = shop.ingest("customers")
    assert (report.replaced, report.skipped) == (1, (("heartbeat", 1),))
    assert counts(shop, "a.json") == (4, 2, 1, 0, 1)
    assert [row["_operation"] for row in shop.bronze("customers")] == ["update", "update"]
    assert differences(shop) == {}


def test_dropped_object_keeps_the_count_of_what_was_skipped(shop: Any) -> None:
    put(shop, "a.json", envelope(), TOMBSTONE, b"{")
    put(shop, "b.json", TOMBSTONE)
    shop.ingest("customers")
    names = ["raw-customers/a.json", "raw-customers/b.json"]
    done = drop(shop.store, shop.ledger("customers"), names, "a test", NOW)
    assert ([item.source_file for item in done.objects], done.empty) == (names[:1], tuple(names[1:]))
    assert counts(shop, "a.json") == (3, 0, 0, 2, 1)
    assert shop.bronze("customers") == []
    assert shop.ingest("customers").objects == 0


def test_a_wrong_count_of_skipped_records_is_found(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest.steps import attempt

    loaded = attempt.LoadedObject
    with monkeypatch.context() as patch:
        patch.setattr(
            attempt,
            "LoadedObject",
            lambda *values, skipped, **counts: replace(loaded(*values, **counts), skipped=skipped + 1),
        )
        put(shop, "a.json", envelope(), TOMBSTONE)
        shop.ingest("customers")
    assert differences(shop) == {"number of skipped records": 1}


@pytest.mark.parametrize(
    ("unit", "count", "at"),
    [
        (None, 1_767_323_045_123_456, "2026-01-02 03:04:05.123456"),
        (None, -1, "1969-12-31 23:59:59.999999"),
        (Unit.SECONDS, 1_767_323_045, "2026-01-02 03:04:05"),
        (Unit.MILLISECONDS, 253_402_300_799_999, "9999-12-31 23:59:59.999"),
        (Unit.NANOSECONDS, 1_767_323_045_123_456_999, "2026-01-02 03:04:05.123456"),
        (Unit.NANOSECONDS, -1001, "1969-12-31 23:59:59.999998"),
    ],
)
def test_columns_that_were_unknown_show_what_was_kept(shop: Any, unit: Unit | None, count: int, at: str) -> None:
    """A new column reads as if its contract had loaded the rows from the start: integers stand for dates and times."""
    # GIVEN rows of before the columns were declared, without and with a schema part, and values of no use
    fields = {"born_on": 7430, "seen_at": count, "fee": "1.50"}
    typed = schema({"field": "born_on", "type": "int32", "name": "io.debezium.time.Date"})
    put(
        shop,
        "1.json",
        envelope(after=customer(1, **fields)),
        {"schema": typed, "payload": envelope(after=customer(2, **fields))},
    )
    put(shop, "2.json", envelope(after=customer(3, born_on=2**31 - 1, seen_at=-(2**63), fee="x")))
    shop.ingest("customers")
    more = (
        column("born_on", "date"),
        column("seen_at", "timestamp", unit=unit),
        column("fee", "decimal(9, 2)"),
    )
    contract = customers(*more, version=2)
    assert check_compatible(contract, shop.store, shop.ledger("customers").state())

    # WHEN they are declared, and one more row is loaded
    shop.contracts["customers"] = contract
    put(shop, "3.json", envelope(after=customer(4, **fields)))
    shop.ingest("customers")

    # THEN every row has them
    rows = shop.bronze("customers", "id, born_on, seen_at, fee::TEXT AS fee")
    born_on, seen_at = dt.date(1990, 5, 6), dt.datetime.fromisoformat(at)
    good = [{"id": key, "born_on": born_on, "seen_at": seen_at, "fee": "1.50"} for key in (1, 2, 4)]
    none = {"id": 3, "born_on": None, "seen_at": None, "fee": None}
    assert sorted(rows, key=lambda row: row["id"]) == [*good[:2], none, good[2]]


def loaded(shop: Any, contract: Contract) -> None:
    shop.contracts["customers"] = contract
    put(shop, "a.json", envelope(source=source(file="f", pos=1, row=2)))
    shop.ingest("customers")


def test_unit_and_order_of_loaded_rows_stay(shop: Any) -> None:
    loaded(shop, customers(column("seen_at", "timestamp", unit="milliseconds")))
    state = shop.ledger("customers").state()
    assert check_compatible(shop.contracts["customers"], shop.store, state) == ""
    by_file = {"bucket": "raw-customers", "format": "debezium", "order": ["file", "pos"]}
    changed = customers(column("seen_at", "timestamp"), version=2, source=by_file)
    with pytest.raises(ContractRefused) as refused:
        check_compatible(changed, shop.store, state)
    assert "unit of column 'seen_at' changes from milliseconds to microseconds" in str(refused.value)
    assert "source.order changes" in str(refused.value)
    assert as_loaded(changed, state).leaf("seen_at").unit is Unit.MILLISECONDS
    assert as_loaded(changed, state).source.order == ()


def test_microseconds_said_or_not_are_the_same_contract(shop: Any) -> None:
    loaded(shop, customers(column("seen_at", "timestamp")))
    contract = customers(column("seen_at", "timestamp", unit="microseconds"))
    assert check_compatible(contract, shop.store, shop.ledger("customers").state()) == ""


def test_kind_of_a_ledger_without_contracts_is_that_of_the_contract(shop: Any) -> None:
    """Files of entity and change feeds look alike, so neither is refused; what an entity lacks is NULL."""
    entity = customers(kind="entity", source={"bucket": "raw-customers"}, created_at=None)
    shop.contracts["customers"] = entity
    shop.put("customers", "a.json", customer())
    shop.ingest("customers")
    state = shop.ledger("customers").state()
    state.contract = ""
    contract = customers()
    assert check_compatible(contract, shop.store, state)
    assert as_loaded(contract, state).kind is Kind.CHANGE
    shop.contracts["customers"] = contract
    (row,) = shop.bronze("customers")
    assert (row["id"], row["_operation"], row["_unavailable"]) == (1, None, None)


def test_recorded_kind_does_not_change(shop: Any) -> None:
    loaded(shop, customers())
    entity = customers(kind="entity", source={"bucket": "raw-customers"}, created_at=None, version=2)
    with pytest.raises(ContractRefused, match="kind changes from change to entity"):
        check_compatible(entity, shop.store, shop.ledger("customers").state())


def test_values_of_a_rejected_change_are_masked() -> None:
    contract = customers(column("email", "string", **{"class": "direct", "subject": "customer"}), key=["id"])
    event = record(envelope(after=customer(email="ada@example.org")), {"id": 1})
    wrapped = record({"schema": schema(), "payload": event["value"]})
    flat = customer(email="ada@example.org", value="ada", before="ada")
    for item in (event, wrapped, event["value"], flat, record(json.dumps(event["value"]))):
        assert "ada" not in masked_record(contract, line(item))
    for item in (event, wrapped, event["value"]):
        assert '"after": {"id": 1, "name": "Ada", "plan": "pro", "email": "***"}' in masked_record(contract, line(item))
    assert masked_detail(contract, "not_an_envelope", None, "expected an envelope") == "expected an envelope"
    by_email = customers(
        column("email", "string", required=True, **{"class": "direct", "subject": "customer"}), key=["id", "email"]
    )
    moved = envelope("u", before=customer(email="ada@example.org"), after=customer(email="a@example.org"))
    (reject,) = parse(by_email, moved).rejects
    assert reject.reason == "changed_key"
    assert "example" not in masked_detail(by_email, reject.reason, reject.column, reject.detail)
