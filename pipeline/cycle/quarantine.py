"""Listing, replay and discard of quarantined records: `lake quarantine`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ingest.contracts.contract import Contract, contracts, select
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import BadRecord, Group, Selection, bad_records, groups
from ingest.settings import Settings
from ingest.steps.discard import discard
from ingest.steps.replay import Replay, replay
from ingest.storage.store import Store
from pipeline.invalidation.continuity import lake_records, lost_ledgers, require_recorded_lake
from pipeline.invalidation.invalidate import invalidate
from pipeline.lake import writable_lake


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


def quarantine_groups(feeds: tuple[str, ...], options: Settings) -> dict[str, list[Group]]:
    """Group the quarantine of the named feeds, all if none is named, by reason and column.

    Raises:
        ConfigError: a feed is unknown or the lake cannot be used.
        RetriableError: the lake cannot be reached.
    """
    lake = Store(options.lake_uri, options)
    return {contract.feed: groups(lake, Ledger(lake, contract.feed).state()) for contract in select(feeds)}


def quarantined_records(
    feeds: tuple[str, ...], wanted: Selection, options: Settings, discarded: bool = False
) -> Iterator[tuple[str, BadRecord]]:
    """Yield (feed, record) of the open quarantine, or of the discarded records.

    Raises:
        ConfigError, RetriableError: see `quarantine_groups`.
    """
    lake = Store(options.lake_uri, options)
    for contract in select(feeds):
        for record in bad_records(lake, Ledger(lake, contract.feed).state(), wanted, discarded):
            yield contract.feed, record


def discard_all(
    feeds: tuple[str, ...], because: str, wanted: Selection, options: Settings
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Discard the wanted records of the named feeds.

    Returns:
        Number of discarded records by feed; and the reasons why feeds were skipped whose ledgers lost entries.

    Raises:
        ConfigError: a feed is unknown or the lake cannot be used.
        RetriableError: the lake is in use or cannot be reached.
    """
    now = dt.datetime.now(dt.UTC)
    with writable_lake(options) as (lake, _):
        writable, errors = _writable(feeds, options, lake)
        return {item.feed: discard(lake, Ledger(lake, item.feed), now, because, wanted) for item in writable}, errors


def _writable(feeds: tuple[str, ...], options: Settings, lake: Store) -> tuple[list[Contract], tuple[str, ...]]:
    """Return the named feeds with complete ledgers, and the errors of the rest.

    Raises:
        ConfigError: the lake lost its identity, or is a different one.
    """
    recorded = lake_records(options, lake)
    require_recorded_lake(lake, recorded)
    chosen = select(feeds)
    lost = lost_ledgers(options, lake, chosen, recorded)
    return [item for item in chosen if item.feed not in lost], tuple(map(str, lost.values()))


def replay_all(feeds: tuple[str, ...], wanted: Selection, options: Settings) -> ReplaySummary:
    """Replay quarantined records under the current contracts, and mark the dates of the accepted ones.

    Raises:
        ConfigError: a feed is unknown or the lake cannot be used.
        RetriableError: the lake or the state is in use or cannot be reached; replayed records stay replayed.
    """
    done = {}
    with writable_lake(options) as (lake, _):
        writable, errors = _writable(feeds, options, lake)
        for contract in writable:
            ledger = Ledger(lake, contract.feed)
            done[contract.feed] = replay(contract, lake, ledger, dt.datetime.now(dt.UTC), wanted)
        marked = invalidate(options, lake, contracts())
    return ReplaySummary(done, marked.dates, marked.models, errors)
