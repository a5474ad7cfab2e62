"""What a load commits of its sources: versions of objects and ranges of offsets, with the count of their records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingest.ledger.format import METADATA
from ingest.storage.arrays import single_array

_DATES = pa.list_(pa.struct([pa.field("event_date", pa.date32()), pa.field("rows", pa.int64())]))
_COUNTED = {
    "event_dates": _DATES,
    "contract_version": pa.int64(),
    "load_id": pa.string(),
    "dropped": pa.int64(),
    "erased": pa.int64(),
    "skipped": pa.int64(),
}
OBJECT = {
    "source_file": pa.string(),
    "etag": pa.string(),
    "content_hash": pa.string(),
    "size": pa.int64(),
    "modified_at": pa.timestamp("us", "UTC"),
    "records": pa.int64(),
    "rows": pa.int64(),
    "quarantined": pa.int64(),
    **_COUNTED,
}
SINCE_2 = ("dropped", "erased", "skipped")
"""Counts of an object that format 1 lacks, where they are 0."""
TOPIC_PREFIX = "kafka:"
"""Beginning of `_source_file` of messages."""
RANGE = {
    "cluster_id": pa.string(),
    "topic_id": pa.string(),
    "topic": pa.string(),
    "partition": pa.int32(),
    "first_offset": pa.int64(),
    "last_offset": pa.int64(),
    "size": pa.int64(),
    "modified_at": pa.timestamp("us", "UTC"),
    "records": pa.int64(),
    "rows": pa.int64(),
    "quarantined": pa.int64(),
    "nulls": pa.int64(),
    "gaps": pa.int64(),
    **_COUNTED,
}
OBJECT_SCHEMA = pa.schema(list(OBJECT.items()), metadata=METADATA)


@dataclass(frozen=True, slots=True)
class LoadedObject:
    """One version of a source object, as committed by a load.

    Attributes:
        source_file: bucket/key.
        records: non-blank records; always rows + quarantined + dropped + erased + skipped.
        event_dates: (UTC date, rows) of its bronze rows; empty for entity feeds.
        dropped: records removed because the object should never have been loaded (`lake drop`).
        erased: records removed to erase a person's data.
        skipped: records that are counted but never become rows, such as tombstones and transaction markers.
    """

    source_file: str
    etag: str
    content_hash: str
    size: int
    modified_at: dt.datetime
    records: int
    rows: int
    quarantined: int
    event_dates: tuple[tuple[dt.date, int], ...]
    contract_version: int
    load_id: str
    dropped: int = 0
    erased: int = 0
    skipped: int = 0

    @property
    def is_conserved(self) -> bool:
        """Whether every record is accounted for."""
        return self.records == self.rows + self.quarantined + self.dropped + self.erased + self.skipped


Partition = tuple[str, str, int]
"""Permanent identity of a topic partition: cluster id, topic id (a recreated topic gets a new one), number."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Consecutive offsets of one partition, as committed by a load, or all that was read of it, joined.

    A correction has no offsets, `last_offset` is one less than `first_offset`: it changes how records of an earlier
    range are counted, as when they leave the quarantine, and its counts may be negative.

    Attributes:
        topic: the topic's name, for display; the id is the identity.
        size: bytes of the values.
        modified_at: time of the newest message.
        records: messages with a value; always rows + quarantined + dropped + erased + skipped.
        nulls: messages without a value.
        gaps: offsets that were never delivered: control records, aborted transactions, compaction.
        event_dates, dropped, erased, skipped: as in LoadedObject.
    """

    cluster_id: str
    topic_id: str
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    size: int
    modified_at: dt.datetime
    records: int
    rows: int
    quarantined: int
    nulls: int
    gaps: int
    event_dates: tuple[tuple[dt.date, int], ...]
    contract_version: int
    load_id: str
    dropped: int = 0
    erased: int = 0
    skipped: int = 0

    @property
    def place(self) -> Partition:
        """The partition."""
        return self.cluster_id, self.topic_id, self.partition

    @property
    def name(self) -> str:
        """`_source_file` of its records, which equals no bucket/key."""
        return source_name(self.topic, self.partition)

    @property
    def etag(self) -> str:
        """`_source_etag` of its records: cluster and topic id, by which the ledger can be rebuilt."""
        return source_etag(self.cluster_id, self.topic_id)

    @property
    def next_offset(self) -> int:
        """The offset after it."""
        return self.last_offset + 1

    @property
    def is_correction(self) -> bool:
        """Whether it has no offsets."""
        return self.last_offset < self.first_offset

    @property
    def is_conserved(self) -> bool:
        """Whether every offset and every record is accounted for."""
        offsets = self.last_offset - self.first_offset + 1
        counted = self.rows + self.quarantined + self.dropped + self.erased + self.skipped
        return offsets == self.records + self.nulls + self.gaps and self.records == counted


def source_name(topic: str, partition: int) -> str:
    """Return `_source_file` of the messages of a partition: no bucket has a colon in its name.

    >>> source_name("clicks", 3)
    'kafka:clicks/3'
    """
    return f"{TOPIC_PREFIX}{topic}/{partition}"


def source_etag(cluster_id: str, topic_id: str) -> str:
    """Return `_source_etag` of the messages of a topic: neither id has a slash."""
    return f"{cluster_id}/{topic_id}"


def topic_of(source_etag: str) -> tuple[str, str]:
    """Return the ids of cluster and topic in a `_source_etag`.

    >>> topic_of(source_etag("c-1", "t_1"))
    ('c-1', 't_1')
    """
    cluster_id, _, topic_id = source_etag.partition("/")
    return cluster_id, topic_id


def is_message(source_file: str) -> bool:
    """Whether `_source_file` is of a topic's message, not of an object."""
    return source_file.startswith(TOPIC_PREFIX)


