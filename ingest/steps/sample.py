"""Reading of the first records of sample objects, through the formats and limits of an ingest."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract
from ingest.errors import CorruptObject, LakemeshError
from ingest.formats import reads_as_csv
from ingest.formats.parquet import SPOOLED_BYTES
from ingest.formats.unpack import unpacked
from ingest.inference.declared import Declared, of_arrow
from ingest.records.parts import LongLine, Piece
from ingest.records.waiting import Waiting
from ingest.steps.locate import Place
from ingest.steps.read import decoded_lines, fetch
from ingest.storage.objects import BLOCK_BYTES, ObjectChanged

_PARQUET = (b"PAR1", b"PARE")
_HEAD_BYTES = 64


@dataclass(frozen=True, slots=True)
class Most:
    """How much is read of the samples.

    Attributes:
        objects: objects in all.
        records: records in all.
        records_per_object: the first records of each object.
    """

    objects: int = 2_000
    records: int = 20_000
    records_per_object: int = 2_000


@dataclass(frozen=True, slots=True)
class Part:
    """Some records of one object.

    Attributes:
        item: the object.
        source: `csv`, `parquet` or `json`.
        types: what a Parquet file states of its fields.
        lines: whole lines, or in place of them a line that is too long.
    """

    item: Waiting
    source: str
    types: dict[str, Declared]
    lines: Piece | LongLine


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
    left = most.records
    objects = sum(len(place.objects) for place in places)
    for place in places:
        with closing(fetch(place.landing, place.objects)) as fetched:
            for index, blocks in fetched:
                item = place.objects[index]
                quota = min(most.records_per_object, max(1, left // max(objects, 1)))
                objects -= 1
                if left <= 0:
                    return
                if isinstance(blocks, ObjectChanged | LakemeshError):
                    yield Unreadable(item, str(blocks) or "it changed while it was read", False)
                    continue
                for part in _object(item, index, blocks, contract, quota):
                    if isinstance(part, Part):
                        left -= part.lines.data.count(b"\n") if isinstance(part.lines, Piece) else 1
                    yield part


def _object(
    item: Waiting, index: int, blocks: Iterable[bytes], contract: Contract, quota: int
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
            if first.startswith(_PARQUET):
                source = "parquet"
                plain, types = _with_types(plain, file)
            for lines in decoded_lines(contract, index, item, plain):
                if isinstance(lines, Piece):
                    lines = _first(lines, quota)
                    quota -= lines.data.count(b"\n")
                else:
                    quota -= 1
                yield Part(item, source, types, lines)
                if quota <= 0:
                    return
    except CorruptObject as error:
        yield Unreadable(item, error.detail, True)
    except (ObjectChanged, LakemeshError) as error:
        yield Unreadable(item, str(error) or "it changed while it was read", False)


def _first(piece: Piece, count: int) -> Piece:
    """The piece up to its first `count` records, without the blank lines, which keep only numbers of lines."""
    lines = [line for line in piece.data.splitlines(keepends=True) if line.strip()]
    return Piece(piece.source, piece.first_line, b"".join(lines[:count]))


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
