"""Which releases an erasure withdrew, recorded beside the releases, so that every host knows that they never return.

<PUBLISHED_URI>/erasures/<request>.json
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Self

from ingest.errors import ConfigError
from ingest.storage.store import Store

FOLDER = "erasures"


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure, as releases know it.

    Attributes:
        request: its id; no value of a person.
        release: number of the first release without the person.
        withdrawn: numbers of the releases that it withdrew, or is about to.
    """

    request: str
    release: int
    withdrawn: tuple[int, ...]
    at: dt.datetime

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a record."""
        raw = json.loads(data)
        at = dt.datetime.fromisoformat(raw["at"])
        return cls(**raw | {"withdrawn": tuple(raw["withdrawn"]), "at": at})


def recorded(releases: Store) -> list[Erasure]:
    """The erasures that withdrew releases, oldest first.

    Args:
        releases: where the releases are.
    """
    found = (item.key for item in releases.list(FOLDER))
    return sorted((Erasure.from_json(releases.get(key)) for key in found), key=lambda item: (item.at, item.request))


def record(releases: Store, erasure: Erasure) -> Erasure:
    """Record an erasure before releases are deleted, and return it with the releases that earlier calls recorded."""
    key = f"{FOLDER}/{erasure.request}.json"
    before = next((item for item in recorded(releases) if item.request == erasure.request), None)
    if before is not None:
        withdrawn = tuple(sorted({*before.withdrawn, *erasure.withdrawn}))
        erasure = Erasure(erasure.request, erasure.release, withdrawn, before.at)
    if erasure != before:
        releases.put(key, json.dumps(asdict(erasure), default=str).encode())
    return erasure


def refuse(place: str, number: int | None, erasures: Iterable[Erasure]) -> None:
    """Check that a release was not withdrawn.

    Args:
        number: of the release; None for whichever is older than all that are left.

    Raises:
        ConfigError: an erasure withdrew it.
    """
    for item in reversed(list(erasures)):
        if number in item.withdrawn or (number is None and item.withdrawn):
            which = f"release {number} was" if number is not None else "the releases before were"
            raise ConfigError(
                f"{place}: {which} withdrawn on {item.at:%Y-%m-%d} by erasure {item.request}, since a person's data is "
                f"in them; the oldest release without it is {item.release}. Correct the data or the model instead, "
                "and publish a new release with `lake run`"
            )
