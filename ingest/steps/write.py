"""Writing of typed rows with their lineage as Parquet files per partition, and of rejects as the quarantine."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract, Kind
from ingest.contracts.schema import (
    LINEAGE,
    QUARANTINE,
    bronze_schema,
    encodings,
    parquet_leaves,
    partitions,
    row_schema,
    sql_columns,
)
from ingest.ledger.files import LakeFile
from ingest.records.parsed import LINE, RESCUED, SOURCE, Parsed, Reject
from ingest.records.times import Times, times_of
from ingest.records.waiting import Waiting
from ingest.storage.arrays import Indices, as_numpy
from ingest.storage.parquet import give_up
from ingest.storage.store import Store

GROUP_ROWS = 120_000
FAIR_GROUP_ROWS = 5_000
"""Fewer rows make an inefficient row group, which compaction would have to join."""
SOFT_BUFFER_ROWS, BUFFER_ROWS = 40_000, 250_000
"""Above the first limit, buffered rows are written once they fill a fair row group; above the second, always."""
BUFFER_BYTES = 64 << 20
"""Limit of buffered bytes: rows may be large, and a few rows may keep everything parsed with them in memory."""
OPEN_WRITERS = 64
BUFFER_REJECTS, BUFFER_REJECT_BYTES = 20_000, 16 << 20
_EPOCH = dt.date(1970, 1, 1)
_DAY_ZERO = 1 << 30  # keeps days before 1970 positive when packed with the object's index


def columns_json(contract: Contract) -> str:
    """The columns of a file written by this contract, as the ledger records them: JSON of name to SQL type."""
    kept = {name: kind for name, kind, _ in sql_columns(contract) if name not in partitions(contract)}
    return json.dumps(kept, separators=(",", ":"))


@dataclass(slots=True)
class _OpenFile:
    key: str
    path: Path
    writer: pq.ParquetWriter
    event_date: dt.date | None
    rows: int = 0


class LoadWriter:
    """Writes the files of one load. No file is visible before the ledger names it.

    Args:
        times: of the records; by default those of their objects.

    Attributes:
        rows: bronze rows per object of the load.
        quarantined: quarantined records per object of the load.
        skipped: records per object of the load that never become rows.
        erased: records per object of the load whose persons are forgotten.
    """

    def __init__(
        self,
        lake: Store,
        contract: Contract,
        objects: Sequence[Waiting],
        load_id: str,
        started_at: dt.datetime,
        times: Times | None = None,
    ) -> None:
        self._lake = lake
        self._contract = contract
        self._load_id = load_id
        self._started_at = started_at.astimezone(dt.UTC).replace(tzinfo=None)
        self._ingest_date = self._started_at.date()
        self._files = pa.array([item.source_file for item in objects], pa.string())
        self._etags = pa.array([item.version.etag for item in objects], pa.string())
        self._times = times or times_of([item.version.modified_at for item in objects])
        self._schema = bronze_schema(contract)
        self._columns = columns_json(contract)
        leaves = parquet_leaves(row_schema(contract))
        special = encodings(contract)
        leaves |= {name: name for name in LINEAGE}
        self._dictionary = [path for path, dotted in leaves.items() if dotted not in special]
        kinds = {path: special.get(dotted) for path, dotted in leaves.items()}
        self._encodings = {path: kind for path, kind in kinds.items() if kind}
        self._buffered: dict[int | None, list[pa.Table]] = defaultdict(list)
        self._buffered_rows: dict[int | None, int] = defaultdict(int)
        self._buffered_bytes = 0
        self._open: dict[int | None, _OpenFile] = {}
        self._count = 0
        self._done: list[_OpenFile] = []
        self._staged: list[Path] = []
        self._quarantine: _OpenFile | None = None
        self._rejects: list[Reject] = []
        self._reject_bytes = 0
        self.rows = np.zeros(len(objects), dtype=np.int64)
        self.quarantined = np.zeros(len(objects), dtype=np.int64)
        self.skipped = np.zeros(len(objects), dtype=np.int64)
        self.erased = np.zeros(len(objects), dtype=np.int64)
        self._dates: dict[int, dict[dt.date, int]] = defaultdict(dict)

    def add(self, parsed: Parsed) -> None:
        """Add a parsed chunk; write when enough rows are buffered."""
        self._add_rejects(parsed.rejects)
        for skip in parsed.skipped:
            self.skipped[skip.source] += 1
        for source, _ in parsed.erased:
            self.erased[source] += 1
        table = parsed.rows
        if table.num_rows == 0:
            return
        self._buffered_bytes += table.nbytes
        sources = as_numpy(table.column(SOURCE))
        np.add.at(self.rows, sources, 1)
        for day, part in self._split(table, sources):
            self._buffered[day].append(part)
            self._buffered_rows[day] += part.num_rows
            if self._buffered_rows[day] >= GROUP_ROWS:
                self._flush(day)
        while (buffered := sum(self._buffered_rows.values())) > SOFT_BUFFER_ROWS:
            day = max(self._buffered_rows, key=self._buffered_rows.__getitem__)
            if buffered <= BUFFER_ROWS and self._buffered_rows[day] < FAIR_GROUP_ROWS:
                break
            self._flush(day)
        if self._buffered_bytes > BUFFER_BYTES:
            self._free()

    def dates_of(self, source: int) -> Iterable[tuple[dt.date, int]]:
        """(event date, bronze rows) of one object; empty for entity feeds."""
        return self._dates[source].items()

    def finish(self) -> list[LakeFile]:
        """Write the buffered rows, publish all files durably and return them."""
        for day in list(self._buffered_rows):
            self._flush(day)
        for day in list(self._open):
            self._close(day)
        self._flush_rejects()
        if self._quarantine:
            self._quarantine.writer.close()
            self._done.append(self._quarantine)
        files = [
            LakeFile(
                file.key,
                file.rows,
                file.path.stat().st_size,
                self._ingest_date,
                file.event_date,
                (self._load_id,),
                self._columns if file is not self._quarantine else "",
            )
            for file in self._done
        ]
        self._lake.publish({file.key: file.path for file in self._done})
        return files

    def discard(self) -> None:
        """Close and delete everything that was written."""
        for file in (*self._open.values(), *([self._quarantine] if self._quarantine else [])):
            give_up(file.writer)
        self._lake.discard(self._staged)
        self._lake.delete([file.key for file in self._done])

    def _split(self, table: pa.Table, sources: npt.NDArray[np.int32]) -> list[tuple[int | None, pa.Table]]:
        """Split a table by event date (days since 1970) and add to the counts per object and date."""
        if self._contract.kind is not Kind.EVENT:
            return [(None, table)]
        assert self._contract.event_time is not None
        stamps = as_numpy(table.column(self._contract.event_time).cast(pa.int64()))
        days = np.floor_divide(stamps, 86_400_000_000)
        pairs, counts = np.unique((sources.astype(np.int64) << 32) + days + _DAY_ZERO, return_counts=True)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            dates, day = self._dates[pair >> 32], _EPOCH + dt.timedelta(days=(pair & 0xFFFFFFFF) - _DAY_ZERO)
            dates[day] = dates.get(day, 0) + count
        order = np.argsort(days, kind="stable")
        ordered = days[order]
        if ordered[0] == ordered[-1]:
            return [(int(ordered[0]), table)]
        table = table.take(pa.array(order))
        edges = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(ordered)]
        return [(int(ordered[start]), table.slice(start, end - start)) for start, end in pairwise(edges)]

    def _free(self) -> None:
        """Write rows until half of the limit is buffered, and copy the others to release what was parsed with them."""
        sizes = {day: sum(table.nbytes for table in tables) for day, tables in self._buffered.items()}
        while sum(sizes.values()) > BUFFER_BYTES // 2:
            day = max(sizes, key=sizes.__getitem__)
            del sizes[day]
            self._flush(day)
        for day in sizes:
            table = pa.concat_tables(self._buffered[day])
            self._buffered[day] = [table.take(pa.array(np.arange(len(table))))]
        self._buffered_bytes = sum(sizes.values())

    def _flush(self, day: int | None) -> None:
        tables, rows = self._buffered.pop(day, []), self._buffered_rows.pop(day, 0)
        if not rows:
            return
        table = pa.concat_tables(tables)
        sources = as_numpy(table.column(SOURCE))
        used, positions = np.unique(sources, return_inverse=True)
        used_indices, indices = pa.array(used), pa.array(positions.astype(np.int32))
        lineage = {
            "_source_file": pa.DictionaryArray.from_arrays(indices, self._files.take(used_indices)),
            "_source_etag": pa.DictionaryArray.from_arrays(indices, self._etags.take(used_indices)),
            "_source_modified_at": self._modified(sources, as_numpy(table.column(LINE))),
            LINE: table.column(LINE),
            "_ingested_at": pa.repeat(pa.scalar(self._started_at, pa.timestamp("us")), rows),
            "_load_id": pa.repeat(pa.scalar(self._load_id), rows),
            RESCUED: table.column(RESCUED),
        }
        columns = [*(table.column(item.name) for item in row_schema(self._contract)), *lineage.values()]
        file = self._file(day)
        file.writer.write_table(pa.table(columns, names=self._schema.names), row_group_size=rows)
        file.rows += rows

    def _modified(self, sources: npt.NDArray[np.int32], lines: Indices) -> pa.Array:
        return pa.array(self._times.micros(sources, lines)).cast(pa.timestamp("us"))

    def _file(self, day: int | None) -> _OpenFile:
        if day not in self._open:
            if len(self._open) >= OPEN_WRITERS:
                self._close(next(iter(self._open)))
            folder = f"bronze/{self._contract.feed}/ingest_date={self._ingest_date}"
            event_date = None if day is None else _EPOCH + dt.timedelta(days=day)
            if event_date:
                folder += f"/event_date={event_date}"
            key = f"{folder}/{self._load_id}-{self._count}.parquet"
            self._count += 1
            path = self._stage(key)
            schema = self._schema
            for name in ("_source_file", "_source_etag"):
                place = schema.get_field_index(name)
                schema = schema.set(place, pa.field(name, pa.dictionary(pa.int32(), pa.string())))
            writer = pq.ParquetWriter(
                path,
                schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=self._dictionary,
                column_encoding=self._encodings,
            )
            self._open[day] = _OpenFile(key, path, writer, event_date)
        return self._open[day]

    def _close(self, day: int | None) -> None:
        file = self._open[day]
        file.writer.close()
        self._done.append(self._open.pop(day))

    def _stage(self, key: str) -> Path:
        self._staged.append(self._lake.stage(key))
        return self._staged[-1]

    def _add_rejects(self, rejects: list[Reject]) -> None:
        for reject in rejects:
            self.quarantined[reject.source] += 1
            self._reject_bytes += len(reject.raw) + len(reject.detail)
        self._rejects += rejects
        if len(self._rejects) >= BUFFER_REJECTS or self._reject_bytes >= BUFFER_REJECT_BYTES:
            self._flush_rejects()

    def _flush_rejects(self) -> None:
        if not self._rejects:
            return
        if self._quarantine is None:
            key = f"quarantine/{self._contract.feed}/ingest_date={self._ingest_date}/{self._load_id}.parquet"
            path = self._stage(key)
            writer = pq.ParquetWriter(path, QUARANTINE, compression="zstd")
            self._quarantine = _OpenFile(key, path, writer, None)
        sources = pa.array([reject.source for reject in self._rejects], pa.int32())
        count = len(self._rejects)
        lines = pa.array([reject.line for reject in self._rejects], pa.int64())
        columns = {
            "_source_file": self._files.take(sources),
            "_source_etag": self._etags.take(sources),
            "_source_modified_at": self._modified(as_numpy(sources), as_numpy(lines)),
            LINE: lines,
            "_ingested_at": pa.repeat(pa.scalar(self._started_at, pa.timestamp("us")), count),
            "_load_id": pa.repeat(pa.scalar(self._load_id), count),
            RESCUED: pa.nulls(count, pa.string()),
            "reason": pa.array([reject.reason for reject in self._rejects], pa.string()),
            "column": pa.array([reject.column for reject in self._rejects], pa.string()),
            "detail": pa.array([reject.detail for reject in self._rejects], pa.string()),
            "raw": pa.array([reject.raw for reject in self._rejects], pa.binary()),
        }
        self._quarantine.writer.write_table(pa.table(columns, schema=QUARANTINE))
        self._quarantine.rows += count
        self._rejects, self._reject_bytes = [], 0
