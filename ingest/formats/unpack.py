"""Decompression of gzip and zstd, detected from the content and bounded in proportion to the stored size."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import pyarrow as pa

from ingest.errors import CorruptObject
from ingest.formats.bounded import bounded
from ingest.storage.objects import BLOCK_BYTES

JOINED_BYTES = 64 << 10
"""Smaller blocks are joined: an object may consist of a million gzip members of one byte each."""
SLICE_BYTES = 4 << 10
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def unpacked(blocks: Iterable[bytes], stored: int, source_file: str) -> Iterator[bytes]:
    """Yield the decompressed blocks, regardless of the object's name; of a compressed object only the last is short.

    Args:
        stored: stored bytes of the object, which bound its decompressed size.

    Raises:
        CorruptObject: the object is truncated or damaged, or exceeds the limits on decompressed size.
    """
    iterator = iter(blocks)
    first = next(iterator, b"")
    whole = chain((first,), iterator)
    if first.startswith(_GZIP):
        return bounded(_joined(_gunzip(whole, source_file)), stored, source_file)
    if first.startswith(_ZSTD):
        return bounded(_joined(_unzstd(whole, source_file)), stored, source_file)
    return whole


def _joined(blocks: Iterable[bytes]) -> Iterator[bytes]:
    parts: list[bytes] = []
    size = 0
    for block in blocks:
        parts.append(block)
        size += len(block)
        if size >= JOINED_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    if size:
        yield b"".join(parts)


def _unzstd(blocks: Iterable[bytes], source_file: str) -> Iterator[bytes]:
    try:
        with pa.CompressedInputStream(pa.PythonFile(BlockFile(blocks), "r"), "zstd") as plain:
            while data := plain.read(BLOCK_BYTES):
                yield data
    except OSError as error:
        raise CorruptObject(source_file, f"zstd: {error}") from None


def _gunzip(blocks: Iterable[bytes], source_file: str) -> Iterator[bytes]:
    """Decompress all concatenated gzip members; zeros after a member are padding.

    The decoder receives slices because it copies whatever follows a member: small ones after a member ends, then
    growing ones.
    """
    decoder = zlib.decompressobj(31)
    size = SLICE_BYTES
    for block in blocks:
        start = 0
        while start < len(block):
            rest, plain = block[start : start + size], b""
            start += size
            size = min(2 * size, BLOCK_BYTES)
            while rest or len(plain) == BLOCK_BYTES:  # after a full block the decoder may have more output
                if decoder.eof:
                    rest, plain = rest.lstrip(b"\0"), b""
                    if not rest:
                        break
                    decoder, size = zlib.decompressobj(31), SLICE_BYTES  # the next member
                try:
                    plain = decoder.decompress(rest, BLOCK_BYTES)
                except zlib.error as error:
                    raise CorruptObject(source_file, f"gzip: {error}") from None
                if plain:
                    yield plain
                rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if not decoder.eof:
        raise CorruptObject(source_file, "gzip: the stream ends too early")


class BlockFile(io.RawIOBase):
    """A readable file over blocks."""

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
