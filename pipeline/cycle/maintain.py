"""Maintenance of the lake's files: `lake maintain`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from ingest.contracts.contract import Contract
from ingest.errors import LostLedger
from ingest.ledger.ledger import Ledger
from ingest.settings import Settings
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from ingest.upkeep.clean import Cleaning, clean
from ingest.upkeep.compact import Compaction, compact
from ingest.upkeep.orphans import landed_objects
from ingest.upkeep.retire import Retirement, moved_to, plan_retirement, retire
from pipeline.invalidation.continuity import LakeRecords, lake_records, lost_ledgers, require_recorded_lake
from pipeline.lake import writable_lake


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Result of the maintenance of one feed."""

    feed: str
    compaction: Compaction
    cleaning: Cleaning
    retirement: Retirement = field(default_factory=Retirement)


def maintain(
    contracts: Iterable[Contract], options: Settings, grace: dt.timedelta
) -> tuple[list[Maintenance], list[LostLedger]]:
    """Maintain one feed after the other; a feed whose ledger lost entries is skipped, and its error returned.

    Raises:
        ConfigError, RetriableError: see `maintain_feed`.
    """
    lake = Store(options.lake_uri, options)
    recorded = lake_records(options, lake)
    require_recorded_lake(lake, recorded)
    done, lost = [], []
    for contract in contracts:
        try:
            done.append(maintain_feed(contract, options, grace, recorded))
        except LostLedger as error:
            lost.append(error)
    return done, lost


def maintain_feed(
    contract: Contract, options: Settings, grace: dt.timedelta, recorded: LakeRecords | None = None
) -> Maintenance:
    """Compact, delete unreachable files, then retire source objects. Safe to interrupt and to run during ingest.

    Args:
        recorded: what state and releases record about the lake; read from them by default.

    Raises:
        LostLedger: the feed's ledger lacks entries.
        ConfigError: the lake cannot be used.
        RetriableError: the lake cannot be reached, or another writer holds its lock.
    """
    now = dt.datetime.now(dt.UTC)
    with writable_lake(options) as (lake, _):
        for error in lost_ledgers(options, lake, [contract], recorded).values():
            raise error
        landing = Landing(options.landing(contract.source.bucket), options)
        landed = partial(landed_objects, contract, landing)
        ledger = Ledger(lake, contract.feed)
        done = Maintenance(contract.feed, compact(lake, ledger, now), clean(lake, ledger, landed, now, grace))
        ledger.checkpoint(ledger.state())
        rule = contract.source.retire
        if rule:
            target = Landing(options.landing(rule.to.split("/", 1)[0]), options) if rule.to else None
            done = replace(done, retirement=retire(contract, landing, lake, target, now))
    return done


def retirable(contract: Contract, options: Settings) -> Iterator[tuple[str, str, str | None, int]]:
    """Yield (action, bucket/key, target, bytes) of each source object that `lake maintain` would retire now.

    Raises:
        ConfigError: a bucket is missing or access is refused.
        RetriableError: a store cannot be reached, or the lake is incomplete.
    """
    rule = contract.source.retire
    if rule:
        landing, lake = Landing(options.landing(contract.source.bucket), options), Store(options.lake_uri, options)
        for version in plan_retirement(contract, landing, lake, dt.datetime.now(dt.UTC)):
            name = f"{contract.source.bucket}/{version.key}"
            yield rule.action, name, moved_to(contract, version.key), version.size
