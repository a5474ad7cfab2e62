"""Object versions that were taken out on purpose: `<lake>/dropped/<feed>/*.parquet`.

The ledger says that they are out; this says why, and keeps them out when the same bytes come again under their key or
when the ledger is made anew.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.ledger.entry import OBJECT_SCHEMA, LoadedObject, must_be_readable, objects_of, objects_table, readable
from ingest.storage.store import Store

_THREADS = 8
_REASONS = {"etags": pa.list_(pa.string()), "because": pa.string(), "dropped_at": pa.timestamp("us", "UTC")}
_REMEDY = "restore it from the back-up; without it what was dropped may come back"


@dataclass(frozen=True, slots=True)
class DroppedVersion:
    """One version of a source object whose records were taken out.

    Attributes:
        version: as the ledger has it since then: all records dropped, but those that were erased or skipped.
        etags: under which its rows were loaded, and under which the ledger knew it last.
        because: why, in the words of whoever dropped it.
    """

    version: LoadedObject
    etags: tuple[str, ...]
    because: str
    at: dt.datetime


Dropped = Mapping[str, Sequence[DroppedVersion]]
"""Dropped versions by source file, oldest first."""


def record_dropped(lake: Store, feed: str, load_id: str, versions: Sequence[DroppedVersion]) -> str:
    """Notes versions that are about to be dropped; the key of the note.

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
    """Every version that was ever dropped of a feed.

    Raises:
        ConfigError: a note is damaged, or a newer version of Lakemesh wrote it.
    """
    keys = sorted(item.key for item in lake.list(f"dropped/{feed}"))

    def read(key: str) -> list[DroppedVersion]:
        name = f"{lake.uri}/{key}"
        with readable(name, _REMEDY):
            table = pq.ParquetFile(io.BytesIO(lake.get(key))).read()
            must_be_readable(table.schema, name)
            about = (table.column(name).to_pylist() for name in _REASONS)
            objects = objects_of(table.select([name for name in OBJECT_SCHEMA.names if name in table.column_names]))
            return [
                DroppedVersion(version, tuple(etags), because, at)
                for version, etags, because, at in zip(objects, *about, strict=True)
            ]

    found: dict[str, list[DroppedVersion]] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for item in (item for items in pool.map(read, keys) for item in items):
            found.setdefault(item.version.source_file, []).append(item)
    return found


def why_dropped(notes: Dropped, version: LoadedObject) -> DroppedVersion | None:
    """The newest note of a version that the ledger says is dropped; None when there is none."""
    same = [
        item
        for item in notes.get(version.source_file, ())
        if version.etag in item.etags or (version.content_hash and item.version.content_hash == version.content_hash)
    ]
    return same[-1] if version.dropped and same else None
