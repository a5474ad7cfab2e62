"""Ledger entries: the content of a commit, and its Parquet format.

Rows are actions:

    object   one version of one source object was loaded (or seen again): counts, event dates, hash
    range    consecutive offsets of one topic partition were loaded: counts, event dates
    add      a bronze or quarantine file is live from this entry on
    remove   a file is no longer live
    abandon  the load with that id must never commit; its files may be deleted

Each row group contains one action, so that files can be read without the objects.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.errors import ConfigError

FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)
"""Format 1 has no ranges, and none of its objects has dropped, erased or skipped records."""
LAYERS = ("bronze", "quarantine", "discarded")
VERSION_KEY = b"lakemesh.ledger_format"
NEWEST_KEY = b"lakemesh.newest_object_at"
OFFSETS_KEY = b"lakemesh.next_offsets"
CONTRACT_KEY = b"lakemesh.contract"
_LOAD_KEY, _COMMITTED_KEY, _BEGINS_KEY = b"lakemesh.load_id", b"lakemesh.committed_at", b"lakemesh.begins"
_DATES = pa.list_(pa.struct([pa.field("event_date", pa.date32()), pa.field("rows", pa.int64())]))
_OBJECT = {
    "source_file": pa.string(),
    "etag": pa.string(),
    "content_hash": pa.string(),
    "size": pa.int64(),
    "modified_at": pa.timestamp("us", "UTC"),
    "records": pa.int64(),
    "rows": pa.int64(),
    "quarantined": pa.int64(),
    "event_dates": _DATES,
    "contract_version": pa.int64(),
    "load_id": pa.string(),
    "dropped": pa.int64(),
    "erased": pa.int64(),
    "skipped": pa.int64(),
}
SINCE_2 = ("dropped", "erased", "skipped")
"""Counts of an object that format 1 lacks, where they are 0."""
_RANGE = {
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
    "event_dates": _DATES,
    "contract_version": pa.int64(),
    "load_id": pa.string(),
    "dropped": pa.int64(),
    "erased": pa.int64(),
    "skipped": pa.int64(),
}
_FILE = {
    "path": pa.string(),
    "rows": pa.int64(),
    "bytes": pa.int64(),
    "ingest_date": pa.date32(),
    "event_date": pa.date32(),
    "loads": pa.list_(pa.string()),
    "columns": pa.string(),
}
_COLUMNS = {
    "object": list(_OBJECT),
    "range": list(_RANGE),
    "add": list(_FILE),
    "remove": ["path"],
    "abandon": ["abandoned"],
}
LOG_REMEDY = "restore the ledger from its backup, or run `lake ledger rebuild`"
CHECKPOINT_REMEDY = "delete it: it is only a cache, the log itself has the same content"
METADATA = {VERSION_KEY: str(FORMAT_VERSION).encode()}
OBJECT_SCHEMA = pa.schema(list(_OBJECT.items()), metadata=METADATA)
FILE_SCHEMA = pa.schema(list(_FILE.items()), metadata=METADATA)
_SCHEMA = pa.schema(
    [
        ("action", pa.string()),
        *(_OBJECT | _RANGE | _FILE).items(),
        ("abandoned", pa.string()),
    ],
    metadata=METADATA,
)


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
    """Consecutive offsets of one partition, as committed by a load.

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
    def is_conserved(self) -> bool:
        """Whether every offset and every record is accounted for."""
        offsets = self.last_offset - self.first_offset + 1
        counted = self.rows + self.quarantined + self.dropped + self.erased + self.skipped
        return offsets == self.records + self.nulls + self.gaps and self.records == counted


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One Parquet file of bronze or quarantine.

    Attributes:
        path: key below the lake, starting with one of LAYERS.
        loads: ids of the loads whose rows it contains.
        columns: for bronze, a JSON object of column name to SQL type, in order (files of older contracts lack newer
            columns); for discarded records, the reason.
    """

    path: str
    rows: int
    bytes: int
    ingest_date: dt.date
    event_date: dt.date | None
    loads: tuple[str, ...]
    columns: str


@dataclass(frozen=True, slots=True)
class Entry:
    """The content of one commit.

    Attributes:
        ranges: at most one per partition; committing the entry commits their offsets.
        newest_object_at: when the newest of its objects was written; known even if the objects were not read.
        contract: the contract with which its objects were loaded, if not yet in the log (see evolution.py).
        begins: for the first entry of a rebuilt log, its own number: all earlier entries are void. Otherwise 0.
    """

    load_id: str
    committed_at: dt.datetime
    objects: tuple[LoadedObject, ...] = ()
    added: tuple[LakeFile, ...] = ()
    removed: tuple[str, ...] = ()
    abandoned: tuple[str, ...] = ()
    ranges: tuple[OffsetRange, ...] = ()
    newest_object_at: dt.datetime | None = field(default=None, compare=False)
    contract: str = ""
    begins: int = 0

    def __post_init__(self) -> None:
        sources: tuple[LoadedObject | OffsetRange, ...] = (*self.objects, *self.ranges)
        if sources:
            object.__setattr__(self, "newest_object_at", max(item.modified_at for item in sources))

    @property
    def names_sources(self) -> bool:
        """Whether it contains objects or ranges; compaction and cleaning entries do not."""
        return bool(self.objects or self.ranges)

    def conflicts_with(self, other: Entry) -> bool:
        """Whether `other`, committed first, invalidates this entry.

        Concurrent loads with different contracts conflict, so that each is planned again and checked against what the
        other loaded.
        """
        mine = {item.source_file for item in self.objects}
        places = {item.place for item in self.ranges}
        return (
            self.load_id in other.abandoned
            or any(item.source_file in mine for item in other.objects)
            or any(item.place in places for item in other.ranges)
            or (self.contract != other.contract and self.names_sources and other.names_sources)
            or not set(self.removed).isdisjoint(other.removed)
        )

    def to_bytes(self) -> bytes:
        """Serialize the entry as Parquet."""
        sink = io.BytesIO()
        metadata = {_LOAD_KEY: self.load_id, _COMMITTED_KEY: self.committed_at.isoformat()}
        metadata |= stamp(self.newest_object_at) | ({CONTRACT_KEY: self.contract} if self.contract else {})
        if self.begins:
            metadata[_BEGINS_KEY] = str(self.begins)
        schema = _SCHEMA.with_metadata(METADATA | {key: value.encode() for key, value in metadata.items()})
        with pq.ParquetWriter(sink, schema, compression="zstd", write_statistics=["action"]) as writer:
            for action, table in (
                ("add", files_table(self.added)),
                ("remove", pa.table({"path": pa.array(self.removed, pa.string())})),
                ("abandon", pa.table({"abandoned": pa.array(self.abandoned, pa.string())})),
                ("range", _ranges_table(self.ranges)),
                ("object", objects_table(self.objects)),
            ):
                if table.num_rows:
                    writer.write_table(_rows(action, table).cast(schema))
        return sink.getvalue()

    @staticmethod
    def from_bytes(data: bytes, name: str, with_objects: bool = True) -> Entry:
        """Read an entry.

        Args:
            name: the entry's address, for error messages.
            with_objects: whether to read the objects; reading is faster without.

        Raises:
            ConfigError: it is damaged, or was written by a newer version of Lakemesh.
        """
        with readable(name):
            parquet = pq.ParquetFile(io.BytesIO(data))
            check_format(parquet.schema_arrow, name)
            metadata = parquet.schema_arrow.metadata
            rows: dict[str, list[pa.Table]] = {action: [] for action in _COLUMNS}
            for group in range(parquet.num_row_groups):
                action = parquet.metadata.row_group(group).column(0).statistics.min
                if action != "object" or with_objects:
                    rows[action].append(parquet.read_row_group(group, columns=_COLUMNS[action]))
            return Entry(
                load_id=metadata[_LOAD_KEY].decode(),
                committed_at=dt.datetime.fromisoformat(metadata[_COMMITTED_KEY].decode()),
                objects=tuple(item for table in rows["object"] for item in objects_of(table)),
                added=tuple(item for table in rows["add"] for item in files_of(table)),
                removed=tuple(path for table in rows["remove"] for path in table.column("path").to_pylist()),
                abandoned=tuple(load for table in rows["abandon"] for load in table.column("abandoned").to_pylist()),
                ranges=tuple(item for table in rows["range"] for item in _ranges_of(table)),
                newest_object_at=stamped(metadata),
                contract=metadata.get(CONTRACT_KEY, b"").decode(),
                begins=int(metadata.get(_BEGINS_KEY, b"0")),
            )


def stamp(newest_object_at: dt.datetime | None) -> dict[bytes, str]:
    """Return the file metadata that records when the newest object was written."""
    return {NEWEST_KEY: newest_object_at.isoformat()} if newest_object_at else {}


def stamped(metadata: Mapping[bytes, bytes]) -> dt.datetime | None:
    """Return the time that `stamp` recorded, if any."""
    found = metadata.get(NEWEST_KEY)
    return dt.datetime.fromisoformat(found.decode()) if found else None


@contextmanager
def readable(name: str, remedy: str = LOG_REMEDY) -> Iterator[None]:
    """Convert exceptions from reading a damaged ledger file into an error that names it.

    Args:
        remedy: the next step for the operator.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, ValueError, AttributeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise ConfigError(f"{name} is damaged ({reason}); {remedy}") from error


