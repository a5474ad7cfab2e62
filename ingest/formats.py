"""What an object holds, told by its content: lines of JSON, or what becomes lines of JSON.

Compression is gzip, zstd or none. Inside are JSON lines, one JSON array, Parquet, or CSV with a header. CSV alone
cannot be told by content: the object's name ends in `.csv`, or the contract says it.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contract import Column, Contract
from ingest.errors import CorruptObject
from ingest.store import BLOCK_BYTES

MAX_ARRAY_BYTES = 256 << 20
"""A JSON array is read as a whole; a longer one is refused."""
MAX_INFLATION, INFLATED_BYTES = 1000, 256 << 20
"""An object may unpack to so many times its size, once it exceeds so many bytes."""
_GZIP, _ZSTD, _PARQUET, _BOM = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1", b"\xef\xbb\xbf"
_NAMES = (".csv", ".csv.gz", ".csv.zst")
_NUMERIC = {"integer", "double", "boolean"}


def json_lines(contract: Contract, source_file: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The object as blocks of JSON lines; record N of any format stands on line N, of CSV on its line in the file.

    Raises:
        CorruptObject: it cannot be unpacked, or is no such array, Parquet or CSV file.
    """
    unpacked = _bounded(blocks, source_file)
    first = next(unpacked, b"")
    stream = chain([first.removeprefix(_BOM)], unpacked)
    if first.startswith(_PARQUET):
        return _from_parquet(stream, source_file)
    if contract.source.format == "csv" or source_file.endswith(_NAMES):
        return _from_csv(stream, contract, source_file)
    if first.removeprefix(_BOM).lstrip()[:1] == b"[":
        return _from_array(stream, source_file)
    return stream


def _bounded(blocks: Iterable[bytes], source_file: str) -> Iterator[bytes]:
    """The unpacked blocks, as long as they stay in proportion.

    Raises:
        CorruptObject: the object unpacks to far more than an honest one does.
    """
    stored = unpacked = 0

    def counted() -> Iterator[bytes]:
        nonlocal stored
        for block in blocks:
            stored += len(block)
            yield block

    for block in _unpack(counted(), source_file):
        unpacked += len(block)
        if unpacked > INFLATED_BYTES and unpacked > MAX_INFLATION * stored:
            raise CorruptObject(source_file, f"unpacks to more than {MAX_INFLATION} times its {stored} bytes")
        yield block


def _unpack(blocks: Iterator[bytes], source_file: str) -> Iterator[bytes]:
    """The blocks as they are, or unpacked when they begin as gzip or zstd do, whatever the object's name says."""
    first = next(blocks, b"")
    whole = chain([first], blocks)
    if first.startswith(_GZIP):
        yield from _gunzip(whole, source_file)
    elif first.startswith(_ZSTD):
        try:
            with pa.CompressedInputStream(pa.PythonFile(_File(whole), "r"), "zstd") as unpacked:
                while data := unpacked.read(BLOCK_BYTES):
                    yield data
        except OSError as error:
            raise CorruptObject(source_file, f"zstd: {error}") from None
    else:
        yield from whole


def _gunzip(blocks: Iterable[bytes], source_file: str) -> Iterator[bytes]:
    """Concatenated gzip members are legal and are read to the last."""
    decoder = zlib.decompressobj(31)
    for data in blocks:
        rest, unpacked = data, b""
        while rest or len(unpacked) == BLOCK_BYTES:  # a full block may leave more inside the decoder
            if decoder.eof:
                decoder = zlib.decompressobj(31)  # the next member
            try:
                unpacked = decoder.decompress(rest, BLOCK_BYTES)
            except zlib.error as error:
                raise CorruptObject(source_file, f"gzip: {error}") from None
            if unpacked:
                yield unpacked
            rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if not decoder.eof:
        raise CorruptObject(source_file, "gzip: the stream ends too early")


def _from_array(blocks: Iterable[bytes], source_file: str) -> Iterator[bytes]:
    """One element per line. What only begins like an array is taken for lines."""
    held = bytearray()
    for block in blocks:
        held += block
        if len(held) > MAX_ARRAY_BYTES:
            raise CorruptObject(source_file, f"a JSON array of more than {MAX_ARRAY_BYTES} bytes; write JSON lines")
    try:
        elements = msgspec.json.decode(held, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        yield bytes(held)
        return
    for element in elements:
        text = bytes(element)
        yield (msgspec.json.format(text, indent=-1) if b"\n" in text else text.replace(b"\r", b" ")) + b"\n"


def _from_parquet(blocks: Iterable[bytes], source_file: str) -> Iterator[bytes]:
    with tempfile.SpooledTemporaryFile(MAX_ARRAY_BYTES) as file:
        for block in blocks:
            file.write(block)
        try:
            for batch in pq.ParquetFile(file).iter_batches(8192):
                yield b"".join(msgspec.json.encode(row) + b"\n" for row in batch.to_pylist())
        except (pa.ArrowException, OSError, TypeError) as error:
            raise CorruptObject(source_file, f"Parquet: {error}") from None


def _from_csv(blocks: Iterable[bytes], contract: Contract, source_file: str) -> Iterator[bytes]:
    """An object per row; the header names columns by their dotted path, an empty field is an absent one.

    A row with more or fewer fields than the header becomes an array, which no contract accepts.
    """
    text = io.TextIOWrapper(io.BufferedReader(_File(blocks)), "utf-8", errors="surrogateescape", newline="")
    rows = csv.reader(text, strict=True)
    columns = dict(contract.walk())
    written = 0
    try:
        header = next(rows, [])
        ended = rows.line_num
        for row in rows:
            start, ended = ended + 1, rows.line_num
            if not row:
                continue
            line = json.dumps(_record(header, row, columns) if len(row) == len(header) else row, ensure_ascii=False)
            yield b"\n" * (start - 1 - written) + line.encode("utf-8", "surrogateescape") + b"\n"
            written = start
    except csv.Error as error:
        raise CorruptObject(source_file, f"CSV, line {rows.line_num}: {error}") from None


def _record(header: list[str], row: list[str], columns: dict[str, Column]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for path, text in zip(header, row, strict=True):
        if text:
            *folders, name = path.split(".")
            place = record
            for folder in folders:
                place = place.setdefault(folder, {})
            place[name] = _value(text, columns.get(path))
    return record


def _value(text: str, column: Column | None) -> Any:
    """The field as its column's type wants it in JSON; what does not fit stays text, for the contract to judge."""
    if column is None or (column.type not in _NUMERIC and not column.repeated):
        return text
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


class _File(io.RawIOBase):
    """Blocks as a file to read from."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self._rest = iter(blocks), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next((block for block in self._blocks if block), b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
