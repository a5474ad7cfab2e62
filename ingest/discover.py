"""What waits in the landing: the listing minus what the ledger knows. No cursor, so no key can be missed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.contract import Contract
from ingest.known import CHANGED, SAME
from ingest.ledger import LedgerState
from ingest.store import Store, StoredObject

_IGNORED = ("_SUCCESS", ".DS_Store")
BATCH_OBJECTS = 10_000


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


@dataclass(frozen=True, slots=True)
class Backlog:
    """Waiting objects in key order, as columns: a million of them take some 150 MB.

    Attributes:
        table: key, etag, size, modified_at and replaces.
    """

    bucket: str
    table: pa.Table

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Waiting]:
        for batch in self.table.to_batches(BATCH_OBJECTS):
            for row in batch.to_pylist():
                replaces = row.pop("replaces")
                yield Waiting(f"{self.bucket}/{row['key']}", StoredObject(**row), replaces)

    @property
    def bytes(self) -> int:
        """Their stored size."""
        return int(pc.sum(self.table.column("size")).as_py() or 0)

    def without(self, source_files: Collection[str]) -> Backlog:
        """The others."""
        keys = [name.removeprefix(f"{self.bucket}/") for name in source_files]
        mask = pc.invert(pc.is_in(self.table.column("key"), pa.array(keys, pa.string())))
        return replace(self, table=self.table.filter(mask)) if keys else self

    def by_replacing(self, replaces: bool) -> Backlog:
        """Those that replace an older version, or those that do not."""
        return replace(self, table=self.table.filter(pc.equal(self.table.column("replaces"), replaces)))


def discover(contract: Contract, landing: Store, state: LedgerState) -> Backlog:
    """The feed's waiting objects.

    Raises:
        ConfigError: the bucket is missing or access is refused.
        RetriableError: the store cannot be reached.
    """
    listing, names = listed_objects(contract, landing)
    status = state.objects.status(names, listing.column("etag").combine_chunks())
    places = np.flatnonzero(status != SAME)
    waiting = listing.take(pa.array(places)).append_column("replaces", pa.array(status[places] == CHANGED))
    return Backlog(contract.source.bucket, waiting.sort_by("key"))


def listed_objects(contract: Contract, landing: Store) -> tuple[pa.Table, pa.Array]:
    """The feed's objects in the landing, as columns, and their names as bucket/key."""
    listing = landing.listing(contract.source.prefix.rstrip("/"))
    for ending in ("/", *_IGNORED):
        listing = listing.filter(pc.invert(pc.ends_with(listing.column("key"), ending)))
    return listing, pc.binary_join_element_wise(contract.source.bucket, listing.column("key"), "/").combine_chunks()
