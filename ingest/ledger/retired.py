"""Records of retired objects: `<lake>/retired/<feed>/*.parquet`, which permanently explain their absence."""

from __future__ import annotations

import datetime as dt
import io
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.storage.store import Store

SCHEMA = pa.schema(
    [
        ("source_file", pa.string()),
        ("etag", pa.string()),
        ("action", pa.string()),
        ("moved_to", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
    ]
)
_SEPARATOR = "\n"


def record_retired(
    lake: Store, feed: str, versions: Sequence[tuple[str, str, str | None]], action: str, at: dt.datetime
) -> None:
    """Record that these versions are about to be removed from the landing, or were tagged.

    Args:
        versions: (source file, etag, target of a move) of each.
    """
    names, etags, places = ([version[n] for version in versions] for n in range(3))
    columns = {"source_file": names, "etag": etags, "action": [action] * len(names), "moved_to": places}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns | {"at": [at] * len(names)}, schema=SCHEMA), sink, compression="zstd")
    lake.put(f"retired/{feed}/{at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}.parquet", sink.getvalue())


def read_retired(lake: Store, feed: str) -> pa.Table:
    """Return all records of a feed, oldest first."""
    keys = sorted(item.key for item in lake.list(f"retired/{feed}"))

    def read(key: str) -> pa.Table:
        return pq.read_table(io.BytesIO(lake.get(key)), schema=SCHEMA)

    with ThreadPoolExecutor(8) as pool:
        return pa.concat_tables([SCHEMA.empty_table(), *pool.map(read, keys)]).combine_chunks()


def hide_retired(lake: Store, feed: str, hidden: Mapping[str, str]) -> None:
    """Put what stands for names in place of them."""
    for item in lake.list(f"retired/{feed}"):
        hide_in_table(lake, item.key, hidden)


def hide_in_table(lake: Store, key: str, hidden: Mapping[str, str]) -> None:
    """Put what stands for names in place of them, in the column `source_file` of a small file.

    Where such an object was moved to goes too, since that has its name.
    """
    table = pq.read_table(io.BytesIO(lake.get(key)))
    names = table.column("source_file").to_pylist()
    if hidden.keys().isdisjoint(names):
        return
    new = [hidden.get(name, name) for name in names]
    table = table.set_column(table.column_names.index("source_file"), "source_file", pa.array(new, pa.string()))
    if "moved_to" in table.column_names:
        places = table.column("moved_to").to_pylist()
        kept = [None if name in hidden else place for name, place in zip(names, places, strict=True)]
        table = table.set_column(table.column_names.index("moved_to"), "moved_to", pa.array(kept, pa.string()))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    lake.put(key, sink.getvalue())


def is_retired(retired: pa.Table, names: pa.Array, etags: pa.Array) -> pa.Array:
    """Return which of the given versions are recorded as retired."""
    recorded = [retired.column(name).combine_chunks() for name in ("source_file", "etag")]
    known = pc.binary_join_element_wise(*recorded, _SEPARATOR)
    return pc.is_in(pc.binary_join_element_wise(names, etags, _SEPARATOR), value_set=known)
