"""The values of a row as the contract's reader expects them: by the contract's type, and by the schema part if any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from ingest.contracts.column import DEFAULT_UNIT, Column
from ingest.formats.debezium.numbers import date, scale_of, self_scaled, times, unscaled
from ingest.formats.debezium.schemas import Field
from ingest.formats.fields import Refused, items, members

Convert = Callable[[bytes], bytes]
"""Return the JSON text to read instead of one; the same object if it is read as it is.

It raises Refused or ValueError: the value is not of the column's type.
"""
Converts = Mapping[str, Convert]
"""By column; a column that is not named is read as it is."""
_CONNECT, _TIME = "org.apache.kafka.connect.data.", "io.debezium.time."
_DAYS = {f"{_CONNECT}Date", f"{_TIME}Date"}
_INSTANTS = {
    f"{_CONNECT}Timestamp": "milliseconds",
    f"{_TIME}Timestamp": "milliseconds",
    f"{_TIME}MicroTimestamp": "microseconds",
    f"{_TIME}NanoTimestamp": "nanoseconds",
}
_DECIMAL, _SCALED = f"{_CONNECT}Decimal", "io.debezium.data.VariableScaleDecimal"
_COUNTED = ("integer", "double")
"""Types that show what a column counts rather than the time it stands for."""
_QUOTE, _BRACE, _BRACKET = b'"{['


def converts(columns: Iterable[Column], schema: Mapping[str, Field]) -> dict[str, Convert]:
    """Return how the columns of a row are converted.

    Args:
        columns: those of the contract.
        schema: those of the schema part, by name; empty without one. Columns that the contract does not know are
            converted by it too, so that what is rescued can be read without it.
    """
    found = {column.name: _convert(column, schema.get(column.name), column.name) for column in columns}
    unknown = schema.keys() - found.keys()
    found |= {name: _by_schema(schema[name], "string") for name in sorted(unknown)}
    return {name: convert for name, convert in found.items() if convert}


def converted(text: bytes, how: Converts) -> list[tuple[str, bytes]]:
    """Return the members of an object, duplicates included, with their values converted.

    Raises:
        Refused: a value is not of its column's type.
        any of JSON_ERRORS: the text is not a JSON object.
    """
    return [(name, apply(how[name], value, name) if name in how else value) for name, value in members(text)]


def joined(fields: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the JSON object of some members."""
    return b"{" + b",".join(msgspec.json.encode(name) + b":" + value for name, value in fields) + b"}"


def apply(convert: Convert, value: bytes, path: str) -> bytes:
    """Convert one value.

    Raises:
        Refused: it is not of the column's type.
    """
    try:
        return convert(value)
    except ValueError as error:
        raise Refused(("wrong_type", path, str(error))) from None


def _convert(column: Column, field: Field | None, path: str) -> Convert | None:
    """How a column is converted; None if it is read as it is."""
    item = field.items if column.repeated and field else field
    convert = _by_schema(item, column.type) if item else None
    if convert is None and column.fields:
        known = item.members() if item else {}
        below = {one.name: _convert(one, known.get(one.name), f"{path}.{one.name}") for one in column.fields}
        convert = _struct({name: found for name, found in below.items() if found}, path)
    elif convert is None:
        convert = _by_type(column)
    return _each(convert) if convert and column.repeated else convert


def _by_type(column: Column) -> Convert | None:
    """How a column is converted without a schema part."""
    if column.type == "date":
        return date
    if column.type == "timestamp":
        return times(column.unit or DEFAULT_UNIT)
    if column.type.startswith("decimal"):
        return _decimal
    return _boolean if column.type == "boolean" else None


def _by_schema(field: Field, kind: str) -> Convert | None:
    """How a column is converted by its semantic type; None if that says nothing of it.

    Args:
        kind: the contract's type.
    """
    if field.type == "array" and field.items:
        convert = _by_schema(field.items, kind)
        return _each(convert) if convert else None
    if field.name in _DAYS and kind not in _COUNTED:
        return date
    if field.name in _INSTANTS and kind not in _COUNTED:
        return times(_INSTANTS[field.name])
    if field.name not in (_DECIMAL, _SCALED):
        return None
    mark = b"" if kind in _COUNTED else b'"'
    if field.name == _SCALED:
        return lambda text: mark + self_scaled(text) + mark if text[0] == _BRACE else text
    scale: int | None = None

    def decimal(text: bytes) -> bytes:
        nonlocal scale
        if text[0] != _QUOTE:  # null, or a number of decimal.format=NUMERIC
            return text
        if scale is None:
            scale = scale_of(field.parameters)
        return mark + unscaled(text, scale) + mark

    return decimal


def _decimal(text: bytes) -> bytes:
    """A decimal from an object of scale and value; text and numbers are read as they are."""
    return b'"' + self_scaled(text) + b'"' if text[0] == _BRACE else text


def _boolean(text: bytes) -> bytes:
    """A boolean from 0 and 1, as MySQL's connector writes it for TINYINT(1)."""
    return {b"0": b"false", b"1": b"true"}.get(text, text)


def _each(convert: Convert) -> Convert:
    """The conversion of each item of a list."""

    def each(text: bytes) -> bytes:
        if text[0] != _BRACKET:
            return text
        found = items(text)
        changed = [convert(item) for item in found]
        return text if all(map(_is, found, changed)) else b"[" + b",".join(changed) + b"]"

    return each


def _struct(below: Converts, path: str) -> Convert | None:
    """The conversion of the members of a struct; None if there is none."""
    if not below:
        return None
    how = {name: _named(convert, f"{path}.{name}") for name, convert in below.items()}
    return lambda text: joined(converted(text, how)) if text[0] == _BRACE else text


def _named(convert: Convert, path: str) -> Convert:
    """The conversion of a member, whose error names its path."""
    return lambda text: apply(convert, text, path)


def _is(one: object, other: object) -> bool:
    return one is other
