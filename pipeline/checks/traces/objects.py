"""Search of one object or file, by what it contains and not by how it is named."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.checks.traces import duck, parquet, streams
from pipeline.checks.traces.cells import Cells
from pipeline.checks.traces.matcher import Found, Matcher

ARROW = b"ARROW1"
OWN = "lakemesh-proof-"
"""Beginning of the names of temporary folders that the scan itself writes."""
Part = tuple[str, "Found | str"]


@dataclass(frozen=True, slots=True)
class Object:
    """An object of a store, or a file.

    Attributes:
        key: its name in the place.
        size: stored bytes.
        opened: opens it for reading at any position.
        path: where it is on this machine; None if it is elsewhere.
    """

    key: str
    size: int
    opened: Callable[[], AbstractContextManager[Any]]
    path: Path | None = None


def search(one: Object, matcher: Matcher) -> Iterator[Part]:
    """Yield what is found with the part of the object, and as text what may remain.

    Raises:
        Exception: whatever reading a damaged object raises. What was found before counts.
    """
    with one.opened() as file:
        beginning = file.read(streams.BEGINNING)
        if beginning[duck.MAGIC_AT :].startswith(duck.MAGIC):
            yield from _search_database(file, one.path, matcher)
            return
        file.seek(0)
        yield from _search_file(file, one.size, beginning, matcher, 0)


def _search_file(file: Any, size: int, beginning: bytes, matcher: Matcher, depth: int) -> Iterator[Part]:
    """Search a file that can be read at any position."""
    if beginning.startswith(parquet.MAGIC):
        yield from parquet.search(file, size, matcher)
    elif beginning.startswith(b"PARE"):
        raise streams.Unread("an encrypted Parquet file")
    elif beginning.startswith(ARROW):
        yield from _search_arrow(file, matcher)
    elif beginning[duck.MAGIC_AT :].startswith(duck.MAGIC):
        yield from _search_database(file, None, matcher)
    elif streams.is_zip(beginning):
        if depth == streams.DEEPEST:
            raise streams.Unread(f"containers within containers, more than {streams.DEEPEST}")
        for name, opened in streams.members(file):
            yield from (("names in the archive", found) for found in matcher.in_name(name))
            with opened() as member:
                yield from _search_unpacked(member, matcher, depth + 1)
    elif opened_packed := streams.unpacker(beginning):
        if depth == streams.DEEPEST:
            raise streams.Unread(f"containers within containers, more than {streams.DEEPEST}")
        yield from (("header", found) for found in matcher.search(file.read(4096)))
        file.seek(0)
        with opened_packed(file) as plain:
            yield from _search_unpacked(plain, matcher, depth + 1)
    else:
        yield from (("", found) for found in streams.search(file, matcher))


def _search_unpacked(plain: Any, matcher: Matcher, depth: int) -> Iterator[Part]:
    """Search what was packed: as a stream, or from a copy if it has to be read at other positions."""
    bounded = streams.Bounded(plain)
    beginning = bounded.read(streams.BEGINNING)
    stream = streams.Prefixed(beginning, bounded)
    if _needs_copy(beginning):
        with streams.spooled(stream) as copy:
            size = copy.seek(0, 2)
            copy.seek(0)
            for where, found in _search_file(copy, size, beginning, matcher, depth):
                yield f"unpacked {where}".rstrip(), found
    elif packed := streams.unpacker(beginning):
        if depth == streams.DEEPEST:
            raise streams.Unread(f"containers within containers, more than {streams.DEEPEST}")
        with packed(stream) as inner:
            yield from _search_unpacked(inner, matcher, depth + 1)
    else:
        yield from (("unpacked", found) for found in streams.search(stream, matcher))


def _needs_copy(beginning: bytes) -> bool:
    return (
        beginning.startswith((parquet.MAGIC, ARROW, b"PARE"))
        or streams.is_zip(beginning)
        or beginning[duck.MAGIC_AT :].startswith(duck.MAGIC)
    )


def _search_arrow(file: Any, matcher: Matcher) -> Iterator[Part]:
    cells = Cells(matcher)
    with pa.ipc.open_file(file) as reader:
        yield from (("metadata", found) for found in matcher.search(str(reader.schema.metadata or "").encode()))
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            for name, values in zip(batch.schema.names, batch.columns, strict=True):
                yield from ((f"column {name}", found) for found in cells.search((name,), values))


def _search_database(file: Any, path: Path | None, matcher: Matcher) -> Iterator[Part]:
    """DuckDB opens files of this machine alone; others are copied to a temporary folder."""
    if path is not None:
        yield from duck.search(path, matcher)
        return
    with tempfile.TemporaryDirectory(prefix=OWN) as folder:
        copy = Path(folder) / "copy.duckdb"
        file.seek(0)
        with copy.open("wb") as target:
            while data := file.read(1 << 20):
                target.write(data)
        yield from duck.search(copy, matcher)
