"""Memory cost of decoding a Parquet file, derived from its footer and page headers before any page is decoded.

A dictionary, a run length or a shared prefix expands a few bytes to gigabytes. So the headers, which are small and
state the size of what follows, determine how many rows are decoded at a time, and whether the file is decoded at all.

See https://parquet.apache.org/docs/file-format/ and the Thrift compact protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa

from ingest.formats import thrift

MAX_FOOTER_BYTES, MAX_COLUMNS, MAX_CHUNKS = 16 << 20, 10_000, 250_000
"""Limits on a file's footer, columns and column chunks (row groups times columns)."""
MAX_PAGE_BYTES = 128 << 20
"""Limit on one page per column together, dictionaries included: they are decoded at once whatever the batch size."""
MAX_ROW_VALUES, MAX_ROW_BYTES = 1_000_000, 64 << 20
"""Limits on one decoded row."""
BATCH_ROWS, BATCH_BYTES = 8192, 32 << 20
"""Limits on the rows decoded together, and on their bytes in addition to the pages."""
_HEADER_BYTES = 16 << 20
_WIDTHS = {"BOOLEAN": 1, "INT32": 16, "INT64": 16, "INT96": 12, "FLOAT": 8, "DOUBLE": 8}
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_PLAIN_DICTIONARY, _RLE, _DELTA_BYTE_ARRAY, _RLE_DICTIONARY = 2, 3, 7, 8


class TooMuch(Exception):  # noqa: N818  the object is quarantined with this as its detail
    """Decoding the file would exceed a limit; the message states it."""


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """How a row group is read.

    Attributes:
        rows: rows per batch.
        dictionaries: numbers of the columns whose values stay indices of their dictionary.
    """

    rows: int
    dictionaries: tuple[int, ...]


@dataclass(slots=True)
class _Page:
    kind: int = -1
    plain_bytes: int = 0
    stored_bytes: int = 0
    values: int = 0
    rows: int | None = None
    encoding: int = 0
    levels: int = 0
    place: int = 0


@dataclass(slots=True)
class _Chunk:
    """One column of a row group: bytes of its dictionary and largest page, and the size of its values.

    Attributes:
        density: bytes per value in the page where that is greatest.
        most: most values in one row.
    """

    dictionary: int = 0
    page: int = 0
    density: float = 0.0
    has_prefixes: bool = False
    has_numbers: bool = False
    most: int = 1


def check_footer(file: IO[bytes], size: int) -> None:
    """Check the footer's size and its number of column chunks, which take 200 times their bytes when decoded.

    Raises:
        TooMuch: the footer or the number of chunks exceeds its limit.
        ValueError: the footer cannot be read.
    """
    file.seek(max(0, size - 8))
    length = int.from_bytes(file.read(4), "little")
    if length > size - 8:
        return  # pyarrow reports the error
    if length > MAX_FOOTER_BYTES:
        raise TooMuch(f"a footer of {length:,} bytes, expected at most {MAX_FOOTER_BYTES:,}; write larger row groups")
    file.seek(size - 8 - length)
    footer = thrift.Compact(file.read(length))
    chunks = 0
    for number, kind in footer.fields():
        if number == 4 and kind == thrift.LIST:
            groups, kind = footer.list_head()
            for _ in range(groups):
                for inner, of in footer.fields() if kind == thrift.STRUCT else ():
                    if inner == 1 and of == thrift.LIST:
                        count, item = footer.list_head()
                        chunks += count
                        if chunks > MAX_CHUNKS:
                            raise TooMuch(f"more than {MAX_CHUNKS:,} column chunks; write larger row groups")
                        for _ in range(count):
                            footer.skip(item)
                    else:
                        footer.skip(of)
        else:
            footer.skip(kind)


