"""Rebuild of a lost or broken ledger: `lake ledger rebuild`.

The next ingest reloads every object that is still in the landing: always correct, at the cost of an initial ingest. Of
objects gone from the landing, the lake has the only rows, so they are recovered. Without a ledger it is unknown which
files are live: replaced files, compacted originals and leftovers of crashes are among them. So the newest version of
each object counts, and for each line the last one written. Dropped objects stay dropped. Messages of topics are kept up
to the offset at which the last load of their partition began, and the next ingest reads on from there.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract, Kind, select
from ingest.errors import ConfigError
from ingest.ledger.dropped import Dropped, read_dropped
from ingest.ledger.entry import Entry
from ingest.ledger.files import LAYERS, LakeFile
from ingest.ledger.gaps import Gap
from ingest.ledger.ledger import Ledger
from ingest.ledger.sources import LoadedObject, OffsetRange
from ingest.sql import files
from ingest.steps.rename import with_names_hidden
from ingest.storage.landing import Hide, Landing
from ingest.storage.parquet import parquet_file
from ingest.storage.store import Store
from ingest.upkeep.clean import load_of
from ingest.upkeep.orphans import landed_objects, sole_copies
from pipeline.cycle.recover_messages import kept_messages, set_messages_aside
from pipeline.invalidation.continuity import (
    LakeRecords,
    Record,
    records_in_lake,
    require_recorded_entries,
    restore_identity,
)
from pipeline.lake import Lake
from pipeline.warehouse.damage import unreadable
from pipeline.warehouse.duck import parquet

_DROPPED = pa.schema([("name", pa.string()), ("etag", pa.string()), ("modified_at", pa.timestamp("us"))])
MARGIN = 1000
"""A rebuilt log begins just after a multiple of this, since the last position of a lost log may be unknown."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Result of rebuilding a feed's ledger.

    Attributes:
        reload: objects in the landing, which the next ingest reloads.
        objects: objects that are gone from the landing and still in the lake.
        records: their rows and rejected records.
        files: files with these records.
        left_out: unreadable files: left by a killed writer, or damaged.
        kept_as: folder of the old log; empty if there was none.
    """

    feed: str
    reload: int
    objects: int
    records: int
    files: int
    left_out: tuple[str, ...]
    kept_as: str


def rebuild_ledgers(lake: Lake, feeds: tuple[str, ...], force: bool = False) -> tuple[list[Recovery], list[str]]:
    """Rebuild incomplete ledgers of the named feeds, all if none is named.

    The identity of the lake is restored if it is lost.

    Args:
        force: rebuild complete ledgers too.

    Returns:
        The rebuilt ledgers, and the feeds whose ledgers are complete.

    Raises:
        ConfigError: a location cannot be used, or the state or a release belongs to a different lake.
        RetriableError: the lake or the state is in use or cannot be reached.
    """
    chosen = select(feeds)
    with lake.writable(), lake.state.open() as state:
        recorded = lake.records(state)
        restore_identity(lake.store, recorded)
    done, complete = [], []
    for contract in chosen:
        made = rebuild_ledger(lake, contract, recorded, force)
        if made:
            done.append(made)
        else:
            complete.append(contract.feed)
    return done, complete


def rebuild_ledger(lake: Lake, contract: Contract, recorded: LakeRecords, force: bool = False) -> Recovery | None:
    """Move a lost or broken log aside and begin a new one. Safe to interrupt; the same command continues.

    The first number of the new log is greater than any the old one can have had, so that entries are never confused.
    Any state with an applied position in the old log then treats all dates of the feed as changed.

    Args:
        recorded: what state and releases record about the old log.
        force: rebuild a complete log too.

    Returns:
        None if the log is complete and nothing was done.

    Raises:
        ConfigError: a location cannot be used.
        RetriableError: the lake is in use or cannot be reached.
    """
    now = dt.datetime.now(dt.UTC)
    store, landing = lake.store, lake.landing(contract)
    with lake.writable(), store.disk_errors():
        ledger = Ledger(store, contract.feed)
        draft = f"{ledger.prefix}/{Ledger.DRAFT}"
        names = landed_objects(contract, landing)
        records = recorded.records.get(contract.feed, ())
        if store.find(draft) is None:
            if not force and _is_complete(contract, landing, ledger, records, names):
                return None
            begins = _first_number(ledger, records)
            store.put(draft, _entry(contract, store, lake.connect, names, now, begins, landing.hide).to_bytes())
        left_out = tuple(path for path in _files(store, contract.feed) if unreadable(store, path, deep=True))
        entry = Entry.from_bytes(store.get(draft), draft)
        if not entry.begins:  # the draft of an older version
            entry = replace(entry, begins=_first_number(ledger, records))
        aside = _move_aside(store, ledger, now)
        store.put_new(f"{ledger.prefix}/{entry.begins:020d}.parquet", entry.to_bytes())
        store.delete([draft])
    return Recovery(
        contract.feed,
        len(names),
        len(entry.objects),
        sum(item.records for item in entry.objects),
        len(entry.added),
        left_out,
        aside,
    )


def _first_number(ledger: Ledger, records: Iterable[Record]) -> int:
    """Return a number that the old log cannot have reached, even if the state missed its last entries."""
    noted = (record.position for record in (*records, *records_in_lake(ledger.store, ledger.feed)))
    return (max([*ledger.numbers(), *noted], default=0) // MARGIN + 1) * MARGIN + 1


def _files(lake: Store, feed: str) -> list[str]:
    return [item.key for layer in LAYERS for item in lake.list(f"{layer}/{feed}") if item.key.endswith(".parquet")]


def _is_complete(
    contract: Contract, landing: Landing, ledger: Ledger, records: Iterable[Record], names: pa.Array
) -> bool:
    """Whether the log has every recorded entry and all its files exist, and no orphan has the only copy of a row."""
    lake = ledger.store
    try:
        require_recorded_entries(contract, landing, lake, records)
        ledger.first()
        state = ledger.state()
        there = {item.key: item.size for layer in LAYERS for item in lake.list(f"{layer}/{ledger.feed}")}
        orphans = sorted(there.keys() - state.files.keys())
        sole = next(sole_copies(lake, orphans, state, lambda: names, landing.hide), None)
    except (ConfigError, OSError, pa.ArrowException, KeyError):
        return False
    return sole is None and all(there.get(path) == file.bytes for path, file in state.files.items())


def _move_aside(lake: Store, ledger: Ledger, now: dt.datetime) -> str:
    """Move the old log except the draft, entries before checkpoints, so that a partial log never looks complete.

    Returns:
        The folder of the old log; empty if there was none.
    """
    folder = f"ledger/_lost/{ledger.feed}-{now:%Y%m%dT%H%M%S}"
    keys = [item.key for item in lake.list(ledger.prefix) if not item.key.endswith(f"/{Ledger.DRAFT}")]
    for key in sorted(keys, reverse=True):
        lake.put(f"{folder}/{key.removeprefix(ledger.prefix + '/')}", lake.get(key))
        lake.delete([key])
    return folder if keys else ""


def _entry(
    contract: Contract,
    lake: Store,
    connect: Callable[[], duckdb.DuckDBPyConnection],
    listed: pa.Array,
    now: dt.datetime,
    begins: int,
    hide: Hide | None,
) -> Entry:
    """Create the first entry of the new log: the objects gone from the landing, in new files."""
    load_id = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
    notes = read_dropped(lake, contract.feed)
    paths = [path for path in _files(lake, contract.feed) if not unreadable(lake, path, deep=True)]
    objects: list[LoadedObject] = []
    added: list[LakeFile] = []
    spans: list[OffsetRange] = []
    gaps: list[Gap] = []
    if paths:
        with connect() as connection:
            hidden = _hidden(connection, lake, paths, hide) if hide else {}
            kept = _kept_lines(connection, lake, paths, listed, notes, hidden)
            gaps, spans = kept_messages(connection, contract, load_id)
            rows: dict[str, list[int]] = defaultdict(list)
            for path, row in connection.execute("SELECT path, row FROM kept ORDER BY path, row").fetchall():
                rows[path].append(row)
            added = [_copy(connection, lake, path, rows[path], load_id, hidden) for path in sorted(rows)]
            objects = [_object(contract, load_id, row) for row in kept]
    elsewhere = {item.source_file for item in objects} | set(listed.to_pylist() if notes else ())
    objects += [versions[-1].version for name, versions in sorted(notes.items()) if name not in elsewhere]
    ranges = tuple(spans)
    return Entry(load_id, now, tuple(objects), tuple(added), begins=begins, ranges=ranges, gaps=tuple(gaps))


def _hidden(connection: duckdb.DuckDBPyConnection, lake: Store, paths: list[str], hide: Hide) -> dict[str, str]:
    """What stands for names that an erasure hid, of those that files of before it have."""
    query = f"SELECT DISTINCT _source_file FROM {parquet(lake.uri, paths)} WHERE _source_file IS NOT NULL"
    names = [name for (name,) in connection.execute(query).fetchall()]
    return {name: one for name, one in zip(names, hide(names), strict=True) if name != one}


def _kept_lines(
    connection: duckdb.DuckDBPyConnection,
    lake: Store,
    paths: list[str],
    listed: pa.Array,
    notes: Dropped,
    hidden: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Fill table `kept` with (path, row) of each line to keep, and aggregate it by object."""
    stands = {"own": list(hidden), "stands": list(hidden.values())}
    connection.register("hidden", pa.table(stands, schema=pa.schema([(name, pa.string()) for name in stands])))
    connection.register("listed", pa.table({"name": listed}))
    dropped = [
        {"name": name, "etag": etag, "modified_at": item.version.modified_at.replace(tzinfo=None)}
        for name, items in notes.items()
        for item in items
        for etag in item.etags
    ]
    connection.register("dropped", pa.Table.from_pylist(dropped, _DROPPED))
    writers = {path: load_of(path) for path in paths}
    connection.register("writers", pa.table({"path": list(writers), "writer": list(writers.values())}))
    connection.execute(
        "CREATE TEMP TABLE lines AS SELECT writers.path, writers.writer, file_row_number AS row, "
        "COALESCE(hidden.stands, _source_file) AS name, "
        "_source_etag AS etag, _source_modified_at AS modified_at, _source_line AS line, _load_id AS load, "
        "CASE WHEN STARTS_WITH(writers.path, 'bronze/') THEN COALESCE(TRY_CAST(NULLIF(REGEXP_EXTRACT("
        "writers.path, 'event_date=([^/]+)', 1), '') AS DATE), DATE '1970-01-01') END AS day "
        f"FROM READ_PARQUET([{files(lake.uri, paths)}], union_by_name = TRUE, filename = TRUE, file_row_number = TRUE, "
        "hive_partitioning = FALSE) AS files JOIN writers ON files.filename = ? || '/' || writers.path "
        "LEFT JOIN hidden ON hidden.own = _source_file "
        "WHERE COALESCE(hidden.stands, _source_file) NOT IN (SELECT name FROM listed) "
        "AND NOT EXISTS (SELECT 1 FROM dropped WHERE dropped.name = COALESCE(hidden.stands, _source_file) "
        "AND (etag = _source_etag OR modified_at > _source_modified_at))",  # nor versions replaced by a dropped one
        [lake.uri],
    )
    set_messages_aside(connection)
    connection.execute(
        "CREATE TEMP TABLE kept AS SELECT * FROM lines "
        "QUALIFY RANK() OVER (PARTITION BY name ORDER BY modified_at DESC, etag DESC) = 1 "
        "AND ROW_NUMBER() OVER (PARTITION BY name, etag, modified_at, line ORDER BY LEFT(writer, 15) DESC, "
        # within the same second: a record leaves the quarantine and never returns
        "ARRAY_POSITION(['bronze', 'discarded', 'quarantine'], SPLIT_PART(path, '/', 1)), writer DESC, path) = 1"
    )
    rows: list[dict[str, Any]] = (
        connection.execute(
            "SELECT name, ANY_VALUE(etag) AS etag, ANY_VALUE(modified_at) AS modified_at, COUNT(*) AS records, "
            "COUNT(day) AS rows, LIST({'day': day}) FILTER (WHERE day IS NOT NULL) AS days FROM kept "
            "GROUP BY name ORDER BY name"
        )
        .to_arrow_table()
        .to_pylist()
    )
    return rows


