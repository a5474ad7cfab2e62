"""The identity of a lake. It lies at two places in the lake, and goes wherever the lake is moved or copied to."""

from __future__ import annotations

import uuid

from ingest.errors import ConfigError
from ingest.storage.store import Store

PLACES = ("ledger/_lake_id", "_lake_id")
"""The second one is there for a ledger that is lost."""


def lake_id(store: Store) -> str:
    """The identity of a lake; empty when it has none.

    Raises:
        ConfigError: the two places name different lakes.
    """
    found = {place: said for place in PLACES if (said := _read(store, place))}
    if len(set(found.values())) > 1:
        said = ", ".join(f"{place} says {value}" for place, value in found.items())
        raise ConfigError(f"{store.uri}: {said}; the ledger is that of another lake, restore the one that belongs here")
    return next(iter(found.values()), "")


def name_lake(store: Store, identity: str = "") -> str:
    """Writes the identity of a lake where it is missing, and returns it.

    Args:
        identity: what a lake without one gets; by default a new one.
    """
    wanted = lake_id(store) or identity or uuid.uuid4().hex
    for place in PLACES:
        said = _read(store, place)
        if said is None:
            store.put_new(place, wanted.encode())
        elif not said:  # a disk that was full left an empty object
            store.put(place, wanted.encode())
        wanted = _read(store, place) or wanted  # of two that name it at the same moment the first wins
    return wanted


def _read(store: Store, place: str) -> str | None:
    try:
        return store.get(place).decode().strip()
    except FileNotFoundError:
        return None
