"""The identity of a lake. It is stored at two places in the lake, and moves with the lake when it is copied."""

from __future__ import annotations

import uuid

from ingest.errors import ConfigError
from ingest.storage.store import Store

PLACES = ("ledger/_lake_id", "_lake_id")
"""The second place covers the loss of the ledger."""
RESTORING = "restoring "
"""Beginning of what stands there while a back-up is being restored: nobody may write to a part of a lake."""


def lake_id(store: Store) -> str:
    """Return the identity of a lake; empty when it has none.

    Raises:
        ConfigError: the two places name different lakes, or a back-up is being restored to it.
    """
    found = {place: value for place in PLACES if (value := _read(store, place))}
    if unfinished := next((value for value in found.values() if value.startswith(RESTORING)), ""):
        raise ConfigError(f"{store.uri}: {unfinished} was interrupted; run the same `lake restore` again to finish it")
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


def restoring(store: Store) -> str:
    """Return which back-up is being restored to a lake; empty if none is."""
    value = _read(store, PLACES[1]) or ""
    return value.removeprefix(RESTORING) if value.startswith(RESTORING) else ""


def begin_restoring(store: Store, what: str) -> bool:
    """Keep everybody from writing to an empty lake until `end_restoring`; False if it got an identity meanwhile."""
    return store.put_new(PLACES[1], f"{RESTORING}{what}".encode()) or restoring(store) == what


def end_restoring(store: Store, identity: str) -> None:
    """Give a restored lake its identity."""
    for place in PLACES:
        store.put(place, identity.encode())


def _read(store: Store, place: str) -> str | None:
    try:
        return store.get(place).decode().strip()
    except FileNotFoundError:
        return None
