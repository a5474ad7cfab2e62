"""Object versions in, pieces of whole lines out: fetched ahead, decompressed, hashed, bounded in memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ingest.contract import Contract
from ingest.discover import Waiting
from ingest.errors import CorruptObject
from ingest.formats import json_lines
from ingest.store import BLOCK_BYTES, ObjectChanged, Store

FETCH_THREADS = 32
BYTES_IN_FLIGHT = 64 << 20
KEPT_BYTES = 64 << 10
HELD_BYTES = 64 << 20


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
class LongLine:
    """A line that is too long to be a record.

    Attributes:
        size: its bytes.
        head: the first KEPT_BYTES of them.
    """

    source: int
    line: int
    size: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """Stands for all of an object that cannot be decoded."""

    source: int
    detail: str


@dataclass(frozen=True, slots=True)
class ObjectEnd:
    """Comes after the last piece of an object.

    Attributes:
        content_hash: SHA-256 of the stored bytes; None when the object changed before it was read.
    """

    source: int
    content_hash: str | None


Part = Piece | LongLine | Broken | ObjectEnd


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


def read_pieces(landing: Store, contract: Contract, waiting: list[Waiting]) -> Iterator[Part]:
    """Every object as pieces of at most about BLOCK_BYTES, followed by its end.

    Raises:
        CorruptObject: an object of more than HELD_BYTES turned out to be broken after pieces of it were given.
        ObjectChanged: an object was overwritten while it was streamed.
    """
    for source, blocks in fetch(landing, waiting):
        if blocks is None:
            yield ObjectEnd(source, None)
            continue
        digest = hashlib.sha256()
        stored = _hashed(blocks, digest.update)
        yield from _sound(
            source, _lines(source, json_lines(contract, waiting[source].source_file, stored), contract.max_line_bytes)
        )
        for _ in stored:  # what a broken object's decoder left
            pass
        yield ObjectEnd(source, digest.hexdigest())


def _sound(source: int, pieces: Iterator[Piece | LongLine]) -> Iterator[Piece | LongLine | Broken]:
    """The pieces of an object that decodes to its end, or in their place one note that it does not.

    Pieces of more than HELD_BYTES are not held back.
    """
    held: list[Piece | LongLine] = []
    size = 0
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece.data) if isinstance(piece, Piece) else len(piece.head)
            if size > HELD_BYTES:
                yield from held
                held.clear()
    except CorruptObject as error:
        if size > HELD_BYTES:
            raise
        yield Broken(source, error.detail)
    else:
        yield from held


def _hashed(blocks: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for block in blocks:
        update(block)
        yield block


def _lines(source: int, blocks: Iterable[bytes], max_bytes: int) -> Iterator[Piece | LongLine]:
    line, held = 1, b""
    for block in blocks:
        data = held + block
        cut = data.rfind(b"\n") + 1
        piece, held = data[:cut], data[cut:]
        if len(piece) > max_bytes:
            yield from _apart(source, line, piece, max_bytes)
        elif piece:
            yield Piece(source, line, piece)
        line += piece.count(b"\n")
        if len(held) > max_bytes:
            long, held = yield from _skip(source, line, held, blocks)
            line += long
    if held:
        yield Piece(source, line, held + b"\n")


def _apart(source: int, line: int, data: bytes, max_bytes: int) -> Iterator[Piece | LongLine]:
    """The lines of a large block, those that are too long told apart from the others."""
    start = end = 0
    while end < len(data):
        begin, end = end, data.index(b"\n", end) + 1
        if end - 1 - begin > max_bytes:
            if start < begin:
                yield Piece(source, line, data[start:begin])
                line += data.count(b"\n", start, begin)
            yield LongLine(source, line, end - 1 - begin, data[begin : begin + KEPT_BYTES])
            line, start = line + 1, end
    if start < end:
        yield Piece(source, line, data[start:end])


def _skip(
    source: int, line: int, start: bytes, blocks: Iterable[bytes]
) -> Generator[LongLine, None, tuple[int, bytes]]:
    """Passes over a line that is too long; gives the number of lines passed and what follows them."""
    size, head = len(start), start[:KEPT_BYTES]
    del start
    for block in blocks:
        end = block.find(b"\n")
        if end >= 0:
            yield LongLine(source, line, size + end, head)
            return 1, block[end + 1 :]
        size += len(block)
    yield LongLine(source, line, size, head)
    return 1, b""
