"""Listing, replay and discard of quarantined records: `lake quarantine`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ingest.contracts.contract import Contract, select
from ingest.errors import LakemeshError
from ingest.ledger.quarantine import BadRecord, Group, Selection, bad_records, groups
from ingest.steps.discard import discard
from ingest.steps.replay import Replay, replay
from pipeline.cycle.marking import mark
from pipeline.invalidation.continuity import lost_ledgers, require_recorded_lake
from pipeline.lake import Lake
from pipeline.process.contain import contained


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """Replayed records by feed, and the dates and models to recompute.

    Attributes:
        errors: reasons why feeds were skipped whose ledgers lost entries.
    """

    feeds: Mapping[str, Replay]
    dates: Mapping[str, tuple[dt.date, ...]]
    models: tuple[str, ...]
    errors: tuple[str, ...] = ()


def quarantine_groups(lake: Lake, feeds: tuple[str, ...]) -> dict[str, list[Group]]:
    """Group the quarantine of the named feeds, all if none is named, by reason and column.

    Raises:
        ConfigError: a feed is unknown or the lake cannot be used.
        RetriableError: the lake cannot be reached.
    """
    return {contract.feed: groups(lake.store, lake.ledger(contract.feed).state()) for contract in select(feeds)}


def quarantined_records(
    lake: Lake, feeds: tuple[str, ...], wanted: Selection, discarded: bool = False
) -> Iterator[tuple[str, BadRecord]]:
    """Yield (feed, record) of the open quarantine, or of the discarded records.

    Raises:
        ConfigError, RetriableError: see `quarantine_groups`.
    """
    for contract in select(feeds):
        for record in bad_records(lake.store, lake.ledger(contract.feed).state(), wanted, discarded):
            yield contract.feed, record


def discard_all(
    lake: Lake, feeds: tuple[str, ...], because: str, wanted: Selection
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Discard the wanted records of the named feeds.

    Returns:
        Number of discarded records by feed; and the reasons why feeds were skipped whose ledgers lost entries, or why
        the audit log could not be written.

    Raises:
        ConfigError: a feed is unknown or the lake cannot be used.
        RetriableError: the lake is in use or cannot be reached.
    """
    now = dt.datetime.now(dt.UTC)
    with lake.writable():
        writable, errors = _writable(lake, feeds)
        done: dict[str, int] = {}
        unlogged: list[LakemeshError] = []
        for item in writable:
            done[item.feed] = discard(lake.store, lake.ledger(item.feed), now, because, wanted)
            if done[item.feed]:
                with contained("the audit log", unlogged.append):
                    about = {"feed": item.feed, "records": done[item.feed], "because": because}
                    lake.audit_log.append("records_discarded", about, now)
        return done, (*errors, *map(str, unlogged))


def _writable(lake: Lake, feeds: tuple[str, ...]) -> tuple[list[Contract], tuple[str, ...]]:
    """Return the named feeds with complete ledgers, and the errors of the rest.

    Raises:
        ConfigError: the lake lost its identity, or is a different one.
    """
    recorded = lake.records()
    require_recorded_lake(lake.store, recorded)
    chosen = select(feeds)
    lost = lost_ledgers(lake.landings, lake.store, chosen, recorded)
    return [item for item in chosen if item.feed not in lost], tuple(map(str, lost.values()))


def replay_all(lake: Lake, feeds: tuple[str, ...], wanted: Selection) -> ReplaySummary:
    """Replay quarantined records under the current contracts, and mark the dates of the accepted ones.

    Raises:
        ConfigError: a feed is unknown or the lake cannot be used.
        RetriableError: the lake or the state is in use or cannot be reached; replayed records stay replayed.
    """
    done = {}
    with lake.writable():
        writable, errors = _writable(lake, feeds)
        for contract in writable:
            ledger = lake.ledger(contract.feed)
            now = dt.datetime.now(dt.UTC)
            done[contract.feed] = replay(contract, lake.store, ledger, now, wanted, lake.tombstones, lake.kafka)
        marked = mark(lake)
    return ReplaySummary(done, marked.dates, marked.models, errors)
