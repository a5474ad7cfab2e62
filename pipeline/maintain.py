"""Care for the lake's files: `lake maintain`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from ingest.clean import Cleaning, clean
from ingest.compact import Compaction, compact
from ingest.contract import Contract
from ingest.ledger import Ledger
from ingest.settings import Settings
from pipeline.lake import writable_lake


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
    with writable_lake(options) as (lake, _):
        ledger = Ledger(lake, contract.feed)
        done = Maintenance(contract.feed, compact(lake, ledger, now), clean(lake, ledger, now, grace))
        ledger.checkpoint(ledger.state())
    return done
