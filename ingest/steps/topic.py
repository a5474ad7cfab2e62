"""The load of a feed's topic: each entry of the ledger commits the offsets that its rows are of.

No other position exists: neither in a group of the broker nor in the state. Of two ingesters that read the same offsets
the entry of one is put first; the other discards its files and continues after it.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from ingest.contracts.contract import Contract
from ingest.errors import ConfigError, ConflictError, OffsetsLost
from ingest.ledger.entry import Entry
from ingest.ledger.evolution import check_compatible
from ingest.ledger.gaps import Fault
from ingest.ledger.ledger import Ledger
from ingest.ledger.state import LedgerState
from ingest.ledger.tombstones import TombstoneStore
from ingest.ledger.topics import record_topic
from ingest.limits import DEFAULT, Limits
from ingest.records.report import FeedReport, Progress, added_counts
from ingest.steps.topic_load import TopicLoad
from ingest.storage.store import Store
from ingest.topics.connection import Connection
from ingest.topics.continuation import Continuation, continuation
from ingest.topics.topic import Topic, find_topic
from ingest.topics.values import Decoder

LOG = logging.getLogger(__name__)
RECORD_ENTRIES = 50
"""After how many entries of a log the lake notes, outside the log, how long it is."""
LOAD_BYTES = 256 << 20
"""Most bytes of values that one load commits, unless LAKE_LOAD_BYTES is less."""
CUT_CHECKS, CUT_SECONDS = 3, 1.0
"""How often a log that seems to be cut is asked again, and after how long: a restarted broker says too little first."""


def is_read(contract: Contract, connection: Connection, state: LedgerState) -> bool:
    """Whether a feed's topic is read: it has one, and there is a broker.

    Raises:
        ConfigError: there is none, and the feed has read or can read nothing but the topic.
    """
    if contract.source.kafka is None or connection:
        return contract.source.kafka is not None
    if state.next_offsets or not contract.source.bucket:
        raise ConfigError(
            f"{contract.feed}: its topic {contract.source.kafka.topic} needs a broker; set KAFKA_BOOTSTRAP_SERVERS"
        )
    return False


class TopicFeed:
    """A feed's topic and its ledger, of which a process that loads again and again remembers what it has read.

    Args:
        lake_start: rows dated before it are counted in reports.
        tombstones: of persons whose records are not loaded; by default there may be none.
    """

    def __init__(
        self,
        contract: Contract,
        connection: Connection,
        lake: Store,
        lake_start: dt.date,
        limits: Limits = DEFAULT,
        tombstones: TombstoneStore | None = None,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        assert contract.source.kafka is not None
        self.contract, self.topic = contract, contract.source.kafka.topic
        self._connection, self._lake, self._lake_start, self._now = connection, lake, lake_start, now
        self._most_bytes = min(limits.load_bytes, LOAD_BYTES)
        self._stones = tombstones or TombstoneStore(lake, "")
        self._ledger, self._decoder = Ledger(lake, contract.feed), Decoder(contract, connection)
        self._state: LedgerState | None = None
        self._recorded = -1

    def load(
        self,
        consumer: Any,
        progress: Progress | None = None,
        accept_gap: bool = False,
        partitions: Collection[int] | None = None,
        is_over: Callable[[], bool] = lambda: False,
        until: Mapping[tuple[str, str, int], int] | None = None,
    ) -> FeedReport:
        """Load what the topic has now. Safe to repeat, to interrupt at any point and to run beside others.

        Args:
            consumer: reads, and stays open.
            progress: called with (messages, bytes) as they are read; first with the negative total that waits.
            accept_gap: record offsets that the topic lacks, and continue after them.
            partitions: only these; by default all.
            is_over: whether to stop after the next commit.
            until: only these partitions, up to these offsets at most.

        Raises:
            OffsetsLost: the topic does not continue where the ledger ends.
            ConfigError: a setting or a permission is wrong, or the contract cannot read what was loaded before.
            RetriableError: the broker or the store cannot be reached, or the disk is full.
        """
        state = self._ledger.advance(self._state) if self._state else self._ledger.state()
        self._state = None  # unknown if this fails
        feed, report = self.contract.feed, FeedReport(self.contract.feed, position=state.position)
        topic: Topic | None = None
        ends: dict[tuple[str, str, int], int] = {}
        replanned = False
        while True:
            if topic is None:
                check_compatible(self.contract, self._lake, state)
                topic = self._found(state)
                for one in topic.partitions:  # what others read meanwhile is theirs, what arrives is for the next load
                    place = (*topic.identity, one.number)
                    most = one.stable if until is None else min(one.stable, until.get(place, 0))
                    ends.setdefault(place, most)
                if progress and not replanned:
                    waiting = continuation(topic, state.next_offsets, state.ranges).spans
                    progress(-sum(span.end - span.first for span in waiting), 0)
            plan = self._plan(topic, state, ends, partitions)
            if plan.gaps and not accept_gap:
                raise OffsetsLost(feed, plan.gaps)
            if not plan.spans and not plan.gaps:
                break
            forgotten = self._stones.knowing(state.forgets, again=replanned)
            load = TopicLoad(
                self.contract, self._connection, self._decoder, self._lake, state, topic, plan, self._now()
            )
            try:
                entry = load.run(consumer, self._most_bytes, forgotten, progress)
                if load.loading.forgetter and load.loading.forgetter.found:
                    self._stones.extend(load.loading.forgetter.found, self._now())
                    raise ConflictError(f"{feed}: further identifiers of a person who is forgotten")
                sequence = self._ledger.commit(entry, state.position)
            except ConflictError as error:
                load.discard()
                LOG.info("replan feed=%s load=%s because=%s", feed, load.load_id, error)
                state, topic, replanned = self._ledger.state(), None, True
                continue
            # After any other error it is unknown whether the commit succeeded or still will, so the files stay.
            report = _add(report, entry, load, self._lake_start, plan)
            if sequence == state.position + 1:
                state.apply(sequence, entry)
            else:
                for number, other in self._ledger.entries(state.position, sequence):
                    state.apply(number, other)
                topic = None  # others may have read what it did not have yet
            if self._ledger.checkpoint(state):
                state, topic = self._ledger.state(), None
            LOG.info(
                "committed feed=%s load=%s entry=%d messages=%d rows=%d quarantined=%d",
                feed,
                entry.load_id,
                sequence,
                sum(item.records + item.nulls for item in entry.ranges),
                sum(item.rows for item in entry.ranges),
                sum(item.quarantined for item in entry.ranges),
            )
            if self._recorded != state.position // RECORD_ENTRIES:
                self._recorded = state.position // RECORD_ENTRIES
                record_topic(self._lake, feed, state.position, entry.load_id if sequence == state.position else "")
            if is_over():
                break
        self._state = state
        return replace(report, position=state.position)

    def _found(self, state: LedgerState) -> Topic:
        """The topic as it is now; if its log seems to be cut it is asked again."""
        for _ in range(CUT_CHECKS):
            topic = find_topic(self._connection, self.topic)
            gaps = continuation(topic, state.next_offsets, state.ranges).gaps
            if not any(gap.fault is Fault.CUT for gap in gaps):
                break
            time.sleep(CUT_SECONDS)
        return topic

    def _plan(
        self,
        topic: Topic,
        state: LedgerState,
        ends: Mapping[tuple[str, str, int], int],
        partitions: Collection[int] | None,
    ) -> Continuation:
        """Where a load continues, up to the ends that were there at first."""
        plan = continuation(topic, state.next_offsets, state.ranges)
        capped = (
            replace(span, end=min(span.end, ends[*topic.identity, span.partition]))
            for span in plan.spans
            if partitions is None or span.partition in partitions
        )
        return replace(plan, spans=tuple(span for span in capped if span.first < span.end))


def ingest_topic(
    contract: Contract,
    connection: Connection,
    lake: Store,
    lake_start: dt.date,
    progress: Progress | None = None,
    limits: Limits = DEFAULT,
    tombstones: TombstoneStore | None = None,
    accept_gap: bool = False,
) -> FeedReport:
    """Load what a feed's topic has now; see `TopicFeed.load`."""
    feed = TopicFeed(contract, connection, lake, lake_start, limits, tombstones)
    with closing(connection.consumer()) as consumer:
        return feed.load(consumer, progress, accept_gap)


