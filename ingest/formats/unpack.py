"""Stored bytes become plain ones: gzip and zstd told by content, in proportion to what is stored."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import pyarrow as pa

from ingest.errors import CorruptObject
from ingest.formats.bounded import bounded
from ingest.storage.store import BLOCK_BYTES

JOINED_BYTES = 64 << 10
"""Smaller blocks are joined: an object may be made of a million members of a byte each."""
SLICE_BYTES = 4 << 10
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def unpacked(blocks: Iterable[bytes], stored: int, source_file: str) -> Iterator[bytes]:
    """The plain blocks, whatever the object's name says; of a compressed object none but the last is short.

    Args:
        stored: bytes of the object, to which what it unpacks to is in proportion.

    Raises:
        CorruptObject: the object is truncated or damaged, or unpacks to far more than an honest one does.
    """
    coming = iter(blocks)
    first = next(coming, b"")
    whole = chain((first,), coming)
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
    """Concatenated gzip members are legal and are read to the last, zeros after a member are padding.

    The decoder gets slices, since it copies what lies behind a member: small ones while members end, then larger ones.
    """
    decoder = zlib.decompressobj(31)
    size = SLICE_BYTES
    for block in blocks:
        start = 0
        while start < len(block):
            rest, plain = block[start : start + size], b""
            start += size
            size = min(2 * size, BLOCK_BYTES)
            while rest or len(plain) == BLOCK_BYTES:  # a full block may leave more inside the decoder
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
