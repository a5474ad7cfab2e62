"""History of one source object: `lake why KEY`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingest.contracts.contract import Contract, contracts
from ingest.errors import ConfigError
from ingest.ledger.dropped import read_dropped, why_dropped
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import DISCARDED, OPEN, discard_reason
from ingest.ledger.retired import read_retired
from ingest.ledger.sources import LoadedObject
from ingest.storage.landing import Landing, Landings
from ingest.storage.names import LISTED, REASONS, classify
from ingest.storage.objects import StoredObject
from ingest.storage.store import Store
from ingest.text import printable
from pipeline.access.masking import masked_detail, masked_record
from pipeline.warehouse.duck import parquet


@dataclass(frozen=True, slots=True)
class Step:
    """One ledger entry that names the object."""

    position: int
    committed_at: dt.datetime
    version: LoadedObject


@dataclass(frozen=True, slots=True)
class BadLine:
    """A quarantined record of the object's current version.

    Attributes:
        discarded: the reason it was discarded; None while it is open.
    """

    line: int
    reason: str
    column: str | None
    detail: str | None
    raw: str
    discarded: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectHistory:
    """History and current state of a source object.

    Attributes:
        listed: its current version in the landing; None if it is not there.
        steps: every ledger entry that loaded or confirmed it, oldest first.
        files: live files with rows of its current version.
        bad_lines: its quarantined records.
        excluded: the rule that ignores it, or why it cannot be loaded; None otherwise.
        retired: how `lake maintain` removed its current version from the landing; None if it did not.
        dropped: when and why the records of its loaded version were dropped; None if they were not.
    """

    feed: str
    source_file: str
    listed: StoredObject | None
    steps: tuple[Step, ...]
    files: tuple[str, ...]
    bad_lines: tuple[BadLine, ...]
    retired: str | None = None
    excluded: str | None = None
    dropped: str | None = None

    @property
    def state(self) -> str:
        """Human-readable state."""
        if self.dropped and self.listed is None:
            return f"{self.dropped}; gone from the landing"
        if self.dropped and self.listed:
            is_same = self.steps[-1].version.etag == self.listed.etag
            return self.dropped if is_same else f"{self.dropped}; overwritten, its new version waits"
        if self.excluded:
            return f"{self.excluded}; its rows stay" if self.steps else self.excluded
        if self.listed is None and self.retired:
            return f"{self.retired}; its rows stay"
        if self.listed is None:
            return "gone from the landing; its rows stay" if self.steps else "unknown"
        if not self.steps:
            return "waiting"
        return "loaded" if self.steps[-1].version.etag == self.listed.etag else "overwritten, its new version waits"


def object_history(
    name: str, landings: Landings, lake: Store, connect: Callable[[], duckdb.DuckDBPyConnection]
) -> ObjectHistory:
    """Trace an object through landing and ledger; changes nothing.

    Args:
        name: bucket/key, as in `_source_file`.
        connect: opens a connection that can read the lake.

    Raises:
        ConfigError: no feed reads that location, or the object is in neither landing nor ledger.
    """
    bucket, _, key = name.partition("/")
    for contract in contracts().values():
        prefix = contract.source.prefix.rstrip("/")
        if contract.source.bucket != bucket or not key.startswith(prefix):
            continue
        ledger = Ledger(lake, contract.feed)
        steps = tuple(
            Step(position, entry.committed_at, item)
            for position, entry in ledger.entries(0)
            for item in entry.objects
            if item.source_file == name
        )
        listed, excluded = _in_landing(contract, landings.bucket(bucket), key)
        if not steps and listed is None and excluded is None:
            continue
        load_id = steps[-1].version.load_id if steps else ""
        live = [file for file in ledger.state().files.values() if load_id in file.loads]
        files, bad_lines = _rows_of(connect, lake, live, name)
        retired = _retirement(lake, contract.feed, name, steps) if listed is None and steps else None
        dropped = _drop(lake, contract.feed, steps) if steps else None
        shown = printable(name) if excluded else name
        return ObjectHistory(contract.feed, shown, listed, steps, files, bad_lines, retired, excluded, dropped)
    buckets = ", ".join(sorted({contract.source.bucket for contract in contracts().values()} - {""}))
    raise ConfigError(
        f"{printable(name)}: neither in the landing nor in a ledger; expected bucket/key with a bucket of {buckets}, "
        "or TOPIC/PARTITION/OFFSET of a feed's topic"
    )


def _in_landing(contract: Contract, landing: Landing, key: str) -> tuple[StoredObject | None, str | None]:
    """Return the object in the landing, and the rule or reason that keeps it from being loaded.

    Args:
        key: as in the landing, or in its printed form where that differs.
    """
    seen = landing.inspect(key)
    if seen is None:
        shown = printable(key)
        listed = landing.listing(contract.source.folder) if "\\" in shown else LISTED.empty_table()
        listed = listed.filter(pc.and_(pc.equal(listed.column("key"), shown), pc.is_valid(listed.column("problem"))))
    else:
        listed = pa.Table.from_pylist([asdict(seen[0]) | {"problem": seen[1]}], schema=LISTED)
    found = classify(contract.source, listed)
    for reason in found.ignored:
        return (seen[0] if seen else None), f"ignored by rule {reason.reason}"
    for reason in found.unloadable:
        return None, f"cannot be loaded: {REASONS[reason.reason]}"
    return (seen[0] if seen else None), None


def _retirement(lake: Store, feed: str, name: str, steps: tuple[Step, ...]) -> str | None:
    for note in reversed(read_retired(lake, feed).to_pylist()):
        if (note["source_file"], note["etag"]) == (name, steps[-1].version.etag):
            place = f" to {note['moved_to']}" if note["moved_to"] else ""
            return f"retired from the landing on {note['at']:%Y-%m-%d} ({note['action']}{place})"
    return None


def _drop(lake: Store, feed: str, steps: tuple[Step, ...]) -> str | None:
    version = steps[-1].version
    if not version.dropped:
        return None
    note = why_dropped(read_dropped(lake, feed), version)
    if note is None:
        step = next(step for step in reversed(steps) if step.version.dropped)
        return f"dropped on {step.committed_at:%Y-%m-%d}, no reason recorded"
    return f"dropped on {note.at:%Y-%m-%d}: {note.because}"


def _rows_of(
    connect: Callable[[], duckdb.DuckDBPyConnection], lake: Store, files: list[LakeFile], name: str
) -> tuple[tuple[str, ...], tuple[BadLine, ...]]:
    holding, bad = [], []
    with connect() as connection:
        for file in sorted(files, key=lambda file: file.path):
            source = f"FROM {parquet(lake.uri, [file.path])} WHERE _source_file = ?"
            if not connection.execute(f"SELECT 1 {source} LIMIT 1", [name]).fetchone():
                continue
            holding.append(file.path)
            if file.path.startswith((OPEN, DISCARDED)):
                columns = '_source_line, reason, "column", detail, raw'
                rows = connection.execute(f"SELECT {columns} {source} ORDER BY _source_line", [name]).fetchall()
                why = discard_reason(file) if file.path.startswith(DISCARDED) else None
                for line, reason, column, detail, raw in rows:
                    bad.append(BadLine(line, reason, column, detail, bytes(raw).decode("utf-8", "replace"), why))
    return tuple(holding), tuple(bad)


def masked_history(history: ObjectHistory) -> ObjectHistory:
    """Mask the rejected records of an object's history."""
    contract = contracts()[history.feed]
    lines = (
        replace(
            line,
            detail=masked_detail(contract, line.reason, line.column, line.detail),
            raw=masked_record(contract, line.raw.encode("utf-8", "replace")),
        )
        for line in history.bad_lines
    )
    return replace(history, bad_lines=tuple(lines))
