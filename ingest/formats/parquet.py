"""Conversion of a Parquet file to lines, one per row, so that one parser judges every record by the same rules."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.contracts.column import Column
from ingest.contracts.contract import Contract
from ingest.errors import CorruptObject
from ingest.formats.bounded import max_lines, too_many_lines
from ingest.formats.pages import MAX_COLUMNS, TooMuch, check_footer, plan
from ingest.records.parts import LongRecord
from ingest.storage.arrays import as_numpy

SPOOLED_BYTES = 16 << 20
"""A larger file is spooled to disk."""
SLICE_BYTES = 512 << 10
"""Bytes of JSON whose rows are converted to Python objects at a time; at least one row."""
KEPT_BYTES = 16 << 10
"""Columns of a row that is too long are kept up to this size."""
_BUFFERS_BYTES = 16 << 20
_encode = msgspec.json.Encoder().encode_lines
_Sizes = npt.NDArray[np.int64]


def from_parquet(
    blocks: Iterable[bytes], contract: Contract, source_file: str, stored: int
) -> Iterator[bytes | LongRecord]:
    """Yield each row as JSON: times as text truncated to microseconds, binary and numbers that are not finite as text.

    The size of a row is known before it is decoded (see `pages`), and a value that many rows share is not multiplied.

    Args:
        stored: stored bytes of the object.

    Raises:
        CorruptObject: the file cannot be read, names a column twice, or exceeds a limit.
    """
    with tempfile.SpooledTemporaryFile(SPOOLED_BYTES) as file:
        for block in blocks:
            file.write(block)
        try:
            yield from _rows(file, contract, source_file, stored)
        except (pa.ArrowException, OSError, TypeError, ValueError, IndexError, TooMuch) as error:
            raise CorruptObject(source_file, f"Parquet: {error}") from None


def _rows(file: IO[bytes], contract: Contract, source_file: str, stored: int) -> Iterator[bytes | LongRecord]:
    size = file.seek(0, 2)
    check_footer(file, size)
    options: dict[str, Any] = {"pre_buffer": False, "coerce_int96_timestamp_unit": "us"}
    reader = pq.ParquetFile(file, thrift_container_size_limit=4 * MAX_COLUMNS, **options)
    metadata = reader.metadata
    if metadata.num_columns > MAX_COLUMNS:
        raise TooMuch(f"{metadata.num_columns:,} columns, expected at most {MAX_COLUMNS:,}")
    if metadata.num_rows > max_lines(stored):
        raise too_many_lines(stored, source_file)
    _refuse_duplicates(reader.schema_arrow, "")
    options["buffer_size"] = max(1 << 10, min(64 << 10, _BUFFERS_BYTES // max(metadata.num_columns, 1)))
    dictionaries: tuple[int, ...] | None = None
    for group in range(metadata.num_row_groups):
        group_plan = plan(file, size, metadata, group)
        if group_plan.dictionaries != dictionaries:
            dictionaries = group_plan.dictionaries
            reader = pq.ParquetFile(file, metadata=metadata, read_dictionary=list(dictionaries), **options)
        for batch in reader.iter_batches(group_plan.rows, row_groups=[group], use_threads=False):
            yield from _batch(batch, contract)


def _refuse_duplicates(fields: Iterable[pa.Field], path: str) -> None:
    """Refuse duplicate names of columns or struct fields: JSON would keep only one of them."""
    seen = set()
    for item in fields:
        if item.name in seen:
            raise ValueError(f"two columns are named {path + item.name!r}; expected each name once")
        seen.add(item.name)
        if pa.types.is_nested(item.type):
            inner = [item.type.field(number) for number in range(item.type.num_fields)]
            _refuse_duplicates(inner, f"{path}{item.name}.")


def _batch(batch: pa.RecordBatch, contract: Contract) -> Iterator[bytes | LongRecord]:
    sizes = np.full(len(batch), 2, np.int64)
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        sizes += _sizes(values) + len(name.encode()) + 4
    start, ends = 0, np.cumsum(sizes)
    while start < len(batch):
        before = ends[start] - sizes[start]
        end = max(start + 1, int(np.searchsorted(ends, before + SLICE_BYTES, "right")))
        if sizes[start] > contract.max_line_bytes:
            end = start + 1
            yield LongRecord(int(sizes[start]), _beginning(batch.slice(start, 1)))
        else:  # copied: a cast of a slice of lists converts all their values
            yield _lines(batch.take(pa.array(np.arange(start, end))), contract)
        start = end


def _beginning(row: pa.RecordBatch) -> bytes:
    """Return the beginning of a row that is too long, without its long columns."""
    kept = [name for name, values in zip(row.schema.names, row.columns, strict=True) if _sizes(values)[0] < KEPT_BYTES]
    columns = row.select(kept)
    return _lines(columns, None)[:KEPT_BYTES].rstrip(b"\n") if kept else b""


def _sizes(values: pa.Array) -> _Sizes:
    """Return the minimum bytes of JSON of each value."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        if not len(values.dictionary):
            return np.full(len(values), 2, np.int64)
        sizes = _sizes(values.dictionary)[as_numpy(pc.fill_null(values.indices, 0))]
    elif pa.types.is_string(kind) or pa.types.is_binary(kind) or _is_large(kind):
        sizes = as_numpy(pc.fill_null(pc.binary_length(values), 0)).astype(np.int64) + 3
    elif pa.types.is_fixed_size_binary(kind):
        sizes = np.full(len(values), kind.byte_width + 3, np.int64)
    elif pa.types.is_struct(kind):
        sizes = np.full(len(values), 2, np.int64)
        for number in range(kind.num_fields):
            sizes += _sizes(values.field(number)) + len(kind.field(number).name.encode()) + 4
    elif pa.types.is_nested(kind):
        sizes = _list_sizes(values)
    elif isinstance(kind, pa.BaseExtensionType):
        return _sizes(values.storage)
    else:
        return np.full(len(values), 2, np.int64)
    return np.where(as_numpy(pc.is_valid(values)), sizes, 2) if values.null_count else sizes


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_large_binary(kind))


