"""The place of back-ups: a folder or a bucket with an optional prefix, apart from the lake.

    backups/<number>.jsonl.gz                 manifests; without its manifest a back-up does not exist
    objects/<number>/<2 digits>/<sha256>      contents, never changed; <number> is the back-up that wrote them
    tombstones/<name>.json                    of erasures, also of those after the newest back-up

A back-up takes over what the newest one before it has and writes everything else below its own number. Its manifest
then needs exactly that number: if another process was first, it starts again from that one's manifest. So contents
below the numbers of finished back-ups that no manifest names can be deleted at any time, without locks or clocks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ingest.errors import ConfigError
from ingest.ledger.tombstones import PREFIX as TOMBSTONES
from ingest.settings import Settings
from ingest.storage.store import Store
from pipeline.backup.manifest import Backup

MANIFESTS, OBJECTS = "backups", "objects"
_SWEEPING = "sweeping"
"""Exists while contents of deleted back-ups may be left."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What was deleted.

    Attributes:
        numbers: of back-ups.
        objects, bytes: contents that only those had, or that killed back-ups left.
    """

    numbers: tuple[int, ...] = ()
    objects: int = 0
    bytes: int = 0


class Backups:
    """The back-ups at a place.

    Args:
        uri: a folder, or `s3://bucket[/prefix]` on the store of the settings.
    """

    def __init__(self, uri: str, options: Settings) -> None:
        self.store = Store(uri, options)

    @property
    def uri(self) -> str:
        """The address."""
        return self.store.uri

    def numbers(self) -> list[int]:
        """Numbers of the back-ups, oldest first."""
        names = (item.key.rsplit("/", 1)[1] for item in self.store.list(MANIFESTS))
        found = (name.removesuffix(".jsonl.gz") for name in names if name.endswith(".jsonl.gz"))
        return sorted(int(number) for number in found if number.isdigit())

    def get(self, number: int | None = None) -> Backup:
        """A back-up, by default the newest one.

        Raises:
            ConfigError: there is none, or its manifest is damaged.
        """
        numbers = self.numbers()
        if number is None and numbers:
            number = numbers[-1]
        if number is None or number not in numbers:
            kept = ", ".join(map(str, numbers)) or "none"
            which = f"back-up {number}" if number is not None else "a back-up"
            raise ConfigError(f"{self.uri} has not {which}; expected one of: {kept}. `lake backup --to` makes one")
        key = _manifest(number)
        return Backup.from_bytes(self.store.get(key), f"{self.uri}/{key}")

    def newest(self) -> Backup | None:
        """The newest back-up; None if there is none."""
        numbers = self.numbers()
        return self.get(numbers[-1]) if numbers else None

    def add(self, backup: Backup) -> bool:
        """Write a manifest, durable on return; False if its number is taken."""
        return self.store.put_new(_manifest(backup.number), backup.to_bytes())

    def written(self, number: int) -> dict[str, tuple[str, int]]:
        """What a back-up that was killed has left below its number: object and size by hash."""
        found = self.store.list(f"{OBJECTS}/{number:020d}")
        return {item.key.rsplit("/", 1)[1]: (item.key, item.size) for item in found}

    def remove(self, numbers: Collection[int]) -> Swept:
        """Delete back-ups, never the newest one, and then all contents that no other back-up has.

        Safe to interrupt: the next call with or without numbers finishes.

        Raises:
            ConfigError: the manifest of a back-up that stays is damaged, so what it has is not known.
        """
        there = self.numbers()
        gone = [number for number in sorted(numbers) if number in there[:-1]]
        if not gone and self.store.find(_SWEEPING) is None:
            return Swept()
        self.store.put(_SWEEPING, b"")
        self.store.delete(map(_manifest, gone))
        found = list(self.store.list(OBJECTS))  # before the manifests are read
        kept = self.numbers()
        used = {item.object for number in kept for item in self.get(number).objects.values()}
        newest = max([*kept, *there], default=0)
        orphans = [item for item in found if item.key not in used and int(item.key.split("/")[1]) <= newest]
        self.store.delete(item.key for item in orphans)
        self.store.delete([_SWEEPING])
        return Swept(tuple(gone), len(orphans), sum(item.size for item in orphans))

    def tombstones(self) -> frozenset[str]:
        """Names of the files with tombstones that are known here."""
        return tombstones_at(self.store)


def object_key(number: int, sha256: str) -> str:
    """Key of a content that a back-up writes."""
    return f"{OBJECTS}/{number:020d}/{sha256[:2]}/{sha256}"


def tombstones_at(store: Store) -> frozenset[str]:
    """Names of the files with tombstones at a lake or a place of back-ups."""
    names = (item.key.removeprefix(f"{TOMBSTONES}/") for item in store.list(TOMBSTONES))
    return frozenset(name.removesuffix(".json") for name in names if name.endswith(".json"))


def bring_tombstones(source: Store, target: Store, names: Iterable[str] | None = None) -> list[str]:
    """Copy tombstones that the target lacks, and return their names.

    Args:
        names: those to copy; all by default.
    """
    wanted = tombstones_at(source) if names is None else frozenset(names)
    new = sorted(wanted - tombstones_at(target))
    for name in new:
        target.put_new(f"{TOMBSTONES}/{name}.json", source.get(f"{TOMBSTONES}/{name}.json"))
    return new


def _manifest(number: int) -> str:
    return f"{MANIFESTS}/{number:020d}.jsonl.gz"
