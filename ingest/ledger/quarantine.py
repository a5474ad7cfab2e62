"""Rejected records, counted and shown. Discarded ones are stored separately, and stay counted."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.contracts.schema import QUARANTINE
from ingest.ledger.files import LakeFile
from ingest.ledger.state import LedgerState
from ingest.storage.parquet import parquet_file
from ingest.storage.store import Store

OPEN, DISCARDED = "quarantine/", "discarded/"
INCOMPLETE = ("corrupt_object", "line_too_long")
"""Reasons for which the raw bytes are not the whole record; such objects are read again when they change."""


@dataclass(frozen=True, slots=True)
class Group:
    """Quarantined records with the same reason and column."""

    reason: str
    column: str | None
    records: int
    objects: int


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection of quarantined records; an empty one selects all.

    Attributes:
        reasons: only records with one of these reasons.
        objects: only records of these objects, bucket/key.
    """

    reasons: Collection[str] = ()
    objects: Collection[str] = ()

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        """Return which records of a quarantine table are selected."""
        mask = pa.chunked_array([pa.repeat(True, len(table))])
        for column, values in (("reason", self.reasons), ("_source_file", self.objects)):
            if values:
                mask = pc.and_(mask, pc.is_in(table.column(column).cast(pa.string()), pa.array(list(values))))
        return mask


@dataclass(frozen=True, slots=True)
class BadRecord:
    """One rejected record.

    Attributes:
        raw: the original record, or its beginning when it was too long.
        discarded: the reason for which it was discarded; None while it is open.
    """

    source_file: str
    line: int
    modified_at: dt.datetime
    reason: str
    column: str | None
    detail: str | None
    raw: bytes
    discarded: str | None


def groups(lake: Store, state: LedgerState) -> list[Group]:
    """Return the open quarantine by reason and column, the largest group first."""
    records: Counter[tuple[str, str | None]] = Counter()
    objects: dict[tuple[str, str | None], set[str]] = {}
    for _, table in tables(lake, state, columns=["reason", "column", "_source_file"]):
        for reason, column, name in zip(*(item.to_pylist() for item in table.columns), strict=True):
            records[reason, column] += 1
            objects.setdefault((reason, column), set()).add(name)
    return [Group(*fault, count, len(objects[fault])) for fault, count in records.most_common()]


def bad_records(lake: Store, state: LedgerState, wanted: Selection, discarded: bool = False) -> Iterator[BadRecord]:
    """Yield the rejected records, file by file; with `discarded`, the discarded ones instead of the open ones."""
    for file, table in tables(lake, state, DISCARDED if discarded else OPEN):
        for row in table.filter(wanted.mask(table)).to_pylist():
            yield BadRecord(
                row["_source_file"],
                row["_source_line"],
                row["_source_modified_at"].replace(tzinfo=dt.UTC),
                row["reason"],
                row["column"],
                row["detail"],
                row["raw"],
                discard_reason(file) if discarded else None,
            )


def tables(
    lake: Store, state: LedgerState, layer: str = OPEN, columns: list[str] | None = None
) -> Iterator[tuple[LakeFile, pa.Table]]:
    """Yield each live file of the layer with its records."""
    for path, file in sorted(state.files.items()):
        if path.startswith(layer):
            with lake.open(path) as source:
                yield file, pq.ParquetFile(source).read(columns=columns)


def remove_records(
    lake: Store, file: LakeFile, selects: Callable[[pa.Table], pa.ChunkedArray | pa.Array], load_id: str
) -> LakeFile | None:
    """Rewrite the file without the selected records; return the same file if it has none, None if no record is left."""
    with lake.open(file.path) as source:
        table = pq.ParquetFile(source).read()
    left = table.filter(pc.invert(selects(table)))
    if len(left) == len(table):
        return file
    return write(lake, file, file.path.rsplit("/", 1)[0], left, load_id) if len(left) else None


def write(lake: Store, like: LakeFile, folder: str, records: pa.Table, load_id: str, columns: str = "") -> LakeFile:
    """Write records as a file that belongs to the same loads as another one."""
    key = f"{folder}/{load_id}-{uuid.uuid4().hex[:8]}.parquet"
    path = lake.stage(key)
    with parquet_file(path, QUARANTINE, compression="zstd") as writer:
        writer.write_table(records.cast(QUARANTINE))
    size = path.stat().st_size
    lake.publish({key: path})
    return replace(like, path=key, rows=len(records), bytes=size, columns=columns)


def discard_reason(file: LakeFile) -> str:
    """Return why the records of a file were discarded; the ledger stores it in the `columns` of the file."""
    return file.columns
