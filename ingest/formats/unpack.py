"""Stored bytes become plain ones: gzip and zstd told by content, in proportion to what is stored."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import pyarrow as pa

from ingest.errors import CorruptObject
from ingest.store import BLOCK_BYTES

MAX_INFLATION, INFLATED_BYTES = 1000, 256 << 20
"""An object may unpack to so many times its size, once it exceeds so many bytes."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def unpacked(blocks: Iterable[bytes], source_file: str) -> Iterator[bytes]:
    """The plain blocks, whatever the object's name says.

    Raises:
        CorruptObject: the object is truncated or damaged, or unpacks to far more than an honest one does.
    """
    stored = plain = 0

    def counted() -> Iterator[bytes]:
        nonlocal stored
        for block in blocks:
            stored += len(block)
            yield block

    for block in _unpack(counted(), source_file):
        plain += len(block)
        if plain > INFLATED_BYTES and plain > MAX_INFLATION * stored:
            raise CorruptObject(source_file, f"unpacks to more than {MAX_INFLATION} times its {stored} bytes")
        yield block


def _unpack(blocks: Iterator[bytes], source_file: str) -> Iterator[bytes]:
    first = next(blocks, b"")
    whole = chain([first], blocks)
    if first.startswith(_GZIP):
        yield from _gunzip(whole, source_file)
    elif first.startswith(_ZSTD):
        try:
            with pa.CompressedInputStream(pa.PythonFile(BlockFile(whole), "r"), "zstd") as plain:
                while data := plain.read(BLOCK_BYTES):
                    yield data
        except OSError as error:
            raise CorruptObject(source_file, f"zstd: {error}") from None
    else:
        yield from whole


def _gunzip(blocks: Iterable[bytes], source_file: str) -> Iterator[bytes]:
    """Concatenated gzip members are legal and are read to the last, zeros after a member are padding."""
    decoder = zlib.decompressobj(31)
    for data in blocks:
        rest, plain = data, b""
        while rest or len(plain) == BLOCK_BYTES:  # a full block may leave more inside the decoder
            if decoder.eof:
                rest, plain = rest.lstrip(b"\0"), b""
                if not rest:
                    break
                decoder = zlib.decompressobj(31)  # the next member
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
