"""Reading of object versions as pieces of whole lines: prefetched, decompressed and hashed, in bounded memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from ingest.contracts.contract import Contract
from ingest.errors import CorruptObject, LakemeshError, ObjectRefused
from ingest.formats import is_plain, json_lines
from ingest.limits import DEFAULT, Limits
from ingest.records.parts import Broken, LongLine, LongRecord, ObjectEnd, Part, Piece, Unread, WholeObject
from ingest.records.waiting import Waiting
from ingest.storage.landing import Landing
from ingest.storage.objects import BLOCK_BYTES, ObjectChanged

MAX_CONSECUTIVE_STUCK = 8
KEPT_BYTES = 64 << 10
"""How much of a line that is too long is kept."""
BUFFER_BYTES = 64 << 20
PIECE_BYTES, PIECE_LINES = 256 << 10, 50_000
"""Blocks of whole lines are joined up to PIECE_BYTES; a piece has at most PIECE_LINES lines."""


_Blocks = Iterable[bytes] | ObjectChanged | LakemeshError


class StreamFailed(Exception):  # noqa: N818  handled by planning again without the object
    """The store failed to return the rest of an object after pieces of it were passed on."""

    def __init__(self, source_file: str, reason: LakemeshError) -> None:
        super().__init__(source_file)
        self.source_file, self.reason = source_file, reason


def fetch(
    landing: Landing, waiting: Iterable[Waiting], limits: Limits = DEFAULT
) -> Generator[tuple[int, _Blocks], None, None]:
    """Yield (index, blocks) of each object in order, with the error in place of the blocks if there is one.

    From an object store, small objects are prefetched by threads, within the limits. A larger object is streamed when
    its turn comes, and raises its errors then.
    """

    def whole(item: Waiting) -> _Blocks:
        try:
            return list(landing.read(item.version))
        except (ObjectChanged, LakemeshError) as reason:
            return reason

    if landing.root is not None:
        with landing.reading_in_turn():
            for index, item in enumerate(waiting):
                yield index, (landing.read(item.version) if _is_large(item) else whole(item))
        return

    ahead: deque[tuple[int, int, Future[_Blocks] | Iterator[bytes]]] = deque()
    in_flight = 0
    with ThreadPoolExecutor(limits.fetch_threads) as pool:

        def take() -> tuple[int, _Blocks]:
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
            while in_flight > limits.bytes_in_flight or len(ahead) > 8 * limits.fetch_threads:
                yield take()
        while ahead:
            yield take()


def _is_large(item: Waiting) -> bool:
    return item.version.size > BLOCK_BYTES


def read_pieces(
    landing: Landing, contract: Contract, waiting: list[Waiting], limits: Limits = DEFAULT
) -> Iterator[Part]:
    """Yield every object as a whole, or as pieces of at most about BLOCK_BYTES, followed by its end.

    Raises:
        CorruptObject: an object of more than BUFFER_BYTES proved corrupt after pieces of it were yielded.
        ObjectChanged: an object was overwritten while it was streamed.
        StreamFailed: the store failed to return the rest of an object while it was streamed.
        ConfigError, RetriableError: MAX_CONSECUTIVE_STUCK objects could not be read, so the store is at fault.
    """
    stuck = 0
    most = min(PIECE_LINES, contract.max_line_bytes)  # no line is too long, and there are not too many
    for source, blocks in fetch(landing, waiting, limits):
        if isinstance(blocks, list) and len(blocks) == 1 and len(blocks[0]) < most:
            data = blocks[0]
            if is_plain(contract, waiting[source].source_file, data):
                content_hash = hashlib.sha256(data).hexdigest()
                yield WholeObject(source, data if data.endswith(b"\n") else data + b"\n", content_hash)
                stuck = 0
                continue
        failed: ObjectChanged | LakemeshError | None = None
        if isinstance(blocks, ObjectChanged | LakemeshError):
            failed = blocks
            yield Unread(source, failed)
        else:
            digest = hashlib.sha256()
            stored = _hashed(blocks, digest.update)
            source_file = waiting[source].source_file
            lines = decoded_lines(contract, source, waiting[source], stored)
            for part in _decoded_or_broken(source, source_file, lines):
                failed = part.reason if isinstance(part, Unread) else None
                yield part
            if failed is None:
                for _ in stored:  # what the decoder of a corrupt object left unread
                    pass
                yield ObjectEnd(source, digest.hexdigest())
        if not isinstance(failed, ObjectRefused):  # no evidence about the store
            stuck = stuck + 1 if isinstance(failed, LakemeshError) else 0
        if isinstance(failed, LakemeshError) and stuck >= MAX_CONSECUTIVE_STUCK:
            raise failed


def decoded_lines(
    contract: Contract, source: int, item: Waiting, blocks: Iterable[bytes]
) -> Iterator[Piece | LongLine]:
    """Yield an object's records as pieces of whole lines, as soon as they are decoded.

    Args:
        source: index of the object in its load.
        blocks: its stored bytes.

    Raises:
        CorruptObject: the object cannot be decoded, or exceeds a limit.
    """
    return _lines(source, json_lines(contract, item.source_file, blocks, item.version.size), contract.max_line_bytes)


def _decoded_or_broken(
    source: int, source_file: str, pieces: Iterator[Piece | LongLine]
) -> Iterator[Piece | LongLine | Broken | Unread]:
    """The pieces of an object that decodes completely, or one Broken or Unread in their place.

    Beyond BUFFER_BYTES, pieces are no longer buffered until the end.
    """
    buffered: list[Piece | LongLine] = []
    size = 0
    try:
        for piece in pieces:
            buffered.append(piece)
            size += len(piece.data) if isinstance(piece, Piece) else len(piece.head)
            if size > BUFFER_BYTES:
                yield from buffered
                buffered.clear()
    except CorruptObject as error:
        if size > BUFFER_BYTES:
            raise
        yield Broken(source, error.detail)
    except (ObjectChanged, LakemeshError) as reason:
        if size <= BUFFER_BYTES:
            yield Unread(source, reason)
        elif isinstance(reason, LakemeshError):
            raise StreamFailed(source_file, reason) from None
        else:
            raise
    else:
        yield from buffered


def _hashed(blocks: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for block in blocks:
        update(block)
        yield block


def _lines(source: int, blocks: Iterable[bytes | LongRecord], max_bytes: int) -> Iterator[Piece | LongLine]:
    remaining = iter(blocks)
    line, rest = 1, b""
    lines: list[bytes] = []  # whole lines
    begun: list[bytes] = []  # parts of the line after them
    size = begun_size = 0
    while (block := rest or next(remaining, None)) is not None:
        rest = b""
        if isinstance(block, bytes):
            cut = block.rfind(b"\n") + 1
            if cut:
                lines += [*begun, block[:cut]]
                size += begun_size + cut
                begun, begun_size = [], 0
            if cut < len(block):
                begun.append(block[cut:])
                begun_size += len(block) - cut
            if size < PIECE_BYTES and begun_size <= max_bytes:
                continue
        yield from _pieces(source, line, b"".join(lines), max_bytes)
        line += sum(part.count(b"\n") for part in lines)
        lines, size = [], 0
        if isinstance(block, LongRecord):
            yield LongLine(source, line, block.size, block.head)
            line += 1
        elif begun_size > max_bytes:
            long, rest = yield from _skip(source, line, b"".join(begun), remaining)
            line += long
            begun, begun_size = [], 0
    if begun:
        lines += [*begun, b"\n"]
    yield from _pieces(source, line, b"".join(lines), max_bytes)


def _pieces(source: int, line: int, data: bytes, max_bytes: int) -> Iterable[Piece | LongLine]:
    """Whole lines as pieces, with lines that are too long separated out."""
    if not data:
        return ()
    if len(data) > max_bytes:
        parts = _separate_long_lines(source, line, data, max_bytes)
        return (few for part in parts for few in (_split_piece(part) if isinstance(part, Piece) else (part,)))
    return _split_piece(Piece(source, line, data))


def _split_piece(piece: Piece) -> Iterable[Piece]:
    """Split a piece into parts of at most PIECE_LINES lines."""
    if len(piece.data) <= PIECE_LINES or piece.data.count(b"\n") <= PIECE_LINES:
        return (piece,)
    return _halves(piece)


def _halves(piece: Piece) -> Iterator[Piece]:
    data = piece.data
    middle = data.find(b"\n", len(data) // 2) + 1
    if middle == len(data):  # the last line is longer than all others
        middle = data.rfind(b"\n", 0, len(data) // 2) + 1
    yield from _split_piece(replace(piece, data=data[:middle]))
    yield from _split_piece(
        replace(piece, first_line=piece.first_line + data.count(b"\n", 0, middle), data=data[middle:])
    )


def _separate_long_lines(source: int, line: int, data: bytes, max_bytes: int) -> Iterator[Piece | LongLine]:
    """Separate the lines of a large block that are too long from the others."""
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
    source: int, line: int, start: bytes, blocks: Iterable[bytes | LongRecord]
) -> Generator[LongLine, None, tuple[int, bytes]]:
    """Skip a line that is too long; return the number of lines skipped and the bytes after them."""
    size, head = len(start), start[:KEPT_BYTES]
    del start
    for block in blocks:
        assert isinstance(block, bytes)  # formats that detect long records themselves yield no partial lines
        end = block.find(b"\n")
        if end >= 0:
            yield LongLine(source, line, size + end, head)
            return 1, block[end + 1 :]
        size += len(block)
    yield LongLine(source, line, size, head)
    return 1, b""
