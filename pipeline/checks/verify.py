"""Consistency of landing, ledger and lake: `lake verify`."""

from __future__ import annotations

import datetime as dt
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract
from ingest.errors import ContractRefused, LostLedger
from ingest.ledger.evolution import check_compatible
from ingest.ledger.files import LAYERS
from ingest.ledger.ledger import Ledger
from ingest.ledger.objects import CHANGED, NEW
from ingest.ledger.retired import is_retired, read_retired
from ingest.ledger.sources import SINCE_2, TOPIC_PREFIX
from ingest.ledger.state import LedgerState
from ingest.ledger.tombstones import TombstoneStore
from ingest.records.listed import Listed
from ingest.steps.discover import compare
from ingest.storage.landing import Landing
from ingest.storage.names import NotLoaded
from ingest.storage.store import Store
from ingest.topics.connection import Connection
from ingest.upkeep.orphans import sole_copies
from pipeline.checks.deep import SHOWN, compare_content, objects, quarantine_query
from pipeline.checks.landings import Absent, absent
from pipeline.checks.topics import compare_messages, continuity, counted, has_cut
from pipeline.invalidation.continuity import LakeRecords, require_recorded_entries
from pipeline.process import duck
from pipeline.warehouse.bronze import bronze_query, readable
from pipeline.warehouse.damage import unreadable

_QUOTED = re.compile(r"'[^']*'")
MEMORY, THREADS = "1GB", 4
"""Limits of DuckDB for the row comparison; it spills to disk beyond the memory limit."""
_NAME = f"_source_file || CASE WHEN STARTS_WITH(_source_file, '{TOPIC_PREFIX}') THEN ' of ' || _source_etag ELSE '' END"
"""SQL of an object's name, and of a partition's with its identity."""
COUNTS = ("records", "rows", "quarantined", *SINCE_2)
"""Record counts of an object: the first is the sum of the others."""


