"""Whether landing, ledger and lake tell the same story: `lake verify`."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.contract import Contract
from ingest.discover import Listed, compare
from ingest.entry import LAYERS, OBJECT_SCHEMA, SINCE_2
from ingest.errors import ContractRefused
from ingest.evolution import file_types, must_follow
from ingest.known import CHANGED, NEW, SAME
from ingest.landing import Landing
from ingest.ledger import Ledger, LedgerState
from ingest.load import ingest_feed
from ingest.names import NotLoaded
from ingest.quarantine import DISCARDED, OPEN
from ingest.retired import is_retired, read_retired
from ingest.settings import Settings
from ingest.store import Store
from ingest.sweep import Scope
from pipeline.bronze import bronze_query, readable
from pipeline.damage import unreadable
from pipeline.duck import connect, parquet
from pipeline.landings import Absent, absent

_QUOTED = re.compile(r"'[^']*'")
_INDEX = re.compile(r"\[\d+\]")
SHOWN = 20
"""At most so many differences of a kind are named, the rest is counted."""
COUNTS = ("records", "rows", "quarantined", *SINCE_2)
"""What an object's records are: the first is the sum of the others."""


@dataclass(slots=True)
class FeedVerdict:
    """What was compared, and every difference.

    Attributes:
        records: non-blank records of the loaded objects; always rows + quarantined + dropped + erased + skipped.
        dropped: records of objects that `lake drop` took out.
        erased, skipped: as of a LoadedObject.
        waiting: objects that are not loaded in their current version; the next ingest takes them.
        retired: loaded objects that `lake maintain` took out of the landing.
        gone: loaded objects that the landing has no more, and nobody knows why; their rows stay.
        ignored: objects in the landing that a rule ignores, by rule.
        unloadable: objects in the landing that cannot be loaded, by reason; each is a difference too.
        no_landing: the feed's place in the landing, if that is not there.
        orphans: files that no ledger entry names, left by a crash; nobody reads them.
        rejudged: records of objects that an older contract loaded, and that the contract of now accepts or rejects
            otherwise; they stay as they were judged.
        differences: one line each; empty means that all is well.
    """

    feed: str
    objects: int = 0
    records: int = 0
    rows: int = 0
    quarantined: int = 0
    dropped: int = 0
    erased: int = 0
    skipped: int = 0
    files: int = 0
    waiting: int = 0
    retired: int = 0
    gone: int = 0
    orphans: int = 0
    rejudged: int = 0
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()
    no_landing: Absent | None = None
    differences: list[str] = field(default_factory=list)

    def differ(self, kind: str, items: list[str]) -> None:
        """Notes the differences of one kind."""
        self.differences += [f"{kind}: {item}" for item in items[:SHOWN]]
        if len(items) > SHOWN:
            self.differences.append(f"{kind}: {len(items) - SHOWN} more")


def verify_feed(contract: Contract, options: Settings, deep: bool = False) -> FeedVerdict:
    """Compares landing, ledger and Parquet files of one feed; changes nothing.

    Args:
        deep: reads every source object again and compares each row with bronze. Compared is the version that the
            ledger holds: an object that is overwritten or deleted meanwhile counts as waiting or gone.

    Raises:
        ConfigError: a bucket is missing or access is refused.
        RetriableError: a store cannot be reached.
    """
    landing, lake = Landing(options.landing(contract.source.bucket), options), Store(options.lake_uri, options)
    place = absent(contract, options)
    state = Ledger(lake, contract.feed).state()
    verdict = FeedVerdict(contract.feed, objects=len(state.objects), files=len(state.files))
    listed = _list(contract, landing, lake, state, verdict)
    verdict.no_landing = place
    _compare_files(contract, lake, state, verdict, deep)
    try:
        with connect(options) as connection:
            _compare_objects(connection, readable(contract, lake, state), lake, state, verdict)
            _compare_contract(contract, lake, state, verdict)
            if deep and not verdict.differences:
                _compare_content(connection, contract, options, landing, lake, state, listed, verdict)
    except duckdb.Error as error:
        reason = _QUOTED.sub("'…'", " ".join(str(error).split()))  # it may quote a value
        verdict.differ("bronze cannot be read", [reason[:300]])
    verdict.differ("cannot be loaded", [str(reason) for reason in listed.unloadable])
    return verdict


