"""Lines of JSON to typed rows with Arrow's reader, after a look at what that reader is lenient about."""

from __future__ import annotations

import re

import msgspec
import pyarrow as pa
import pyarrow.json as pj

from ingest.contracts.contract import Column, Contract
from ingest.contracts.schema import record_schema
from ingest.formats.fields import NO_JSON, items, members

REFUSALS = (pa.ArrowInvalid, UnicodeDecodeError, ValueError)
"""What `TypedReader.read` raises when a line breaks the contract."""
_TIME_PART = re.compile(rb'(\.\d{6})\d+|(?<=\d)[tz](?=[\d"])')


class TypedReader:
    """Reads lines by one contract.

    Attributes:
        expects_unknown: whether unknown fields are likely, so that no attempt is made that would fail of them. The
            result does not depend on it.
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
        """The typed rows of `count` lines, and whether any may hold unknown fields.

        Raises:
            any of REFUSALS: some line breaks the contract.
        """
        if count == 0:
            return self._schema.empty_table(), False
        if not buffer.isascii():
            buffer.decode("utf-8")  # Arrow would let invalid UTF-8 through
        if b"NaN" in buffer or b"Inf" in buffer:
            _refuse_non_finite(buffer)
        try:
            return self._typed(buffer, count)
        except pa.ArrowInvalid:
            usual = self._usual_times(buffer)
            if usual == buffer:
                raise
            return self._typed(usual, count)

    def _usual_times(self, buffer: bytes) -> bytes:
        """The lines with times as Arrow takes them: cut to microseconds, `T` and `Z` in capitals."""
        if self._times is None:
            return buffer
        if self._is_ambiguous:  # a text elsewhere has the name of a time
            return b"".join(_with_usual_times(text, self._columns) + b"\n" for text in buffer.split(b"\n") if text)
        return self._times.sub(lambda found: found[1] + _usual_time(found[2]), buffer)

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


def _usual_time(value: bytes) -> bytes:
    return _TIME_PART.sub(lambda part: part[1] or part[0].upper(), value)


def _with_usual_times(text: bytes, columns: tuple[Column, ...]) -> bytes:
    """The object with usual times in its columns, at any depth; itself when it is no object."""
    known = {column.name: column for column in columns if column.fields or column.type == "timestamp"}
    try:
        found = members(text)
        for place, (name, value) in enumerate(found):
            if column := known.get(name):
                changed = [
                    _with_usual_times(item, column.fields) if column.fields else _usual_time(item)
                    for item in items(value)
                ]
                found[place] = name, b"[" + b",".join(changed) + b"]" if value[:1] == b"[" else changed[0]
    except NO_JSON:
        return text
    return b"{" + b",".join(msgspec.json.encode(name) + b":" + value for name, value in found) + b"}"


def _refuse_non_finite(buffer: bytes) -> None:
    """Arrow accepts the literals NaN, Inf and Infinity, JSON does not; inside a string they are fine."""
    for text in buffer.split(b"\n"):
        if b"NaN" in text or b"Inf" in text:
            try:
                msgspec.json.decode(text, type=msgspec.Raw)
            except NO_JSON as error:
                raise ValueError(f"NaN and Infinity are no JSON numbers: {error}") from None
