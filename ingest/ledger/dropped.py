"""Records of dropped object versions: `<lake>/dropped/<feed>/*.parquet`.

The ledger records that a version is dropped; these records state why, and keep it dropped when the same bytes return
under its key or the ledger is rebuilt.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.ledger.format import check_format, readable
from ingest.ledger.retired import hide_in_table
from ingest.ledger.sources import OBJECT_SCHEMA, LoadedObject, objects_of, objects_table
from ingest.storage.store import Store

_THREADS = 8
_REASONS = {"etags": pa.list_(pa.string()), "because": pa.string(), "dropped_at": pa.timestamp("us", "UTC")}
_REMEDY = "restore it from the backup; without it dropped rows may return"


@dataclass(frozen=True, slots=True)
class DroppedVersion:
    """One version of a source object that was dropped.

    Attributes:
        version: its ledger row after the drop: all records dropped, except those erased or skipped.
        etags: the etag with which its rows were loaded, and the last one in the ledger.
        because: the reason, as given by the operator.
        at: when it was dropped, UTC.
    """

    version: LoadedObject
    etags: tuple[str, ...]
    because: str
    at: dt.datetime


Dropped = Mapping[str, Sequence[DroppedVersion]]
"""Dropped versions by source file, oldest first."""


def record_dropped(lake: Store, feed: str, load_id: str, versions: Sequence[DroppedVersion]) -> str:
    """Record versions that are about to be dropped, and return the key of the record.

    Args:
        load_id: the load that drops them.
    """
    table = objects_table([item.version for item in versions])
    for name, values in (
        ("etags", [list(item.etags) for item in versions]),
        ("because", [item.because for item in versions]),
        ("dropped_at", [item.at for item in versions]),
    ):
        table = table.append_column(name, pa.array(values, _REASONS[name]))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    key = f"dropped/{feed}/{load_id}.parquet"
    lake.put(key, sink.getvalue())
    return key


def read_dropped(lake: Store, feed: str) -> dict[str, list[DroppedVersion]]:
    """Return every dropped version of a feed, by source file.

    Raises:
        ConfigError: a record is damaged, or was written by a newer version of Lakemesh.
    """
    keys = sorted(item.key for item in lake.list(f"dropped/{feed}"))

    def read(key: str) -> list[DroppedVersion]:
        name = f"{lake.uri}/{key}"
        with readable(name, _REMEDY):
            table = pq.ParquetFile(io.BytesIO(lake.get(key))).read()
            check_format(table.schema, name)
            extra = (table.column(name).to_pylist() for name in _REASONS)
            objects = objects_of(table.select([name for name in OBJECT_SCHEMA.names if name in table.column_names]))
            return [
                DroppedVersion(version, tuple(etags), because, at)
                for version, etags, because, at in zip(objects, *extra, strict=True)
            ]

    found: dict[str, list[DroppedVersion]] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for item in (item for items in pool.map(read, keys) for item in items):
            found.setdefault(item.version.source_file, []).append(item)
    return found


def hide_dropped(lake: Store, feed: str, hidden: Mapping[str, str]) -> None:
    """Put what stands for names in place of them."""
    for item in lake.list(f"dropped/{feed}"):
        hide_in_table(lake, item.key, hidden)


def why_dropped(notes: Dropped, version: LoadedObject) -> DroppedVersion | None:
    """Return the newest record of a version that is dropped in the ledger; None when there is none."""
    same = [
        item
        for item in notes.get(version.source_file, ())
        if version.etag in item.etags or (version.content_hash and item.version.content_hash == version.content_hash)
    ]
    return same[-1] if version.dropped and same else None
