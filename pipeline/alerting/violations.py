"""Contracts that are violated: feeds that are late, and days that are not complete in time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from ingest.contracts.contract import Contract, Kind
from ingest.errors import LakemeshError
from ingest.ledger.first_seen import first_seen
from ingest.ledger.ledger import Ledger
from ingest.settings import Settings
from ingest.steps.discover import discover
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from pipeline.invalidation.completeness import TOLD_DAYS, judge


def contract_violations(promised_by: Iterable[Contract], options: Settings, now: dt.datetime) -> dict[str, str]:
    """What feeds owe by their contracts, by the name of the alert: data as fresh as promised, days complete in time.

    Raises:
        ConfigError, RetriableError: lake or landing cannot be read.
    """
    lake, found = Store(options.lake_uri, options), {}
    for contract in promised_by:
        newest = Ledger(lake, contract.feed).live().newest_object_at
        promised = dt.timedelta(seconds=contract.freshness_seconds)
        if now - (newest or first_seen(lake, contract.feed, now)) > promised:
            told = f"its newest object is {_age(now - newest)} old" if newest else _unloaded(contract, options, lake)
            found[f"freshness/{contract.feed}"] = (
                f"{contract.feed} is late: {told}, the contract promises {_age(promised)}; ask {contract.owner}"
            )
        if contract.kind is Kind.EVENT and contract.completeness:
            days = (now.date() - dt.timedelta(days=number) for number in range(1, TOLD_DAYS + 1))
            verdict = judge(contract, [day for day in days if day >= options.lake_start], options)
            if warning := verdict.warning(contract):
                found[f"completeness/{contract.feed}"] = warning
    return found


def _unloaded(contract: Contract, options: Settings, lake: Store) -> str:
    """What there is of a feed of which nothing is loaded."""
    try:
        landing = Landing(options.landing(contract.source.bucket), options)
        waiting = len(discover(contract, landing, Ledger(lake, contract.feed).state()))
    except LakemeshError:  # what is wrong with the landing, ingest reports
        return "no object of it is loaded yet, and its landing cannot be listed"
    words = {0: "none waits", 1: "one waits"}.get(waiting, f"{waiting:,} wait")
    return f"no object of it is loaded yet, and {words}"


def _age(time: dt.timedelta) -> str:
    """
    >>> _age(dt.timedelta(minutes=90)), _age(dt.timedelta(days=3, hours=1))
    ('1.5 hours', '3.0 days')
    """
    hours = time.total_seconds() / 3600
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
