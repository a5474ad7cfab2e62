"""Objects that wait to be loaded: one version, and all of a feed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields, replace

import pyarrow as pa
import pyarrow.compute as pc

from ingest.storage.arrays import as_numpy
from ingest.storage.names import NotLoaded
from ingest.storage.objects import StoredObject

BATCH_OBJECTS = 10_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """An object version that is not in bronze yet.

    Attributes:
        source_file: bucket/key, independent of the landing's root, or what stands for it (see steps/hidden.py).
        version: the version as listed.
        replaces: whether the ledger has an older version of the object.
    """

    source_file: str
    version: StoredObject
    replaces: bool


@dataclass(frozen=True, slots=True)
class Backlog:
    """Waiting objects in key order, as columns: a million objects take about 150 MB.

    Attributes:
        table: key, etag, size, modified_at, replaces, and the name by which the lake knows the object.
        ignored: objects that a rule ignores, by rule; they do not wait.
        unloadable: objects that cannot be loaded, by reason; they do not wait.
        listed_bytes: stored size of all that was listed.
    """

    bucket: str
    table: pa.Table
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()
    listed_bytes: int = 0

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Waiting]:
        for batch in self.table.to_batches(BATCH_OBJECTS):
            columns = {name: batch.column(name).to_pylist() for name in batch.schema.names if name != "modified_at"}
            times = as_numpy(batch.column("modified_at")).tolist()  # datetimes without a zone, in one call
            columns["modified_at"] = [at.replace(tzinfo=dt.UTC) for at in times]
            versions = map(StoredObject, *(columns[item.name] for item in fields(StoredObject)))
            yield from map(Waiting, columns["name"], versions, columns["replaces"])

    @property
    def bytes(self) -> int:
        """Stored size of all waiting objects, in bytes."""
        return int(pc.sum(self.table.column("size")).as_py() or 0)

    def without(self, source_files: Collection[str]) -> Backlog:
        """The backlog without the given objects."""
        mask = pc.invert(pc.is_in(self.table.column("name"), pa.array(list(source_files), pa.string())))
        return replace(self, table=self.table.filter(mask)) if source_files else self

    def filter_replacing(self, replaces: bool) -> Backlog:
        """The objects that replace an older version, or those that do not."""
        return replace(self, table=self.table.filter(pc.equal(self.table.column("replaces"), replaces)))
