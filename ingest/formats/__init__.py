"""Detection of an object's format from its content, and conversion to lines of JSON.

Compression is gzip, zstd or none. The content is JSON lines, one JSON array, Parquet, or CSV with a header. Only CSV
cannot be detected from the content: the object's name ends in `.csv` and it does not begin like JSON, or the contract
sets it. Change events are JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from ingest.contracts.contract import Contract
from ingest.contracts.source import DEBEZIUM
from ingest.errors import CorruptObject
from ingest.formats.array import blank, from_array
from ingest.formats.bounded import bounded
from ingest.formats.delimited import from_csv
from ingest.formats.parquet import from_parquet
from ingest.formats.tokens import BLANK
from ingest.formats.unpack import unpacked
from ingest.records.parts import LongRecord

PARQUET, _BOM = (b"PAR1", b"PARE"), b"\xef\xbb\xbf"
_NAMES = (".csv", ".csv.gz", ".csv.zst")
_JSON = re.compile(rb"[ \t\r\n]*(\{[ \t\r\n]*[\"}]|\[[ \t\r\n]*[{\]])")
_HEAD_BYTES, _SMALL_BYTES = 64, 4096


def json_lines(
    contract: Contract, source_file: str, blocks: Iterable[bytes], stored: int
) -> Iterator[bytes | LongRecord]:
    """Yield the object as blocks of JSON lines; record N is on line N, a CSV record on its line in the file.

    Args:
        stored: stored bytes of the object, which bound its decoded size.

    Raises:
        CorruptObject: it cannot be decompressed, is not a valid array, Parquet or CSV file, is one of the latter
            although the feed has change events, or exceeds a limit.
    """
    plain = unpacked(blocks, stored, source_file)
    blank_lines, first = _head(plain)
    is_csv = reads_as_csv(contract, source_file, first)
    if not first.startswith(PARQUET) and not is_csv and not _is_array(first):
        yield from blank(blank_lines)
        yield first
        yield from plain
        return
    if contract.source.format == DEBEZIUM and not _is_array(first):
        found = "Parquet" if first.startswith(PARQUET) else "CSV, by its name"
        raise CorruptObject(source_file, f"it is {found}; expected change events as JSON lines or a JSON array")
    stream = chain((first,), plain)
    lines: Iterable[bytes | LongRecord]
    if first.startswith(PARQUET):
        lines = from_parquet(stream, contract, source_file, stored)
    elif is_csv:
        lines = from_csv(chain(blank(blank_lines), stream), contract, source_file)
    else:
        lines = from_array(stream, blank_lines, contract.max_line_bytes, stored, source_file)
    yield from bounded(lines, stored, source_file)


def reads_as_csv(contract: Contract, source_file: str, first: bytes) -> bool:
    """Whether `json_lines` reads an object that is not Parquet as CSV.

    Args:
        first: the beginning of its decompressed content.
    """
    return contract.source.format == "csv" or (source_file.lower().endswith(_NAMES) and not _JSON.match(first))


def is_plain(contract: Contract, source_file: str, block: bytes) -> bool:
    """Whether `json_lines` yields an object of this one block as it is."""
    return block[:1] == b"{" and contract.source.format != "csv" and not source_file.lower().endswith(_NAMES)


def _head(blocks: Iterator[bytes]) -> tuple[int, bytes]:
    """Return the number of leading blank lines, and the first blocks after them, joined until they show the format."""
    first = next(blocks, b"")
    while len(first) < len(_BOM) and (more := next(blocks, None)) is not None:
        first += more
    first, lines = first.removeprefix(_BOM), 0
    while _is_undecided(first) and (more := next(blocks, None)) is not None:
        if first.strip(BLANK):
            first += more
        else:
            lines += first.count(b"\n")
            first = more
    return lines, first


def _is_undecided(first: bytes) -> bool:
    if len(first) < _SMALL_BYTES:
        return len(first.lstrip(BLANK)) < _HEAD_BYTES
    return not first[:_HEAD_BYTES].strip(BLANK) and not first.strip(BLANK)


def _is_array(first: bytes) -> bool:
    return (first[:_HEAD_BYTES].lstrip(BLANK) or first.lstrip(BLANK))[:1] == b"["
