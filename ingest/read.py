"""Object versions in, pieces of whole lines out: fetched ahead, decompressed, hashed, bounded in memory."""

from __future__ import annotations

import hashlib
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ingest.discover import Waiting
from ingest.errors import CorruptObject
from ingest.store import BLOCK_BYTES, ObjectChanged, Store

FETCH_THREADS = 32
BYTES_IN_FLIGHT = 64 << 20
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some consecutive lines of one object.

    Attributes:
        source: index of the object in its load.
        first_line: number of its first line, from 1.
        data: the lines, each ended by a newline.
    """

    source: int
    first_line: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ObjectEnd:
    """Comes after the last piece of an object.

    Attributes:
        content_hash: SHA-256 of the stored bytes; None when the object changed before it was read.
    """

    source: int
    content_hash: str | None


def fetch(landing: Store, waiting: Iterable[Waiting]) -> Iterator[tuple[int, Iterable[bytes] | None]]:
    """(index, blocks) of each object in order; None instead of blocks when it changed since the listing.

    From an object store, small objects are fetched ahead by threads, at most BYTES_IN_FLIGHT at a time. A larger one
    is streamed when its turn comes and raises ObjectChanged by itself.
    """
    if landing.root is not None:
        for index, item in enumerate(waiting):
            try:
                yield index, (landing.read(item.version) if _is_large(item) else list(landing.read(item.version)))
            except ObjectChanged:
                yield index, None
        return

    def whole(item: Waiting) -> list[bytes] | None:
        try:
            return list(landing.read(item.version))
        except ObjectChanged:
            return None

    ahead: deque[tuple[int, int, Future[list[bytes] | None] | Iterator[bytes]]] = deque()
    in_flight = 0
    with ThreadPoolExecutor(FETCH_THREADS) as pool:

        def take() -> tuple[int, Iterable[bytes] | None]:
            nonlocal in_flight
            index, size, blocks = ahead.popleft()
            in_flight -= size
            return index, (blocks.result() if isinstance(blocks, Future) else blocks)

        for index, item in enumerate(waiting):
            if _is_large(item):
                ahead.append((index, 0, landing.read(item.version)))
            else:
                ahead.append((index, item.version.size, pool.submit(whole, item)))
                in_flight += item.version.size
            while in_flight > BYTES_IN_FLIGHT or len(ahead) > 8 * FETCH_THREADS:
                yield take()
        while ahead:
            yield take()


def _is_large(item: Waiting) -> bool:
    return item.version.size > BLOCK_BYTES


def inflate(blocks: Iterable[bytes], source_file: str) -> Iterator[bytes]:
    """The blocks as they are, or unpacked when they begin as gzip does, whatever the object's name says.

    Concatenated gzip members are legal and are read to the last.

    Raises:
        CorruptObject: the compressed stream is broken or ends too early.
    """
    decoder = None
    for number, data in enumerate(blocks):
        if number == 0 and data[:2] == _GZIP:
            decoder = zlib.decompressobj(31)
        if decoder is None:
            yield data
            continue
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
    if decoder is not None and not decoder.eof:
        raise CorruptObject(source_file, "gzip: the stream ends too early")


def read_pieces(landing: Store, waiting: list[Waiting]) -> Iterator[Piece | ObjectEnd]:
    """Every object as pieces of at most about BLOCK_BYTES, followed by its end.

    Raises:
        CorruptObject: an object's compression is broken.
        ObjectChanged: an object was overwritten while it was streamed.
    """
    for source, blocks in fetch(landing, waiting):
        if blocks is None:
            yield ObjectEnd(source, None)
            continue
        digest = hashlib.sha256()
        yield from _lines(source, inflate(_hashed(blocks, digest.update), waiting[source].source_file))
        yield ObjectEnd(source, digest.hexdigest())


def _hashed(blocks: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for block in blocks:
        update(block)
        yield block


def _lines(source: int, blocks: Iterable[bytes]) -> Iterator[Piece]:
    line, held = 1, b""
    for number, block in enumerate(blocks):
        data = held + (block.removeprefix(_BOM) if number == 0 else block)
        cut = data.rfind(b"\n") + 1
        if cut:
            piece, held = data[:cut], data[cut:]
            yield Piece(source, line, piece)
            line += piece.count(b"\n")
        else:
            held = data
    if held:
        yield Piece(source, line, held + b"\n")
