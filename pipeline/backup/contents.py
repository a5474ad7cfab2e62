"""Copies contents between a place and a back-up, each with its hash."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ingest.errors import RetriableError
from ingest.storage.objects import BLOCK_BYTES
from ingest.storage.store import Store
from pipeline.backup.manifest import Copied
from pipeline.backup.place import object_key

THREADS = 8
WHOLE_BYTES = 32 << 20
"""Smaller objects are copied by one request, larger ones in blocks."""


class DamagedBackup(RetriableError):  # noqa: N818  the back-up is at fault
    """Contents of a back-up that are missing, or have another hash than when they were written."""

    def __init__(self, names: Iterable[str]) -> None:
        found = sorted(names)
        more = f" and {len(found) - 5:,} more" if len(found) > 5 else ""
        super().__init__(
            f"{len(found):,} objects of the back-up are missing or damaged: {', '.join(found[:5])}{more}; restore an "
            "older back-up (--backup), or put back what its store keeps of them"
        )


class Listed(Protocol):
    """What a listing says of an object."""

    @property
    def key(self) -> str: ...
    @property
    def etag(self) -> str: ...
    @property
    def size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Named:
    """An object whose content never changes, so that its name says what it has."""

    key: str
    size: int
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Unnamed:
    """An object of which nothing but its content tells whether it is known."""

    key: str
    size: int
    etag: str = ""


class Writer:
    """Writes contents of one back-up, each once.

    Attributes:
        objects, bytes: what was put.

    Args:
        store: the place of back-ups.
        before: what the back-up before has.
        written: what a killed one of the same number has left, see `Backups.written`.
    """

    def __init__(
        self,
        store: Store,
        number: int,
        before: Mapping[tuple[str, str], Copied],
        written: Mapping[str, tuple[str, int]],
    ) -> None:
        self._store, self._number, self._before = store, number, before
        self._there = {(item.sha256, item.size): item.object for item in before.values()}
        self._there |= {(sha256, size): key for sha256, (key, size) in written.items()}
        self._lock = threading.Lock()
        self.objects = self.bytes = 0

    def copy_all(self, place: str, source: Store, items: Iterable[Listed]) -> Iterator[Copied]:
        """Copy objects of a place; those that the back-up before has in this version are not read.

        Raises:
            FileNotFoundError: one was deleted since it was listed.
        """
        with ThreadPoolExecutor(THREADS) as pool:
            yield from pool.map(lambda item: self._copy(place, source, item), items)

    def add(self, place: str, key: str, data: bytes) -> Copied:
        """Write a content that was made for the back-up."""
        return self._put(place, key, "", hashlib.sha256(data).hexdigest(), data)

    def _copy(self, place: str, source: Store, item: Listed) -> Copied:
        known = self._before.get((place, item.key))
        if known and known.size == item.size and (isinstance(item, Named) or known.etag == item.etag != ""):
            return known
        if item.size <= WHOLE_BYTES:
            data = source.get(item.key)
            return self._put(place, item.key, item.etag, hashlib.sha256(data).hexdigest(), data)
        sha256, size = _digest(source, item.key)
        with self._once(sha256, size) as (there, is_new):
            if is_new and transfer(source, item.key, self._store, there) != (sha256, size):
                raise RetriableError(f"{source.uri}/{item.key} was changed while it was copied; run this again")
        return Copied(place, item.key, size, item.etag, sha256, there)

    def _put(self, place: str, key: str, etag: str, sha256: str, data: bytes) -> Copied:
        with self._once(sha256, len(data)) as (there, is_new):
            if is_new:
                self._store.put(there, data)
        return Copied(place, key, len(data), etag, sha256, there)

    @contextmanager
    def _once(self, sha256: str, size: int) -> Iterator[tuple[str, bool]]:
        """The key of a content, and whether the body has to put it.

        Others rely on that before it is done. If it fails, `copy_all` does, and what they have is not used.
        """
        with self._lock:
            there = self._there.get((sha256, size))
            is_new = there is None
            if there is None:
                self._there[sha256, size] = there = object_key(self._number, sha256)
        try:
            yield there, is_new
        except BaseException:
            with self._lock:
                self._there.pop((sha256, size), None)
            raise
        if is_new:
            with self._lock:
                self.objects, self.bytes = self.objects + 1, self.bytes + size


def upload(writer: Writer, place: str, key: str, path: Path) -> Copied:
    """Add a local file to a back-up."""
    source = Store(str(path.parent))
    size = path.stat().st_size
    (copied,) = writer.copy_all(place, source, [Unnamed(path.name, size)])
    return replace(copied, key=key)


def restore_all(backup: Store, items: Iterable[Copied], target: Store, existing: Mapping[str, int]) -> int:
    """Restore objects to the keys that they had, after comparing their hashes; return the bytes that were written.

    Args:
        existing: sizes by key of what an interrupted restore wrote; compared with the hash, and then not written again.

    Raises:
        DamagedBackup: contents are missing or have another hash; all others are restored.
    """

    def restored(item: Copied) -> tuple[int, str]:
        if existing.get(item.key) == item.size and _digest(target, item.key)[0] == item.sha256:
            return 0, ""
        try:
            if item.size <= WHOLE_BYTES:
                data = backup.get(item.object)
                if hashlib.sha256(data).hexdigest() != item.sha256:
                    return 0, item.object
                target.put(item.key, data)
            elif _digest(backup, item.object)[0] != item.sha256:
                return 0, item.object
            else:
                transfer(backup, item.object, target, item.key)
        except FileNotFoundError:
            return 0, item.object
        return item.size, ""

    with ThreadPoolExecutor(THREADS) as pool:
        done = list(pool.map(restored, items))
    if damaged := {name for _, name in done if name}:
        raise DamagedBackup(damaged)
    return sum(size for size, _ in done)


def fetch(backup: Store, item: Copied, path: Path) -> None:
    """Write a content to a local file, after which its hash is compared.

    Raises:
        DamagedBackup: it is missing, or has another hash.
    """
    found = hashlib.sha256()
    try:
        with backup.open(item.object) as source, path.open("wb") as file:
            while block := source.read(BLOCK_BYTES):
                found.update(block)
                file.write(block)
    except FileNotFoundError:
        raise DamagedBackup([item.object]) from None
    if found.hexdigest() != item.sha256:
        raise DamagedBackup([item.object])


def transfer(source: Store, key: str, target: Store, name: str) -> tuple[str, int]:
    """Copy a large object in blocks; return hash and size of what was written."""
    found, size = hashlib.sha256(), 0
    staged = target.stage(name)
    try:
        with source.open(key) as file, staged.open("wb") as copy:
            while block := file.read(BLOCK_BYTES):
                found.update(block)
                size += len(block)
                copy.write(block)
        target.publish({name: staged})
    except BaseException:
        target.discard([staged])
        raise
    return found.hexdigest(), size


def _digest(store: Store, key: str) -> tuple[str, int]:
    found, size = hashlib.sha256(), 0
    with store.open(key) as file:
        while block := file.read(BLOCK_BYTES):
            found.update(block)
            size += len(block)
    return found.hexdigest(), size
