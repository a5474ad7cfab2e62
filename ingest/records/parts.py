"""What an object is read as: as a whole, or as pieces of whole lines, what stands in place of them, and its end."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.errors import LakemeshError
from ingest.storage.arrays import Indices
from ingest.storage.objects import ObjectChanged


@dataclass(frozen=True, slots=True)
class LongRecord:
    """Placeholder for a record that exceeds the maximum line length and was not converted to a line.

    Attributes:
        size: minimum bytes of its line.
        head: the beginning of its content.
    """

    size: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of one object, or messages of one partition.

    Attributes:
        source: index of the object or partition in its load.
        first_line: number of the first line, from 1, or offset of the first message.
        data: the lines, each terminated by a newline.
        numbers: of the lines; None if they are consecutive.
    """

    source: int
    first_line: int
    data: bytes
    numbers: Indices | None = None


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line that is too long to be a record.

    Attributes:
        size: its size in bytes.
        head: its beginning.
    """

    source: int
    line: int
    size: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """Replaces all parts of an object that cannot be decoded."""

    source: int
    detail: str


@dataclass(frozen=True, slots=True)
class ObjectEnd:
    """Follows the last piece of an object.

    Attributes:
        content_hash: SHA-256 of the stored bytes.
    """

    source: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class Unread:
    """Replaces an object that was not read: it changed since the listing, or the store failed to return it."""

    source: int
    reason: ObjectChanged | LakemeshError


@dataclass(frozen=True, slots=True)
class WholeObject:
    """A small object that is stored as plain lines: its only piece, from line 1, and its end.

    Attributes:
        data, content_hash: as of Piece and ObjectEnd.
    """

    source: int
    data: bytes
    content_hash: str


Part = WholeObject | Piece | LongLine | Broken | ObjectEnd | Unread