def _list(contract: Contract, landing: Landing, lake: Store, state: LedgerState, verdict: FeedVerdict) -> Listed:
    """Lists the landing, and counts what waits, was retired or is gone."""
    listed = compare(contract, landing, state)
    verdict.waiting = int(np.isin(listed.status, (NEW, CHANGED)).sum())
    verdict.ignored, verdict.unloadable = listed.ignored, listed.unloadable
    verdict.retired, verdict.gone = _count_away(contract.feed, lake, state, listed)
    return listed


def _compare_contract(contract: Contract, lake: Store, state: LedgerState, verdict: FeedVerdict) -> None:
    """The contract of now reads what was loaded before."""
    try:
        must_follow(contract, lake, state)
    except ContractRefused as refused:
        verdict.differ("contract", list(refused.faults))


def _count_away(feed: str, lake: Store, state: LedgerState, listed: Listed) -> tuple[int, int]:
    """How many objects the landing has no more: those retired in the version that was loaded, and the others."""
    names, retired, gone = listed.all_names, None, 0
    count = 0
    for table in state.objects.tables():
        away = table.filter(pc.invert(pc.is_in(table.column("source_file"), value_set=names)))
        if not len(away):
            continue
        retired = read_retired(lake, feed) if retired is None else retired
        columns = (away.column(name).combine_chunks() for name in ("source_file", "etag"))
        explained = int(pc.sum(is_retired(retired, *columns)).as_py() or 0)
        count, gone = count + explained, gone + len(away) - explained
    return count, gone


def _compare_files(contract: Contract, lake: Store, state: LedgerState, verdict: FeedVerdict, deep: bool) -> None:
    """Each live file is there with the size and the rows that the ledger says, and can be read."""
    folders = [f"{layer}/{contract.feed}" for layer in LAYERS]
    there = {item.key: item.size for folder in folders for item in lake.list(folder)}
    verdict.orphans = len(there.keys() - state.files.keys())
    verdict.differ("missing file", sorted(state.files.keys() - there.keys()))
    wrong, damaged = [], []
    for path, file in sorted(state.files.items()):
        if path not in there:
            continue
        if reason := unreadable(lake, path, deep):
            damaged.append(f"{path} {reason}")
            continue
        with lake.open(path) as source:
            rows = pq.ParquetFile(source).metadata.num_rows
        if (rows, there[path]) != (file.rows, file.bytes):
            wrong.append(f"{path} has {rows} rows in {there[path]} bytes, the ledger says {file.rows} in {file.bytes}")
    verdict.differ("damaged file", damaged)
    verdict.differ("file differs", wrong)


