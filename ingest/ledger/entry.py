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
import hashlib
import io
import json
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.ledger.files import FILE, LakeFile, files_of, files_table
from ingest.ledger.format import (
    CONTRACT_KEY,
    ERASURE_FORMAT,
    FORGETS_KEY,
    GAPS_KEY,
    KNOWS_KEY,
    METADATA,
    VERSION_KEY,
    check_format,
    readable,
    stamp,
    stamped,
)
from ingest.ledger.gaps import Gap, gaps_of, gaps_text
from ingest.ledger.sources import (
    OBJECT,
    RANGE,
    LoadedObject,
    OffsetRange,
    Partition,
    objects_of,
    objects_table,
    ranges_of,
    ranges_table,
)

_LOAD_KEY, _COMMITTED_KEY, _BEGINS_KEY = b"lakemesh.load_id", b"lakemesh.committed_at", b"lakemesh.begins"
_COLUMNS = {
    "object": list(OBJECT),
    "range": list(RANGE),
    "add": list(FILE),
    "remove": ["path"],
    "abandon": ["abandoned"],
}
_SCHEMA = pa.schema(
    [
        ("action", pa.string()),
        *(OBJECT | RANGE | FILE).items(),
        ("abandoned", pa.string()),
    ],
    metadata=METADATA,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """The content of one commit.

    Attributes:
        ranges: at most one per partition beside corrections; committing the entry commits their offsets.
        gaps: places at which offsets do not continue, and where they do; before its ranges.
        newest_object_at: when the newest of its objects was written; known even if the objects were not read.
        contract: the contract with which its objects were loaded, if not yet in the log (see evolution.py).
        forgets: the tombstones whose persons this entry takes out of the feed; names of their files.
        known: the tombstones that its writer knew; of them only `knows` is stored.
        knows: a digest of their names; empty for none.
        has_objects: whether it has objects, even if they were not read.
        begins: for the first entry of a rebuilt log, its own number: all earlier entries are void. Otherwise 0.
    """

    load_id: str
    committed_at: dt.datetime
    objects: tuple[LoadedObject, ...] = ()
    added: tuple[LakeFile, ...] = ()
    removed: tuple[str, ...] = ()
    abandoned: tuple[str, ...] = ()
    ranges: tuple[OffsetRange, ...] = ()
    gaps: tuple[Gap, ...] = ()
    newest_object_at: dt.datetime | None = field(default=None, compare=False)
    contract: str = ""
    begins: int = 0
    forgets: frozenset[str] = frozenset()
    known: frozenset[str] = field(default=frozenset(), compare=False)
    knows: str = field(default="", compare=False)
    has_objects: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        messages = (item for item in self.ranges if item.records + item.nulls > 0 and not item.is_correction)
        times = [*(item.modified_at for item in self.objects), *(item.modified_at for item in messages)]
        if times:
            object.__setattr__(self, "newest_object_at", max(times))
        if self.objects:
            object.__setattr__(self, "has_objects", True)
        if self.known:
            names = "\n".join(sorted(self.known))
            object.__setattr__(self, "knows", hashlib.sha256(names.encode()).hexdigest()[:16])

    @property
    def names_sources(self) -> bool:
        """Whether it contains objects or ranges; compaction and cleaning entries do not."""
        return bool(self.objects or self.ranges)

    @property
    def _moved(self) -> set[Partition]:
        """The partitions whose next offset it changes."""
        return {item.place for item in self.ranges if not item.is_correction} | {gap.place for gap in self.gaps}

    def conflicts_with(self, other: Entry) -> bool:
        """Whether `other`, committed first, invalidates this entry.

        Concurrent loads with different contracts conflict, so that each is planned again and checked against what the
        other loaded. A load that did not know the tombstones of an erasure could bring the person back, and an erasure
        has to look at what such a load added.
        """
        mine = {item.source_file for item in self.objects}
        return (
            self.load_id in other.abandoned
            or any(item.source_file in mine for item in other.objects)
            or not self._moved.isdisjoint(other._moved)
            or (self.contract != other.contract and self.names_sources and other.names_sources)
            or (self.names_sources and not other.forgets <= self.known)
            or (bool(self.forgets and other.added) and self.knows != other.knows)
            or not set(self.removed).isdisjoint(other.removed)
        )

    def to_bytes(self) -> bytes:
        """Serialize the entry as Parquet."""
        sink = io.BytesIO()
        metadata = {_LOAD_KEY: self.load_id, _COMMITTED_KEY: self.committed_at.isoformat()}
        metadata |= stamp(self.newest_object_at) | ({CONTRACT_KEY: self.contract} if self.contract else {})
        if self.begins:
            metadata[_BEGINS_KEY] = str(self.begins)
        if self.gaps:
            metadata[GAPS_KEY] = gaps_text(self.gaps)
        if self.knows:
            metadata[KNOWS_KEY] = self.knows
        if self.forgets:
            metadata |= {FORGETS_KEY: json.dumps(sorted(self.forgets)), VERSION_KEY: str(ERASURE_FORMAT)}
        schema = _SCHEMA.with_metadata(METADATA | {key: value.encode() for key, value in metadata.items()})
        with pq.ParquetWriter(sink, schema, compression="zstd", write_statistics=["action"]) as writer:
            for action, table in (
                ("add", files_table(self.added)),
                ("remove", pa.table({"path": pa.array(self.removed, pa.string())})),
                ("abandon", pa.table({"abandoned": pa.array(self.abandoned, pa.string())})),
                ("range", ranges_table(self.ranges)),
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
            has_objects = False
            for group in range(parquet.num_row_groups):
                action = parquet.metadata.row_group(group).column(0).statistics.min
                has_objects |= action == "object"
                if action != "object" or with_objects:
                    rows[action].append(parquet.read_row_group(group, columns=_COLUMNS[action]))
            return Entry(
                load_id=metadata[_LOAD_KEY].decode(),
                committed_at=dt.datetime.fromisoformat(metadata[_COMMITTED_KEY].decode()),
                objects=tuple(item for table in rows["object"] for item in objects_of(table)),
                added=tuple(item for table in rows["add"] for item in files_of(table)),
                removed=tuple(path for table in rows["remove"] for path in table.column("path").to_pylist()),
                abandoned=tuple(load for table in rows["abandon"] for load in table.column("abandoned").to_pylist()),
                ranges=tuple(item for table in rows["range"] for item in ranges_of(table)),
                gaps=gaps_of(metadata.get(GAPS_KEY, b"[]").decode()),
                newest_object_at=stamped(metadata),
                contract=metadata.get(CONTRACT_KEY, b"").decode(),
                begins=int(metadata.get(_BEGINS_KEY, b"0")),
                knows=metadata.get(KNOWS_KEY, b"").decode(),
                forgets=frozenset(json.loads(metadata.get(FORGETS_KEY, b"[]"))),
                has_objects=has_objects,
            )


def _rows(action: str, table: pa.Table) -> pa.Table:
    """Extend a table of one action to all columns of an entry."""
    given = {name: table.column(name) for name in table.column_names} | {"action": pa.repeat(action, len(table))}
    columns = [
        given.get(name, pa.nulls(len(table), kind)) for name, kind in zip(_SCHEMA.names, _SCHEMA.types, strict=True)
    ]
    return pa.table(columns, schema=_SCHEMA)
