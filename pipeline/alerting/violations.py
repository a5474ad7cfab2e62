"""Contract violations: late feeds, and days that are incomplete after their deadline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from ingest.contracts.contract import Contract, Kind
from ingest.errors import LakemeshError
from ingest.ledger.first_seen import first_seen
from ingest.ledger.ledger import Ledger
from ingest.steps.discover import discover
from ingest.storage.landing import Landing, Landings
from ingest.storage.store import Store
from pipeline.invalidation.completeness import REPORTED_DAYS, judge


def contract_violations(
    contracts: Iterable[Contract], landings: Landings, lake: Store, start: dt.date, now: dt.datetime
) -> dict[str, str]:
    """Find violations of freshness and completeness, by name of the alert.

    Args:
        start: first day of the history that the models cover.

    Raises:
        ConfigError, RetriableError: lake or landing cannot be read.
    """
    found = {}
    for contract in contracts:
        landing = landings.bucket(contract.source.bucket)
        newest = Ledger(lake, contract.feed).live().newest_object_at
        promised = dt.timedelta(seconds=contract.freshness_seconds)
        if now - (newest or first_seen(lake, contract.feed, now)) > promised:
            state = f"its newest object is {_age(now - newest)} old" if newest else _unloaded(contract, landing, lake)
            found[f"freshness/{contract.feed}"] = (
                f"{contract.feed} is late: {state}, the contract promises {_age(promised)}; ask {contract.owner}"
            )
        if contract.kind is Kind.EVENT and contract.completeness:
            days = (now.date() - dt.timedelta(days=number) for number in range(1, REPORTED_DAYS + 1))
            verdict = judge(contract, [day for day in days if day >= start], landing, lake)
            if warning := verdict.warning(contract):
                found[f"completeness/{contract.feed}"] = warning
    return found


def _unloaded(contract: Contract, landing: Landing, lake: Store) -> str:
    """Describe a feed without any loaded object, with the number of waiting objects."""
    try:
        waiting = len(discover(contract, landing, Ledger(lake, contract.feed).state()))
    except LakemeshError:  # ingest reports what is wrong with the landing
        return "none of its objects is loaded yet, and its landing cannot be listed"
    words = {0: "none waits", 1: "one waits"}.get(waiting, f"{waiting:,} wait")
    return f"none of its objects is loaded yet, and {words}"


def _age(time: dt.timedelta) -> str:
    """Format a duration in hours, or in days from 48 hours on.

    >>> _age(dt.timedelta(minutes=90)), _age(dt.timedelta(days=3, hours=1))
    ('1.5 hours', '3.0 days')
    """
    hours = time.total_seconds() / 3600
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
