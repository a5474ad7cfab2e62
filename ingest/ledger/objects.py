"""The source objects in a feed's ledger: a few as Python objects, a million as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.ledger.format import CHECKPOINT_REMEDY, check_format, readable
from ingest.ledger.sources import OBJECT_SCHEMA, LoadedObject, objects_of, objects_table, up_to_date
from ingest.storage.arrays import as_numpy, single_array

if TYPE_CHECKING:
    from ingest.storage.store import Store

NEW, SAME, CHANGED = 0, 1, 2
GROUP_ROWS = 65_536
SLICE_GROUPS = 2
"""Row groups of a checkpoint that are compared at a time: more cost memory, fewer cost time."""


class KnownObjects(Mapping[str, LoadedObject]):
    """The current version of each source object, by source_file.

    Objects of the checkpoint stay in its file and are read in slices; objects of later entries are in memory.
    """

    def __init__(self, store: Store | None = None, checkpoint: str | None = None) -> None:
        self._store, self._checkpoint = store, checkpoint
        self._names: pa.ChunkedArray | None = None
        self._recent: dict[str, LoadedObject] = {}

    def update(self, objects: Iterable[LoadedObject]) -> None:
        """Add newer versions."""
        self._recent.update((item.source_file, item) for item in objects)

    def copy(self) -> KnownObjects:
        """Return a copy that can be updated independently."""
        twin = KnownObjects(self._store, self._checkpoint)
        twin._names, twin._recent = self._names, dict(self._recent)
        return twin

    @property
    def recent_count(self) -> int:
        """Number of versions that are newer than the checkpoint."""
        return len(self._recent)

    def status(self, bucket: str, keys: pa.ChunkedArray, etags: pa.ChunkedArray) -> npt.NDArray[np.int8]:
        """Return NEW, SAME or CHANGED for each listed object of a bucket."""
        found = np.full(len(keys), NEW, dtype=np.int8)
        listed_etags = single_array(etags)
        for names, known_etags in self._versions():  # newer versions come last
            is_here = pc.starts_with(names, f"{bucket}/")
            if not pc.all(is_here).as_py():
                names, known_etags = names.filter(is_here), known_etags.filter(is_here)
            known_keys = pc.utf8_slice_codeunits(names, len(bucket) + 1)
            places = as_numpy(pc.index_in(keys, value_set=known_keys).fill_null(-1))
            known = np.flatnonzero(places >= 0)
            is_same = pc.equal(listed_etags.take(pa.array(known)), known_etags.take(pa.array(places[known])))
            found[known] = np.where(as_numpy(is_same), SAME, CHANGED)
        return found

    def lookup(self, names: Iterable[str]) -> dict[str, LoadedObject]:
        """Return those of the given objects that are known."""
        wanted = list(names)
        found = {name: self._recent[name] for name in wanted if name in self._recent}
        rest = [name for name in wanted if name not in found]
        if not rest or not self._checkpoint:
            return found
        is_wanted = pc.is_in(self._known_names(), value_set=pa.array(rest, pa.string()))
        places = np.flatnonzero(as_numpy(is_wanted))
        if len(places):
            groups, inside = np.divmod(places, GROUP_ROWS)
            with self._open() as parquet:
                for group in np.unique(groups).tolist():
                    table = parquet.read_row_group(group).take(pa.array(inside[groups == group]))
                    found.update((item.source_file, item) for item in objects_of(table))
        return found

    def unknown(self, names: pa.Array) -> pa.Array:
        """Return those of the given objects that are not known."""
        rest = names.filter(pc.invert(pc.is_in(names, value_set=pa.array(self._recent, pa.string()))))
        if len(rest) and self._checkpoint:
            rest = rest.filter(pc.invert(pc.is_in(rest, value_set=self._known_names())))
        return rest

    def __getitem__(self, name: str) -> LoadedObject:
        return self.lookup([name])[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.lookup([name])

    def __iter__(self) -> Iterator[str]:
        for chunk in self._known_names().chunks:
            yield from (name for name in chunk.to_pylist() if name not in self._recent)
        yield from self._recent

    def __len__(self) -> int:
        known = self._known_names()
        both = pc.sum(pc.is_in(known, value_set=pa.array(self._recent, pa.string()))).as_py() or 0
        return len(known) + len(self._recent) - int(both)

    def tables(self, columns: Sequence[str] = OBJECT_SCHEMA.names) -> Iterator[pa.Table]:
        """Yield all known objects as tables of bounded size, with the given columns."""
        if self._checkpoint:
            recent = pa.array(self._recent, pa.string())
            with self._open() as parquet:
                for group in range(parquet.num_row_groups):
                    table = up_to_date(parquet.read_row_group(group, columns=["source_file", *columns]))
                    table = table.filter(pc.invert(pc.is_in(table.column("source_file"), value_set=recent)))
                    yield table.select(columns)
        if self._recent:
            yield objects_table(list(self._recent.values())).select(columns)

    def sums(self, *columns: str) -> dict[str, int]:
        """Return the sums of integer columns over all known objects, by name; only those columns are read."""
        found = dict.fromkeys(columns, 0)
        for table in self.tables(columns):
            for name in columns:
                found[name] += pc.sum(table.column(name)).as_py() or 0
        return found

    def write(self, path: str) -> None:
        """Write all known objects as a checkpoint, with full row groups."""
        with pq.ParquetWriter(path, OBJECT_SCHEMA, compression="zstd", write_statistics=False) as writer:
            pending: list[pa.Table] = []
            for table in self.tables():
                pending.append(table)
                if sum(map(len, pending)) >= GROUP_ROWS:
                    whole = pa.concat_tables(pending)
                    full = len(whole) - len(whole) % GROUP_ROWS
                    writer.write_table(whole.slice(0, full), row_group_size=GROUP_ROWS)
                    pending = [whole.slice(full)]
            writer.write_table(pa.concat_tables([OBJECT_SCHEMA.empty_table(), *pending]), row_group_size=GROUP_ROWS)

    def _versions(self) -> Iterator[tuple[pa.Array, pa.Array]]:
        """Yield names and etags in slices, older versions first."""
        if self._checkpoint:
            with self._open() as parquet:
                for start in range(0, parquet.num_row_groups, SLICE_GROUPS):
                    groups = range(start, min(start + SLICE_GROUPS, parquet.num_row_groups))
                    table = parquet.read_row_groups(list(groups), columns=["source_file", "etag"])
                    yield single_array(table.column(0)), single_array(table.column(1))
        if self._recent:
            etags = (item.etag for item in self._recent.values())
            yield pa.array(self._recent, pa.string()), pa.array(etags, pa.string())

    def _known_names(self) -> pa.ChunkedArray:
        """Return the names in the checkpoint, in its order."""
        if self._names is None:
            self._names = pa.chunked_array([], pa.string())
            if self._checkpoint:
                with self._open() as parquet:
                    self._names = parquet.read(columns=["source_file"]).column(0)
        return self._names

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        """Open the checkpoint for reading.

        Raises:
            ConfigError: it is damaged, or was written by a newer version of Lakemesh.
        """
        assert self._store is not None
        assert self._checkpoint is not None
        name = f"{self._store.uri}/{self._checkpoint}"
        with self._store.open(self._checkpoint) as file, readable(name, CHECKPOINT_REMEDY):
            parquet = pq.ParquetFile(file)
            check_format(parquet.schema_arrow, name)
            yield parquet
