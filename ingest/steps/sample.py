"""Reading of the first records of sample objects, through the formats and limits of an ingest."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract
from ingest.errors import CorruptObject, LakemeshError
from ingest.formats import PARQUET, reads_as_csv
from ingest.formats.parquet import SPOOLED_BYTES
from ingest.formats.unpack import unpacked
from ingest.inference.declared import Declared, of_arrow
from ingest.records.parts import LongLine, Piece
from ingest.records.waiting import Waiting
from ingest.steps.locate import Place
from ingest.steps.read import decoded_lines, fetch
from ingest.storage.objects import BLOCK_BYTES, ObjectChanged

_HEAD_BYTES = 64


@dataclass(frozen=True, slots=True)
class Most:
    """How much is read of the samples.

    Attributes:
        objects: objects in all.
        records: records in all.
        records_per_object: the first records of each object.
        bytes: decompressed bytes of records in all; the record that exceeds them is the last.
    """

    objects: int = 2_000
    records: int = 20_000
    records_per_object: int = 2_000
    bytes: int = 32 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """Some records of one object.

    Attributes:
        place: index of the object's place.
        item: the object.
        source: `csv`, `parquet` or `json`.
        types: what a Parquet file states of its fields.
        lines: whole lines, or in place of them a line that is too long.
    """

    place: int
    item: Waiting
    source: str
    types: dict[str, Declared]
    lines: Piece | LongLine

    @property
    def records(self) -> int:
        """The number of records."""
        return len(self.texts) if isinstance(self.lines, Piece) else 1

    @property
    def texts(self) -> list[bytes]:
        """The records as text; none of a line that is too long."""
        lines = self.lines.data.split(b"\n") if isinstance(self.lines, Piece) else []
        return [line for line in lines if line.strip()]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object, or the rest of one, that was not read.

    Attributes:
        is_corrupt: whether its content is at fault, so that an ingest would quarantine it.
    """

    item: Waiting
    detail: str
    is_corrupt: bool


def read_samples(places: list[Place], contract: Contract, most: Most) -> Iterator[Part | Unreadable]:
    """Yield the first records of each object. Few records of one object leave more to those after it.

    Args:
        contract: by which CSV and Parquet are converted.

    Raises:
        ConfigError, RetriableError: a store cannot be reached.
    """
    left, bytes_left = most.records, most.bytes
    objects = sum(len(place.objects) for place in places)
    for number, place in enumerate(places):
        with closing(fetch(place.landing, place.objects)) as fetched:
            for index, blocks in fetched:
                item = place.objects[index]
                quota = min(most.records_per_object, max(1, left // max(objects, 1)))
                objects -= 1
                if left <= 0 or bytes_left <= 0:
                    return
                if isinstance(blocks, ObjectChanged | LakemeshError):
                    yield Unreadable(item, str(blocks) or "it changed while it was read", False)
                    continue
                for part in _object(number, item, index, blocks, contract, quota):
                    if isinstance(part, Part) and isinstance(part.lines, Piece):
                        part = replace(part, lines=_within(part.lines, bytes_left))
                    if isinstance(part, Part):
                        left -= part.records
                        bytes_left -= len(part.lines.data) if isinstance(part.lines, Piece) else 0
                    yield part
                    if bytes_left <= 0:
                        return


def _object(
    place: int, item: Waiting, index: int, blocks: Iterable[bytes], contract: Contract, quota: int
) -> Iterator[Part | Unreadable]:
    """The first `quota` records of an object."""
    try:
        with tempfile.SpooledTemporaryFile(SPOOLED_BYTES) as file:
            plain = unpacked(blocks, item.version.size, item.source_file)
            first = next(plain, b"")
            while len(first) < _HEAD_BYTES and (more := next(plain, None)) is not None:
                first += more
            plain = chain((first,), plain)
            types: dict[str, Declared] = {}
            source = "csv" if reads_as_csv(contract, item.source_file, first) else "json"
            if first.startswith(PARQUET):
                source = "parquet"
                plain, types = _with_types(plain, file)
            for lines in decoded_lines(contract, index, item, plain):
                if isinstance(lines, Piece):
                    lines = first_records(lines, quota)
                part = Part(place, item, source, types, lines)
                quota -= part.records
                yield part
                if quota <= 0:
                    return
    except CorruptObject as error:
        yield Unreadable(item, error.detail, True)
    except (ObjectChanged, LakemeshError) as error:
        yield Unreadable(item, str(error) or "it changed while it was read", False)


def first_records(piece: Piece, count: int) -> Piece:
    """Return a piece up to its first `count` records; blank lines are none, and stay for the numbers of the others."""
    data, end = piece.data, 0
    if data.count(b"\n") <= count:
        return piece
    while count > 0 and end < len(data):
        start, end = end, data.index(b"\n", end) + 1
        count -= bool(data[start:end].strip())
    return replace(piece, data=data[:end])


def _within(piece: Piece, count: int) -> Piece:
    """The piece up to the end of the record that reaches `count` bytes."""
    if len(piece.data) <= count:
        return piece
    return replace(piece, data=piece.data[: piece.data.index(b"\n", max(0, count - 1)) + 1])


def _with_types(blocks: Iterable[bytes], file: IO[bytes]) -> tuple[Iterator[bytes], dict[str, Declared]]:
    """The bytes of a Parquet file, which is spooled, and the types that it states."""
    for block in blocks:
        file.write(block)
    try:
        types = of_arrow(pq.ParquetFile(file).schema_arrow)
    except (pa.ArrowException, OSError, ValueError):
        types = {}  # the conversion states what is wrong
    file.seek(0)
    return iter(lambda: file.read(BLOCK_BYTES), b""), types
