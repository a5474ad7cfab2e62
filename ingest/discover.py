"""What waits in the landing: the listing minus what the ledger knows. No cursor, so no key can be missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.contract import Contract
from ingest.known import CHANGED, SAME
from ingest.ledger import LedgerState
from ingest.store import Store, StoredObject

_IGNORED = ("_SUCCESS", ".DS_Store")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An object version that bronze does not hold yet.

    Attributes:
        source_file: bucket/key, whatever the landing's root.
        version: the version as listed.
        replaces: an older version of it is in the ledger.
    """

    source_file: str
    version: StoredObject
    replaces: bool


def discover(contract: Contract, landing: Store, state: LedgerState) -> list[Waiting]:
    """The feed's waiting objects, in key order.

    Raises:
        ConfigError: the bucket is missing or access is refused.
        RetriableError: the store cannot be reached.
    """
    listing, names = listed_objects(contract, landing)
    status = state.objects.status(names, listing.column("etag").combine_chunks())
    places = np.flatnonzero(status != SAME)
    versions = [StoredObject(**row) for row in listing.take(pa.array(places)).to_pylist()]
    waiting = [
        Waiting(f"{contract.source.bucket}/{version.key}", version, replaces)
        for version, replaces in zip(versions, (status[places] == CHANGED).tolist(), strict=True)
    ]
    return sorted(waiting, key=lambda item: item.version.key)


def listed_objects(contract: Contract, landing: Store) -> tuple[pa.Table, pa.Array]:
    """The feed's objects in the landing, as columns, and their names as bucket/key."""
    listing = landing.listing(contract.source.prefix.rstrip("/"))
    for ending in ("/", *_IGNORED):
        listing = listing.filter(pc.invert(pc.ends_with(listing.column("key"), ending)))
    return listing, pc.binary_join_element_wise(contract.source.bucket, listing.column("key"), "/").combine_chunks()
