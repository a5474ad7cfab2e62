"""Discovery of waiting objects: the landing's listing minus the ledger. There is no cursor, so no key can be missed."""

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
    """An object version that is not in bronze yet.

    Attributes:
        source_file: bucket/key, independent of the landing's root.
        version: the version as listed.
        replaces: whether the ledger has an older version of the object.
    """

    source_file: str
    version: StoredObject
    replaces: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """The feed's objects in the landing with their status in the ledger, as columns of equal length.

    Attributes:
        table: key, etag, size, modified_at.
        status: NEW, SAME or CHANGED.
        ignored: objects that a rule ignores, by rule; not in the table.
        unloadable: objects that cannot be loaded, by reason; not in the table.
        left_out: keys of the ignored and unloadable objects.
    """

    bucket: str
    table: pa.Table
    status: npt.NDArray[np.int8]
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()
    left_out: pa.Array | None = None

    @property
    def names(self) -> pa.Array:
        """bucket/key of each object in the table."""
        return self._named(self.table.column("key").combine_chunks())

    @property
    def all_names(self) -> pa.Array:
        """bucket/key of every object, including those that are not loaded."""
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
    """Waiting objects in key order, as columns: a million objects take about 150 MB.

    Attributes:
        table: key, etag, size, modified_at and replaces.
        ignored: objects that a rule ignores, by rule; they do not wait.
        unloadable: objects that cannot be loaded, by reason; they do not wait.
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
        """Stored size of all waiting objects, in bytes."""
        return int(pc.sum(self.table.column("size")).as_py() or 0)

    def without(self, source_files: Collection[str]) -> Backlog:
        """The backlog without the given objects."""
        keys = [name.removeprefix(f"{self.bucket}/") for name in source_files]
        mask = pc.invert(pc.is_in(self.table.column("key"), pa.array(keys, pa.string())))
        return replace(self, table=self.table.filter(mask)) if keys else self

    def filter_replacing(self, replaces: bool) -> Backlog:
        """The objects that replace an older version, or those that do not."""
        return replace(self, table=self.table.filter(pc.equal(self.table.column("replaces"), replaces)))


def discover(contract: Contract, landing: Landing, state: LedgerState, scope: Scope | None = None) -> Backlog:
    """List the feed's waiting objects in key order: all of them, or those within the scope.

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
    """List all objects of the feed and look each up in the ledger."""
    return _compared(contract, state, landing.listing(contract.source.folder))


def _compared(contract: Contract, state: LedgerState, listed: pa.Table) -> Listed:
    """Classify listed objects and look the loadable ones up in the ledger."""
    found, bucket = classify(contract.source, listed), contract.source.bucket
    status = state.objects.status(bucket, found.table.column("key"), found.table.column("etag"))
    return Listed(bucket, found.table, status, found.ignored, found.unloadable, found.left_out)
