"""A feed's topic beside its ledger: what waits in it, whether ranges follow each other, and whether bronze has it."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

import duckdb

from ingest.contracts.contract import Contract
from ingest.contracts.schema import row_schema
from ingest.errors import NoTopic
from ingest.ledger.gaps import Fault, Gap
from ingest.ledger.ledger import Ledger
from ingest.ledger.sources import OffsetRange, Partition
from ingest.ledger.state import LedgerState
from ingest.ledger.tombstones import TombstoneStore
from ingest.sql import identifier, literal
from ingest.steps.topic import TopicFeed, is_read
from ingest.storage.store import Store
from ingest.topics.connection import Connection, client
from ingest.topics.continuation import Span, continuation
from ingest.topics.topic import find_topic
from pipeline.checks.deep import SHOWN, quarantine_query
from pipeline.warehouse.bronze import bronze_query

LOOK_SECONDS = 5.0
"""How long to wait for the oldest waiting messages."""


@dataclass(frozen=True, slots=True)
class TopicStatus:
    """What waits in a feed's topic.

    Attributes:
        note: why nothing is known: no broker is configured, or there is no topic yet; empty otherwise.
        messages: offsets up to the last stable ones that are not loaded.
        seconds: age of the oldest of them; None if none waits or its time is not known.
        partitions: of the topic.
        gaps: where the topic does not continue the ledger, as texts; the next load stops.
    """

    topic: str
    note: str = ""
    messages: int = 0
    seconds: float | None = None
    partitions: int = 0
    gaps: tuple[str, ...] = ()


def topic_status(
    contract: Contract, connection: Connection, state: LedgerState, now: dt.datetime | None = None
) -> TopicStatus | None:
    """Return what waits in a feed's topic; None if it reads none.

    Raises:
        ConfigError, RetriableError: the broker cannot be asked.
    """
    if contract.source.kafka is None:
        return None
    name = contract.source.kafka.topic
    if not is_read(contract, connection, state):
        return TopicStatus(name, "no broker is configured")
    try:
        topic = find_topic(connection, name)
    except NoTopic:
        if state.next_offsets:
            raise
        return TopicStatus(name, "there is no such topic yet")
    plan = continuation(topic, state.next_offsets, state.ranges)
    oldest = _oldest(connection, name, plan.spans)
    seconds = None
    if oldest is not None:
        seconds = max(0.0, ((now or dt.datetime.now(dt.UTC)).timestamp() * 1000 - oldest) / 1000)
    waiting = sum(span.end - span.first for span in plan.spans)
    return TopicStatus(name, "", waiting, seconds, len(topic.partitions), tuple(map(str, plan.gaps)))


def _oldest(connection: Connection, name: str, spans: tuple[Span, ...]) -> int | None:
    """The time of the oldest message of some spans, in ms; None if there is none."""
    if not spans:
        return None
    left, times = {span.partition for span in spans}, []
    with connection.errors(name), closing(connection.consumer()) as consumer:
        consumer.assign([client().TopicPartition(name, span.partition, span.first) for span in spans])
        end = time.monotonic() + LOOK_SECONDS
        while left and time.monotonic() < end:
            for message in consumer.consume(100, 0.2):
                if message.partition() in left:
                    left.discard(message.partition())
                    times += [message.timestamp()[1]] if message.error() is None else []
        consumer.unassign()
    return min(times, default=None)


@dataclass(slots=True)
class Continuity:
    """Whether the ranges of a log follow each other.

    Attributes:
        faults: one line each.
        gaps: that were accepted.
    """

    faults: list[str] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


def continuity(ledger: Ledger, state: LedgerState) -> Continuity:
    """Check that each range begins where the one before it ended, or where an accepted gap resumes."""
    found = Continuity()
    if not state.ranges.since:
        return found
    ends: dict[Partition, int] = {}
    after = max(state.ranges.since, ledger.first()) - 1
    for position, entry in ledger.entries_without_objects(after, state.position):
        for gap in entry.gaps:
            found.gaps.append(gap)
            if gap.resumes_at is not None:
                ends[gap.place] = gap.resumes_at
        for span in entry.ranges:
            if span.is_correction:
                continue
            if ends.get(span.place, span.first_offset) != span.first_offset:
                found.faults.append(
                    f"{span.topic}/{span.partition}: entry {position} begins at offset {span.first_offset:,}, the one "
                    f"before ends at {ends[span.place]:,}"
                )
            if not span.is_conserved:
                found.faults.append(
                    f"{span.topic}/{span.partition}: entry {position} does not account for every offset"
                )
            ends[span.place] = span.next_offset
    for place, offset in state.next_offsets.items():
        if ends.get(place, offset) != offset:
            found.faults.append(f"partition {place[2]} of {place[1]} continues at {offset:,}, expected {ends[place]:,}")
    return found


def has_cut(found: Continuity) -> bool:
    """Whether a broker gave offsets to other messages, so that two records may have one."""
    return any(gap.fault is Fault.CUT for gap in found.gaps)


def compare_messages(
    duck: duckdb.DuckDBPyConnection,
    contract: Contract,
    connection: Connection,
    lake: Store,
    start: dt.date,
    state: LedgerState,
    tombstones: TombstoneStore | None = None,
) -> list[tuple[str, list[str], int]]:
    """Load again what the broker still has of what was loaded, into a scratch lake, and compare row by row.

    Returns:
        Differences by kind: the first ones, and their number.

    Raises:
        ConfigError, RetriableError: the broker cannot be read.
    """
    ends = {place: state.ranges[place].next_offset for place in state.next_offsets if place in state.ranges}
    if not ends:
        return []
    with tempfile.TemporaryDirectory(prefix="lakemesh-verify-") as folder:
        scratch = Store(folder)
        feed = TopicFeed(contract, connection, scratch, start, tombstones=tombstones)
        with closing(connection.consumer()) as consumer:
            feed.load(consumer, until=ends)
        again = Ledger(scratch, contract.feed).state()
        spans = [again.ranges[place] for place in ends if place in again.ranges]
        if not spans:
            return []
        within = " OR ".join(map(_within, spans))
        declared = [identifier(name) for name in row_schema(contract).names]
        columns = ", ".join([*declared, "_source_file", "_source_etag", "_source_line", "_source_modified_at"])
        sides = ((lake.uri, state), (folder, again))
        rows = [f"SELECT {columns} FROM ({bronze_query(contract, uri, one.bronze_files())})" for uri, one in sides]
        bad = [
            f"SELECT _source_file, _source_etag, _source_line, reason FROM {quarantine_query(uri, one)}"
            for uri, one in sides
        ]
        older = min((span.contract_version for place in ends for span in state.ranges.days[place].values()), default=0)
        tables: dict[str, str] = {}
        for kind, (kept, loaded) in {"row": rows, "bad": bad}.items():
            for place, first, second in (("lake", kept, loaded), ("topic", loaded, kept)):
                tables[f"{kind}_in_{place}"] = (
                    f"SELECT _source_file, _source_line FROM ((SELECT * FROM ({first}) AS a WHERE {within}) EXCEPT ALL "
                    f"(SELECT * FROM ({second}) AS b WHERE {within}))"
                )
        for name, query in tables.items():
            duck.execute(f"CREATE OR REPLACE TEMP TABLE message_{name} AS {query}")
        if older < contract.version:  # an older contract may have judged a message differently
            for one, other in (("row_in_lake", "bad_in_topic"), ("row_in_topic", "bad_in_lake")):
                duck.execute(
                    "CREATE OR REPLACE TEMP TABLE rejudged_messages AS "
                    f"FROM message_{one} INTERSECT FROM message_{other}"
                )
                for name in (one, other):
                    duck.execute(
                        f"CREATE OR REPLACE TEMP TABLE message_{name} AS FROM message_{name} "
                        "ANTI JOIN rejudged_messages USING (_source_file, _source_line)"
                    )
        found = []
        for name in tables:
            kind, _, place = name.partition("_in_")
            lines = duck.execute(f"FROM message_{name} ORDER BY ALL").fetchall()
            shown = [f"{source} offset {line}" for source, line in lines[:SHOWN]]
            found.append((f"{'bad message' if kind == 'bad' else 'row'} only in the {place}", shown, len(lines)))
    return found


def _within(span: OffsetRange) -> str:
    return (
        f"(_source_file = {literal(span.name)} AND _source_etag = {literal(span.etag)} "
        f"AND _source_line BETWEEN {span.first_offset} AND {span.last_offset})"
    )


def counted(ranges: Mapping[Partition, OffsetRange], counts: tuple[str, ...]) -> dict[str, list[object]]:
    """Return the counts of partitions as columns; `source_file` names topic, partition and identity."""
    rows = list(ranges.values())
    columns: dict[str, list[object]] = {"source_file": [f"{span.name} of {span.etag}" for span in rows]}
    return columns | {name: [getattr(span, name) for span in rows] for name in counts}