@dataclass(slots=True)
class FeedVerdict:
    """Scope and differences of the verification of one feed.

    Attributes:
        records: non-blank records of the loaded objects; always rows + quarantined + dropped + erased + skipped.
        dropped: records of objects removed by `lake drop`.
        erased, skipped: see LoadedObject.
        waiting: objects whose current version is not loaded; the next ingest loads them.
        retired: loaded objects that `lake maintain` removed from the landing.
        gone: loaded objects missing from the landing without a recorded reason; their rows stay.
        ignored: objects in the landing that a rule ignores, by rule.
        unloadable: objects in the landing that cannot be loaded, by reason; each is also a difference.
        no_landing: the feed's landing location, if it does not exist.
        orphans: files that are not live in the ledger, replaced or left by a crash, and never read. A difference if
            they may hold the only copy of a row.
        messages: of the topic that were loaded.
        gaps: places at which offsets do not continue, each accepted by an operator.
        rejudged: records loaded under an older contract that the current one judges differently; their earlier
            judgement stays.
        differences: one line each; empty if the feed is consistent.
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
    messages: int = 0
    gaps: tuple[str, ...] = ()
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()
    no_landing: Absent | None = None
    differences: list[str] = field(default_factory=list)

    def add_differences(self, kind: str, items: list[str], count: int | None = None) -> None:
        """Add the differences of one kind.

        Args:
            count: the total, if `items` are only the first of them.
        """
        self.differences += [f"{kind}: {item}" for item in items[:SHOWN]]
        if (count or len(items)) > SHOWN:
            self.differences.append(f"{kind}: {(count or len(items)) - SHOWN} more")


def verify_feed(
    contract: Contract,
    landing: Landing,
    lake: Store,
    connect: Callable[[], duckdb.DuckDBPyConnection],
    recorded: LakeRecords,
    start: dt.date,
    deep: bool = False,
    tombstones: TombstoneStore | None = None,
    kafka: Connection | None = None,
) -> FeedVerdict:
    """Compare landing, ledger and Parquet files of one feed; changes nothing.

    Args:
        connect: opens a connection that can read the lake.
        recorded: what state and releases record about the lake.
        start: first day of the history that the models cover.
        deep: read every source object again and compare each row with bronze. The version in the ledger is compared:
            an object overwritten or deleted during the comparison counts as waiting or gone.
        tombstones: of persons who are forgotten, for `deep`.
        kafka: the broker, for `deep`: what it still has of the feed's topic is read again; by default nothing is.

    Raises:
        ConfigError: a bucket is missing or access is refused.
        RetriableError: a store cannot be reached.
    """
    ledger = Ledger(lake, contract.feed)
    place = absent(contract, landing, lake)
    try:
        require_recorded_entries(contract, landing, lake, recorded.records.get(contract.feed, ()))
        ledger.first()  # also checks the entries before a checkpoint
        state = ledger.state()
    except LostLedger as error:
        return FeedVerdict(contract.feed, no_landing=place, differences=[f"ledger: {error}"])
    verdict = FeedVerdict(contract.feed, objects=len(state.objects), files=len(state.files))
    listed = compare(contract, landing, state)
    verdict.no_landing = place
    _count(contract, lake, state, listed, verdict)
    orphans = _compare_files(contract, lake, state, verdict, deep)
    ranges = continuity(ledger, state)
    verdict.messages = sum(span.records + span.nulls for span in state.ranges.values())
    verdict.gaps = tuple(str(gap) for gap in ranges.gaps)
    verdict.add_differences("range", ranges.faults)
    try:
        with connect() as connection, tempfile.TemporaryDirectory(prefix="lakemesh-spill-") as spill:
            connection.execute(f"SET memory_limit = '{MEMORY}'")
            connection.execute(f"SET threads = {min(THREADS, os.cpu_count() or 1)}")
            connection.execute("SET temp_directory = ?", [spill])
            connection.execute("SET preserve_insertion_order = FALSE")
            read = readable(contract, lake, state)
            _compare_objects(connection, read, lake, state, verdict, has_cut(ranges))
            _compare_contract(contract, lake, state, verdict)
            if deep and not verdict.differences:
                content = compare_content(connection, contract, landing, lake, start, state, listed, tombstones)
                if content.listed:
                    _count(contract, lake, state, content.listed, verdict)
                    verdict.waiting += content.unread
                verdict.rejudged = content.rejudged
                differences = content.differences
                if contract.source.kafka and kafka:
                    differences += compare_messages(connection, contract, kafka, lake, start, state, tombstones)
                for kind, items, count in differences:
                    verdict.add_differences(kind, items, count)
    except duckdb.Error as error:
        reason = _QUOTED.sub("'…'", duck.error_text(error))  # the message may quote a value
        verdict.add_differences("bronze cannot be read", [reason[:300]])
    _compare_orphans(ledger, orphans, state, listed, verdict)
    verdict.add_differences("cannot be loaded", [str(reason) for reason in listed.unloadable])
    return verdict


def _count(contract: Contract, lake: Store, state: LedgerState, listed: Listed, verdict: FeedVerdict) -> None:
    """Count the waiting, retired and gone objects."""
    verdict.waiting = int(np.isin(listed.status, (NEW, CHANGED)).sum())
    verdict.ignored, verdict.unloadable = listed.ignored, listed.unloadable
    verdict.retired, verdict.gone = _count_missing(contract.feed, lake, state, listed)


def _compare_contract(contract: Contract, lake: Store, state: LedgerState, verdict: FeedVerdict) -> None:
    """Check that the current contract can read the data already loaded."""
    try:
        check_compatible(contract, lake, state)
    except ContractRefused as refused:
        verdict.add_differences("contract", list(refused.faults))


def _count_missing(feed: str, lake: Store, state: LedgerState, listed: Listed) -> tuple[int, int]:
    """Count loaded objects missing from the landing: those retired in their loaded version, and all others."""
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
    """Check that each live file exists, is readable, and has the size and rows in the ledger.

    Returns:
        The orphans.
    """
    folders = [f"{layer}/{contract.feed}" for layer in LAYERS]
    there = {item.key: item.size for folder in folders for item in lake.list(folder)}
    orphans = sorted(there.keys() - state.files.keys())
    verdict.orphans = len(orphans)
    verdict.add_differences("missing file", sorted(state.files.keys() - there.keys()))
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
    verdict.add_differences("damaged file", damaged)
    verdict.add_differences("file differs", wrong)
    return orphans


def _compare_orphans(
    ledger: Ledger, orphans: list[str], state: LedgerState, listed: Listed, verdict: FeedVerdict
) -> None:
    """Check that no orphan has rows of an object that is in neither ledger nor landing."""
    found = list(sole_copies(ledger.store, orphans, state, lambda: listed.names))
    if found:  # a concurrent load may have committed it since
        newest = ledger.state()
        left = [path for path, _ in found if path not in newest.files]
        found = list(sole_copies(ledger.store, left, newest, lambda: listed.names))
    remedy = f"`lake ledger rebuild {ledger.feed}` recovers its rows"
    verdict.add_differences("only copy of rows", [f"{path} {reason}; {remedy}" for path, reason in found])


def _compare_objects(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    lake: Store,
    state: LedgerState,
    verdict: FeedVerdict,
    is_cut: bool,
) -> None:
    """Check that each object and partition has the number of rows in the ledger, each from a line or offset of its own.

    Args:
        is_cut: whether a broker gave offsets twice.
    """
    if verdict.differences:
        return  # a missing file would make each of its objects differ
    ledger = objects(state, "source_file", *COUNTS)
    ledger = pa.concat_tables([ledger, pa.table(counted(state.ranges, COUNTS), schema=ledger.schema)])
    if not len(ledger):
        return
    for name in COUNTS:
        setattr(verdict, name, pc.sum(ledger.column(name)).as_py())
    connection.register("ledger", ledger)
    lines = "COUNT(*)" if is_cut else "COUNT(DISTINCT _source_line)"
    sources = {
        "bronze": f"({bronze_query(contract, lake.uri, state.bronze_files())})",
        "quarantine": quarantine_query(lake.uri, state),
    }
    counts = " FULL JOIN ".join(
        f"(SELECT {_NAME} AS source_file, COUNT(*) AS n, {lines} AS lines FROM {source} AS records "
        f"GROUP BY 1) AS {name} USING (source_file)"
        for name, source in sources.items()
    ).replace(" USING (source_file)", "", 1)
    differing = connection.execute(
        f"SELECT source_file, COALESCE(ledger.records, -1), COALESCE(ledger.rows, 0), COALESCE(bronze.n, 0), "
        "COALESCE(bronze.lines, 0), COALESCE(ledger.quarantined, 0), COALESCE(quarantine.n, 0) "
        f"FROM {counts} FULL JOIN ledger USING (source_file) "
        "WHERE COALESCE(bronze.n, 0) <> COALESCE(ledger.rows, 0) OR bronze.n <> bronze.lines "
        "OR COALESCE(quarantine.n, 0) <> COALESCE(ledger.quarantined, 0) "
        f"OR ledger.records <> {' + '.join(f'ledger.{name}' for name in COUNTS[1:])} OR ledger.records IS NULL "
        "ORDER BY 1"
    ).fetchall()
    verdict.add_differences(
        "object differs",
        [
            f"{name} has {found} rows in {lines} lines and {bad} quarantined, the ledger says {rows} and {rejected} of "
            f"{records if records >= 0 else 'no'} records"
            for name, records, rows, found, lines, rejected, bad in differing
        ],
    )
