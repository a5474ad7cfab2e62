"""What waits in the landing: the listing minus what the ledger knows. No cursor, so no key can be missed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest.contracts.contract import Contract
from ingest.ledger.ledger import LedgerState
from ingest.ledger.objects import CHANGED, SAME
from ingest.steps.sweep import Scope
from ingest.storage.landing import Landing
from ingest.storage.names import NotLoaded, classify
from ingest.storage.store import StoredObject

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
class Listed:
    """The feed's objects in the landing beside what the ledger knows of them; columns of one length.

    Attributes:
        table: key, etag, size, modified_at.
        status: NEW, SAME or CHANGED.
        ignored: what rules ignore, by rule; not in the table.
        unloadable: what cannot be loaded, by reason; not in the table.
        left_out: keys of both.
    """

    bucket: str
    table: pa.Table
    status: npt.NDArray[np.int8]
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()
    left_out: pa.Array | None = None

    @property
    def names(self) -> pa.Array:
        """bucket/key of each."""
        return self._named(self.table.column("key").combine_chunks())

    @property
    def all_names(self) -> pa.Array:
        """The same, and of those that are not loaded too."""
        left_out = self._named(self.left_out) if self.left_out is not None else pa.array([], pa.string())
        return pa.concat_arrays([self.names, left_out])

    def _named(self, keys: pa.Array) -> pa.Array:
        return pc.binary_join_element_wise(self.bucket, keys, "/")

    def versions(self, *status: int) -> list[StoredObject]:
        """The objects of the given status, in key order."""
        places = pa.array(np.flatnonzero(np.isin(self.status, status)))
        return [StoredObject(**row) for row in self.table.take(places).sort_by("key").to_pylist()]


@dataclass(frozen=True, slots=True)
class Backlog:
    """Waiting objects in key order, as columns: a million of them take some 150 MB.

    Attributes:
        table: key, etag, size, modified_at and replaces.
        ignored: what rules ignore, by rule; it does not wait.
        unloadable: what cannot be loaded, by reason; it does not wait.
    """

    bucket: str
    table: pa.Table
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()

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


def discover(contract: Contract, landing: Landing, state: LedgerState, scope: Scope | None = None) -> Backlog:
    """The feed's waiting objects, in key order: all of them, or those within the scope.

    Raises:
        ConfigError: the bucket is missing or access is refused.
        RetriableError: the store cannot be reached.
    """
    table = scope.table(contract, landing) if scope else landing.listing(contract.source.folder)
    listed = _compared(contract, state, table)
    places = np.flatnonzero(listed.status != SAME)
    replaces = pa.array(listed.status[places] == CHANGED)
    waiting = listed.table.take(pa.array(places)).append_column("replaces", replaces)
    return Backlog(contract.source.bucket, waiting.sort_by("key"), listed.ignored, listed.unloadable)


def compare(contract: Contract, landing: Landing, state: LedgerState) -> Listed:
    """Lists the feed's objects, and looks each up in the ledger."""
    return _compared(contract, state, landing.listing(contract.source.folder))


def _compared(contract: Contract, state: LedgerState, listed: pa.Table) -> Listed:
    """Sorts out what was listed, and looks the data up in the ledger."""
    found, bucket = classify(contract.source, listed), contract.source.bucket
    status = state.objects.status(bucket, found.table.column("key"), found.table.column("etag"))
    return Listed(bucket, found.table, status, found.ignored, found.unloadable, found.left_out)
