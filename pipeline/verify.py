"""Whether landing, ledger and lake tell the same story: `lake verify`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.contract import Contract
from ingest.discover import Listed, compare
from ingest.entry import LAYERS
from ingest.errors import LostLedger
from ingest.known import CHANGED, NEW, SAME
from ingest.ledger import Ledger, LedgerState
from ingest.load import ingest_feed
from ingest.orphans import sole_copies
from ingest.quarantine import DISCARDED, OPEN
from ingest.retired import is_retired, read_retired
from ingest.settings import Settings
from ingest.store import Store
from pipeline.bronze import bronze_query
from pipeline.continuity import Known, known, must_continue
from pipeline.damage import unreadable
from pipeline.duck import connect, parquet

SHOWN = 20
"""At most so many differences of a kind are named, the rest is counted."""


@dataclass(slots=True)
class FeedVerdict:
    """What was compared, and every difference.

    Attributes:
        waiting: objects that are not loaded in their current version; the next ingest takes them.
        retired: loaded objects that `lake maintain` took out of the landing.
        gone: loaded objects that the landing has no more, and nobody knows why; their rows stay.
        orphans: files that the ledger does not show, left by a crash or replaced; nobody reads them. A difference when
            they may hold the only copy of a row.
        differences: one line each; empty means that all is well.
    """

    feed: str
    objects: int = 0
    records: int = 0
    rows: int = 0
    quarantined: int = 0
    files: int = 0
    waiting: int = 0
    retired: int = 0
    gone: int = 0
    orphans: int = 0
    differences: list[str] = field(default_factory=list)

    def differ(self, kind: str, items: list[str]) -> None:
        """Notes the differences of one kind."""
        self.differences += [f"{kind}: {item}" for item in items[:SHOWN]]
        if len(items) > SHOWN:
            self.differences.append(f"{kind}: {len(items) - SHOWN} more")


def verify_feed(contract: Contract, options: Settings, deep: bool = False, others: Known | None = None) -> FeedVerdict:
    """Compares landing, ledger and Parquet files of one feed; changes nothing.

    Args:
        others: what state and releases know of the lake; by default they are looked at.
        deep: reads every source object again and compares each row with bronze.

    Raises:
        ConfigError: a bucket is missing or access is refused.
        RetriableError: a store cannot be reached.
    """
    landing, lake = Store(options.landing(contract.source.bucket), options), Store(options.lake_uri, options)
    ledger = Ledger(lake, contract.feed)
    try:
        must_continue(contract, options, lake, (others or known(options, lake)).records.get(contract.feed, ()))
        ledger.first()  # the entries before a checkpoint, too
        state = ledger.state()
    except LostLedger as error:
        return FeedVerdict(contract.feed, differences=[f"ledger: {error}"])
    verdict = FeedVerdict(contract.feed, objects=len(state.objects), files=len(state.files))
    listed = compare(contract, landing, state)
    verdict.waiting = int(np.isin(listed.status, (NEW, CHANGED)).sum())
    absent = verdict.objects - int((listed.status != NEW).sum())
    verdict.retired = _count_retired(contract.feed, lake, state, listed) if absent else 0
    verdict.gone = absent - verdict.retired
    orphans = _compare_files(contract, lake, state, verdict, deep)
    with connect(options) as connection:
        _compare_objects(connection, contract, lake, state, verdict)
        if deep and not verdict.differences:
            same = listed.names.filter(pa.array(listed.status == SAME))
            _compare_content(connection, contract, options, landing, state, same, verdict)
    _compare_orphans(ledger, orphans, state, listed, verdict)
    return verdict


def _count_retired(feed: str, lake: Store, state: LedgerState, listed: Listed) -> int:
    """How many of the objects that the landing has no more were retired in the version that was loaded."""
    retired, count = read_retired(lake, feed), 0
    for table in state.objects.tables():
        away = table.filter(pc.invert(pc.is_in(table.column("source_file"), value_set=listed.names)))
        names, etags = (away.column(name).combine_chunks() for name in ("source_file", "etag"))
        count += int(pc.sum(is_retired(retired, names, etags)).as_py() or 0)
    return count


def _compare_files(contract: Contract, lake: Store, state: LedgerState, verdict: FeedVerdict, deep: bool) -> list[str]:
    """Each live file is there with the size and the rows that the ledger says, and can be read; the files beside."""
    folders = [f"{layer}/{contract.feed}" for layer in LAYERS]
    there = {item.key: item.size for folder in folders for item in lake.list(folder)}
    orphans = sorted(there.keys() - state.files.keys())
    verdict.orphans = len(orphans)
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
    return orphans


def _compare_orphans(
    ledger: Ledger, orphans: list[str], state: LedgerState, listed: Listed, verdict: FeedVerdict
) -> None:
    """No file that the ledger does not show has rows of an object that neither ledger nor landing has."""
    found = list(sole_copies(ledger.store, orphans, state, lambda: listed.names))
    if found:  # a load may have made it meanwhile
        newest = ledger.state()
        left = [path for path, _ in found if path not in newest.files]
        found = list(sole_copies(ledger.store, left, newest, lambda: listed.names))
    remedy = f"`lake ledger rebuild {ledger.feed}` takes its rows over"
    verdict.differ("rows that nobody has", [f"{path} {reason}; {remedy}" for path, reason in found])


def _compare_objects(
    connection: duckdb.DuckDBPyConnection, contract: Contract, lake: Store, state: LedgerState, verdict: FeedVerdict
) -> None:
    """Each object has as many rows, in as many different lines, as the ledger says."""
    if verdict.differences:
        return  # a missing file would make each of its objects differ
    columns = ["source_file", "records", "rows", "quarantined"]
    tables = [table.select(columns) for table in state.objects.tables()]
    ledger = pa.concat_tables(tables) if tables else None
    if ledger is None:
        return
    for name in ("records", "rows", "quarantined"):
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
        "OR ledger.records <> ledger.rows + ledger.quarantined OR ledger.records IS NULL ORDER BY 1"
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
    landing: Store,
    state: LedgerState,
    same: pa.Array,
    verdict: FeedVerdict,
) -> None:
    """Loads the landing anew into a scratch lake, and compares row by row."""
    with tempfile.TemporaryDirectory(prefix="lakemesh-verify-") as folder:
        scratch = Store(folder)
        ingest_feed(contract, landing, scratch, options.lake_start)
        anew = Ledger(scratch, contract.feed).state()
        connection.register("same", pa.table({"_source_file": same}))
        named = [f'"{column.name}"' for column in contract.columns]
        columns = ", ".join([*named, "_source_file", "_source_line", "_rescued_data"])
        lakes = ((options.lake_uri, state), (folder, anew))
        rows = [f"SELECT {columns} FROM ({bronze_query(contract, uri, one.bronze_files())})" for uri, one in lakes]
        bad = [f"SELECT _source_file, _source_line, reason FROM {quarantine_query(uri, one)}" for uri, one in lakes]
        for kind, (kept, loaded) in (("row", rows), ("bad record", bad)):
            for text, first, second in (("in the lake", kept, loaded), ("in the source", loaded, kept)):
                found = connection.execute(
                    "SELECT _source_file, _source_line FROM ("
                    f"FROM ({first}) SEMI JOIN same USING (_source_file) EXCEPT ALL "
                    f"FROM ({second}) SEMI JOIN same USING (_source_file)) ORDER BY ALL"
                ).fetchall()
                verdict.differ(f"{kind} only {text}", [f"{name} line {line}" for name, line in found])


def quarantine_query(uri: str, state: LedgerState) -> str:
    """A relation of the live quarantined records, discarded ones included."""
    paths = sorted(path for path in state.files if path.startswith((OPEN, DISCARDED)))
    if not paths:
        return "(SELECT '' AS _source_file, 0 AS _source_line, '' AS reason LIMIT 0)"
    return parquet(uri, paths)
