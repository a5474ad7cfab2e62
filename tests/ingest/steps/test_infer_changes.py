"""The contract of a change feed, inferred from Debezium's envelopes in each of their forms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import Kind, contracts
from ingest.settings import settings
from ingest.steps.infer import Inference, infer
from tests.envelopes import MYSQL, customer, customers, envelope, line, record, recorded, schema, source

Infer = Callable[..., Inference]
MICROSECONDS, MILLISECONDS = 1_767_323_045_123_456, 1_767_323_045_123
TYPES = (
    {"field": "id", "type": "int64"},
    {"field": "name", "type": "string"},
    {"field": "plan", "type": "string"},
    {
        "field": "mrr",
        "type": "bytes",
        "name": "org.apache.kafka.connect.data.Decimal",
        "parameters": {"scale": "2", "connect.decimal.precision": "10"},
    },
    {"field": "updated_at", "type": "int64", "name": "io.debezium.time.Timestamp"},
    {"field": "created_at", "type": "string", "name": "io.debezium.time.ZonedTimestamp"},
)


@pytest.fixture
def inferred(clean_settings: Path, tmp_path: Path) -> Infer:
    """Infer the contract of customers from change events."""

    def run(*events: Any) -> Inference:
        path = tmp_path / "a.json"
        path.write_bytes(b"".join(line(event) + b"\n" for event in events))
        return infer("shop/customers", [str(path)], settings(), contracts().values())

    return run


def created(count: int = 120, **fields: Any) -> list[dict[str, Any]]:
    """Creations of customers."""
    usual = {"mrr": "49.90", "updated_at": MICROSECONDS, "created_at": "2026-01-02T03:04:05Z"}
    return [envelope(after=customer(number, **usual | fields)) for number in range(count)]


def test_bare_events_without_a_schema(inferred: Infer) -> None:
    found = inferred(*created())
    contract = found.contract
    assert (contract.kind, contract.source.format, contract.key) == (Kind.CHANGE, "debezium", ("id",))
    assert (contract.created_at, contract.event_time, contract.source.order) == ("created_at", None, ())
    assert {column.name: column.type for column in contract.columns} == {
        "id": "integer",
        "name": "string",
        "plan": "string",
        "mrr": "string",
        "updated_at": "timestamp",
        "created_at": "timestamp",
    }
    assert "# integers that look like microseconds since 1970, as the connector encodes times; or integer" in found.text
    assert "# numbers written as text, which look like money" in found.text
    assert "# the events have no schema part" in found.text
    assert "description: One record per change of a row of shop.customers." in found.text
    assert found.trial.share == 1


def test_milliseconds_get_their_unit(inferred: Infer) -> None:
    found = inferred(*created(updated_at=MILLISECONDS))
    assert found.contract.leaf("updated_at").unit == "milliseconds"
    assert found.trial.share == 1


def test_small_integers_of_a_day_are_a_doubt(inferred: Infer) -> None:
    found = inferred(*created(born=7430))
    assert found.contract.leaf("born").type == "integer"
    assert "# integers that may be days since 1970, as the connector encodes dates; then `type: date`" in found.text


@pytest.mark.parametrize("is_wrapped", [True, False], ids=["key with a schema", "bare key"])
def test_schema_part_states_the_types_and_the_record_its_key(inferred: Infer, *, is_wrapped: bool) -> None:
    key = {"schema": {"type": "struct", "fields": []}, "payload": {"name": "Ada"}} if is_wrapped else {"name": "Ada"}
    events = created(mrr="E4g=", updated_at=MILLISECONDS)
    lines = [record({"schema": schema(*TYPES), "payload": event}, key) for event in events]
    deletion = envelope("d", after=None, before={"id": 1, "name": "Ada"})
    marker = {"status": "BEGIN", "id": "7", "event_count": None, "data_collections": None}
    found = inferred(*lines, record(None, {"id": 1}), marker, deletion)
    assert found.contract.key == ("name",)
    types = {column.name: column.type for column in found.contract.columns}
    assert (types["mrr"], types["updated_at"], types["created_at"]) == ("decimal(10, 2)", "timestamp", "timestamp")
    assert all(column.required for column in found.contract.columns)
    assert "no schema part" not in found.text
    assert found.trial.share == 1
    assert found.trial.skipped == {"tombstone": 1, "transaction": 1}


def test_key_and_event_as_text(inferred: Infer) -> None:
    found = inferred(*(record(line(event).decode(), '{"id": 1}') for event in created()))
    assert found.contract.key == ("id",)
    assert found.trial.share == 1


def test_values_that_the_source_left_out_say_nothing_of_the_type(inferred: Infer) -> None:
    absent = "__debezium_unavailable_value"
    found = inferred(*created(60, tags=["a"], note=absent), *created(60, tags=[absent], note=absent))
    assert found.contract.leaf("tags").repeated
    assert "note (0 records): its values are all null" in found.text
    assert found.trial.share == 1


def test_order_of_another_connector_is_stated_or_asked_for(inferred: Infer) -> None:
    mysql = inferred(*(event | {"source": MYSQL} for event in created()))
    assert mysql.contract.source.order == ("file", "pos", "row")
    assert mysql.trial.share == 1
    other = inferred(*(event | {"source": {"connector": "unheard", "table": "c"}} for event in created()))
    assert "  # order: [...]" in other.text
    assert [item.reason for item in other.trial.rejected] == ["unknown_position"]


def test_changes_of_several_tables_are_a_doubt(inferred: Infer) -> None:
    found = inferred(*created(), *(event | {"source": source(table="plans")} for event in created(5)))
    assert "# the changes are of several tables, which need a feed each: shop.customers, shop.plans" in found.text


def test_recorded_events_yield_the_contract_of_their_table_but_for_what_values_cannot_tell(inferred: Infer) -> None:
    found = inferred(*recorded().values())
    written = customers()
    assert (found.contract.kind, found.contract.key, found.contract.created_at) == (
        written.kind,
        written.key,
        written.created_at,
    )
    types = {column.name: column.type for column in found.contract.columns}
    different = {column.name for column in written.columns if types[column.name] != column.type}
    assert different == {"mrr", "born"}  # text and days, both doubts
    assert (found.trial.share, found.trial.skipped) == (1, {"transaction": 10, "tombstone": 2})
