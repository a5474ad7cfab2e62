"""The manifest of a back-up: what was copied, where it lies in the back-up, and which moment of the lake it is.

    backups/<number>.jsonl.gz     written last, with put-if-absent: now the back-up exists

The first line describes the back-up, every other one is an object: whoever has lost everything else can read it with
`zcat`. Gzip's checksum finds a damaged one.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from ingest.errors import ConfigError

FORMAT = 1
LAKE, RELEASES, STATE, WAREHOUSE = "lake", "releases", "state", "warehouse"
"""Places whose objects are copied."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A copied object.

    Attributes:
        place: LAKE, RELEASES, STATE or WAREHOUSE.
        key: below that place.
        etag: the place's id of the version that was copied.
        sha256: of its content, in hexadecimal digits.
        object: key of the content in the back-up.
    """

    place: str
    key: str
    size: int
    etag: str
    sha256: str
    object: str


@dataclass(frozen=True, slots=True)
class About:
    """Which moment of which lake a back-up is.

    Attributes:
        number: back-ups of a place are numbered from 1 and never renumbered.
        began_at, created_at: ISO 8601, UTC.
        lake_id, lake_uri: the lake.
        positions: of each feed's ledger.
        committed_at: when the newest entry of all ledgers was committed, ISO 8601; empty if there is none.
        release: number of the release that readers get; 0 if there is none.
        withheld: whether readers were rolled back to it.
        newest: number of the newest release; 0 if there is none.
        at_newest: the position of each feed whose live rows are those of the newest release.
        unavailable: feeds whose files of that position were deleted before they could be copied.
        state: `duckdb`, `postgres`, or empty without one.
        erased: requests of erasure that were carried out before it began.
        versions: of Lakemesh, SQLMesh and DuckDB.
    """

    number: int
    began_at: str
    created_at: str
    lake_id: str
    lake_uri: str
    positions: Mapping[str, int]
    committed_at: str
    release: int
    withheld: bool
    newest: int
    at_newest: Mapping[str, int]
    unavailable: tuple[str, ...]
    state: str
    erased: tuple[str, ...]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Backup:
    """A back-up.

    Attributes:
        objects: by place and key.
    """

    about: About
    objects: Mapping[tuple[str, str], Copied] = field(repr=False)

    @property
    def number(self) -> int:
        """Its number."""
        return self.about.number

    @property
    def size(self) -> int:
        """The size of all that it restores."""
        return sum(item.size for item in self.objects.values())

    @property
    def has_warehouse(self) -> bool:
        """Whether the warehouse is in it."""
        return any(place == WAREHOUSE for place, _ in self.objects)

    @property
    def tombstones(self) -> frozenset[str]:
        """Names of the files with tombstones that it has."""
        keys = (key for place, key in self.objects if place == LAKE and key.startswith("tombstones/"))
        return frozenset(key.removeprefix("tombstones/").removesuffix(".json") for key in keys)

    def of(self, place: str) -> list[Copied]:
        """The objects of a place, by key."""
        return sorted((item for item in self.objects.values() if item.place == place), key=lambda item: item.key)

    def to_bytes(self) -> bytes:
        """The manifest."""
        lines = [json.dumps({"format": FORMAT} | asdict(self.about))]
        ordered = sorted(self.objects.values(), key=lambda item: (item.place, item.key))
        lines += [json.dumps(asdict(item)) for item in ordered]
        return gzip.compress("\n".join(lines).encode() + b"\n", mtime=0)

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Self:
        """Read a manifest.

        Args:
            name: its URI, for the error.

        Raises:
            ConfigError: it is damaged, or a newer version of Lakemesh wrote it.
        """
        try:
            first, *lines = gzip.decompress(data).decode().splitlines()
            raw: dict[str, Any] = json.loads(first)
            if raw.pop("format") != FORMAT:
                raise ConfigError(f"{name} was written by a newer Lakemesh; install that version")
            about = About(**raw | {name: tuple(raw[name]) for name in ("unavailable", "erased")})
            return cls(about, by_key(Copied(**json.loads(line)) for line in lines))
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{name} is damaged ({error}); restore another back-up: `lake backup --list` names them"
            ) from None


def by_key(items: Iterable[Copied]) -> dict[tuple[str, str], Copied]:
    """Objects by place and key."""
    return {(item.place, item.key): item for item in items}