def _list_sizes(values: pa.Array) -> _Sizes:
    kind = values.type
    if pa.types.is_map(kind):
        items = _sizes(values.keys) + _sizes(values.items) + 2
        offsets = as_numpy(values.offsets)
    elif pa.types.is_fixed_size_list(kind):
        items = _sizes(values.flatten())
        offsets = np.concatenate(([0], np.cumsum(as_numpy(pc.fill_null(pc.list_value_length(values), 0)))))
    else:
        items = _sizes(values.values)
        offsets = as_numpy(values.offsets)
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(items)))[offsets]
    return np.diff(ends) + 3  # type: ignore[no-any-return]  # numpy's fancy indexing


def _lines(batch: pa.RecordBatch, contract: Contract | None) -> bytes:
    """Return the rows as lines of JSON; text that is not UTF-8 keeps its bytes, which the parser then rejects."""
    columns = contract.columns if contract else ()
    try:
        return _encode(_objects(batch, columns, pa.string()))
    except (pa.ArrowInvalid, UnicodeDecodeError):
        rows = _objects(batch, columns, pa.binary())
        return b"".join(_line(row) for row in rows)


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, default=_plain).encode("utf-8", "surrogateescape") + b"\n"


def _plain(value: Any) -> str:
    """Return a value without a JSON type as text; bytes become text even if invalid, which the parser then rejects."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _objects(batch: pa.RecordBatch, columns: Sequence[Column], text: pa.DataType) -> list[dict[str, Any]]:
    readable = _readable(batch, columns, text)
    rows: list[dict[str, Any]] = readable.to_pylist()
    if all(_is_finite(values) for values in readable.columns):
        return rows
    return [{name: _finite(value, _column(columns, name)) for name, value in row.items()} for row in rows]


def _is_finite(values: pa.Array) -> bool:
    kind = values.type
    if pa.types.is_floating(kind):
        return pc.all(pc.is_finite(values)).as_py() is not False
    if pa.types.is_struct(kind):
        return all(_is_finite(values.field(number)) for number in range(kind.num_fields))
    if pa.types.is_map(kind):
        return _is_finite(values.keys) and _is_finite(values.items)
    return _is_finite(values.values) if pa.types.is_list(kind) else True


def _finite(value: Any, column: Column | None) -> Any:
    """Return the value with text for each number that is not finite, in a list where text would be accepted."""
    if isinstance(value, float) and not math.isfinite(value):
        text = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return [text] if column and column.type == "string" else text
    if isinstance(value, dict):
        members = column.fields if column else ()
        return {name: _finite(item, _column(members, name)) for name, item in value.items()}
    return [_finite(item, column) for item in value] if isinstance(value, list | tuple) else value


def _readable(batch: pa.RecordBatch, columns: Sequence[Column], text: pa.DataType) -> pa.RecordBatch:
    """Return the rows in types whose values Python can represent: dates beyond its calendar become text.

    Times first lose their zone (and are UTC then); only afterwards do they become text.
    """
    arrays, names = batch.columns, batch.schema.names
    for as_text in (False, True):
        kinds = [
            _kind(values.type, _column(columns, name), text, as_text)
            for name, values in zip(names, arrays, strict=True)
        ]
        arrays = [
            values if values.type == kind else values.cast(kind, safe=False)
            for values, kind in zip(arrays, kinds, strict=True)
        ]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _kind(kind: pa.DataType, column: Column | None, text: pa.DataType, as_text: bool) -> pa.DataType:
    types = pa.types
    if types.is_struct(kind):
        members = column.fields if column else ()
        return pa.struct(
            [pa.field(item.name, _kind(item.type, _column(members, item.name), text, as_text)) for item in kind]
        )
    if types.is_map(kind):
        return pa.map_(_kind(kind.key_type, None, text, as_text), _kind(kind.item_type, None, text, as_text))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_kind(kind.value_type, column, text, as_text))
    if types.is_dictionary(kind):
        return _kind(kind.value_type, column, text, as_text)
    if isinstance(kind, pa.BaseExtensionType):
        return kind if isinstance(kind, pa.UuidType) else _kind(kind.storage_type, column, text, as_text)
    if types.is_timestamp(kind) and not as_text:
        return pa.timestamp(kind.unit)
    if types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind):
        return pa.string() if as_text else kind
    if not as_text and (types.is_string(kind) or types.is_binary(kind) or _is_large(kind)):
        return text
    if not as_text and types.is_fixed_size_binary(kind):
        return text
    if types.is_float16(kind):
        return pa.float32()
    if types.is_decimal(kind) and column and column.type == "double":
        return pa.float64()
    return pa.int64() if types.is_duration(kind) else kind


def _column(columns: Sequence[Column], name: str) -> Column | None:
    return next((column for column in columns if column.name == name), None)