def _add(report: FeedReport, entry: Entry, load: TopicLoad, lake_start: dt.date, plan: Continuation) -> FeedReport:
    total = {
        name: sum(getattr(item, name) for item in entry.ranges)
        for name in ("size", "records", "rows", "quarantined", "nulls", "gaps", "erased")
    }
    loading = load.loading
    begins = (
        () if report.loads else tuple(f"{load.topic.name}/{n} begins at offset {at:,}" for n, at in plan.begins if at)
    )
    return replace(
        report,
        messages=report.messages + total["records"] + total["nulls"],
        bytes=report.bytes + total["size"],
        records=report.records + total["records"],
        rows=report.rows + total["rows"],
        quarantined=report.quarantined + total["quarantined"],
        nulls=report.nulls + total["nulls"],
        gaps=report.gaps + total["gaps"],
        accepted=(*report.accepted, *map(str, entry.gaps)),
        begins=report.begins if report.loads else tuple(begins),
        erased=report.erased + total["erased"],
        rescued=report.rescued + loading.rescued,
        reasons=added_counts(report.reasons, loading.reasons),
        skipped=added_counts(report.skipped, loading.skipped),
        warnings=added_counts(report.warnings, loading.warnings),
        before_start=report.before_start
        + sum(rows for item in entry.ranges for day, rows in item.event_dates if day < lake_start),
        loads=(*report.loads, entry.load_id),
    )
