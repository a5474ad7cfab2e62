"""Types that a source states for its fields itself: in the schema of a Parquet file."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from ingest.contracts.type_names import MAX_DIGITS


@dataclass(frozen=True, slots=True)
class Declared:
    """The stated type of a field.

    Attributes:
        kind: a column type or `struct`, or `list of lists`, which no column accepts.
        repeated: whether its values are lists.
        members: the fields of a struct, by name.
        source_type: the type in the source's words, as in `decimal128(10, 2)`.
    """

    kind: str
    repeated: bool = False
    members: dict[str, Declared] = field(default_factory=dict)
    source_type: str = ""


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
    types, text = pa.types, str(kind)
    if types.is_null(kind):
        return None
    if types.is_dictionary(kind):
        return _arrow(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return Declared("string", source_type=text) if isinstance(kind, pa.UuidType) else _arrow(kind.storage_type)
    if types.is_map(kind):
        return Declared("list of lists", repeated=True, source_type=text)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        item = _arrow(kind.value_type)
        if item is None or item.repeated:
            return item and Declared("list of lists", repeated=True, source_type=text)
        return Declared(item.kind, True, item.members, text)
    if types.is_struct(kind):
        return Declared("struct", members=of_arrow(kind), source_type="struct")
    return Declared(_scalar(kind), source_type=text)


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
