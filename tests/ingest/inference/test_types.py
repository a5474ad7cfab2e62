"""The inferred type of a column is one that the parser accepts all its values by."""

from __future__ import annotations

import datetime as dt
import json
import random
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ingest.contracts.contract import Contract
from ingest.formats.debezium.schemas import columns_of
from ingest.inference.declared import Declared, of_arrow, of_connect
from ingest.inference.field import CSV, NESTED_LIST, Budget, Field, common_type, kind_of
from ingest.records.parts import Piece
from ingest.steps.parse import Parser

WRITTEN = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)


def refused(column: dict[str, Any], values: list[Any]) -> list[Any]:
    """The values that the parser rejects for a column."""
    contract = Contract.model_validate(
        {
            "feed": "things",
            "domain": "web",
            "version": 1,
            "kind": "entity",
            "owner": "web",
            "description": "Things.",
            "source": {"bucket": "raw-things"},
            "key": ["id"],
            "freshness_seconds": 1,
            "columns": [
                {"name": "id", "type": "integer", "required": True, "description": "The key."},
                {**column, "name": "x"},
            ],
        }
    )
    lines = "".join(json.dumps({"id": number, "x": value}) + "\n" for number, value in enumerate(values))
    return [
        values[reject.line - 1] for reject in Parser(contract, [WRITTEN]).parse([Piece(0, 1, lines.encode())]).rejects
    ]


def field_of(values: list[Any], **options: Any) -> Field:
    field = Field("x")
    for value in values:
        field.observe(value, Budget(1000), **options)
    return field


TIMES = [
    *("2026-01-02T10:00:00Z", "2026-01-02 10:00:00", "2026-01-02T10:00", "2026-01-02 10:00:00.123456789"),
    *("2026-01-02T10:00:00+05:30", "2026-01-02T10:00:00+0530", "2026-01-02t10:00:00z", "0001-01-01 00:00:00"),
    *("2026-01-02T10", "2024-02-29T23:59:59.5-08", "9999-12-31 23:59:59.999999"),
]
NO_TIMES = [
    *("2026-W01-1", "2026-02-30", "2026-13-01", "2025-02-29T00:00:00Z", "2026-01-02T24:00:00", "2026-01-02T10:60"),
    *("2026-01-02T10:00:00 Z", "20260102T100000", "2026-1-2", "2026-01-02T", "0000-01-01", "2026-04-31 10:00:00"),
    *("2026-01-02T10:00:00,5Z", "2026-01-02 10:00:00 Europe/Berlin", "2026-01-0\u0662"),
]


@pytest.mark.parametrize("text", TIMES)
def test_time_of_a_known_form_is_a_timestamp_that_the_parser_reads(text: str) -> None:
    assert kind_of(text) == "timestamp"
    assert refused({"type": "timestamp", "description": "d"}, [text]) == []


@pytest.mark.parametrize("text", NO_TIMES)
def test_text_of_another_form_stays_text(text: str) -> None:
    assert kind_of(text) == "string"


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["integer", "double"], "double"),
        (["date", "timestamp"], "timestamp"),
        (["date", "timestamp", "string"], "string"),
        (["boolean", "integer"], "mixed"),
        (["decimal(10, 2)", "integer"], "decimal(21, 2)"),
        (["decimal(10, 2)", "decimal(12, 4)"], "decimal(12, 4)"),
        (["decimal(38, 2)", "decimal(38, 20)"], "string"),
        (["decimal(10, 2)", "double"], "double"),
        (["decimal(10, 2)", "string"], "mixed"),
        ([NESTED_LIST], "mixed"),
        ([f"{CSV}integer", f"{CSV}null"], "integer"),
        ([f"{CSV}integer", f"{CSV}double"], "double"),
        ([f"{CSV}integer", "string"], "string"),
        ([f"{CSV}integer", f"{CSV}boolean"], "string"),
        ([f"{CSV}integer", "date"], "string"),
        ([f"{CSV}integer", "integer"], "integer"),
        ([f"{CSV}null"], "string"),
    ],
)
def test_type_of_several_kinds_accepts_all_of_them(kinds: list[str], expected: str) -> None:
    assert common_type(kinds) == expected
    assert common_type(kinds[::-1]) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("12", "csv integer"),
        ("-0", "csv integer"),
        ("007", "string"),
        ("+5", "string"),
        ("1.50", "csv double"),
        ("1e400", "string"),
        ("9223372036854775807", "csv integer"),
        ("9223372036854775808", "string"),
        ("TRUE", "string"),
        ("false", "csv boolean"),
        (" 12 ", "csv integer"),
        ("2026-01-02", "date"),
    ],
)
def test_text_of_csv_is_what_a_column_would_read_it_as(text: str, kind: str) -> None:
    assert kind_of(text, is_csv=True) == kind