def _compare_objects(
    connection: duckdb.DuckDBPyConnection, contract: Contract, lake: Store, state: LedgerState, verdict: FeedVerdict
) -> None:
    """Each object has as many rows, in as many different lines, as the ledger says."""
    if verdict.differences:
        return  # a missing file would make each of its objects differ
    ledger = _known(state, "source_file", *COUNTS)
    if not len(ledger):
        return
    for name in COUNTS:
        setattr(verdict, name, pc.sum(ledger.column(name)).as_py())
    connection.register("ledger", ledger)
    sources = {
        "bronze": f"({bronze_query(contract, lake.uri, state.bronze_files())})",
        "quarantine": quarantine_query(lake.uri, state),
    }
    counts = " FULL JOIN ".join(
        f"(SELECT _source_file AS source_file, COUNT(*) AS n, COUNT(DISTINCT _source_line) AS lines FROM {source} "
        f"GROUP BY 1) AS {name} USING (source_file)"
        for name, source in sources.items()
    ).replace(" USING (source_file)", "", 1)
    rows = connection.execute(
        f"SELECT source_file, COALESCE(ledger.records, -1), COALESCE(ledger.rows, 0), COALESCE(bronze.n, 0), "
        "COALESCE(bronze.lines, 0), COALESCE(ledger.quarantined, 0), COALESCE(quarantine.n, 0) "
        f"FROM {counts} FULL JOIN ledger USING (source_file) "
        "WHERE COALESCE(bronze.n, 0) <> COALESCE(ledger.rows, 0) OR bronze.n <> bronze.lines "
        "OR COALESCE(quarantine.n, 0) <> COALESCE(ledger.quarantined, 0) "
        f"OR ledger.records <> {' + '.join(f'ledger.{name}' for name in COUNTS[1:])} OR ledger.records IS NULL "
        "ORDER BY 1"
    ).fetchall()
    verdict.differ(
        "object differs",
        [
            f"{name} has {found} rows in {lines} lines and {bad} quarantined, the ledger says {said} and {said_bad} of "
            f"{records if records >= 0 else 'no'} records"
            for name, records, said, found, lines, said_bad, bad in rows
        ],
    )


def _compare_content(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    options: Settings,
    landing: Landing,
    lake: Store,
    state: LedgerState,
    listed: Listed,
    verdict: FeedVerdict,
) -> None:
    """Loads the versions that the ledger holds once more, into a scratch lake, and compares row by row."""
    known = _known(state, "source_file", "dropped")
    dropped = known.filter(pc.greater(known.column("dropped"), 0)).column("source_file")
    wanted = pc.and_(pa.array(listed.status == SAME), pc.invert(pc.is_in(listed.names, value_set=dropped)))
    versions = listed.table.filter(wanted)
    with tempfile.TemporaryDirectory(prefix="lakemesh-verify-") as folder:
        scratch = Store(folder)
        scope = Scope(dt.datetime.now(dt.UTC), listed=versions)
        report = ingest_feed(contract, landing, scratch, options.lake_start, scope=scope)
        again = Ledger(scratch, contract.feed).state()
        _choose(connection, listed.names.filter(wanted), state, again)
        if connection.execute("SELECT 1 FROM chosen WHERE NOT is_same LIMIT 1").fetchone():
            listed = _list(contract, landing, lake, state, verdict)
            stuck = dict(report.stuck)
            unread = _keep_unchanged(connection, listed)
            verdict.differ("object cannot be read", [f"{name}: {stuck[name]}" for name in unread if name in stuck])
            verdict.waiting += sum(name not in stuck for name in unread)
        promoted = {path for path, _ in contract.walk()}
        promoted.update(path for file in state.bronze_files() for path in file_types(file.columns))
        connection.create_function("still_unknown", partial(_still_unknown, promoted), ["VARCHAR"], "VARCHAR")
        named = [f'"{column.name}"' for column in contract.columns]
        columns = ", ".join([*named, "_source_file", "_source_line", "NULLIF(still_unknown(_rescued_data), '')"])
        lakes = ((options.lake_uri, state), (folder, again))
        rows = [f"SELECT {columns} FROM ({bronze_query(contract, uri, one.bronze_files())})" for uri, one in lakes]
        bad = [f"SELECT _source_file, _source_line, reason FROM {quarantine_query(uri, one)}" for uri, one in lakes]
        found = {
            (kind, text): connection.execute(
                "SELECT _source_file, _source_line FROM ("
                f"FROM ({first}) SEMI JOIN chosen USING (_source_file) EXCEPT ALL "
                f"FROM ({second}) SEMI JOIN chosen USING (_source_file)) ORDER BY ALL"
            ).fetchall()
            for kind, (kept, loaded) in (("row", rows), ("bad record", bad))
            for text, first, second in (("in the lake", kept, loaded), ("in the source", loaded, kept))
        }
        of_older = _rejudged(found, _loaded_by_older(contract, state))
        verdict.rejudged = len(of_older)
        for (kind, text), places in found.items():
            shown = [f"{name} line {line}" for name, line in places if (name, line) not in of_older]
            verdict.differ(f"{kind} only {text}", shown)


