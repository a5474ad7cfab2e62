"""A Parquet file becomes lines, one per row, so that one parser judges every record by the same rules."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contract import Column, Contract
from ingest.errors import CorruptObject

HELD_BYTES = 256 << 20
BATCH_ROWS = 8192


def from_parquet(blocks: Iterable[bytes], contract: Contract, source_file: str) -> Iterator[bytes]:
    """Each row as JSON: times as text cut to microseconds, binary as text, NaN as it is (no contract accepts it).

    Raises:
        CorruptObject: the file cannot be read.
    """
    with tempfile.SpooledTemporaryFile(HELD_BYTES) as file:
        for block in blocks:
            file.write(block)
        try:
            for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS):
                yield b"".join(_line(row) for row in _readable(batch, contract).to_pylist())
        except (pa.ArrowException, OSError, TypeError, ValueError) as error:
            raise CorruptObject(source_file, f"Parquet: {error}") from None


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, default=_plain).encode("utf-8", "surrogateescape") + b"\n"


def _plain(value: Any) -> str:
    """What JSON has no type for: bytes are text, even invalid text, which the parser then refuses."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(Decimal(value))


def _readable(batch: pa.RecordBatch, contract: Contract) -> pa.Table:
    """The same rows in types of which no value fails in Python: a date beyond its calendar becomes a text that says so.

    First times lose their zone (they are UTC then), only afterwards they become text.
    """
    columns = batch.columns
    for as_text in (False, True):
        kinds = [
            _kind(values.type, _column(contract.columns, name), as_text)
            for name, values in zip(batch.schema.names, columns, strict=True)
        ]
        columns = [values.cast(kind, safe=False) for values, kind in zip(columns, kinds, strict=True)]
    return pa.table(columns, names=batch.schema.names)


def _kind(kind: pa.DataType, column: Column | None, as_text: bool) -> pa.DataType:
    types = pa.types
    if types.is_struct(kind):
        members = column.fields if column else ()
        return pa.struct([pa.field(item.name, _kind(item.type, _column(members, item.name), as_text)) for item in kind])
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_kind(kind.value_type, column, as_text))
    if types.is_dictionary(kind):
        return _kind(kind.value_type, column, as_text)
    if types.is_timestamp(kind) and not as_text:
        return pa.timestamp(kind.unit)
    if types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind):
        return pa.string() if as_text else kind
    if not as_text and (types.is_string(kind) or types.is_large_string(kind) or types.is_large_binary(kind)):
        return pa.binary()
    if types.is_decimal(kind) and column and column.type == "double":
        return pa.float64()
    return pa.int64() if types.is_duration(kind) else kind


def _column(columns: Sequence[Column], name: str) -> Column | None:
    return next((column for column in columns if column.name == name), None)
