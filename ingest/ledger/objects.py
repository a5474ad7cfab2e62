"""The source objects in a feed's ledger: a few as Python objects, a million as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.ledger.levels import Level, between, bounds_of, kept_levels
from ingest.ledger.sources import OBJECT_SCHEMA, LoadedObject, objects_of, objects_table, up_to_date
from ingest.storage.arrays import as_numpy, single_array

NEW, SAME, CHANGED = 0, 1, 2
GROUP_ROWS = 65_536
SLICE_GROUPS = 2
"""Row groups of a level that are compared with a listing at a time: more cost memory, fewer cost time."""
NAME_GROUPS = 16
"""Row groups whose names are compared with those of later levels at a time, likewise."""


class KnownObjects(Mapping[str, LoadedObject]):
    """The current version of each source object, by source_file.

    Objects of the checkpoint stay in its levels and are read in slices; objects of later entries are in memory.

    Attributes:
        levels: the levels of the checkpoint, oldest first.
    """

    def __init__(self, levels: Sequence[Level] = ()) -> None:
        self.levels = tuple(levels)
        self._names: dict[Level, pa.ChunkedArray] = {}
        self._recent: dict[str, LoadedObject] = {}

    def update(self, objects: Iterable[LoadedObject]) -> None:
        """Add newer versions."""
        for item in objects:
            self._recent.pop(item.source_file, None)  # by their newest version, whatever came before: see `merged`
            self._recent[item.source_file] = item

    def copy(self) -> KnownObjects:
        """Return a copy that can be updated independently."""
        twin = KnownObjects(self.levels)
        twin._names, twin._recent = self._names, dict(self._recent)
        return twin

    @property
    def recent_count(self) -> int:
        """Number of versions that are newer than the checkpoint."""
        return len(self._recent)

    def merged(self) -> tuple[tuple[Level, ...], KnownObjects]:
        """Return the levels that the next checkpoint keeps, and the objects of its new level.

        Objects are in order of their newest version, so that a level has the same content however it was merged.
        """
        kept = kept_levels(self.levels, len(self._recent))
        rest = KnownObjects(self.levels[kept:])
        rest._recent = self._recent
        return self.levels[:kept], rest

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
        for level in reversed(self.levels):
            rest = [name for name in wanted if name not in found]
            if not rest:
                break
            is_wanted = pc.is_in(self._names_in(level), value_set=pa.array(rest, pa.string()))
            places = np.flatnonzero(as_numpy(is_wanted))
            if len(places):
                found.update((item.source_file, item) for item in _objects_at(level, places))
        return found

    def unknown(self, names: pa.Array) -> pa.Array:
        """Return those of the given objects that are not known."""
        rest = names.filter(pc.invert(pc.is_in(names, value_set=pa.array(self._recent, pa.string()))))
        for level in reversed(self.levels):
            if len(rest):
                rest = rest.filter(pc.invert(pc.is_in(rest, value_set=self._names_in(level))))
        return rest

    def __getitem__(self, name: str) -> LoadedObject:
        return self.lookup([name])[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.lookup([name])

    def __iter__(self) -> Iterator[str]:
        for table in self.tables(["source_file"]):
            yield from table.column(0).to_pylist()

    def __len__(self) -> int:
        return sum(map(len, self.tables(["source_file"])))

    def tables(self, columns: Sequence[str] = OBJECT_SCHEMA.names) -> Iterator[pa.Table]:
        """Yield all known objects as tables of bounded size, with the given columns."""
        with ExitStack() as stack:
            files = [stack.enter_context(level.open()) for level in self.levels]
            for number, file in enumerate(files):
                # columns that only newer formats have follow from the number of rows
                stored = [name for name in columns if name in file.schema_arrow.names] or ["source_file"]
                for start in range(0, file.num_row_groups, NAME_GROUPS):
                    groups = range(start, min(start + NAME_GROUPS, file.num_row_groups))
                    current, place = self._is_current(file, groups, files[number + 1 :]), 0
                    for group in groups:
                        table = up_to_date(file.read_row_group(group, columns=stored)).select(columns)
                        rows = len(table)
                        yield table if current is None else table.filter(current.slice(place, rows))
                        place += rows
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
        """Write all known objects as one level, with full row groups."""
        with pq.ParquetWriter(path, OBJECT_SCHEMA, compression="zstd", write_statistics=["source_file"]) as writer:
            pending: list[pa.Table] = []
            for table in self.tables():
                pending.append(table)
                if sum(map(len, pending)) >= GROUP_ROWS:
                    whole = pa.concat_tables(pending)
                    full = len(whole) - len(whole) % GROUP_ROWS
                    writer.write_table(whole.slice(0, full).combine_chunks(), row_group_size=GROUP_ROWS)
                    pending = [whole.slice(full)]
            rest = pa.concat_tables([OBJECT_SCHEMA.empty_table(), *pending])
            writer.write_table(rest.combine_chunks(), row_group_size=GROUP_ROWS)

    def _is_current(self, file: pq.ParquetFile, groups: range, later: Sequence[pq.ParquetFile]) -> pa.Array | None:
        """Return which rows of a level's row groups no later level and no later entry replaced; None: all of them."""
        if not later and not self._recent:
            return None
        bounds = bounds_of(file, groups)
        names, current = None, None
        if bounds is None:
            names = single_array(file.read_row_groups(list(groups), columns=["source_file"]).column(0))
            bounds = (pc.min(names).as_py() or "", pc.max(names).as_py() or "")
        for others in self._later_names(later, *bounds):
            if names is None:
                names = single_array(file.read_row_groups(list(groups), columns=["source_file"]).column(0))
            if current is None:
                current = np.ones(len(names), dtype=bool)
            current[as_numpy(pc.index_in(others, value_set=names).drop_null())] = False
        return None if current is None else pa.array(current)

    def _later_names(self, later: Sequence[pq.ParquetFile], low: str, high: str) -> Iterator[pa.ChunkedArray]:
        """Yield the names in levels and of later entries, without most of those outside of `low` to `high`."""
        for file in later:
            groups = between(file, low, high)
            for start in range(0, len(groups), NAME_GROUPS):
                yield file.read_row_groups(groups[start : start + NAME_GROUPS], columns=["source_file"]).column(0)
        if self._recent and min(self._recent) <= high and max(self._recent) >= low:
            yield pa.chunked_array([pa.array(self._recent, pa.string())])

    def _versions(self) -> Iterator[tuple[pa.Array, pa.Array]]:
        """Yield names and etags in slices, older versions first."""
        for level in self.levels:
            with level.open() as parquet:
                for start in range(0, parquet.num_row_groups, SLICE_GROUPS):
                    groups = range(start, min(start + SLICE_GROUPS, parquet.num_row_groups))
                    table = parquet.read_row_groups(list(groups), columns=["source_file", "etag"])
                    yield single_array(table.column(0)), single_array(table.column(1))
        if self._recent:
            etags = (item.etag for item in self._recent.values())
            yield pa.array(self._recent, pa.string()), pa.array(etags, pa.string())

    def _names_in(self, level: Level) -> pa.ChunkedArray:
        """Return the names in a level, in its order; they are read once."""
        if level not in self._names:
            self._names[level] = level.names()
        return self._names[level]


def _objects_at(level: Level, places: npt.NDArray[np.int64]) -> Iterator[LoadedObject]:
    """Yield the objects at places of a level."""
    with level.open() as parquet:
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        starts = np.cumsum([0, *sizes])
        groups = np.searchsorted(starts, places, side="right") - 1
        for group in np.unique(groups).tolist():
            inside = places[groups == group] - starts[group]
            yield from objects_of(parquet.read_row_group(group).take(pa.array(inside)))
