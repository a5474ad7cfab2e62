"""The load of a feed's topic: each entry of the ledger commits the offsets that its rows are of.

No other position exists: neither in a group of the broker nor in the state. Of two ingesters that read the same offsets
the entry of one is put first; the other discards its files and continues after it.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Collection
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
from ingest.limits import DEFAULT, Limits
from ingest.records.report import FeedReport, Progress, added_counts
from ingest.steps.topic_load import TopicLoad
from ingest.storage.store import Store
from ingest.topics.connection import Connection
from ingest.topics.continuation import Continuation, continuation
from ingest.topics.topic import Topic, find_topic
from ingest.topics.values import Decoder

LOG = logging.getLogger(__name__)
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


def ingest_topic(
    contract: Contract,
    connection: Connection,
    lake: Store,
    lake_start: dt.date,
    progress: Progress | None = None,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    limits: Limits = DEFAULT,
    tombstones: TombstoneStore | None = None,
    accept_gap: bool = False,
    partitions: Collection[int] | None = None,
    consumer: Any = None,
    is_over: Callable[[], bool] = lambda: False,
) -> FeedReport:
    """Load a feed's topic up to what it has now. Safe to repeat, to interrupt at any point and to run beside others.

    Args:
        progress: called with (messages, bytes) as they are read; first with the negative total that waits.
        accept_gap: record offsets that the topic lacks, and continue after them.
        partitions: only these; by default all.
        consumer: reads, and stays open; by default one is opened and closed.
        is_over: whether to stop after the next commit.

    Raises:
        OffsetsLost: the topic does not continue where the ledger ends.
        ConfigError: a setting or a permission is wrong, or the contract cannot read what was loaded before.
        RetriableError: the broker or the store cannot be reached, or the disk is full.
    """
    assert contract.source.kafka is not None
    stones = tombstones or TombstoneStore(lake, "")
    ledger, decoder = Ledger(lake, contract.feed), Decoder(contract, connection)
    state = ledger.state()
    report = FeedReport(contract.feed, position=state.position)
    topic, replanned = None, False
    with closing(connection.consumer()) if consumer is None else _left_open(consumer) as reader:
        while True:
            if topic is None:
                check_compatible(contract, lake, state)
                topic, plan = _plan(contract, connection, state)
                if plan.gaps and not accept_gap:
                    raise OffsetsLost(contract.feed, plan.gaps)
                if progress and not replanned:
                    progress(-sum(span.end - span.first for span in plan.spans), 0)
            else:
                plan = continuation(topic, state.next_offsets, state.ranges)
            spans = [span for span in plan.spans if partitions is None or span.partition in partitions]
            if not spans and not plan.gaps:
                break
            forgotten = stones.knowing(state.forgets, again=replanned)
            load = TopicLoad(
                contract, connection, decoder, lake, state, topic, replace(plan, spans=tuple(spans)), now()
            )
            try:
                entry = load.run(reader, min(limits.load_bytes, LOAD_BYTES), forgotten, progress)
                if load.loading.forgetter and load.loading.forgetter.found:
                    stones.extend(load.loading.forgetter.found, now())
                    raise ConflictError(f"{contract.feed}: further identifiers of a person who is forgotten")
                sequence = ledger.commit(entry, state.position)
            except ConflictError as error:
                load.discard()
                LOG.info("replan feed=%s load=%s because=%s", contract.feed, load.load_id, error)
                state, topic, replanned = ledger.state(), None, True
                continue
            # After any other error it is unknown whether the commit succeeded or still will, so the files stay.
            report = _add(report, entry, load, lake_start, plan)
            if sequence == state.position + 1:
                state.apply(sequence, entry)
            else:
                for number, other in ledger.entries(state.position, sequence):
                    state.apply(number, other)
            if ledger.checkpoint(state):
                state = ledger.state()
            LOG.info("committed feed=%s load=%s entry=%d ranges=%d", contract.feed, entry.load_id, sequence, len(spans))
            if is_over():
                break
    return replace(report, position=state.position)


class _left_open:  # noqa: N801  a context manager
    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def __enter__(self) -> Any:
        return self._consumer

    def __exit__(self, *_: object) -> None:
        pass


def _plan(contract: Contract, connection: Connection, state: LedgerState) -> tuple[Topic, Continuation]:
    """Where the load continues; a log that seems to be cut is asked again."""
    assert contract.source.kafka is not None
    for _ in range(CUT_CHECKS):
        topic = find_topic(connection, contract.source.kafka.topic)
        plan = continuation(topic, state.next_offsets, state.ranges)
        if not any(gap.fault is Fault.CUT for gap in plan.gaps):
            break
        time.sleep(CUT_SECONDS)
    return topic, plan


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
