"""The identity of a lake. It is stored at two places in the lake, and moves with the lake when it is copied."""

from __future__ import annotations

import uuid

from ingest.errors import ConfigError
from ingest.storage.store import Store

PLACES = ("ledger/_lake_id", "_lake_id")
"""The second place covers the loss of the ledger."""


def lake_id(store: Store) -> str:
    """Return the identity of a lake; empty when it has none.

    Raises:
        ConfigError: the two places name different lakes.
    """
    found = {place: value for place in PLACES if (value := _read(store, place))}
    if len(set(found.values())) > 1:
        ids = ", ".join(f"{place} is {value}" for place, value in found.items())
        raise ConfigError(f"{store.uri}: {ids}; the ledger belongs to another lake, restore the ledger of this one")
    return next(iter(found.values()), "")


def name_lake(store: Store, identity: str = "") -> str:
    """Write the identity of a lake where it is missing, and return it.

    Args:
        identity: the identity for a lake without one; by default a new one.
    """
    wanted = lake_id(store) or identity or uuid.uuid4().hex
    for place in PLACES:
        value = _read(store, place)
        if value is None:
            store.put_new(place, wanted.encode())
        elif not value:  # a full disk left an empty object
            store.put(place, wanted.encode())
        wanted = _read(store, place) or wanted  # of two concurrent writers the first wins
    return wanted


def _read(store: Store, place: str) -> str | None:
    try:
        return store.get(place).decode().strip()
    except FileNotFoundError:
        return None
