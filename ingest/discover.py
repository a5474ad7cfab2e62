"""What waits in the landing: the listing minus what the ledger knows. No cursor, so no key can be missed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest.arrays import as_numpy
from ingest.contract import Contract
from ingest.known import CHANGED, SAME
from ingest.ledger import LedgerState
from ingest.source import MARKER
from ingest.store import Store, StoredObject
from ingest.sweep import Scope

HEAD_THREADS = 32
_IGNORED = (MARKER, ".DS_Store")
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
    """

    bucket: str
    table: pa.Table
    status: npt.NDArray[np.int8]

    @property
    def names(self) -> pa.Array:
        """bucket/key of each."""
        return pc.binary_join_element_wise(self.bucket, self.table.column("key"), "/").combine_chunks()

    def versions(self, *status: int) -> list[StoredObject]:
        """The objects of the given status, in key order."""
        places = pa.array(np.flatnonzero(np.isin(self.status, status)))
        return [StoredObject(**row) for row in self.table.take(places).sort_by("key").to_pylist()]


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


def discover(contract: Contract, landing: Store, state: LedgerState, scope: Scope | None = None) -> Backlog:
    """The feed's waiting objects, in key order: all of them, or those within the scope.

    Raises:
        ConfigError: the bucket is missing or access is refused.
        RetriableError: the store cannot be reached.
    """
    table = scope.table(contract, landing) if scope else landing.listing(contract.source.folder)
    listed = compare_table(contract, landing, state, table)
    places = np.flatnonzero(listed.status != SAME)
    replaces = pa.array(listed.status[places] == CHANGED)
    waiting = listed.table.take(pa.array(places)).append_column("replaces", replaces)
    return Backlog(contract.source.bucket, waiting.sort_by("key"))


def compare(contract: Contract, landing: Store, state: LedgerState) -> Listed:
    """Lists the feed's objects, and looks each up in the ledger."""
    return compare_table(contract, landing, state, landing.listing(contract.source.folder))


def compare_table(contract: Contract, landing: Store, state: LedgerState, table: pa.Table) -> Listed:
    """Looks up what was listed, without what is no object of the feed: markers of folders and of finished jobs."""
    for ending in ("/", *_IGNORED):
        is_marker = pc.ends_with(table.column("key"), ending)
        table = table.filter(pc.invert(is_marker)) if pc.any(is_marker).as_py() else table
    listed = _looked_up(contract, state, table)
    markers = _folder_markers(landing, listed)
    return _looked_up(contract, state, table.filter(pc.invert(markers))) if markers is not None else listed


def _looked_up(contract: Contract, state: LedgerState, table: pa.Table) -> Listed:
    bucket = contract.source.bucket
    return Listed(bucket, table, state.objects.status(bucket, table.column("key"), table.column("etag")))


def _folder_markers(landing: Store, listed: Listed) -> pa.Array | None:
    """Which of the listed are empty `folder/` keys of S3; None when none is.

    The listing shows such a key without its slash, as an empty object that nobody finds under that name.
    """
    if landing.root is not None:
        return None
    sizes = as_numpy(listed.table.column("size"))
    doubtful = np.flatnonzero((sizes == 0) & (listed.status != SAME))
    if not len(doubtful):
        return None
    versions = [StoredObject(**row) for row in listed.table.take(pa.array(doubtful)).to_pylist()]
    with ThreadPoolExecutor(HEAD_THREADS) as pool:
        found = list(pool.map(landing.find, (version.key for version in versions)))
    is_marker = np.zeros(len(sizes), dtype=bool)
    pairs = zip(versions, found, strict=True)
    is_marker[doubtful] = [there is None or there.etag != version.etag for version, there in pairs]
    return pa.array(is_marker)