def check_format(schema: pa.Schema, name: str) -> None:
    """Check the format version.

    Raises:
        ConfigError: the file was written by a newer version of Lakemesh.
    """
    version = format_of(schema)
    if version not in READABLE_VERSIONS:
        known = " and ".join(map(str, READABLE_VERSIONS))
        raise ConfigError(f"{name} has ledger format {version}, this version reads {known}; install a newer Lakemesh")


def format_of(schema: pa.Schema) -> int:
    """Return the format version of a ledger file."""
    return int((schema.metadata or {}).get(VERSION_KEY, b"0"))


def objects_table(objects: Sequence[LoadedObject]) -> pa.Table:
    """Convert objects to columns."""
    return pa.table(_columns(objects, _OBJECT), schema=OBJECT_SCHEMA)


def objects_of(table: pa.Table) -> Iterable[LoadedObject]:
    """Convert columns, of any format, to objects."""
    return map(LoadedObject, *_values(up_to_date(table), _OBJECT))


def up_to_date(objects: pa.Table) -> pa.Table:
    """Convert columns of any readable format to the current one."""
    for name in SINCE_2:
        if name not in objects.column_names:
            objects = objects.append_column(name, pa.repeat(pa.scalar(0, pa.int64()), len(objects)))
    return objects.replace_schema_metadata(METADATA)


