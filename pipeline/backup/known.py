"""Where a lake was backed up: `<lake>/backed_up/<digest>.json`, so that an erasure reaches the back-ups."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from ingest.errors import LakemeshError
from ingest.settings import Settings
from ingest.storage.store import Store
from pipeline.backup.manifest import About
from pipeline.backup.place import Backups, bring_tombstones

FOLDER = "backed_up"


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """A place that has back-ups of a lake.

    Attributes:
        number: of the newest back-up there, as far as the lake knows.
        created_at: ISO 8601, UTC.
    """

    uri: str
    number: int
    created_at: str


def note_place(lake: Store, uri: str, about: About) -> None:
    """Note in the lake where it was backed up."""
    key = f"{FOLDER}/{hashlib.sha256(uri.encode()).hexdigest()[:16]}.json"
    content = {"uri": uri, "number": about.number, "created_at": about.created_at}
    lake.put(key, json.dumps(content).encode())


def known_places(lake: Store) -> list[KnownPlace]:
    """The places that a lake was backed up to."""
    return [KnownPlace(**json.loads(lake.get(item.key))) for item in lake.list(FOLDER)]


def bring_to_backups(lake: Store, options: Settings) -> list[str]:
    """Bring the lake's tombstones to its back-ups, so that none of them restores who was forgotten since.

    Returns:
        What remains to be done at each place, a line each.
    """
    lines = []
    for place in known_places(lake):
        then = f"`lake backup --to {place.uri}` deletes those of before the erasure"
        try:
            backups = Backups(place.uri, options)
            if not backups.numbers():
                continue
            bring_tombstones(lake, backups.store)
        except LakemeshError as error:
            then = f"they do not know of the erasure ({error}), so a restore would bring the person back; {then}"
        lines.append(f"back-ups at {place.uri}: {then}")
    return lines
