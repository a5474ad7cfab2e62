"""The lines of a chunk, each with its object and its number there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ingest.formats.tokens import BLANK
from ingest.records.parts import Piece
from ingest.storage.arrays import Indices

_NEWLINE, _RETURN, _OPEN, _CLOSE = b"\n\r{}"


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines in one buffer.

    Attributes:
        buffer: the lines, each terminated by a newline.
        starts, ends: where each line is in it, its end without line breaks.
        sources: the index of the object of each line.
        numbers: the number of each line in its object, from 1, or the offset of each message.
    """

    buffer: bytes
    starts: Indices
    ends: Indices
    sources: npt.NDArray[np.int32]
    numbers: Indices

    @staticmethod
    def of(pieces: Sequence[Piece]) -> Lines:
        """Return the lines of some pieces."""
        buffer = b"".join([piece.data for piece in pieces])
        data = np.frombuffer(buffer, np.uint8)
        newlines = np.flatnonzero(data == _NEWLINE)
        starts = np.concatenate(([0], newlines[:-1] + 1))
        ends = newlines - ((newlines > starts) & (data[newlines - 1] == _RETURN))
        piece_ends = np.cumsum([len(piece.data) for piece in pieces])
        per_piece = np.diff(np.searchsorted(newlines, piece_ends), prepend=0)
        piece_of = np.repeat(np.arange(len(pieces)), per_piece)
        first = np.array([piece.first_line for piece in pieces]) - (np.cumsum(per_piece) - per_piece)
        sources = np.array([piece.source for piece in pieces], dtype=np.int32)[piece_of]
        numbers = np.arange(len(newlines)) + first[piece_of]
        for number, piece in enumerate(pieces):
            if piece.numbers is not None:
                numbers[piece_of == number] = piece.numbers
        return Lines(buffer, starts, ends, sources, numbers)

    def __len__(self) -> int:
        return len(self.starts)

    def text(self, index: int) -> bytes:
        """Return a line without the blanks around it."""
        return self.buffer[self.starts[index] : self.ends[index]].strip(BLANK)

    def texts(self) -> Iterator[tuple[int, bytes]]:
        """Yield (index, text) of each line that is not blank, as `text` returns it."""
        for index, (start, end) in enumerate(zip(self.starts.tolist(), self.ends.tolist(), strict=True)):
            if text := self.buffer[start:end].strip(BLANK):
                yield index, text

    def filled(self) -> Indices:
        """Return the indices of the lines that are not empty."""
        return np.flatnonzero(self.ends > self.starts)

    def longer_than(self, size: int, among: Indices) -> Indices:
        """Return those of some lines that have more than `size` bytes."""
        return among[(self.ends - self.starts)[among] > size]

    def are_objects(self, among: Indices) -> bool:
        """Whether some lines all begin and end with the braces of an object."""
        data = np.frombuffer(self.buffer, np.uint8)
        return bool((data[self.starts[among]] == _OPEN).all() and (data[self.ends[among] - 1] == _CLOSE).all())

    def with_texts(self, texts: Sequence[bytes]) -> Lines:
        """Return lines with other texts, without line breaks, at the same places of the same objects."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        starts = np.cumsum(lengths + 1) - (lengths + 1)
        return replace(self, buffer=b"\n".join([*texts, b""]), starts=starts, ends=starts + lengths)