COUNTS = ("size", "records", "rows", "quarantined", "nulls", "gaps", *SINCE_2)
"""What is counted of a range."""


def objects_table(objects: Sequence[LoadedObject]) -> pa.Table:
    """Convert objects to columns."""
    return pa.table(_columns(objects, OBJECT), schema=OBJECT_SCHEMA)


def objects_of(table: pa.Table) -> Iterable[LoadedObject]:
    """Convert columns, of any format, to objects."""
    return map(LoadedObject, *_values(up_to_date(table), OBJECT))


def up_to_date(objects: pa.Table) -> pa.Table:
    """Convert columns of any readable format to the current one."""
    for name in SINCE_2:
        if name not in objects.column_names:
            objects = objects.append_column(name, pa.repeat(pa.scalar(0, pa.int64()), len(objects)))
    return objects.replace_schema_metadata(METADATA)


def ranges_table(ranges: Sequence[OffsetRange]) -> pa.Table:
    """Convert ranges to columns."""
    return pa.table(_columns(ranges, RANGE), names=list(RANGE))


def ranges_of(table: pa.Table) -> Iterable[OffsetRange]:
    """Convert columns to ranges."""
    return map(OffsetRange, *_values(table, RANGE))


def _columns(items: Sequence[Any], kinds: Mapping[str, pa.DataType]) -> list[pa.Array]:
    """Convert the attributes of objects or ranges to arrays."""
    return [
        _dates_array(items) if name == "event_dates" else pa.array([getattr(item, name) for item in items], kind)
        for name, kind in kinds.items()
    ]


def _dates_array(items: Sequence[Any]) -> pa.Array:
    """Convert the event dates of objects or ranges, without a Python object for each list and pair."""
    ends = pa.array(accumulate((len(item.event_dates) for item in items), initial=0), pa.int32())
    pairs = [pair for item in items for pair in item.event_dates]
    days, rows = pa.array([day for day, _ in pairs], pa.date32()), pa.array([count for _, count in pairs], pa.int64())
    return pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays([days, rows], fields=list(_DATES.value_type)))


def _values(table: pa.Table, kinds: Mapping[str, pa.DataType]) -> list[list[Any]]:
    """Convert columns of objects or ranges to attributes."""
    return [
        _dates_of(table.column(name)) if name == "event_dates" else table.column(name).to_pylist() for name in kinds
    ]


def _dates_of(column: pa.ChunkedArray) -> list[tuple[tuple[dt.date, int], ...]]:
    """Convert columns of event dates to those of objects or ranges."""
    lists = single_array(column)
    ends = accumulate(pc.list_value_length(lists).to_pylist(), initial=0)
    flat = lists.flatten()
    pairs = list(zip(flat.field("event_date").to_pylist(), flat.field("rows").to_pylist(), strict=True))
    return [tuple(pairs[start:end]) for start, end in pairwise(ends)]
