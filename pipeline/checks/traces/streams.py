"""Search of bytes as they are, block by block, and of what is packed in them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import pyarrow as pa

from pipeline.checks.traces.matcher import Found, Matcher

BLOCK_BYTES = 8 << 20
STEP_BYTES = 256 << 10
"""Bytes that are read at a time: of a damaged file, what comes before is searched."""
DEEPEST = 4
"""How deep containers within containers are opened."""
MOST_UNPACKED = 1 << 40
"""Bytes that are unpacked of one object."""
IN_MEMORY = 32 << 20
"""A part of a container that has to be read in any order is kept in memory up to this size, else in a file."""
BEGINNING = 16


class Unread(Exception):  # noqa: N818  it becomes a trace
    """A part cannot be read; the message says why."""


def search(file: Any, matcher: Matcher) -> Iterator[Found]:
    """Yield the values in the bytes of a file from where it stands, with constant memory.

    Raises:
        Exception: what reading it raises, after what could be read was searched.
    """
    data, error = _read(file)
    is_first = True
    while data or error:
        more, failed = _read(file) if error is None else (b"", None)
        yield from matcher.search(data, is_first=is_first, is_last=not (more or error or failed))
        if error:
            raise error
        data, error, is_first = data[-matcher.overlap :] + more if more or failed else b"", failed, False


def _read(file: Any) -> tuple[bytes, Exception | None]:
    """Read a whole block, short only at the end, and return why there is no more if that is not the end."""
    parts, size, error = [], 0, None
    try:
        while size < BLOCK_BYTES and (data := file.read(min(BLOCK_BYTES - size, STEP_BYTES))):
            parts.append(data)
            size += len(data)
    except Exception as failed:
        error = failed
    return b"".join(parts), error


def unpacker(beginning: bytes) -> Callable[[Any], AbstractContextManager[Any]] | None:
    """How to read a file that is packed as a whole, by its first bytes; None if it is not."""
    for magic, opened in _PACKED.items():
        if beginning.startswith(magic):
            return opened
    return None


def is_zip(beginning: bytes) -> bool:
    """Whether a file with these first bytes is a zip archive."""
    return beginning.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def members(file: Any) -> Iterator[tuple[str, Callable[[], AbstractContextManager[Any]]]]:
    """Yield name and opener of each file of a zip archive.

    Raises:
        zipfile.BadZipFile: it is damaged.
    """
    archive = zipfile.ZipFile(file)
    for member in archive.infolist():
        if not member.is_dir():
            yield member.filename, lambda member=member: archive.open(member)  # type: ignore[misc]


@contextmanager
def spooled(file: Any) -> Iterator[Any]:
    """A copy of a stream that can be read at any position while the body runs."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY, prefix="lakemesh-") as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        copy.seek(0)
        yield copy


class Bounded:
    """A stream that ends with an error after as many bytes as are unpacked of one object."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, MOST_UNPACKED

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise Unread(f"unpacks to more than {MOST_UNPACKED:,} bytes")
        return data


class Prefixed:
    """A stream after its first bytes were read, from its beginning."""

    def __init__(self, beginning: bytes, file: Any) -> None:
        self._beginning, self._file = beginning, file
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        if self._beginning:
            data = self._beginning[:size] if size >= 0 else self._beginning
            self._beginning = self._beginning[len(data) :]
            return data if size >= 0 else data + self._file.read()
        found: bytes = self._file.read(size)
        return found

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return False


def _zstd(file: Any) -> AbstractContextManager[Any]:
    return closing(pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd"))


_PACKED: dict[bytes, Callable[[Any], AbstractContextManager[Any]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\x28\xb5\x2f\xfd": _zstd,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
