"""Arrow schemas, SQL types and SQLMesh's external models, derived from a contract by pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pyarrow as pa
import yaml

from ingest.contracts.column import Column
from ingest.contracts.contract import Contract, Kind
from ingest.contracts.keywords import KEYWORDS
from ingest.sql import identifier

MAX_DOUBLE = 1e150
"""Greatest magnitude of a double in bronze: neither its square nor a sum of a billion such values is infinite."""
LINEAGE: dict[str, tuple[pa.DataType, str, str]] = {
    "_source_file": (pa.string(), "TEXT", "Object that contains the record: bucket/key."),
    "_source_etag": (pa.string(), "TEXT", "Version of that object: the store's etag."),
    "_source_modified_at": (pa.timestamp("us"), "TIMESTAMP", "When that version was written, UTC."),
    "_source_line": (pa.int64(), "BIGINT", "Line of the record in the object, counted from 1."),
    "_ingested_at": (pa.timestamp("us"), "TIMESTAMP", "When its load began, UTC."),
    "_load_id": (pa.string(), "TEXT", "Load that wrote the record."),
    "_rescued_data": (pa.string(), "TEXT", "Fields that the contract does not know, JSON by path; NULL for none."),
}
CHANGES: dict[str, tuple[pa.DataType, str, str]] = {
    "_operation": (pa.string(), "TEXT", "Operation on the row: read, create, update, delete or truncate."),
    "_position": (pa.string(), "TEXT", "Position of the change in the source's log, sortable as text."),
    "_transaction_order": (pa.int64(), "BIGINT", "Order of the change within its transaction; 0 without metadata."),
    "_previous_commit": (pa.string(), "TEXT", "Position of the commit before; NULL if it is unknown."),
    "_transaction_id": (pa.string(), "TEXT", "Transaction of the change in the source; NULL if it is unknown."),
    "_snapshot": (
        pa.string(),
        "TEXT",
        "Marker of a row read by a snapshot, such as first or last; NULL for a streamed change.",
    ),
    "_committed_at": (
        pa.timestamp("us"),
        "TIMESTAMP",
        "When the change was committed, UTC; of a row read by a snapshot, when that ran.",
    ),
    "_unavailable": (
        pa.list_(pa.string()),
        "TEXT[]",
        "Columns whose unchanged values the source omitted; NULL for none.",
    ),
}
"""What a change feed's rows have after the columns of the contract: what the database did, and in which order."""
PARTITIONS = {
    "ingest_date": "UTC date of the load.",
    "event_date": "UTC date of the event time.",
}
QUARANTINE = pa.schema(
    [
        *[(name, kind) for name, (kind, _, _) in LINEAGE.items()],
        ("reason", pa.string()),
        ("column", pa.string()),
        ("detail", pa.string()),
        ("raw", pa.binary()),
    ]
)

_ARROW = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}
_SQL = {
    "string": "TEXT",
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}


def _arrow_type(column: Column, as_json: bool) -> pa.DataType:
    if column.type == "struct":
        kind = pa.struct([pa.field(member.name, _arrow_type(member, as_json)) for member in column.fields])
    elif column.type.startswith("decimal"):
        precision, scale = map(int, re.findall(r"\d+", column.type))
        kind = pa.decimal128(precision, scale)
    elif column.type == "date" and as_json:
        kind = pa.string()  # JSON has no dates: read as text, cast afterwards
    else:
        kind = _ARROW[column.type]
    return pa.list_(kind) if column.repeated else kind


def record_schema(contract: Contract, *, as_json: bool = False) -> pa.Schema:
    """Return the Arrow schema of the contract's columns; with `as_json`, the schema for the JSON reader."""
    return pa.schema([pa.field(column.name, _arrow_type(column, as_json)) for column in contract.columns])


def row_schema(contract: Contract) -> pa.Schema:
    """Return the Arrow schema of what a row says itself: the contract's columns, and of a change feed the change."""
    return pa.schema([*record_schema(contract), *[(name, kind) for name, (kind, _, _) in changes(contract).items()]])


def bronze_schema(contract: Contract) -> pa.Schema:
    """Return the Arrow schema of the feed's Parquet files. Partition columns are in the path, not in the file."""
    return pa.schema([*row_schema(contract), *[pa.field(name, kind) for name, (kind, _, _) in LINEAGE.items()]])


def changes(contract: Contract) -> dict[str, tuple[pa.DataType, str, str]]:
    """Return the columns of CHANGES if the feed has them."""
    return CHANGES if contract.kind is Kind.CHANGE else {}


def sql_type(column: Column) -> str:
    """Return the column's type in DuckDB's dialect."""
    if column.type == "struct":
        kind = f"STRUCT({', '.join(f'{_quoted(member.name)} {sql_type(member)}' for member in column.fields)})"
    else:
        kind = _SQL.get(column.type, column.type.upper())
    return f"{kind}[]" if column.repeated else kind


def _quoted(name: str) -> str:
    return identifier(name) if name in KEYWORDS else name


def partitions(contract: Contract) -> tuple[str, ...]:
    """Return the names of the feed's partition columns, outermost first."""
    return ("ingest_date", "event_date") if contract.kind is Kind.EVENT else ("ingest_date",)


def sql_columns(contract: Contract) -> Iterator[tuple[str, str, str]]:
    """Yield (name, SQL type, description) of every column of the bronze table, in its order."""
    for column in contract.columns:
        yield column.name, sql_type(column), column.description
    for name, (_, kind, description) in (changes(contract) | LINEAGE).items():
        yield name, kind, description
    for name in partitions(contract):
        yield name, "DATE", PARTITIONS[name]


def encodings(contract: Contract) -> dict[str, str | None]:
    """Return the Parquet encoding, by dotted path, of columns that a dictionary does not shrink; None for PLAIN."""
    found: dict[str, str | None] = {"_source_line": "DELTA_BINARY_PACKED"}
    if contract.kind is Kind.CHANGE:
        found |= {"_position": "DELTA_BYTE_ARRAY", "_committed_at": "DELTA_BINARY_PACKED"}
    for path, column in contract.walk():
        if column.type == "timestamp":
            found[path] = "DELTA_BINARY_PACKED"
        elif column.type == "double":
            found[path] = None
        elif contract.kind is Kind.EVENT and path in contract.key:
            kinds = {"string": "DELTA_BYTE_ARRAY", "integer": "DELTA_BINARY_PACKED"}
            found[path] = kinds.get(column.type)
    return found


def external_models(contracts: list[Contract]) -> str:
    """Return the text of `external_models/bronze.yaml`: SQLMesh's view of bronze, with types and descriptions."""
    models: list[dict[str, Any]] = []
    for contract in contracts:
        models.append(
            {
                "name": contract.table,
                "description": contract.description,
                "columns": {name: kind for name, kind, _ in sql_columns(contract)},
                "column_descriptions": {name: text for name, _, text in sql_columns(contract)},
            }
        )
    out = StringIO("")
    out.write("# Generated from ingest/contracts by `lake contracts --write`. Change the contract, not this file.\n")
    yaml.safe_dump(models, out, sort_keys=False, width=120, allow_unicode=True)
    return out.getvalue()
