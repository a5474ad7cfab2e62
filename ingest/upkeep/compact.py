"""Compaction: joins small files of one day into one. Readers see no change: one entry removes and adds the files."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.errors import ConflictError
from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.ledger.state import LedgerState
from ingest.storage.parquet import parquet_file
from ingest.storage.store import Store

SMALL_BYTES = 32 << 20
MIN_FILES = 4
MAX_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Compaction:
    """The result of a compaction: files before and after, and the size before in bytes."""

    before: int = 0
    after: int = 0
    bytes: int = 0


def plan_compaction(files: list[LakeFile]) -> list[list[LakeFile]]:
    """Groups of small files to join: of one folder, so one ingest date and one event date.

    Files with different columns are not joined, so that none has to be widened.

    >>> plan_compaction([])
    []
    """
    folders: dict[tuple[str, str], list[LakeFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.path):
        if file.bytes < SMALL_BYTES:
            folders[file.path.rsplit("/", 1)[0], file.columns].append(file)
    groups = []
    for candidates in folders.values():
        group: list[LakeFile] = []
        size = 0
        for file in candidates:
            if size + file.bytes > MAX_BYTES:
                groups.append(group)
                group, size = [], 0
            group.append(file)
            size += file.bytes
        groups.append(group)
    return [group for group in groups if len(group) >= MIN_FILES]


def compact(lake: Store, ledger: Ledger, now: dt.datetime) -> Compaction:
    """Join all groups of small files, in one commit.

    If another writer changed one of the files first, nothing is changed; the next compaction tries again.

    Raises:
        RetriableError: the store cannot be reached.
    """
    state = ledger.state()
    groups = plan_compaction(list(state.files.values()))
    if not groups:
        return Compaction()
    load_id = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
    staged = {}
    added = []
    try:
        with lake.disk_errors():
            for number, group in enumerate(groups):
                first = group[0]
                key = f"{first.path.rsplit('/', 1)[0]}/{load_id}-{number}.parquet"
                staged[key] = lake.stage(key)
                rows = _join(lake, group, staged[key])
                size = staged[key].stat().st_size
                loads = tuple(dict.fromkeys(name for file in group for name in file.loads))
                added.append(LakeFile(key, rows, size, first.ingest_date, first.event_date, loads, first.columns))
    except BaseException:
        lake.discard(staged.values())
        raise
    lake.publish(staged)
    removed = tuple(file.path for group in groups for file in group)
    entry = Entry(load_id, now, added=tuple(added), removed=removed)
    if not _commit(ledger, entry, state):
        lake.delete(staged)
        return Compaction()
    return Compaction(len(removed), len(added), sum(file.bytes for group in groups for file in group))


def _commit(ledger: Ledger, entry: Entry, state: LedgerState) -> bool:
    try:
        ledger.commit(entry, state.position)
    except ConflictError:
        return False
    return True


def _join(lake: Store, group: list[LakeFile], path: Path) -> int:
    """Write the rows of all files into one, batch by batch, and return their number."""
    rows = 0
    with lake.open(group[0].path) as source:
        schema = pq.ParquetFile(source).schema_arrow
    with parquet_file(path, schema, compression="zstd", compression_level=3) as writer:
        for file in group:
            with lake.open(file.path) as source:
                for batch in pq.ParquetFile(source).iter_batches(1 << 16):
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
                    rows += batch.num_rows
    return rows