def _still_unknown(known: Collection[str], rescued: str) -> str:
    """`_rescued_data` without what is a column now: rows of before keep it there too. Empty when nothing is left."""
    fields = msgspec.json.decode(rescued, type=dict[str, msgspec.Raw])
    left = {path: value for path, value in fields.items() if _INDEX.sub("", path) not in known}
    if len(left) == len(fields):
        return rescued
    return msgspec.json.encode(left).decode() if left else ""


def _loaded_by_older(contract: Contract, state: LedgerState) -> set[str]:
    """The objects that an older version of the contract loaded."""
    names: set[str] = set()
    for table in state.objects.tables():
        older = table.filter(pc.less(table.column("contract_version"), contract.version))
        names.update(older.column("source_file").to_pylist())
    return names


def _rejudged(
    found: Mapping[tuple[str, str], Collection[tuple[str, int]]], names: Collection[str]
) -> set[tuple[str, int]]:
    """Lines of the named objects that are a row in one place and rejected in the other, or rejected for two reasons."""
    rows, bad = (
        {text: set(found[kind, text]) for text in ("in the lake", "in the source")} for kind in ("row", "bad record")
    )
    accepted = rows["in the source"] & bad["in the lake"]
    rejected = rows["in the lake"] & bad["in the source"]
    reasons = bad["in the lake"] & bad["in the source"]
    return {(name, line) for name, line in accepted | rejected | reasons if name in names}


def _known(state: LedgerState, *columns: str) -> pa.Table:
    """The given columns of all objects that the ledger knows."""
    return pa.concat_tables([OBJECT_SCHEMA.empty_table().select(columns), *state.objects.tables(columns)])


def _choose(connection: duckdb.DuckDBPyConnection, names: pa.Array, state: LedgerState, again: LedgerState) -> None:
    """Puts the objects to compare into the table `chosen`: whether they were read (`is_read`), with the same content.

    The same etag is not enough: an object that is overwritten in place while it is read gives some of both contents.
    """
    connection.register("wanted", pa.table({"source_file": names}))
    for name, one in (("kept", state), ("again", again)):
        connection.register(name, _known(one, "source_file", "content_hash"))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE chosen AS SELECT wanted.source_file AS _source_file, "
        "again.content_hash IS NOT NULL AS is_read, "
        "COALESCE(again.content_hash = kept.content_hash, FALSE) AS is_same "
        "FROM wanted JOIN kept USING (source_file) LEFT JOIN again USING (source_file)"
    )
    for name in ("wanted", "kept", "again"):
        connection.unregister(name)


def _keep_unchanged(connection: duckdb.DuckDBPyConnection, listed: Listed) -> list[str]:
    """Takes out of `chosen` what was not read with the same content, unless the landing still has that version.

    Returns:
        Those that the landing still has and that could not be read.
    """
    connection.register("unchanged", pa.table({"_source_file": listed.names.filter(pa.array(listed.status == SAME))}))
    unread = connection.execute(
        "SELECT _source_file FROM chosen SEMI JOIN unchanged USING (_source_file) WHERE NOT is_read ORDER BY ALL"
    ).fetchall()
    connection.execute(
        "DELETE FROM chosen WHERE NOT is_same "
        "AND NOT (is_read AND _source_file IN (SELECT _source_file FROM unchanged))"
    )
    connection.unregister("unchanged")
    return [name for (name,) in unread]


def quarantine_query(uri: str, state: LedgerState) -> str:
    """A relation of the live quarantined records, discarded ones included."""
    paths = sorted(path for path in state.files if path.startswith((OPEN, DISCARDED)))
    if not paths:
        return "(SELECT '' AS _source_file, 0 AS _source_line, '' AS reason LIMIT 0)"
    return parquet(uri, paths)