def _object(contract: Contract, load_id: str, row: dict[str, Any]) -> LoadedObject:
    days: dict[dt.date, int] = defaultdict(int)
    if contract.kind is Kind.EVENT:
        for item in row["days"] or ():
            days[item["day"]] += 1
    return LoadedObject(
        row["name"],
        row["etag"],
        "",  # unknown content hash, equal to none
        0,
        row["modified_at"].replace(tzinfo=dt.UTC),
        row["records"],
        row["rows"],
        row["records"] - row["rows"],
        tuple(sorted(days.items())),
        contract.version,
        load_id,
    )


def _copy(
    connection: duckdb.DuckDBPyConnection,
    lake: Store,
    path: str,
    rows: list[int],
    load_id: str,
    hidden: Mapping[str, str],
) -> LakeFile:
    """Copy the given rows of a file into a new file of the same partition."""
    folder = path.rsplit("/", 1)[0]
    parts = dict(part.split("=", 1) for part in folder.split("/") if "=" in part)
    key = f"{folder}/{load_id}-{uuid.uuid4().hex[:8]}.parquet"
    staged = lake.stage(key)
    with lake.open(path) as source:
        table = with_names_hidden(pq.ParquetFile(source).read().take(pa.array(rows)), hidden)
    with parquet_file(staged, table.schema, compression="zstd", compression_level=1) as writer:
        writer.write_table(table)
    size = staged.stat().st_size
    lake.publish({key: staged})
    day = parts.get("event_date")
    return LakeFile(
        key,
        len(table),
        size,
        dt.date.fromisoformat(parts["ingest_date"]),
        dt.date.fromisoformat(day) if day else None,
        (load_id,),
        _columns(connection, lake, key) if path.startswith("bronze/") else "",
    )


def _columns(connection: duckdb.DuckDBPyConnection, lake: Store, key: str) -> str:
    """Return the file's columns in the ledger's format."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM {parquet(lake.uri, [key])}").fetchall()
    return json.dumps({name: kind.replace("VARCHAR", "TEXT") for name, kind, *_ in rows}, separators=(",", ":"))
