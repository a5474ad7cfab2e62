"""The ledger: one append-only log of Parquet entries per feed. A row is visible if and only if its file is live.

Entry N is the object `ledger/<feed>/<N as 20 digits>.parquet`, written with put-if-absent, so exactly one writer gets
each number. Its rows are actions:

    object   one version of one source object was loaded (or seen again): counts, event dates, hash
    add      a bronze or quarantine file is live from here on
    remove   a file is live no more
    abandon  the load of that id must never commit; its files may be deleted

Entries are never deleted, renumbered or reused: what is live at a position is what entries 1..position say.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.errors import ConfigError, ConflictError
from ingest.store import Store

FORMAT_VERSION = 1
_VERSION_KEY = b"lakemesh.ledger_format"
_DATES = pa.list_(pa.struct([pa.field("event_date", pa.date32()), pa.field("rows", pa.int64())]))
_SCHEMA = pa.schema(
    [
        ("action", pa.string()),
        ("load_id", pa.string()),
        ("committed_at", pa.timestamp("us", "UTC")),
        # action = object
        ("source_file", pa.string()),
        ("etag", pa.string()),
        ("content_hash", pa.string()),
        ("size", pa.int64()),
        ("modified_at", pa.timestamp("us", "UTC")),
        ("records", pa.int64()),
        ("rows", pa.int64()),
        ("quarantined", pa.int64()),
        ("event_dates", _DATES),
        ("contract_version", pa.int64()),
        # action = add or remove
        ("path", pa.string()),
        ("bytes", pa.int64()),
        ("ingest_date", pa.date32()),
        ("event_date", pa.date32()),
        ("loads", pa.list_(pa.string())),
        ("columns", pa.string()),
        # action = abandon
        ("abandoned", pa.string()),
    ],
    metadata={_VERSION_KEY: str(FORMAT_VERSION).encode()},
)


@dataclass(frozen=True, slots=True)
class LoadedObject:
    """One version of a source object as a load committed it.

    Attributes:
        source_file: bucket/key.
        records: non-blank records; always rows + quarantined.
        event_dates: (UTC date, rows) of its bronze rows; empty for entity feeds.
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


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One Parquet file of bronze or quarantine.

    Attributes:
        path: key below the lake, starting `bronze/` or `quarantine/`.
        loads: ids of the loads whose rows it holds.
        columns: JSON object of column name to SQL type, in order; files of older contracts lack newer columns.
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
    """What one commit says."""

    load_id: str
    committed_at: dt.datetime
    objects: tuple[LoadedObject, ...] = ()
    added: tuple[LakeFile, ...] = ()
    removed: tuple[str, ...] = ()
    abandoned: tuple[str, ...] = ()

    def conflicts_with(self, other: Entry) -> bool:
        """Whether `other`, committed first, makes this entry wrong."""
        mine = {item.source_file for item in self.objects}
        return (
            self.load_id in other.abandoned
            or any(item.source_file in mine for item in other.objects)
            or not set(self.removed).isdisjoint(other.removed)
        )

    def to_bytes(self) -> bytes:
        """The entry as Parquet."""
        common = {"load_id": self.load_id, "committed_at": self.committed_at}
        rows = [
            {
                "action": "object",
                **common,
                "source_file": item.source_file,
                "etag": item.etag,
                "content_hash": item.content_hash,
                "size": item.size,
                "modified_at": item.modified_at,
                "records": item.records,
                "rows": item.rows,
                "quarantined": item.quarantined,
                "event_dates": [{"event_date": day, "rows": rows} for day, rows in item.event_dates],
                "contract_version": item.contract_version,
            }
            for item in self.objects
        ]
        rows += [
            {
                "action": "add",
                **common,
                "path": file.path,
                "rows": file.rows,
                "bytes": file.bytes,
                "ingest_date": file.ingest_date,
                "event_date": file.event_date,
                "loads": file.loads,
                "columns": file.columns,
            }
            for file in self.added
        ]
        rows += [{"action": "remove", **common, "path": path} for path in self.removed]
        rows += [{"action": "abandon", **common, "abandoned": load_id} for load_id in self.abandoned]
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), sink, compression="zstd", write_statistics=False)
        return sink.getvalue()

    @staticmethod
    def from_bytes(data: bytes, name: str) -> Entry:
        """Reads an entry.

        Raises:
            ConfigError: a newer version of Lakemesh wrote it.
        """
        table = pq.read_table(io.BytesIO(data))
        version = int((table.schema.metadata or {}).get(_VERSION_KEY, b"0"))
        if version != FORMAT_VERSION:
            raise ConfigError(
                f"{name} has ledger format {version}, this version reads {FORMAT_VERSION}; install a newer Lakemesh"
            )
        rows = table.to_pylist()
        return Entry(
            load_id=rows[0]["load_id"],
            committed_at=rows[0]["committed_at"],
            objects=tuple(
                LoadedObject(
                    row["source_file"],
                    row["etag"],
                    row["content_hash"],
                    row["size"],
                    row["modified_at"],
                    row["records"],
                    row["rows"],
                    row["quarantined"],
                    tuple((item["event_date"], item["rows"]) for item in row["event_dates"]),
                    row["contract_version"],
                    row["load_id"],
                )
                for row in rows
                if row["action"] == "object"
            ),
            added=tuple(
                LakeFile(
                    row["path"],
                    row["rows"],
                    row["bytes"],
                    row["ingest_date"],
                    row["event_date"],
                    tuple(row["loads"]),
                    row["columns"],
                )
                for row in rows
                if row["action"] == "add"
            ),
            removed=tuple(row["path"] for row in rows if row["action"] == "remove"),
            abandoned=tuple(row["abandoned"] for row in rows if row["action"] == "abandon"),
        )


