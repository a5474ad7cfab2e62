"""Retention: what feeds may not keep any longer, taken out of bronze and quarantine by `lake maintain`.

No date is marked for it: dates before a feed's horizon stay as they were computed, see frozen.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from ingest.contracts.contract import Contract, Kind, contracts
from ingest.errors import ConfigError, LakemeshError
from ingest.ledger.holds import read_holds
from ingest.ledger.horizons import read_horizon
from ingest.ledger.ledger import Ledger
from ingest.ledger.tombstones import Tombstones, checked_key
from ingest.ledger.touched import touched
from ingest.steps.matchers import Hashed, Matcher, Named
from ingest.storage.store import Store
from ingest.upkeep.expire import Expirer, Expiry
from pipeline.checks.activity import inactive
from pipeline.lake import Lake
from pipeline.process.contain import contained
from pipeline.releases.audits import Failed


def expire(
    lake: Lake, chosen: Iterable[Contract], now: dt.datetime, failed: Failed
) -> tuple[dict[str, Expiry], list[str]]:
    """Take out of feeds what is older than their retention; a feed that fails does not stop the others.

    Args:
        failed: receives the error of a feed.

    Returns:
        What expired by feed with a retention, and notes on feeds that wait.
    """
    known = contracts()
    due: dict[str, dt.date] = {}
    notes: list[str] = []
    for contract in chosen:
        horizon = horizon_of(contract, now)
        if horizon is None:
            continue
        with contained(contract.feed, failed):
            if unreleased := _unreleased(lake, contract, horizon):
                notes.append(
                    f"{contract.feed}: retention waits until {unreleased:,} loaded dates before {horizon} are in a "
                    "release; `lake run` publishes one"
                )
            else:
                due[contract.feed] = horizon
    if not due:
        return {}, notes
    held: Matcher | None = None
    persons: Mapping[str, dict[str, frozenset[str]]] = {}
    done: dict[str, Expiry] = {}
    with contained("the retention of feeds", failed) as step:
        held = holds(lake.store, lake.options.lake_erasure_key)
        of_persons = {feed: day for feed, day in due.items() if known[feed].kind is not Kind.EVENT}
        if of_persons:
            with lake.connect() as connection:
                persons = inactive(lake.store, known, connection, of_persons)
    if step.error:
        return {}, notes
    for feed, horizon in due.items():
        with contained(feed, failed):
            found = persons.get(feed)
            matcher = None if found is None else Named(found, frozenset())
            done[feed] = Expirer(known[feed], lake.store, lake.ledger(feed), horizon, held, matcher).run(now)
            if done[feed].rows or done[feed].rejected:
                about = {"feed": feed, "before": str(horizon), "rows": done[feed].rows, "rejected": done[feed].rejected}
                lake.audit_log.append("records_expired", about)
    return done, notes


def horizon_of(contract: Contract, now: dt.datetime) -> dt.date | None:
    """The date before which records of a feed may not be kept; None without retention."""
    days = contract.personal.retention_days if contract.personal else None
    return now.astimezone(dt.UTC).date() - dt.timedelta(days=days) if days else None


def holds(lake: Store, key: str) -> Matcher | None:
    """What knows the persons under a legal hold; None if there are none.

    Raises:
        ConfigError: there are holds, and their key is missing: whom they are about is not known.
    """
    found = read_holds(lake)
    if not found:
        return None
    try:
        secret = checked_key(key)
    except LakemeshError as error:
        raise ConfigError(f"{len(found)} legal holds keep persons from expiring: {error}") from error
    hashes: dict[str, frozenset[str]] = {}
    for hold in found:
        hold.require_key(secret)
        for name, own in hold.hashes.items():
            hashes[name] = hashes.get(name, frozenset()) | own
    return Hashed(Tombstones(secret, frozenset(hold.name for hold in found), hashes))


def _unreleased(lake: Lake, contract: Contract, horizon: dt.date) -> int:
    """The number of dates about to expire that were loaded since the newest release: no release has them yet."""
    newest = lake.releases.newest()
    if newest is None or read_horizon(lake.store, contract.feed) == horizon:
        return 0
    ledger: Ledger = lake.ledger(contract.feed)
    position = newest.positions.get(contract.feed, 0)
    delta = touched(ledger.state(position), ledger.entries(position, ledger.position()))
    return sum(day < horizon for day in delta.dates)
