"""A type that there is not is answered with the one that was meant."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ingest.contracts.column import Column
from ingest.contracts.type_names import meant_by

MEANT = {
    "integer": "int int64 bigint INT4 long smallint uint32 INTEGER",
    "string": "varchar text str VARCHAR(20) character_varying enum bytes time strng",
    "double": "float real number float64",
    "boolean": "bool bit",
    "timestamp": "datetime timestamptz timestamp(6) TIMESTAMP_NTZ",
    "date": "day date32 DATE",
    "struct with its fields": "object record map",
    "string, the text of a UUID": "uuid guid",
    "string, as JSON text, or struct with its fields": "json jsonb",
    "decimal(p, s), as in decimal(18, 2)": "numeric decimal money",
    "decimal(10, 2)": "numeric(10,2) DECIMAL(10,2) number(10,2)",
    "decimal(p, s) with p from 1 to 38": "numeric(40,2) decimal128(3,4)",
    "the type of one element, with `repeated: true`": "list array",
    "string with `repeated: true`": "text[] list<string> array(varchar)",
    "struct with `repeated: true`": "array<struct>",
    "struct with `repeated: true`, and a field for the inner list, because no column holds lists of lists": "int[][]",
    "string, boolean, integer, double, decimal(p, s), date, timestamp or struct": "colour ? tuple",
}


@pytest.mark.parametrize(("name", "meant"), [(name, meant) for meant, names in MEANT.items() for name in names.split()])
def test_wrong_type_is_answered_with_the_right_one(name: str, meant: str) -> None:
    with pytest.raises(ValidationError, match="is not a type") as caught:
        Column(name="a", type=name, description="A.")
    assert f"'{name}' is not a type; expected {meant} [" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("timestamp with time zone", "timestamp"),
        ("double precision", "double"),
        ("character varying(20)", "string"),
        ("int unsigned", "integer"),
        ("decimal (10, 2)", "decimal(10, 2)"),
    ],
)
def test_types_of_several_words_are_known(name: str, meant: str) -> None:
    assert meant_by(name) == meant
