"""Limits on the decoded bytes and lines of an object, in proportion to its stored size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from ingest import limits
from ingest.errors import CorruptObject
from ingest.records.parts import LongRecord

_Block = TypeVar("_Block", bound=bytes | LongRecord)


def bounded(blocks: Iterable[_Block], stored: int, source_file: str) -> Iterator[_Block]:
    """Yield the blocks, up to the limits for an object of `stored` bytes.

    Raises:
        CorruptObject: a limit is exceeded; the detail states it.
    """
    bytes_left = max(limits.DECODED_BYTES, limits.DECODED_PER_BYTE * stored)
    lines_left = max_lines(stored)
    for block in blocks:
        if isinstance(block, bytes):
            bytes_left -= len(block)
            lines_left -= block.count(b"\n")
            if bytes_left < 0:
                raise too_many_bytes(stored, source_file)
            if lines_left < 0:
                raise too_many_lines(stored, source_file)
        yield block


def max_lines(stored: int) -> int:
    """Return the maximum number of lines of an object of `stored` bytes."""
    return max(limits.DECODED_LINES, limits.LINES_PER_BYTE * stored)


def too_many_bytes(stored: int, source_file: str) -> CorruptObject:
    """Return the error for an object with too many decoded bytes."""
    most = f"{limits.DECODED_PER_BYTE:,} times its {stored:,} bytes, and to more than {limits.DECODED_BYTES:,} bytes"
    return CorruptObject(source_file, f"unpacks to more than {most}")


def too_many_lines(stored: int, source_file: str) -> CorruptObject:
    """Return the error for an object with too many records."""
    most = f"{limits.LINES_PER_BYTE} for each of its {stored:,} bytes, and more than {limits.DECODED_LINES:,}"
    return CorruptObject(source_file, f"unpacks to more lines than {most}")
