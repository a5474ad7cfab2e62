"""Types that a source states for its fields itself: in the schema of a Parquet file or of a change event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from ingest.contracts.type_names import MAX_DIGITS
from ingest.formats.debezium.schemas import Field as ConnectField

_TIME, _CONNECT = "io.debezium.time.", "org.apache.kafka.connect.data."
_SEMANTIC = {
    **dict.fromkeys((f"{_TIME}Date", f"{_TIME}IsoDate", f"{_CONNECT}Date"), "date"),
    **dict.fromkeys(
        (
            *(f"{_TIME}{name}" for name in ("Timestamp", "MicroTimestamp", "NanoTimestamp", "ZonedTimestamp")),
            f"{_TIME}IsoTimestamp",
            f"{_CONNECT}Timestamp",
        ),
        "timestamp",
    ),
}
"""Column types of Debezium's and Kafka Connect's semantic types; others are of the type that they are stored as."""
_STORED = {"boolean": "boolean", **dict.fromkeys(("int8", "int16", "int32", "int64"), "integer")} | dict.fromkeys(
    ("float", "float32", "double", "float64"), "double"
)
SELF_SCALED = "io.debezium.data.VariableScaleDecimal"


@dataclass(frozen=True, slots=True)
class Declared:
    """The stated type of a field.

    Attributes:
        kind: a column type or `struct`, or `list of lists`, which no column accepts.
        repeated: whether its values are lists.
        members: the fields of a struct, by name.
        is_open: whether it is text that another type may read, such as a time.
    """

    kind: str
    repeated: bool = False
    members: dict[str, Declared] = field(default_factory=dict)
    is_open: bool = False


def decimal_of(precision: int, scale: int) -> str:
    """Return the type of a decimal; `string`, which keeps every digit, if a column cannot have so many.

    >>> decimal_of(10, 2), decimal_of(40, 2), decimal_of(3, -2)
    ('decimal(10, 2)', 'string', 'decimal(5, 0)')
    """
    precision, scale = max(precision, precision - scale, scale), max(scale, 0)
    return f"decimal({precision}, {scale})" if 1 <= precision <= MAX_DIGITS else "string"


def of_arrow(schema: pa.Schema | pa.StructType) -> dict[str, Declared]:
    """Return the stated types of the fields of a Parquet file, by name; fields of the type null have none."""
    found = ((item.name, _arrow(item.type)) for item in schema)
    return {name: declared for name, declared in found if declared is not None}


def _arrow(kind: pa.DataType) -> Declared | None:
    types = pa.types
    if types.is_null(kind):
        return None
    if types.is_dictionary(kind):
        return _arrow(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return Declared("string") if isinstance(kind, pa.UuidType) else _arrow(kind.storage_type)
    if types.is_map(kind):
        return Declared("list of lists", repeated=True)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _list_of(_arrow(kind.value_type))
    if types.is_struct(kind):
        return Declared("struct", members=of_arrow(kind))
    return Declared(_scalar(kind), is_open=types.is_string(kind) or types.is_large_string(kind))


def _list_of(item: Declared | None) -> Declared | None:
    return item and (Declared("list of lists", repeated=True) if item.repeated else replace(item, repeated=True))


def _scalar(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind) or types.is_duration(kind):
        return "integer"
    if types.is_floating(kind):
        return "double"
    if types.is_decimal(kind):
        return decimal_of(kind.precision, kind.scale)
    if types.is_date(kind):
        return "date"
    return "timestamp" if types.is_timestamp(kind) else "string"


def of_connect(fields: Mapping[str, ConnectField]) -> dict[str, Declared]:
    """Return the stated types of the columns of a change event, by name; maps have none."""
    found = ((name, _connect(field)) for name, field in fields.items())
    return {name: declared for name, declared in found if declared is not None}


def _connect(field: ConnectField) -> Declared | None:
    if field.name in _SEMANTIC:
        return Declared(_SEMANTIC[field.name])
    if field.name == f"{_CONNECT}Decimal":
        parameters = field.parameters or {}
        precision, scale = parameters.get("connect.decimal.precision", MAX_DIGITS), parameters.get("scale", 0)
        try:
            return Declared(decimal_of(int(precision), int(scale)))
        except (TypeError, ValueError):
            return None
    if field.name == SELF_SCALED:
        return Declared(decimal_of(MAX_DIGITS, 9))
    if field.type == "array":
        return _list_of(_connect(field.items)) if field.items else None
    if field.type == "struct":
        return Declared("struct", members=of_connect(field.members()))
    return None if field.type == "map" else Declared(_STORED.get(field.type, "string"))
