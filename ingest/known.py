"""The source objects that a feed's ledger knows: few as Python objects, a million as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.entry import OBJECT_SCHEMA, LoadedObject, must_be_readable, objects_of, objects_table

if TYPE_CHECKING:
    from ingest.store import Store

NEW, SAME, CHANGED = 0, 1, 2
GROUP_ROWS = 65_536


class KnownObjects(Mapping[str, LoadedObject]):
    """The current version of each source object, by source_file.

    What a checkpoint says stays in its file, except for names and etags; what later entries say lies on top.
    """

    def __init__(self, store: Store | None = None, checkpoint: str | None = None) -> None:
        self._store, self._checkpoint = store, checkpoint
        self._names: pa.ChunkedArray | None = None
        self._etags: pa.ChunkedArray | None = None
        self._recent: dict[str, LoadedObject] = {}

    def update(self, objects: Iterable[LoadedObject]) -> None:
        """Takes over newer versions."""
        self._recent.update((item.source_file, item) for item in objects)

    def copy(self) -> KnownObjects:
        """The same knowledge, to be moved on apart."""
        twin = KnownObjects(self._store, self._checkpoint)
        twin._names, twin._etags, twin._recent = self._names, self._etags, dict(self._recent)
        return twin

    @property
    def recent_count(self) -> int:
        """How many versions lie on top of the checkpoint."""
        return len(self._recent)

    def status(self, names: pa.Array, etags: pa.Array) -> npt.NDArray[np.int8]:
        """NEW, SAME or CHANGED for each listed object."""
        found = np.full(len(names), NEW, dtype=np.int8)
        known_names, known_etags = self._index()
        layers = [(known_names, known_etags)] if known_names is not None and known_etags is not None else []
        if self._recent:
            recent = (item.etag for item in self._recent.values())
            layers.append((pa.array(self._recent, pa.string()), pa.array(recent, pa.string())))
        for layer_names, layer_etags in layers:  # the later one is the newer one
            places = pc.index_in(names, value_set=_one(layer_names))
            is_known = pc.is_valid(places)
            is_same = pc.equal(pc.take(_one(layer_etags), places), etags).fill_null(False)
            verdict = np.where(is_same.to_numpy(zero_copy_only=False), SAME, CHANGED)
            mask = is_known.to_numpy(zero_copy_only=False)
            found[mask] = verdict[mask]
        return found

    def lookup(self, names: Iterable[str]) -> dict[str, LoadedObject]:
        """The known ones of the given objects."""
        wanted = list(names)
        found = {name: self._recent[name] for name in wanted if name in self._recent}
        rest = [name for name in wanted if name not in found]
        known, _ = self._index() if rest else (None, None)
        if known is None:
            return found
        places = pc.index_in(pa.array(rest, pa.string()), value_set=_one(known)).drop_null().to_numpy()
        if len(places):
            groups, inside = np.divmod(places, GROUP_ROWS)
            with self._open() as parquet:
                for group in np.unique(groups).tolist():
                    table = parquet.read_row_group(group).take(pa.array(inside[groups == group]))
                    found.update((item.source_file, item) for item in objects_of(table))
        return found

    def __getitem__(self, name: str) -> LoadedObject:
        return self.lookup([name])[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.lookup([name])

    def __iter__(self) -> Iterator[str]:
        known, _ = self._index()
        if known is not None:
            yield from (name for chunk in known.chunks for name in chunk.to_pylist() if name not in self._recent)
        yield from self._recent

    def __len__(self) -> int:
        known, _ = self._index()
        if known is None:
            return len(self._recent)
        mine = pa.array(self._recent, pa.string())
        return len(known) + len(mine) - int(pc.sum(pc.is_in(mine, value_set=_one(known))).as_py() or 0)

    def tables(self) -> Iterator[pa.Table]:
        """Everything known, as columns, in pieces of bounded size."""
        if self._checkpoint:
            mine = pa.array(self._recent, pa.string())
            with self._open() as parquet:
                for group in range(parquet.num_row_groups):
                    table = parquet.read_row_group(group)
                    yield table.filter(pc.invert(pc.is_in(table.column("source_file"), value_set=mine)))
        if self._recent:
            yield objects_table(list(self._recent.values()))

    def write(self, path: str) -> None:
        """Writes everything known as a checkpoint, with full row groups."""
        with pq.ParquetWriter(path, OBJECT_SCHEMA, compression="zstd", write_statistics=False) as writer:
            held: list[pa.Table] = []
            for table in self.tables():
                held.append(table)
                if sum(map(len, held)) >= GROUP_ROWS:
                    whole = pa.concat_tables(held)
                    full = len(whole) - len(whole) % GROUP_ROWS
                    writer.write_table(whole.slice(0, full), row_group_size=GROUP_ROWS)
                    held = [whole.slice(full)]
            writer.write_table(pa.concat_tables([OBJECT_SCHEMA.empty_table(), *held]), row_group_size=GROUP_ROWS)

    def _index(self) -> tuple[pa.ChunkedArray | None, pa.ChunkedArray | None]:
        """Names and etags of the checkpoint."""
        if self._checkpoint and self._names is None:
            with self._open() as parquet:
                table = parquet.read(columns=["source_file", "etag"])
            self._names, self._etags = table.column(0), table.column(1)
        return self._names, self._etags

    def _open(self) -> _Opened:
        assert self._store is not None
        assert self._checkpoint is not None
        return _Opened(self._store, self._checkpoint)


class _Opened:
    """A checkpoint, open for reading."""

    def __init__(self, store: Store, key: str) -> None:
        self._key, self._file, self._name = key, store.open(key), f"{store.uri}/{key}"

    def __enter__(self) -> pq.ParquetFile:
        parquet = pq.ParquetFile(self._file.__enter__())
        must_be_readable(parquet.schema_arrow, self._name)
        return parquet

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)  # type: ignore[arg-type]  # as the interpreter passes them


def _one(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
