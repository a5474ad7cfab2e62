"""Measures of feeds, from landing and ledger."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable

from ingest.contracts.contract import Contract
from ingest.errors import LakemeshError
from ingest.ledger.first_seen import first_seen
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import groups
from ingest.ledger.state import LedgerState
from ingest.steps.discover import discover
from ingest.steps.sweep import choose_scope
from ingest.storage.landing import Landing, Landings
from ingest.storage.store import Store
from ingest.topics.connection import Connection
from ingest.topics.continuation import continuation
from ingest.topics.topic import find_topic
from pipeline.monitoring.definitions import Measured, Sample
from pipeline.process.contain import contained

MOST_REASONS = 15
"""Reasons of a feed's quarantine that have a series of their own."""
Reasons = dict[str, tuple[int, dict[str, int]]]
"""Records by reason at a position of the ledger, by feed."""


def feed_measures(
    contracts: Iterable[Contract],
    landings: Landings,
    lake: Store,
    kafka: Connection,
    now: dt.datetime,
    known: Reasons | None = None,
) -> Measured:
    """Measure feeds. One that cannot be read does not stop the others.

    The landing is listed as the next ingest would, without full sweeps that are not due.

    Args:
        known: reasons of an earlier call, which spare reading a quarantine that did not change; it is brought up to
            date.
    """
    samples: list[Sample] = []
    errors: list[LakemeshError] = []
    reasons = {} if known is None else known
    for contract in contracts:
        with contained(contract.feed, errors.append) as reading:
            samples += _measure(contract, landings.bucket(contract.source.bucket), lake, now, reasons)
            samples += _lag(contract, lake, kafka)
        samples.append(Sample("lakemesh_feed_readable", float(reading.error is None), (contract.feed,)))
    return Measured(tuple(samples), tuple(errors))


def _measure(contract: Contract, landing: Landing, lake: Store, now: dt.datetime, known: Reasons) -> list[Sample]:
    feed = contract.feed
    ledger = Ledger(lake, feed)
    state = ledger.state()
    found = discover(contract, landing, state, choose_scope(contract, landing, lake, state.position, now))
    waiting = [item.version for item in found]
    bronze = state.bronze_files()
    values: dict[str, float] = {
        "waiting_objects": len(waiting),
        "waiting_bytes": sum(version.size for version in waiting),
        "unloadable_objects": sum(item.objects for item in found.unloadable),
        "newest_object_timestamp_seconds": (state.newest_object_at or first_seen(lake, feed, now)).timestamp(),
        "freshness_seconds": contract.freshness_seconds,
        "position": state.position,
        "loaded_objects": len(state.objects),
        "rows": sum(file.rows for file in bronze),
        "files": len(bronze),
        "bytes": sum(file.bytes for file in bronze),
    }
    if waiting:
        values["oldest_waiting_timestamp_seconds"] = min(version.modified_at for version in waiting).timestamp()
    if state.position:
        values["last_commit_timestamp_seconds"] = ledger.committed_at(state.position).timestamp()
    samples = [Sample(f"lakemesh_feed_{name}", float(value), (feed,)) for name, value in values.items()]
    for reason, count in _shown(_reasons(lake, feed, state, known)).items():
        samples.append(Sample("lakemesh_feed_quarantined_records", float(count), (feed, reason)))
    return samples


def _lag(contract: Contract, lake: Store, kafka: Connection) -> list[Sample]:
    """The messages that wait in a feed's topic; none without a broker."""
    if contract.source.kafka is None or not kafka:
        return []
    state = Ledger(lake, contract.feed).live()
    spans = continuation(find_topic(kafka, contract.source.kafka.topic), state.next_offsets, state.ranges).spans
    lag = sum(span.end - span.first for span in spans)
    return [Sample("lakemesh_feed_waiting_messages", float(lag), (contract.feed,))]


def _reasons(lake: Store, feed: str, state: LedgerState, known: Reasons) -> dict[str, int]:
    """Open records of the quarantine by reason, read again only if the ledger has moved."""
    position, found = known.get(feed, (-1, {}))
    if position != state.position:
        counts: Counter[str] = Counter()
        for group in groups(lake, state):
            counts[group.reason] += group.records
        found = dict(counts)
        known[feed] = (state.position, found)
    return found


def _shown(reasons: dict[str, int]) -> dict[str, int]:
    """The most frequent reasons, and all others together, so that the number of series stays bounded."""
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[MOST_REASONS:])
    return dict(ranked[:MOST_REASONS]) | ({"other": rest} if rest else {})
