"""What an object holds, told by its content: lines of JSON, or what becomes lines of JSON.

Compression is gzip, zstd or none. Inside are JSON lines, one JSON array, Parquet, or CSV with a header. CSV alone does
not show in the content: the object's name ends in `.csv` and it does not begin as JSON does, or the contract says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from ingest.contract import Contract
from ingest.formats.array import from_array
from ingest.formats.delimited import from_csv
from ingest.formats.parquet import from_parquet
from ingest.formats.unpack import unpacked

_PARQUET, _BOM = b"PAR1", b"\xef\xbb\xbf"
_NAMES = (".csv", ".csv.gz", ".csv.zst")
_JSON = re.compile(rb"\s*(\{\s*[\"}]|\[\s*[{\]])")
_HEAD_BYTES, _BLANK_BYTES = 64, 1 << 20


def json_lines(contract: Contract, source_file: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The object as blocks of JSON lines; record N of any format stands on line N, of CSV on its line in the file.

    Raises:
        CorruptObject: it cannot be unpacked, or is no such array, Parquet or CSV file.
    """
    plain = unpacked(blocks, source_file)
    first = _head(plain)
    stream = chain([first.removeprefix(_BOM)], plain)
    if first.startswith(_PARQUET):
        yield from from_parquet(stream, contract, source_file)
    elif contract.source.format == "csv" or (
        source_file.lower().endswith(_NAMES) and not _JSON.match(first.removeprefix(_BOM))
    ):
        yield from from_csv(stream, contract, source_file)
    elif first.removeprefix(_BOM).lstrip()[:1] == b"[":
        yield from from_array(stream, source_file)
    else:
        yield from stream


def _head(blocks: Iterator[bytes]) -> bytes:
    """The first blocks, joined until they show the format."""
    parts: list[bytes] = []
    size = shown = 0
    for block in blocks:
        parts.append(block)
        size += len(block)
        shown += len(block.strip())
        if shown >= _HEAD_BYTES or size >= _BLANK_BYTES:
            break
    return b"".join(parts)
