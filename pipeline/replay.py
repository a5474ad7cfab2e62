"""Quarantined records taken back: `lake quarantine replay`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ingest.contract import contracts, select
from ingest.ledger import Ledger
from ingest.lock import host_lock
from ingest.quarantine import Group, Replay, groups, replay
from ingest.settings import Settings
from ingest.store import Store
from pipeline.invalidate import invalidate


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What was taken back, by feed, and which dates and models have to be computed anew."""

    feeds: Mapping[str, Replay]
    dates: Mapping[str, tuple[dt.date, ...]]
    models: tuple[str, ...]


def quarantine_of(feeds: tuple[str, ...], options: Settings) -> dict[str, list[Group]]:
    """The quarantine of the named feeds (all without names) by fault.

    Raises:
        ConfigError: a feed is unknown or the lake cannot be used.
        RetriableError: the lake cannot be reached.
    """
    lake = Store(options.lake_uri, options)
    return {contract.feed: groups(lake, Ledger(lake, contract.feed).state()) for contract in select(feeds)}


def replay_all(feeds: tuple[str, ...], reasons: tuple[str, ...], options: Settings) -> ReplaySummary:
    """Judges quarantined records anew by the contracts of now, and marks the dates of those that are good.

    Raises:
        ConfigError: a feed is unknown or the lake cannot be used.
        RetriableError: the lake or the state is in use or away; what was taken back stays so.
    """
    done = {}
    with ExitStack() as stack:
        lake = Store(options.lake_uri, options)
        stack.callback(lake.close)
        if not lake.honours_put_if_absent():
            stack.enter_context(host_lock(Path(options.lake_home) / "locks", options.lake_uri))
        for contract in select(feeds):
            ledger = Ledger(lake, contract.feed)
            done[contract.feed] = replay(contract, lake, ledger, dt.datetime.now(dt.UTC), reasons)
        marked = invalidate(options, lake, contracts())
    return ReplaySummary(done, marked.dates, marked.models)
