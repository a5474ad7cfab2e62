"""A feed's ledger made anew, when it is lost or broken: `lake ledger rebuild`.

What the landing still holds is loaded anew by the next ingest: that is always right, at the cost of a first ingest.
Of objects that the landing has no more, the rows in the lake are all there is: they are taken over. Without a ledger
nobody knows which files are live, so replaced files, compacted originals and leftovers of crashes lie among them: of
each object the newest version counts, and of each line what was written last. What was dropped stays dropped.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract, Kind, select
from ingest.errors import ConfigError
from ingest.ledger.dropped import Dropped, read_dropped
from ingest.ledger.entry import LAYERS, Entry, LakeFile, LoadedObject
from ingest.ledger.ledger import Ledger
from ingest.settings import Settings
from ingest.storage.landing import Landing
from ingest.storage.parquet import parquet_file
from ingest.storage.store import Store
from ingest.upkeep.clean import load_of
from ingest.upkeep.orphans import landed_objects, sole_copies
from pipeline.invalidation.continuity import Known, Record, known, must_continue, name_again, records_beside
from pipeline.lake import writable_lake
from pipeline.state.opening import open_state
from pipeline.warehouse.damage import unreadable
from pipeline.warehouse.duck import connect, parquet

_DROPPED = pa.schema([("name", pa.string()), ("etag", pa.string()), ("modified_at", pa.timestamp("us"))])
MARGIN = 1000
"""A rebuilt log begins at a multiple of this: how far a lost one went nobody may know to the last entry."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was made of a feed's ledger.

    Attributes:
        reload: objects in the landing, which the next ingest loads anew.
        objects: objects that the landing has no more and the lake still holds.
        records: their rows and rejected records.
        files: files that hold them.
        left_out: files that cannot be read: a killed writer left them, or they are damaged.
        kept_as: where the old log lies now; empty when there was none.
    """

    feed: str
    reload: int
    objects: int
    records: int
    files: int
    left_out: tuple[str, ...]
    kept_as: str


def rebuild_ledgers(feeds: tuple[str, ...], options: Settings, force: bool = False) -> tuple[list[Recovery], list[str]]:
    """Rebuilds the named feeds, all without names, as far as their logs are not whole.

    A lake that lost its identity gets it again.

    Args:
        force: whether to rebuild logs that are whole, too.

    Returns:
        What was made of the feeds, and the feeds whose logs are whole.

    Raises:
        ConfigError: a place cannot be used, or the lake is another one than others know.
        RetriableError: the lake or the state is in use or away.
    """
    chosen = select(feeds)
    with writable_lake(options) as (lake, _), open_state(options) as state:
        others = known(options, lake, state)
        name_again(lake, others)
    done, whole = [], []
    for contract in chosen:
        made = rebuild_ledger(contract, options, others, force)
        if made:
            done.append(made)
        else:
            whole.append(contract.feed)
    return done, whole


def rebuild_ledger(contract: Contract, options: Settings, others: Known, force: bool = False) -> Recovery | None:
    """Moves a lost or broken log aside and begins a new one. Safe to interrupt; the same command goes on.

    The new log begins with a number that is greater than any that the old one can have had, so that nobody takes an
    entry for another one. All dates of the feed count as changed for whoever marked some by the old log.

    Args:
        others: what others know of the old log.
        force: whether to do so although the log is whole.

    Returns:
        None when the log is whole, and nothing was done.

    Raises:
        ConfigError: a place cannot be used.
        RetriableError: the lake is in use or away.
    """
    now = dt.datetime.now(dt.UTC)
    with writable_lake(options) as (lake, _), lake.disk_errors():
        ledger = Ledger(lake, contract.feed)
        draft = f"{ledger.prefix}/{Ledger.DRAFT}"
        names = landed_objects(contract, Landing(options.landing(contract.source.bucket), options))
        records = others.records.get(contract.feed, ())
        if lake.find(draft) is None:
            if not force and _is_whole(contract, options, ledger, records, names):
                return None
            begins = _beyond(ledger, records)
            lake.put(draft, _entry(contract, lake, options, names, now, begins).to_bytes())
        left_out = tuple(path for path in _files(lake, contract.feed) if unreadable(lake, path, deep=True))
        entry = Entry.from_bytes(lake.get(draft), draft)
        if not entry.begins:  # the draft of an older version
            entry = replace(entry, begins=_beyond(ledger, records))
        aside = _move_aside(lake, ledger, now)
        lake.put_new(f"{ledger.prefix}/{entry.begins:020d}.parquet", entry.to_bytes())
        lake.delete([draft])
    return Recovery(
        contract.feed,
        len(names),
        len(entry.objects),
        sum(item.records for item in entry.objects),
        len(entry.added),
        left_out,
        aside,
    )


def _beyond(ledger: Ledger, records: Iterable[Record]) -> int:
    """A number that the old log cannot have reached, even if the state missed its last entries."""
    noted = (record.position for record in (*records, *records_beside(ledger.store, ledger.feed)))
    return (max([*ledger.numbers(), *noted], default=0) // MARGIN + 1) * MARGIN + 1


def _files(lake: Store, feed: str) -> list[str]:
    return [item.key for layer in LAYERS for item in lake.list(f"{layer}/{feed}") if item.key.endswith(".parquet")]


def _is_whole(
    contract: Contract, options: Settings, ledger: Ledger, records: Iterable[Record], names: pa.Array
) -> bool:
    """Whether the log has all that others know of it, its files are there, and no other file has rows of its own."""
    lake = ledger.store
    try:
        must_continue(contract, options, lake, records)
        ledger.first()
        state = ledger.state()
        there = {item.key: item.size for layer in LAYERS for item in lake.list(f"{layer}/{ledger.feed}")}
        others = sorted(there.keys() - state.files.keys())
        sole = next(sole_copies(lake, others, state, lambda: names), None)
    except (ConfigError, OSError, pa.ArrowException, KeyError):
        return False
    return sole is None and all(there.get(path) == file.bytes for path, file in state.files.items())


def _move_aside(lake: Store, ledger: Ledger, now: dt.datetime) -> str:
    """Everything of the old log but the draft, entries before checkpoints, so that half a log never looks whole."""
    folder = f"ledger/_lost/{ledger.feed}-{now:%Y%m%dT%H%M%S}"
    keys = [item.key for item in lake.list(ledger.prefix) if not item.key.endswith(f"/{Ledger.DRAFT}")]
    for key in sorted(keys, reverse=True):
        lake.put(f"{folder}/{key.removeprefix(ledger.prefix + '/')}", lake.get(key))
        lake.delete([key])
    return folder if keys else ""


def _entry(
    contract: Contract, lake: Store, options: Settings, listed: pa.Array, now: dt.datetime, begins: int
) -> Entry:
    """The first entry of the new log: the objects that are gone from the landing, in files of their own."""
    load_id = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
    notes = read_dropped(lake, contract.feed)
    paths = [path for path in _files(lake, contract.feed) if not unreadable(lake, path, deep=True)]
    objects: list[LoadedObject] = []
    added: list[LakeFile] = []
    if paths:
        with connect(options) as connection:
            kept = _kept_lines(connection, lake, paths, listed, notes)
            rows: dict[str, list[int]] = defaultdict(list)
            for path, row in connection.execute("SELECT path, row FROM kept ORDER BY path, row").fetchall():
                rows[path].append(row)
            added = [_copy(connection, lake, path, rows[path], load_id) for path in sorted(rows)]
            objects = [_object(contract, load_id, row) for row in kept]
    elsewhere = {item.source_file for item in objects} | set(listed.to_pylist() if notes else ())
    objects += [versions[-1].version for name, versions in sorted(notes.items()) if name not in elsewhere]
    return Entry(load_id, now, tuple(objects), tuple(added), begins=begins)


def _kept_lines(
    connection: duckdb.DuckDBPyConnection, lake: Store, paths: list[str], listed: pa.Array, notes: Dropped
) -> list[dict[str, Any]]:
    """Puts (path, row) of each line to keep into the table `kept`, and sums them up by object."""
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
    quoted = ", ".join("'" + f"{lake.uri}/{path}".replace("'", "''") + "'" for path in paths)
    connection.execute(
        "CREATE TEMP TABLE lines AS SELECT writers.path, writers.writer, file_row_number AS row, _source_file AS name, "
        "_source_etag AS etag, _source_modified_at AS modified_at, _source_line AS line, "
        "CASE WHEN STARTS_WITH(writers.path, 'bronze/') THEN COALESCE(TRY_CAST(NULLIF(REGEXP_EXTRACT("
        "writers.path, 'event_date=([^/]+)', 1), '') AS DATE), DATE '1970-01-01') END AS day "
        f"FROM READ_PARQUET([{quoted}], union_by_name = TRUE, filename = TRUE, file_row_number = TRUE, "
        "hive_partitioning = FALSE) AS files JOIN writers ON files.filename = ? || '/' || writers.path "
        "WHERE _source_file NOT IN (SELECT name FROM listed) "
        "AND NOT EXISTS (SELECT 1 FROM dropped WHERE name = _source_file "
        "AND (etag = _source_etag OR modified_at > _source_modified_at))",  # nor what was replaced by a dropped version
        [lake.uri],
    )
    connection.execute(
        "CREATE TEMP TABLE kept AS SELECT * FROM lines "
        "QUALIFY RANK() OVER (PARTITION BY name ORDER BY modified_at DESC, etag DESC) = 1 "
        "AND ROW_NUMBER() OVER (PARTITION BY name, etag, modified_at, line ORDER BY LEFT(writer, 15) DESC, "
        # within a second: a record leaves the quarantine and never comes back
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
        "",  # unknown, and equal to no content
        0,
        row["modified_at"].replace(tzinfo=dt.UTC),
        row["records"],
        row["rows"],
        row["records"] - row["rows"],
        tuple(sorted(days.items())),
        contract.version,
        load_id,
    )


def _copy(connection: duckdb.DuckDBPyConnection, lake: Store, path: str, rows: list[int], load_id: str) -> LakeFile:
    """A file with the given rows of another one, in the same partition."""
    folder = path.rsplit("/", 1)[0]
    parts = dict(part.split("=", 1) for part in folder.split("/") if "=" in part)
    key = f"{folder}/{load_id}-{uuid.uuid4().hex[:8]}.parquet"
    staged = lake.stage(key)
    with lake.open(path) as source:
        table = pq.ParquetFile(source).read().take(pa.array(rows))
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
    """The file's columns as the ledger notes them."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM {parquet(lake.uri, [key])}").fetchall()
    return json.dumps({name: kind.replace("VARCHAR", "TEXT") for name, kind, *_ in rows}, separators=(",", ":"))
