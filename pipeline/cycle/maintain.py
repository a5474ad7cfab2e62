"""Maintenance of the lake's files: `lake maintain`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from ingest.contracts.contract import Contract
from ingest.errors import LakemeshError, LostLedger
from ingest.upkeep.clean import Cleaning, clean
from ingest.upkeep.compact import Compaction, compact
from ingest.upkeep.expire import Expiry
from ingest.upkeep.orphans import landed_objects
from ingest.upkeep.retire import Retirement, moved_to, plan_retirement, retire
from pipeline.cycle.retention import expire
from pipeline.invalidation.continuity import LakeRecords, lost_ledgers, require_recorded_lake
from pipeline.lake import Lake


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Result of the maintenance of one feed."""

    feed: str
    compaction: Compaction
    cleaning: Cleaning
    retirement: Retirement = field(default_factory=Retirement)
    expiry: Expiry = field(default_factory=Expiry)


def maintain(
    lake: Lake, contracts: Iterable[Contract], grace: dt.timedelta
) -> tuple[list[Maintenance], list[LakemeshError], list[str]]:
    """Maintain one feed after the other; a feed whose ledger lost entries is skipped.

    Returns:
        What was done, the errors of feeds that were skipped or whose records did not expire, and notes.

    Raises:
        ConfigError, RetriableError: see `maintain_feed`.
    """
    recorded = lake.records()
    require_recorded_lake(lake.store, recorded)
    chosen = list(contracts)
    lost: dict[str, LakemeshError] = dict(lost_ledgers(lake.landings, lake.store, chosen, recorded))
    failed = list(lost.values())
    kept = [contract for contract in chosen if contract.feed not in lost]
    with lake.writable():
        expired, notes = expire(lake, kept, dt.datetime.now(dt.UTC), failed.append)
    done = []
    for contract in kept:
        try:
            found = maintain_feed(lake, contract, grace, recorded)
            done.append(replace(found, expiry=expired.get(contract.feed, found.expiry)))
        except LostLedger as error:
            failed.append(error)
    return done, failed, notes


def maintain_feed(
    lake: Lake, contract: Contract, grace: dt.timedelta, recorded: LakeRecords | None = None
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
    with lake.writable():
        for error in lost_ledgers(lake.landings, lake.store, [contract], recorded or lake.records()).values():
            raise error
        landing, store = lake.landing(contract), lake.store
        landed = partial(landed_objects, contract, landing)
        ledger = lake.ledger(contract.feed)
        done = Maintenance(
            contract.feed, compact(store, ledger, now), clean(store, ledger, landed, now, grace, landing.hide)
        )
        if not ledger.checkpoint(ledger.state()):
            ledger.prune_checkpoints()
        rule = contract.source.retire
        if rule:
            target = lake.landings.bucket(rule.to.split("/", 1)[0]) if rule.to else None
            done = replace(done, retirement=retire(contract, landing, store, target, now))
    return done


def retirable(lake: Lake, contract: Contract) -> Iterator[tuple[str, str, str | None, int]]:
    """Yield (action, bucket/key, target, bytes) of each source object that `lake maintain` would retire now.

    Raises:
        ConfigError: a bucket is missing or access is refused.
        RetriableError: a store cannot be reached, or the lake is incomplete.
    """
    rule = contract.source.retire
    if rule:
        for version in plan_retirement(contract, lake.landing(contract), lake.store, dt.datetime.now(dt.UTC)):
            name = f"{contract.source.bucket}/{version.key}"
            yield rule.action, name, moved_to(contract, version.key), version.size