def test_any_mixture_of_values_has_a_type_that_the_parser_accepts_or_none() -> None:
    chosen = random.Random(7)
    pools: list[list[Any]] = [
        [1, -5, 1 << 40],
        [1.5, -2.25, 1e100],
        [True, False],
        ["a", "", "1"],
        ["2026-01-02", "1999-12-31"],
        TIMES,
        [None],
        [{"a": 1}, {"a": 2.5, "b": "x"}, {}],
        [["a"], [], ["b", None]],
        [[{"c": [1]}], [{"d": "2026-01-02"}]],
        [1 << 70, 1e200],
    ]
    typed = 0
    for _ in range(300):
        pool = [value for values in chosen.sample(pools, chosen.choice([1, 1, 2, 3])) for value in values]
        values = [chosen.choice(pool) for _ in range(12)]
        field = field_of(values)
        if field.obstacle:
            continue
        typed += 1
        assert refused(field.column(), values) == [], (values, field.column())
    assert typed > 100


def test_parquet_states_its_types() -> None:
    schema = pa.schema(
        [
            ("money", pa.decimal128(12, 3)),
            ("wide", pa.decimal256(60, 3)),
            ("day", pa.date32()),
            ("at", pa.timestamp("ns", "Europe/Berlin")),
            ("clock", pa.time64("us")),
            ("id", pa.uuid()),
            ("code", pa.dictionary(pa.int8(), pa.string())),
            ("tags", pa.list_(pa.float32())),
            ("parts", pa.large_list(pa.struct([("n", pa.uint8())]))),
            ("grid", pa.list_(pa.list_(pa.int8()))),
            ("pairs", pa.map_(pa.string(), pa.int8())),
            ("nothing", pa.null()),
        ]
    )
    found = of_arrow(schema)
    assert {name: (item.kind, item.repeated) for name, item in found.items()} == {
        "money": ("decimal(12, 3)", False),
        "wide": ("string", False),
        "day": ("date", False),
        "at": ("timestamp", False),
        "clock": ("string", False),
        "id": ("string", False),
        "code": ("string", False),
        "tags": ("double", True),
        "parts": ("struct", True),
        "grid": (NESTED_LIST, True),
        "pairs": (NESTED_LIST, True),
    }
    assert found["parts"].members["n"].kind == "integer"


def test_schema_of_a_change_event_states_its_types() -> None:
    fields = [
        {"field": "day", "type": "int32", "name": "io.debezium.time.Date"},
        {"field": "at", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
        {"field": "zoned", "type": "string", "name": "io.debezium.time.ZonedTimestamp"},
        {
            "field": "money",
            "type": "bytes",
            "name": "org.apache.kafka.connect.data.Decimal",
            "parameters": {"scale": "2", "connect.decimal.precision": "12"},
        },
        {
            "field": "any",
            "type": "bytes",
            "name": "org.apache.kafka.connect.data.Decimal",
            "parameters": {"scale": "2"},
        },
        {"field": "scaled", "type": "struct", "name": "io.debezium.data.VariableScaleDecimal", "fields": []},
        {"field": "doc", "type": "string", "name": "io.debezium.data.Json"},
        {"field": "clock", "type": "int64", "name": "io.debezium.time.MicroTime"},
        {"field": "tags", "type": "array", "items": {"type": "string"}},
        {"field": "point", "type": "struct", "fields": [{"field": "x", "type": "double"}]},
        {"field": "pairs", "type": "map"},
        {"field": "ok", "type": "boolean"},
    ]
    schema = {"type": "struct", "fields": [{"field": "after", "type": "struct", "fields": fields}]}
    found = of_connect(columns_of(json.dumps(schema).encode()))
    assert {name: item.kind for name, item in found.items()} == {
        "day": "date",
        "at": "timestamp",
        "zoned": "timestamp",
        "money": "decimal(12, 2)",
        "any": "decimal(38, 2)",
        "scaled": "decimal(38, 9)",
        "doc": "string",
        "clock": "integer",
        "tags": "string",
        "point": "struct",
        "ok": "boolean",
    }
    assert found["tags"].repeated
    assert found["point"].members["x"].kind == "double"


def test_stated_type_wins_over_what_values_look_like() -> None:
    assert field_of(["2026-01-02", "x"], declared=Declared("string")).shape == "string"
    assert field_of([str(Decimal("1.50"))], declared=Declared("decimal(12, 3)")).shape == "decimal(12, 3)"
    assert field_of([7430], declared=Declared("date")).shape == "date"
    assert field_of([{"scale": 2, "value": "AQ=="}], declared=Declared("decimal(38, 9)")).shape == "decimal(38, 9)"
