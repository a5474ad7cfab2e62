"""Levels of a checkpoint: files that together contain the current version of each source object.

Each level contains the objects of consecutive entries. A name may be in several levels; its version in the last one is
the current one. A checkpoint adds one level and reuses the others, as in a log-structured merge tree: the new level
takes in the ones before it while they are not much larger. So each level is more than RATIO times the size of the next
one, there are O(log names) of them, and each name is written O(log names) times in all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.ledger.format import CHECKPOINT_REMEDY, check_format, readable
from ingest.storage.store import Store

RATIO = 2
"""A level that is at most this many times larger than what follows it is merged with it: more means fewer files to read
and more bytes to write. At 2, 18 million names that arrive 640 at a time are in 5 files, 9 at most, and each name is
written 13 times in all; 5,000 at a time in 4, 8 at most, and 8 times; 100,000 at a time in 3, and 5 times."""
SMALL_ROWS = 8_192
"""Levels up to this size are always merged: another file would cost readers more than these rows cost a writer."""


@dataclass(frozen=True, slots=True)
class Level:
    """One file of objects.

    Attributes:
        key: its key in the store.
    """

    store: Store
    key: str

    @contextmanager
    def open(self) -> Iterator[pq.ParquetFile]:
        """Open it for reading.

        Raises:
            ConfigError: it is damaged, or was written by a newer version of Lakemesh.
        """
        name = f"{self.store.uri}/{self.key}"
        with self.store.open(self.key) as file, readable(name, CHECKPOINT_REMEDY):
            parquet = pq.ParquetFile(file)
            check_format(parquet.schema_arrow, name)
            yield parquet

    def rows(self) -> int:
        """Return the number of its objects."""
        with self.open() as parquet:
            return int(parquet.metadata.num_rows)

    def names(self) -> pa.ChunkedArray:
        """Return the names of its objects, in its order."""
        with self.open() as parquet:
            return parquet.read(columns=["source_file"]).column(0)


def kept_levels(levels: Sequence[Level], new_rows: int) -> int:
    """Return how many of the levels, from the first, stay as they are when objects are added; the others are merged.

    Args:
        new_rows: number of objects that are added.
    """
    kept = len(levels)
    while new_rows and kept:
        rows = levels[kept - 1].rows()
        if rows > max(RATIO * new_rows, SMALL_ROWS):
            break
        new_rows += rows
        kept -= 1
    return kept


def level_name(position: int, content: bytes) -> str:
    """Return the name of a level that ends at a position, which no other content has.

    Writers that have different levels before theirs never replace each other's files while those are read.
    """
    return f"{position:020d}.{hashlib.sha256(content).hexdigest()[:16]}.objects.parquet"


def between(parquet: pq.ParquetFile, low: str, high: str) -> list[int]:
    """Return the row groups that may contain names from `low` to `high`; levels of older versions lack the bounds."""
    column = parquet.schema_arrow.names.index("source_file")
    found = []
    for group in range(parquet.num_row_groups):
        bounds = parquet.metadata.row_group(group).column(column).statistics
        if bounds is None or not bounds.has_min_max or (bounds.min <= high and bounds.max >= low):
            found.append(group)
    return found


def bounds_of(parquet: pq.ParquetFile, groups: Sequence[int]) -> tuple[str, str] | None:
    """Return the least and the greatest name of row groups; None when they were not recorded."""
    column = parquet.schema_arrow.names.index("source_file")
    bounds = [parquet.metadata.row_group(group).column(column).statistics for group in groups]
    if not bounds or any(item is None or not item.has_min_max for item in bounds):
        return None
    return min(item.min for item in bounds), max(item.max for item in bounds)
