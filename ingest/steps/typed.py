"""Conversion of JSON lines to typed rows by Arrow's reader, with checks for what that reader accepts too leniently."""

from __future__ import annotations

import re

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.types as pt

from ingest.contracts.column import Column
from ingest.contracts.contract import Contract
from ingest.contracts.schema import record_schema
from ingest.formats.fields import JSON_ERRORS, items, members

REFUSALS = (pa.ArrowInvalid, UnicodeDecodeError, ValueError)
"""Exceptions that `TypedReader.read` raises when a line violates the contract."""
_TIME_PART = re.compile(rb'(\.\d{6})\d+|(?<=\d)[tz](?=[\d"])')


class TypedReader:
    """Reads lines by one contract.

    Attributes:
        expects_unknown: whether unknown fields are likely, which skips the attempt that would fail on them. The result
            does not depend on it.
    """

    def __init__(self, contract: Contract) -> None:
        self._schema = record_schema(contract)
        self._json_schema = record_schema(contract, as_json=True)
        self.expects_unknown = False
        self._columns = contract.columns
        times = {column.name for _, column in contract.walk() if column.type == "timestamp"}
        self._is_ambiguous = any(column.name in times and column.type != "timestamp" for _, column in contract.walk())
        names = "|".join(sorted(times))
        self._times = re.compile(rf'("(?:{names})"\s*:\s*)("[^"\\]*"|\[[^\]\\]*\])'.encode()) if times else None

    def read(self, buffer: bytes, count: int) -> tuple[pa.Table, bool]:
        """Read `count` lines as typed rows; also return whether any may have unknown fields.

        Raises:
            any of REFUSALS: a line violates the contract.
        """
        if count == 0:
            return self._schema.empty_table(), False
        if not buffer.isascii():
            buffer.decode("utf-8")  # Arrow would accept invalid UTF-8
        try:
            rows, unknown = self._typed(buffer, count)
        except ValueError as error:
            _refuse_non_finite(buffer)
            normalized = self._normalize_times(buffer) if isinstance(error, pa.ArrowInvalid) else buffer
            if normalized == buffer:
                raise
            return self._typed(normalized, count)
        if unknown or not all(map(_is_finite, rows.columns)):  # Arrow accepts NaN as a double only
            _refuse_non_finite(buffer)
        return rows, unknown

    def _normalize_times(self, buffer: bytes) -> bytes:
        """Rewrite times to what Arrow accepts: truncated to microseconds, `T` and `Z` in upper case."""
        if self._times is None:
            return buffer
        if self._is_ambiguous:  # another column, not a timestamp, has the name of one
            return b"".join(_normalize_record(text, self._columns) + b"\n" for text in buffer.split(b"\n") if text)
        return self._times.sub(lambda found: found[1] + _normalize_time(found[2]), buffer)

    def _typed(self, buffer: bytes, count: int) -> tuple[pa.Table, bool]:
        table = None
        if not self.expects_unknown:
            try:
                table = self._arrow(buffer, "error")
            except pa.ArrowInvalid as error:
                if "unexpected field" not in str(error):
                    raise
                self.expects_unknown = True
        unknown = table is None
        if table is None:
            table = self._arrow(buffer, "ignore")
        if table.num_rows != count:
            raise ValueError(f"expected one object, found {table.num_rows}")
        return table if table.schema == self._schema else table.cast(self._schema), unknown

    def _arrow(self, buffer: bytes, unexpected: str) -> pa.Table:
        return pj.read_json(
            pa.BufferReader(buffer),
            read_options=pj.ReadOptions(use_threads=False, block_size=max(len(buffer) + 1, 4096)),
            parse_options=pj.ParseOptions(
                explicit_schema=self._json_schema, unexpected_field_behavior=unexpected, newlines_in_values=False
            ),
        )


def _normalize_time(value: bytes) -> bytes:
    return _TIME_PART.sub(lambda part: part[1] or part[0].upper(), value)


def _normalize_record(text: bytes, columns: tuple[Column, ...]) -> bytes:
    """Normalize the times in a record's columns at any depth; a text that is not an object is returned unchanged."""
    known = {column.name: column for column in columns if column.fields or column.type == "timestamp"}
    try:
        found = members(text)
        for place, (name, value) in enumerate(found):
            if column := known.get(name):
                changed = [
                    _normalize_record(item, column.fields) if column.fields else _normalize_time(item)
                    for item in items(value)
                ]
                found[place] = name, b"[" + b",".join(changed) + b"]" if value[:1] == b"[" else changed[0]
    except JSON_ERRORS:
        return text
    return b"{" + b",".join(msgspec.json.encode(name) + b":" + value for name, value in found) + b"}"


def _is_finite(values: pa.ChunkedArray) -> bool:
    """Whether no double in a column, at any depth, is infinite or NaN."""
    if pt.is_floating(values.type):
        return pc.all(pc.is_finite(values)).as_py() is not False  # None if there are no values
    if pt.is_list(values.type):
        return _is_finite(pc.list_flatten(values))
    if pt.is_struct(values.type):
        return all(_is_finite(pc.struct_field(values, place)) for place in range(values.type.num_fields))
    return True


def _refuse_non_finite(buffer: bytes) -> None:
    """Reject the literals NaN, Inf and Infinity, which Arrow accepts but JSON does not; within strings they are valid.

    Raises:
        ValueError: a line has such a literal.
    """
    if b"NaN" not in buffer and b"Inf" not in buffer:
        return
    for text in buffer.split(b"\n"):
        if b"NaN" in text or b"Inf" in text:
            try:
                msgspec.json.decode(text, type=msgspec.Raw)
            except JSON_ERRORS as error:
                raise ValueError(f"NaN and Infinity are no JSON numbers: {error}") from None
