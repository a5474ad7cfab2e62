"""Contracts of change feeds: what contradicts itself is refused, and what follows from one has the change."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
import yaml
from pydantic import ValidationError

from ingest.contracts.column import Unit
from ingest.contracts.contract import Contract, Kind, contracts
from ingest.contracts.schema import CHANGES, LINEAGE, bronze_schema, encodings, external_models, partitions, sql_columns
from ingest.ledger.column_types import file_types
from ingest.settings import PROJECT
from ingest.steps.write import columns_json
from pipeline.access.classes import NOTHING, of_contracts
from pipeline.portal.catalog.feeds import feed_table
from tests.envelopes import COLUMNS, column, customers

SOURCE = {"bucket": "raw-customers", "format": "debezium"}


def entity(**changes: Any) -> Any:
    return customers(**{"kind": "entity", "source": {"bucket": "raw-customers"}, "created_at": None} | changes)


def test_defaults() -> None:
    contract = customers(column("seen_at", "timestamp", unit="milliseconds"))
    assert (contract.kind, contract.source.order, contract.created_at) == (Kind.CHANGE, (), "created_at")
    assert contract.leaf("seen_at").unit is Unit.MILLISECONDS
    assert customers(source={**SOURCE, "order": ["file", "pos", "row.number"]}).source.order[2] == "row.number"
    assert customers(created_at=None, dates=["updated_at"]).dates == ("updated_at",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"source": {"bucket": "raw-customers"}},
            "a change feed is read from envelopes; expected source.format debezium",
        ),
        ({"source": {**SOURCE, "format": "csv"}}, "expected source.format debezium"),
        ({"kind": "entity", "created_at": None}, "source.format debezium has change events; expected kind: change"),
        ({"event_time": "created_at"}, "a change feed has no event_time"),
        ({"latest_by": ["updated_at"]}, "a change feed has no latest_by"),
        ({"completeness": {"after_seconds": 1, "deadline_seconds": 9}}, "a change feed has no days"),
        ({"created_at": "born"}, "created_at 'born' must be a top-level timestamp"),
        ({"created_at": "nope"}, "column 'nope' is not declared"),
        ({"key": ["plan"]}, "key columns must be required"),
        ({"key": []}, "key"),
        ({"source": {**SOURCE, "order": ["a..b"]}}, "'a..b' is not a path"),
        ({"source": {**SOURCE, "order": [""]}}, "'' is not a path"),
        ({"source": {**SOURCE, "format": "avro"}}, "source.format"),
    ],
)
def test_contradictions_are_refused_with_what_was_expected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        customers(**changes)
    assert message in str(refused.value)


def test_what_only_a_change_feed_has_is_refused_elsewhere() -> None:
    with pytest.raises(ValidationError, match="created_at is of change feeds; expected none for kind: entity"):
        entity(created_at="created_at")
    with pytest.raises(ValidationError, match="source: order is of change events"):
        entity(source={"bucket": "raw-customers", "order": ["lsn"]})
    columns = [*({"description": "x", **item} for item in COLUMNS), column("seen_at", "timestamp", unit="seconds")]
    with pytest.raises(ValidationError, match=r"unit is of change feeds; .* found it at \['seen_at'\]"):
        entity(columns=columns)
    with pytest.raises(ValidationError, match="expected no unit for type integer"):
        customers(column("seen_at", "integer", unit="seconds"))
    with pytest.raises(ValidationError, match="unit"):
        customers(column("seen_at", "timestamp", unit="days"))


def test_bronze_has_the_change_between_the_columns_and_the_lineage() -> None:
    contract = customers()
    declared = [column.name for column in contract.columns]
    assert bronze_schema(contract).names == [*declared, *CHANGES, *LINEAGE]
    assert [name for name, _, _ in sql_columns(contract)] == [*declared, *CHANGES, *LINEAGE, "ingest_date"]
    assert partitions(contract) == ("ingest_date",)
    assert [kind for name, kind, _ in sql_columns(contract) if name in CHANGES] == [
        *("TEXT", "TEXT", "BIGINT", "TEXT", "TEXT", "TEXT", "TIMESTAMP", "TEXT[]"),
    ]
    assert bronze_schema(contract).field("_committed_at").type == pa.timestamp("us")
    assert encodings(contract)["_position"] == "DELTA_BYTE_ARRAY"


def test_external_model_describes_the_change() -> None:
    (model,) = yaml.safe_load(external_models([customers()]))
    assert model["columns"]["_unavailable"] == "TEXT[]"
    assert set(CHANGES) <= model["column_descriptions"].keys()


def test_documented_contract_is_valid() -> None:
    text = (PROJECT / "docs" / "how-to" / "add_a_change_feed.md").read_text(encoding="utf-8")
    example = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    contract = Contract.model_validate({"feed": "customers", "domain": "shop"} | example)
    assert (contract.kind, contract.created_at) == (Kind.CHANGE, "created_at")
    assert all(f"`{name}`" in text for name in CHANGES)


def test_other_feeds_have_no_change() -> None:
    others = [contract for contract in contracts().values() if contract.kind is not Kind.CHANGE]
    for contract in (*others, entity()):
        assert not set(CHANGES) & {name for name, _, _ in sql_columns(contract)}


def test_ledger_records_the_columns_of_a_change_as_no_columns_of_the_contract() -> None:
    text = columns_json(customers())
    assert json.loads(text)["_operation"] == "TEXT"
    assert list(file_types(text)) == [column["name"] for column in COLUMNS]


def test_catalog_has_the_change_and_its_order() -> None:
    contract = customers(column("email", "string", **{"class": "direct", "subject": "customer"}))
    classes = of_contracts([contract])
    table = feed_table(contract, classes)
    assert {item.name for item in table.columns} >= set(CHANGES)
    assert table.contract is not None
    assert (table.contract.kind, table.contract.format, table.time_column) == ("change", "debezium", "")
    assert all(classes[contract.table][name] == NOTHING for name in CHANGES)