def plan(file: IO[bytes], size: int, metadata: Any, group: int) -> GroupPlan:
    """Decide how many rows of a row group are read at a time, so that memory stays bounded whatever they contain.

    Args:
        size: bytes of the file.
        metadata: pyarrow's metadata of the file.

    Raises:
        TooMuch: even one row, or the pages that every batch needs, would exceed a limit.
        ValueError: a page header cannot be read.
    """
    row_group = metadata.row_group(group)
    pages = values = 0
    per_row = 0.0
    dictionaries = []
    for number in range(metadata.num_columns):
        column, chunk = metadata.schema.column(number), row_group.column(number)
        found = _inspect(file, size, column, chunk, row_group.num_rows)
        pages += found.dictionary + found.page
        values += found.most
        width = float(_WIDTHS.get(column.physical_type, column.length or 0))
        if column.physical_type == "BYTE_ARRAY":
            width = max(8.0, found.density, found.page if found.has_prefixes else 0)
            if found.has_numbers and found.dictionary * BATCH_ROWS > BATCH_BYTES / metadata.num_columns:
                dictionaries.append(number)
                pages += 2 * found.dictionary
            elif found.has_numbers:
                width = max(width, found.dictionary)
        per_row += found.most * (width + 4)
    name = f"row group {group + 1}"
    if pages > MAX_PAGE_BYTES:
        raise TooMuch(f"{name} has pages of {pages:,} bytes, expected at most {MAX_PAGE_BYTES:,}; write smaller ones")
    if values > MAX_ROW_VALUES:
        raise TooMuch(f"a row of {name} has {values:,} values, expected at most {MAX_ROW_VALUES:,}")
    if per_row > MAX_ROW_BYTES:
        raise TooMuch(f"a row of {name} may take {int(per_row):,} bytes, expected at most {MAX_ROW_BYTES:,}")
    rows = min(BATCH_ROWS, BATCH_BYTES // per_row, MAX_ROW_VALUES // values) if values else BATCH_ROWS
    return GroupPlan(max(1, int(rows)), tuple(dictionaries))


def _inspect(file: IO[bytes], size: int, column: Any, chunk: Any, rows: int) -> _Chunk:
    """Read the page headers of a column chunk and, for columns with lists, where rows begin."""
    found = _Chunk()
    is_list = column.max_repetition_level > 0
    counter = _Rows(column.max_repetition_level, chunk.compression)
    for page in _pages(file, size, chunk):
        largest = max(page.plain_bytes, page.stored_bytes)
        if page.kind == _DICTIONARY:
            found.dictionary += largest
            continue
        found.page = max(found.page, largest)
        if page.encoding in (_PLAIN_DICTIONARY, _RLE_DICTIONARY):
            found.has_numbers = True
        elif page.values:
            found.density = max(found.density, largest / page.values)
        found.has_prefixes |= page.encoding == _DELTA_BYTE_ARRAY
        if is_list:
            counter.add(file, page)
    found.most = max(1, counter.most) if is_list else 1
    return found


class _Rows:
    """Counts the values of the longest row of a column with lists: a row begins where the repetition level is zero."""

    def __init__(self, max_level: int, codec: str) -> None:
        self._bits = max_level.bit_length()
        self._codec = None if codec == "UNCOMPRESSED" else codec.lower().replace("lz4", "lz4_raw")
        self._open = 0
        self._most = 0

    @property
    def most(self) -> int:
        return max(self._most, self._open)

    def add(self, file: IO[bytes], page: _Page) -> None:
        """Count the next page. A page that cannot be inspected is assumed to be one row."""
        if page.rows is not None:  # a row never spans such pages
            self._most, self._open = max(self.most, page.values - max(page.rows, 1) + 1), 0
            return
        if page.levels != _RLE or page.plain_bytes > MAX_PAGE_BYTES or page.stored_bytes > MAX_PAGE_BYTES:
            self._open += page.values
            return
        file.seek(page.place)
        data: Any = file.read(page.stored_bytes)
        if self._codec:
            try:
                data = pa.Codec(self._codec).decompress(data, page.plain_bytes)
            except (OSError, ValueError, pa.ArrowException):
                self._open += page.values
                return
        view = memoryview(data)
        self._levels(thrift.Compact(bytes(view[4 : 4 + int.from_bytes(view[:4], "little")])), page.values)

    def _levels(self, runs: thrift.Compact, left: int) -> None:
        width = (self._bits + 7) // 8
        while left > 0 and runs.place < len(runs.data):
            head = runs.varint()
            if head & 1:
                packed = runs.take((head >> 1) * self._bits)
                bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
                levels = bits[: len(bits) // self._bits * self._bits].reshape(-1, self._bits).max(axis=1)[:left]
                starts = np.flatnonzero(levels == 0)
                left -= len(levels)
                if len(starts):
                    longest = int(np.diff(starts).max(initial=0))
                    self._most = max(self._most, self._open + int(starts[0]), longest)
                    self._open = len(levels) - int(starts[-1])
                else:
                    self._open += len(levels)
                if not len(levels):
                    break
            else:
                count = min(head >> 1, left)
                left -= count
                if int.from_bytes(runs.take(width), "little"):
                    self._open += count
                elif count:
                    self._most, self._open = max(self.most, 1), 1
        self._open += max(left, 0)


def _pages(file: IO[bytes], size: int, chunk: Any) -> Iterator[_Page]:
    """Yield the pages of a column chunk in the order in which pyarrow reads them."""
    place = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < place:
        place = chunk.dictionary_page_offset
    if place < 0:
        raise ValueError(f"a column chunk begins at {place}")
    end = min(size, place + chunk.total_compressed_size)
    left = chunk.num_values
    while left > 0 and place < end:
        page = _page(file, place)
        place = page.place + page.stored_bytes
        if page.kind in (_DATA, _DATA_V2):
            left -= page.values
        if page.kind in (_DATA, _DATA_V2, _DICTIONARY):
            yield page


def _page(file: IO[bytes], place: int) -> _Page:
    length = 256
    while True:
        file.seek(place)
        header = thrift.Compact(file.read(length))
        try:
            page = _header(header)
        except IndexError:
            if len(header.data) < length or length > _HEADER_BYTES:
                raise ValueError(f"the page header at {place} is cut off") from None
            length *= 8
        else:
            if min(page.plain_bytes, page.stored_bytes, page.values, page.rows or 0) < 0:
                raise ValueError(f"the page header at {place} has a negative size")
            page.place = place + header.place
            return page


def _header(header: thrift.Compact) -> _Page:
    page = _Page()
    for number, kind in header.fields():
        if number in (1, 2, 3) and kind == thrift.I32:
            value = header.integer()
            if number == 1:
                page.kind = value
            elif number == 2:
                page.plain_bytes = value
            else:
                page.stored_bytes = value
        elif number in (5, 7, 8) and kind == thrift.STRUCT:
            for inner, of in header.fields():
                if of != thrift.I32:
                    header.skip(of)
                    continue
                value = header.integer()
                if inner == 1:
                    page.values = value
                elif inner == 3 and number == 8:
                    page.rows = value
                elif inner == (4 if number == 8 else 2):
                    page.encoding = value
                elif inner == 4 and number == 5:
                    page.levels = value
        else:
            header.skip(kind)
    return page
