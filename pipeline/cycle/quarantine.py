"""Rejected records seen, taken back or given up: `lake quarantine`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ingest.contracts.contract import Contract, contracts, select
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import BadRecord, Group, Wanted, bad_records, groups
from ingest.settings import Settings
from ingest.steps.discard import discard
from ingest.steps.replay import Replay, replay
from ingest.storage.store import Store
from pipeline.invalidation.continuity import known, lost_ledgers, must_be_the_known_lake
from pipeline.invalidation.invalidate import invalidate
from pipeline.lake import writable_lake


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What was taken back, by feed, and which dates and models have to be computed anew.

    Attributes:
        errors: why feeds were left alone whose logs lost entries.
    """

    feeds: Mapping[str, Replay]
    dates: Mapping[str, tuple[dt.date, ...]]
    models: tuple[str, ...]
    errors: tuple[str, ...] = ()


def quarantine_of(feeds: tuple[str, ...], options: Settings) -> dict[str, list[Group]]:
    """The quarantine of the named feeds (all without names) by fault.

    Raises:
        ConfigError: a feed is unknown or the lake cannot be used.
        RetriableError: the lake cannot be reached.
    """
    lake = Store(options.lake_uri, options)
    return {contract.feed: groups(lake, Ledger(lake, contract.feed).state()) for contract in select(feeds)}


def records_of(
    feeds: tuple[str, ...], wanted: Wanted, options: Settings, discarded: bool = False
) -> Iterator[tuple[str, BadRecord]]:
    """(feed, record) of the open quarantine, or of what was discarded.

    Raises:
        ConfigError, RetriableError: as above.
    """
    lake = Store(options.lake_uri, options)
    for contract in select(feeds):
        for record in bad_records(lake, Ledger(lake, contract.feed).state(), wanted, discarded):
            yield contract.feed, record


def discard_all(
    feeds: tuple[str, ...], because: str, wanted: Wanted, options: Settings
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Gives up the wanted records of the named feeds.

    Returns:
        How many, by feed; and why feeds were left alone whose logs lost entries.

    Raises:
        ConfigError: a feed is unknown or the lake cannot be used.
        RetriableError: the lake is in use or away.
    """
    now = dt.datetime.now(dt.UTC)
    with writable_lake(options) as (lake, _):
        whole, errors = _writable(feeds, options, lake)
        return {item.feed: discard(lake, Ledger(lake, item.feed), now, because, wanted) for item in whole}, errors


def _writable(feeds: tuple[str, ...], options: Settings, lake: Store) -> tuple[list[Contract], tuple[str, ...]]:
    """The named feeds whose logs are whole, and what is wrong with the others.

    Raises:
        ConfigError: the lake lost its identity, or is another one.
    """
    others = known(options, lake)
    must_be_the_known_lake(lake, others)
    chosen = select(feeds)
    lost = lost_ledgers(options, lake, chosen, others)
    return [item for item in chosen if item.feed not in lost], tuple(map(str, lost.values()))


def replay_all(feeds: tuple[str, ...], wanted: Wanted, options: Settings) -> ReplaySummary:
    """Judges quarantined records anew by the contracts of now, and marks the dates of those that are good.

    Raises:
        ConfigError: a feed is unknown or the lake cannot be used.
        RetriableError: the lake or the state is in use or away; what was taken back stays so.
    """
    done = {}
    with writable_lake(options) as (lake, _):
        whole, errors = _writable(feeds, options, lake)
        for contract in whole:
            ledger = Ledger(lake, contract.feed)
            done[contract.feed] = replay(contract, lake, ledger, dt.datetime.now(dt.UTC), wanted)
        marked = invalidate(options, lake, contracts())
    return ReplaySummary(done, marked.dates, marked.models, errors)
