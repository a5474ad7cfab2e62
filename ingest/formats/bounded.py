"""What an object may become: so many bytes and lines, in proportion to what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ingest import limits
from ingest.errors import CorruptObject


@dataclass(frozen=True, slots=True)
class LongRecord:
    """Stands for a record of a format that is longer than a line may be, and was not made into one.

    Attributes:
        size: bytes of its line, at least.
        head: the beginning of what it holds.
    """

    size: int
    head: bytes


_Block = TypeVar("_Block", bound=bytes | LongRecord)


def bounded(blocks: Iterable[_Block], stored: int, source_file: str) -> Iterator[_Block]:
    """The blocks, as long as they are no more than an object of `stored` bytes may become.

    Raises:
        CorruptObject: they are; the detail states the limit.
    """
    bytes_left = max(limits.DECODED_BYTES, limits.DECODED_PER_BYTE * stored)
    lines_left = most_lines(stored)
    for block in blocks:
        if isinstance(block, bytes):
            bytes_left -= len(block)
            lines_left -= block.count(b"\n")
            if bytes_left < 0:
                raise too_many_bytes(stored, source_file)
            if lines_left < 0:
                raise too_many_lines(stored, source_file)
        yield block


def most_lines(stored: int) -> int:
    """So many lines may an object of so many bytes become."""
    return max(limits.DECODED_LINES, limits.LINES_PER_BYTE * stored)


def too_many_bytes(stored: int, source_file: str) -> CorruptObject:
    """The object becomes too large."""
    most = f"{limits.DECODED_PER_BYTE:,} times its {stored:,} bytes, and to more than {limits.DECODED_BYTES:,} bytes"
    return CorruptObject(source_file, f"unpacks to more than {most}")


def too_many_lines(stored: int, source_file: str) -> CorruptObject:
    """The object holds too many records."""
    most = f"{limits.LINES_PER_BYTE} for each of its {stored:,} bytes, and more than {limits.DECODED_LINES:,}"
    return CorruptObject(source_file, f"unpacks to more lines than {most}")