@dataclass(slots=True)
class LedgerState:
    """What entries 1..position add up to.

    Attributes:
        objects: the current version of each source object.
        files: live files by path.
    """

    position: int = 0
    objects: dict[str, LoadedObject] = field(default_factory=dict)
    files: dict[str, LakeFile] = field(default_factory=dict)

    def apply(self, sequence: int, entry: Entry) -> None:
        """Moves the state one entry on."""
        assert sequence == self.position + 1
        self.objects.update((item.source_file, item) for item in entry.objects)
        for path in entry.removed:
            del self.files[path]
        self.files.update((file.path, file) for file in entry.added)
        self.position = sequence

    def copy(self) -> LedgerState:
        """A state that can be moved on without touching this one."""
        return replace(self, objects=dict(self.objects), files=dict(self.files))

    def bronze_files(self) -> list[LakeFile]:
        """Live bronze files in path order."""
        return sorted(
            (file for path, file in self.files.items() if path.startswith("bronze/")), key=lambda file: file.path
        )


class Ledger:
    """The log of one feed."""

    def __init__(self, store: Store, feed: str) -> None:
        self.store = store
        self.feed = feed
        self.prefix = f"ledger/{feed}"

    def position(self) -> int:
        """The number of the newest entry; 0 when there is none.

        Raises:
            ConfigError: an entry is missing, so nothing after it can be trusted.
        """
        sequences = self._sequences()
        return sequences[-1] if sequences else 0

    def state(self, position: int | None = None) -> LedgerState:
        """The state at a position, by default the newest one."""
        state = LedgerState()
        for sequence, entry in self.entries(0, position):
            state.apply(sequence, entry)
        return state

    def entries(self, after: int, until: int | None = None) -> Iterator[tuple[int, Entry]]:
        """Entries after a position, up to and with `until`, in order.

        Raises:
            ConfigError: the ledger is shorter than `until`, as after a restored back-up.
        """
        sequences = self._sequences()
        newest = sequences[-1] if sequences else 0
        if max(after, until or 0) > newest:
            raise ConfigError(
                f"{self.store.uri}/{self.prefix} ends at {newest}, but {max(after, until or 0)} was settled before; "
                "the lake seems older than the state: restore both from the same back-up"
            )
        wanted = [n for n in sequences if after < n <= (newest if until is None else until)]
        with ThreadPoolExecutor(8) as pool:
            yield from zip(wanted, pool.map(self._entry, wanted), strict=True)

    def commit(self, entry: Entry, seen: int) -> int:
        """Appends an entry after all that others committed meanwhile.

        Args:
            entry: what to say.
            seen: position that the entry was planned at.

        Returns:
            The entry's number.

        Raises:
            ConflictError: another writer took one of its objects or files, or abandoned it. Plan again.
        """
        sequence, data = seen + 1, entry.to_bytes()
        while not self.store.put_new(self._key(sequence), data):
            other = self._entry(sequence)
            if other.load_id == entry.load_id:
                return sequence  # our own: the store wrote it, the answer was lost
            if entry.conflicts_with(other):
                raise ConflictError(f"{self.feed}: entry {sequence} ({other.load_id}) was first")
            sequence += 1
        return sequence

    def _sequences(self) -> list[int]:
        found = sorted(
            int(name.removesuffix(".parquet"))
            for item in self.store.list(self.prefix)
            if (name := item.key.rsplit("/", 1)[1]).endswith(".parquet") and len(name) == 28
        )
        if found != list(range(1, len(found) + 1)):
            missing = next(n for n, sequence in enumerate(found, 1) if n != sequence)
            raise ConfigError(f"{self.store.uri}/{self._key(missing)} is missing; restore the ledger from its back-up")
        return found

    def _key(self, sequence: int) -> str:
        return f"{self.prefix}/{sequence:020d}.parquet"

    def _entry(self, sequence: int) -> Entry:
        key = self._key(sequence)
        return Entry.from_bytes(self.store.get(key), f"{self.store.uri}/{key}")


def touched_dates(state: LedgerState, entries: Iterable[tuple[int, Entry]]) -> set[dt.date]:
    """The event dates of all rows that `entries` show or hide.

    Args:
        state: the ledger before them; it is moved on.
        entries: the entries in order.
    """
    dates: set[dt.date] = set()
    for sequence, entry in entries:
        for item in entry.objects:
            before = state.objects.get(item.source_file)
            if before and before.content_hash == item.content_hash and before.load_id == item.load_id:
                continue
            for version in (before, item):
                dates.update(day for day, _ in (version.event_dates if version else ()))
        state.apply(sequence, entry)
    return dates