def _ranges_table(ranges: Sequence[OffsetRange]) -> pa.Table:
    return pa.table(_columns(ranges, _RANGE), names=list(_RANGE))


def _ranges_of(table: pa.Table) -> Iterable[OffsetRange]:
    return map(OffsetRange, *_values(table, _RANGE))


def _columns(items: Sequence[Any], kinds: Mapping[str, pa.DataType]) -> list[pa.Array]:
    """Convert the attributes of objects or ranges to arrays."""
    dates = [[{"event_date": day, "rows": rows} for day, rows in item.event_dates] for item in items]
    columns = {name: [getattr(item, name) for item in items] for name in kinds} | {"event_dates": dates}
    return [pa.array(columns[name], kind) for name, kind in kinds.items()]


def _values(table: pa.Table, kinds: Mapping[str, pa.DataType]) -> list[list[Any]]:
    """Convert columns of objects or ranges to attributes."""
    columns: dict[str, list[Any]] = {name: table.column(name).to_pylist() for name in kinds}
    columns["event_dates"] = [
        tuple((item["event_date"], item["rows"]) for item in dates) for dates in columns["event_dates"]
    ]
    return list(columns.values())


def files_table(files: Sequence[LakeFile]) -> pa.Table:
    """Convert files to columns."""
    columns = zip(*map(astuple, files), strict=True) if files else ([] for _ in fields(LakeFile))
    return pa.table(
        [pa.array(list(values), kind) for values, kind in zip(columns, _FILE.values(), strict=True)], schema=FILE_SCHEMA
    )


def files_of(table: pa.Table) -> Iterable[LakeFile]:
    """Convert columns to files."""
    columns: dict[str, list[Any]] = {name: table.column(name).to_pylist() for name in _FILE}
    columns["loads"] = [tuple(loads) for loads in columns["loads"]]
    return map(LakeFile, *columns.values())


def _rows(action: str, table: pa.Table) -> pa.Table:
    """Extend a table of one action to all columns of an entry."""
    given = {name: table.column(name) for name in table.column_names} | {"action": pa.repeat(action, len(table))}
    columns = [
        given.get(name, pa.nulls(len(table), kind)) for name, kind in zip(_SCHEMA.names, _SCHEMA.types, strict=True)
    ]
    return pa.table(columns, schema=_SCHEMA)
