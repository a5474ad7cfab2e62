"""Search of Parquet files: rows, dictionaries with what no row refers to, statistics of files and pages, metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.formats import thrift
from ingest.formats.pages import MAX_COLUMNS, MAX_PAGE_BYTES, TooMuch, check_footer, plan
from pipeline.checks.traces.cells import Cells
from pipeline.checks.traces.matcher import Found, Matcher

MAGIC = b"PAR1"
_ROW_GROUPS = 4
_HEADER_BYTES = 16 << 20
_BATCH_ROWS = 64 << 10
_DICTIONARY_PAGE, _INDICES = 2, (2, 8)
_INTEGERS = {"INT32": pa.int32(), "INT64": pa.int64()}
_CODECS = ("", "snappy", "gzip", "lzo", "brotli", "lz4_raw", "zstd", "lz4_raw")
_WITHOUT_VALUES = ("BOOLEAN", "INT96")
_TIMES = ("DATE", "TIME", "TIMESTAMP", "INTERVAL")


def search(file: Any, size: int, matcher: Matcher) -> Iterator[tuple[str, Found]]:
    """Yield what is found with the part of the file.

    A column of a row group whose pages all refer to its dictionary is searched in the dictionary alone.

    Raises:
        OSError, ValueError, IndexError, pa.ArrowException: it is damaged.
        TooMuch: decoding it would take too much memory.
    """
    check_footer(file, size)
    file.seek(size - 8)
    end = file.read(8)
    if end[4:] != MAGIC:
        raise ValueError(f"ends with {end[4:]!r}, expected {MAGIC!r}")
    start = size - 8 - int.from_bytes(end[:4], "little")
    file.seek(start)
    footer = file.read(size - 8 - start)
    yield from (("metadata", one) for one in matcher.search(b"\0".join(_others(footer))))
    seen = [(0, 4), (start, size)]
    options: dict[str, Any] = {"pre_buffer": False, "thrift_container_size_limit": 4 * MAX_COLUMNS}
    reader = pq.ParquetFile(file, **options)
    cells = Cells(matcher)
    for number, group in enumerate(_groups(footer)):
        yield from _search_group(file, size, reader, number, group, cells, seen)
    for low, high in _gaps(seen):
        file.seek(low)
        yield from (("bytes outside of pages", one) for one in matcher.search(file.read(high - low)))


def _search_group(
    file: Any, size: int, reader: Any, number: int, group: dict[int, Any], cells: Cells, seen: list[tuple[int, int]]
) -> Iterator[tuple[str, Found]]:
    schema = reader.metadata.schema
    rest = []
    for place, chunk in enumerate(group[1]):
        column = schema.column(place)
        path = tuple(part.decode("utf-8", "replace") for part in chunk[3][3])
        read = _read_chunk(file, size, chunk, column)
        seen += read.places
        name = ".".join(path)
        for bounds in _arrays(read.bounds, column):
            yield from ((f"statistics of column {name}", one) for one in cells.search(path, bounds))
        if column.physical_type == "BYTE_ARRAY":
            yield from ((f"statistics of column {name}", one) for one in cells.cut(read.bounds))
        for entries in read.entries:
            yield from ((f"dictionary of column {name}", one) for one in cells.search(path, entries))
        if not (read.is_in_dictionary or _has_no_values(column)):
            rest.append(place)
    if not rest:
        return
    decoded = plan(file, size, reader.metadata, number)
    rows = decoded.rows if decoded.rows < _BATCH_ROWS // 8 else _BATCH_ROWS
    for batch in reader.reader.iter_batches(rows, row_groups=[number], column_indices=rest, use_threads=False):
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            yield from ((f"column {name}", one) for one in cells.search((name,), values))


@dataclass(slots=True)
class _Chunk:
    """What was read of a column of a row group.

    Attributes:
        entries: its dictionaries.
        bounds: least and greatest values, of the chunk and its pages, as they are stored.
        is_in_dictionary: whether all of its values are in the dictionaries.
        places: beginning and end of what was read.
    """

    entries: list[Any] = field(default_factory=list)
    bounds: list[bytes] = field(default_factory=list)
    is_in_dictionary: bool = True
    places: list[tuple[int, int]] = field(default_factory=list)


def _read_chunk(file: Any, size: int, chunk: dict[int, Any], column: Any) -> _Chunk:
    about, found = chunk[3], _Chunk()
    found.bounds += _bounds(about.get(12))
    for offset, length in ((6, 7), (4, 5)):  # the index of columns has values, that of offsets has none
        if offset in chunk and length in chunk:
            if not 0 <= chunk[offset] <= chunk[offset] + chunk[length] <= min(size, chunk[offset] + _HEADER_BYTES):
                raise ValueError(f"the page index at {chunk[offset]} is not in the file")
            file.seek(chunk[offset])
            index = thrift.Compact(file.read(chunk[length])).value(thrift.STRUCT)
            if offset == 6:
                found.bounds += [one for one in (*index.get(2, ()), *index.get(3, ())) if one]
            found.places.append((chunk[offset], chunk[offset] + chunk[length]))
    start = about[9]
    if 0 < about.get(11, 0) < start:
        start = about[11]
    end = start + about[7]
    if not 0 <= start <= end <= size:
        raise ValueError(f"the column chunk at {start} is not in the file")
    found.places.append((start, end))
    place = start
    while place < end:
        header, place = _header(file, place)
        length = header[3]
        if length < 0 or place + length > end:
            raise ValueError(f"the page at {place} is not in its column chunk")
        for part in (5, 8):
            found.bounds += _bounds(header.get(part, {}).get(5 if part == 5 else 8))
        if header[1] == _DICTIONARY_PAGE:
            if max(header[2], length) > MAX_PAGE_BYTES:
                raise TooMuch(f"a dictionary of {header[2]:,} bytes, expected at most {MAX_PAGE_BYTES:,}")
            file.seek(place)
            data: Any = file.read(length)
            if (codec := _CODECS[about[4]]) and header[2]:
                data = pa.Codec(codec).decompress(data, header[2]).to_pybytes()
            found.entries += _entries(data, header[7][1], column)
        elif 5 in header:
            found.is_in_dictionary &= header[5][2] in _INDICES
        elif 8 in header:
            found.is_in_dictionary &= header[8][4] in _INDICES
        place += length
    found.is_in_dictionary &= bool(found.entries)
    return found


def _header(file: Any, place: int) -> tuple[dict[int, Any], int]:
    """Read a page header; return it and where the page begins."""
    length = 256
    while True:
        file.seek(place)
        compact = thrift.Compact(file.read(length))
        try:
            found: dict[int, Any] = compact.value(thrift.STRUCT)
        except IndexError:
            if len(compact.data) < length or length > _HEADER_BYTES:
                raise ValueError(f"the page header at {place} is cut off") from None
            length *= 8
        else:
            return found, place + compact.place


def _groups(footer: bytes) -> Iterator[dict[int, Any]]:
    """Yield the row groups, one at a time because a footer takes many times its bytes when it is decoded."""
    compact = thrift.Compact(footer)
    for number, kind in compact.fields():
        if number != _ROW_GROUPS:
            compact.skip(kind)
            continue
        count, item = compact.list_head()
        for _ in range(count):
            yield compact.value(item)


def _others(footer: bytes) -> Iterator[bytes]:
    """Yield all texts outside of row groups: names of columns, and keys and values of metadata."""
    compact = thrift.Compact(footer)
    for number, kind in compact.fields():
        if number == _ROW_GROUPS:
            compact.skip(kind)
        else:
            yield from _texts(compact.value(kind))


def _texts(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _bounds(statistics: dict[int, Any] | None) -> list[bytes]:
    """Least and greatest values, of both generations of the format."""
    return [statistics[number] for number in (1, 2, 5, 6) if statistics and statistics.get(number)]


def _arrays(bounds: list[bytes], column: Any) -> list[Any]:
    if _has_no_values(column) or column.logical_type.type == "DECIMAL" or not bounds:
        return []
    if column.physical_type in _INTEGERS:
        kind = _INTEGERS[column.physical_type]
        whole = [int.from_bytes(one, "little", signed=True) for one in bounds if len(one) == kind.bit_width // 8]
        return [pa.array(whole, kind)]
    return [pa.array(bounds, pa.large_binary())] if "BYTE_ARRAY" in column.physical_type else []


def _entries(data: bytes, count: int, column: Any) -> list[Any]:
    """Decode a dictionary; none of a type that has no values or is decoded with the rows."""
    if column.logical_type.type == "DECIMAL":
        return []
    if column.physical_type in _INTEGERS:
        kind = _INTEGERS[column.physical_type]
        width = kind.bit_width // 8
        return [pa.Array.from_buffers(kind, count, [None, pa.py_buffer(data[: count * width])])]
    if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
        kind = pa.binary(column.length)
        return [pa.Array.from_buffers(kind, count, [None, pa.py_buffer(data[: count * column.length])])]
    if column.physical_type != "BYTE_ARRAY":
        return []
    entries, place = [], 0
    for _ in range(count):
        length = int.from_bytes(data[place : place + 4], "little")
        entries.append(data[place + 4 : place + 4 + length])
        place += 4 + length
    if place > len(data):
        raise ValueError("a dictionary is cut off")
    return [pa.array(entries, pa.large_binary())]


def _has_no_values(column: Any) -> bool:
    return column.physical_type in _WITHOUT_VALUES or column.logical_type.type in _TIMES


def _gaps(seen: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    place = 0
    for start, end in sorted(seen):
        if start > place:
            yield place, start
        place = max(place, end)
