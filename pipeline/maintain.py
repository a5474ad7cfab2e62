"""Care for the lake's files: `lake maintain`."""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ingest.clean import Cleaning, clean
from ingest.compact import Compaction, compact
from ingest.contract import Contract
from ingest.ledger import Ledger
from ingest.lock import host_lock
from ingest.settings import Settings
from ingest.store import Store


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What was done for one feed."""

    feed: str
    compaction: Compaction
    cleaning: Cleaning


def maintain_feed(contract: Contract, options: Settings, grace: dt.timedelta) -> Maintenance:
    """Compacts, then deletes what is out of reach. Safe beside ingesters, and to interrupt.

    Raises:
        ConfigError: the lake cannot be used.
        RetriableError: it cannot be reached, or another writer holds its lock.
    """
    now = dt.datetime.now(dt.UTC)
    with ExitStack() as stack:
        lake = Store(options.lake_uri, options)
        stack.callback(lake.close)
        if not lake.honours_put_if_absent():
            stack.enter_context(host_lock(Path(options.lake_home) / "locks", options.lake_uri))
        ledger = Ledger(lake, contract.feed)
        done = Maintenance(contract.feed, compact(lake, ledger, now), clean(lake, ledger, now, grace))
        ledger.checkpoint(ledger.state())
    return done
