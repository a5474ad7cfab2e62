"""Whether landing, ledger and lake tell the same story: `lake verify`."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract
from ingest.errors import ContractRefused, LostLedger
from ingest.ledger.entry import LAYERS, SINCE_2
from ingest.ledger.evolution import must_follow
from ingest.ledger.ledger import Ledger, LedgerState
from ingest.ledger.objects import CHANGED, NEW
from ingest.ledger.retired import is_retired, read_retired
from ingest.settings import Settings
from ingest.steps.discover import Listed, compare
from ingest.storage.landing import Landing
from ingest.storage.names import NotLoaded
from ingest.storage.store import Store
from ingest.upkeep.orphans import sole_copies
from pipeline.checks.deep import SHOWN, compare_content, objects, quarantine_query
from pipeline.checks.landings import Absent, absent
from pipeline.invalidation.continuity import Known, known, must_continue
from pipeline.warehouse.bronze import bronze_query, readable
from pipeline.warehouse.damage import unreadable
from pipeline.warehouse.duck import connect

_QUOTED = re.compile(r"'[^']*'")
MEMORY, THREADS = "1GB", 4
"""What the comparison of rows takes at most; the rest of it lies on disk meanwhile."""
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
        orphans: files that the ledger does not show, left by a crash or replaced; nobody reads them. A difference when
            they may hold the only copy of a row.
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

    def differ(self, kind: str, items: list[str], count: int | None = None) -> None:
        """Notes the differences of one kind.

        Args:
            count: how many there are, when `items` are only the first of them.
        """
        self.differences += [f"{kind}: {item}" for item in items[:SHOWN]]
        if (count or len(items)) > SHOWN:
            self.differences.append(f"{kind}: {(count or len(items)) - SHOWN} more")


def verify_feed(contract: Contract, options: Settings, deep: bool = False, others: Known | None = None) -> FeedVerdict:
    """Compares landing, ledger and Parquet files of one feed; changes nothing.

    Args:
        deep: reads every source object again and compares each row with bronze. Compared is the version that the
            ledger holds: an object that is overwritten or deleted meanwhile counts as waiting or gone.
        others: what state and releases know of the lake; by default they are looked at.

    Raises:
        ConfigError: a bucket is missing or access is refused.
        RetriableError: a store cannot be reached.
    """
    landing, lake = Landing(options.landing(contract.source.bucket), options), Store(options.lake_uri, options)
    ledger = Ledger(lake, contract.feed)
    place = absent(contract, options)
    try:
        must_continue(contract, options, lake, (others or known(options, lake)).records.get(contract.feed, ()))
        ledger.first()  # the entries before a checkpoint, too
        state = ledger.state()
    except LostLedger as error:
        return FeedVerdict(contract.feed, no_landing=place, differences=[f"ledger: {error}"])
    verdict = FeedVerdict(contract.feed, objects=len(state.objects), files=len(state.files))
    listed = compare(contract, landing, state)
    verdict.no_landing = place
    _count(contract, lake, state, listed, verdict)
    orphans = _compare_files(contract, lake, state, verdict, deep)
    try:
        with connect(options) as connection, tempfile.TemporaryDirectory(prefix="lakemesh-spill-") as spill:
            connection.execute(f"SET memory_limit = '{MEMORY}'")
            connection.execute(f"SET threads = {min(THREADS, os.cpu_count() or 1)}")
            connection.execute("SET temp_directory = ?", [spill])
            connection.execute("SET preserve_insertion_order = FALSE")
            _compare_objects(connection, readable(contract, lake, state), lake, state, verdict)
            _compare_contract(contract, lake, state, verdict)
            if deep and not verdict.differences:
                content = compare_content(connection, contract, options, landing, state, listed)
                if content.listed:
                    _count(contract, lake, state, content.listed, verdict)
                    verdict.waiting += content.unread
                verdict.rejudged = content.rejudged
                for kind, items, count in content.differences:
                    verdict.differ(kind, items, count)
    except duckdb.Error as error:
        reason = _QUOTED.sub("'…'", " ".join(str(error).split()))  # it may quote a value
        verdict.differ("bronze cannot be read", [reason[:300]])
    _compare_orphans(ledger, orphans, state, listed, verdict)
    verdict.differ("cannot be loaded", [str(reason) for reason in listed.unloadable])
    return verdict


def _count(contract: Contract, lake: Store, state: LedgerState, listed: Listed, verdict: FeedVerdict) -> None:
    """Counts what waits, was retired or is gone."""
    verdict.waiting = int(np.isin(listed.status, (NEW, CHANGED)).sum())
    verdict.ignored, verdict.unloadable = listed.ignored, listed.unloadable
    verdict.retired, verdict.gone = _count_away(contract.feed, lake, state, listed)


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
    ledger = objects(state, "source_file", *COUNTS)
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
