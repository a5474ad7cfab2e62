"""`lake stream`: loads of topics, again and again, in a process that touches neither the state nor the warehouse.

The dates that its loads change are marked by the next `lake ingest` or `lake run`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial

from ingest.contracts.contract import Contract
from ingest.errors import ConfigError, LakemeshError, RetriableError
from ingest.ledger.identity import name_lake
from ingest.records.report import FeedReport
from ingest.steps.topic import TopicFeed, is_read
from ingest.topics.connection import GROUP
from ingest.topics.membership import Membership
from pipeline.lake import Lake
from pipeline.process.contain import contained

LOG = logging.getLogger(__name__)
AGAIN_SECONDS = 30.0
"""After how long a feed that needs an operator is tried again: a gap may have been accepted meanwhile."""


@dataclass(slots=True)
class Streamed:
    """What a stream did with one feed.

    Attributes:
        loads: number of commits.
        error: why the feed is not read at the moment; None if it is.
    """

    feed: str
    loads: int = 0
    messages: int = 0
    rows: int = 0
    quarantined: int = 0
    error: LakemeshError | None = None
    again_at: float = field(default=0.0, repr=False)
    looked_at: float = field(default_factory=time.monotonic, repr=False)

    @property
    def exit_code(self) -> int:
        """0, 1 if it failed at last, 2 if that needs an operator."""
        return 0 if self.error is None else 2 if isinstance(self.error, ConfigError) else 1

    def add(self, report: FeedReport) -> None:
        """Add the result of one call."""
        self.loads += len(report.loads)
        self.messages += report.messages
        self.rows += report.rows
        self.quarantined += report.quarantined
        self.error = None


def stream(
    lake: Lake,
    feeds: Sequence[Contract],
    every_seconds: float,
    stop: threading.Event,
    failed: Callable[[str, LakemeshError], None],
    loaded: Callable[[FeedReport], None] = lambda report: None,
    at_work: Callable[[], None] = lambda: None,
) -> list[Streamed]:
    """Load the topics of some feeds until a stop is asked for; the load at work ends with its commit.

    A broker or store that is away is waited for. A feed that needs an operator is tried again now and then, and does
    not hold up the others; with none left the stream ends.

    Args:
        feeds: those with a topic among them are read.
        every_seconds: from one load's start to the next one's.
        failed: called with a feed and its error, once as long as it stays the same.
        loaded: called with the report of each call that committed something.
        at_work: called at each pass over the feeds.

    Raises:
        ConfigError: no feed has a topic, there is no broker, or the lake cannot be used.
    """
    chosen = [contract for contract in feeds if contract.source.kafka]
    if not chosen:
        raise ConfigError("none of the feeds has a topic; expected source.kafka in a contract (docs/streams.md)")
    if not lake.kafka:
        raise ConfigError("there is no broker; set KAFKA_BOOTSTRAP_SERVERS")
    done = {contract.feed: Streamed(contract.feed) for contract in chosen}
    with lake.writable(), ExitStack() as stack:
        topics = {
            contract.feed: TopicFeed(
                contract, lake.kafka, lake.store, lake.options.lake_start, lake.options.limits, lake.tombstones
            )
            for contract in chosen
            if is_read(contract, lake.kafka, lake.ledger(contract.feed).live())
        }
        group = f"{GROUP}-{name_lake(lake.store)}"
        member = stack.enter_context(closing(Membership(lake.kafka, {topic.topic for topic in topics.values()}, group)))
        consumer = stack.enter_context(closing(lake.kafka.consumer()))
        started = time.monotonic()

        def is_over() -> bool:
            member.poll()
            return stop.is_set()

        while not stop.is_set():
            at_work()
            for feed, topic in topics.items():
                own, partitions = done[feed], member.partitions.get(topic.topic, set())
                now = time.monotonic()
                if stop.is_set() or now < own.again_at or (not partitions and now < own.looked_at + AGAIN_SECONDS):
                    continue  # without partitions they are another stream's, or the topic is gone
                own.looked_at = now
                with contained(feed, partial(_note, own, failed)):
                    report = topic.load(consumer, partitions=partitions, is_over=is_over)
                    own.add(report)
                    if report.loads:
                        loaded(report)
                member.poll()
            if all(own.error and not isinstance(own.error, RetriableError) for own in done.values()):
                break
            started = max(started + every_seconds, time.monotonic())
            while not stop.is_set() and (left := started - time.monotonic()) > 0:
                member.poll(min(left, 0.1))
            member.poll()
    return list(done.values())


def _note(own: Streamed, failed: Callable[[str, LakemeshError], None], error: LakemeshError) -> None:
    """Keep the error of a feed, and report it unless it is the one before."""
    if str(error) != str(own.error):
        failed(own.feed, error)
    own.error = error
    if not isinstance(error, RetriableError):
        own.again_at = time.monotonic() + AGAIN_SECONDS
