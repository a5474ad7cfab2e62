"""The reading functions on a lake that is opened from settings, as the commands call them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping

from ingest.contracts.contract import Contract
from ingest.settings import Settings, settings
from pipeline.alerting import violations
from pipeline.checks import status, trace, verify
from pipeline.cycle import ingest
from pipeline.cycle.ingest import IngestSummary
from pipeline.invalidation import completeness, invalidate
from pipeline.lake import Lake
from pipeline.serving import serve as serving


def ingest_all(*feeds: str, hinted: bool = False, full: bool = False) -> IngestSummary:
    """`lake ingest` with the settings of this process."""
    return ingest.ingest_all(Lake(settings()), feeds, lambda _: lambda objects, size: None, full, hinted)


def verify_feed(contract: Contract, options: Settings, deep: bool = False) -> verify.FeedVerdict:
    lake = Lake(options)
    start = options.lake_start
    return verify.verify_feed(
        contract, lake.landing(contract), lake.store, lake.connect, lake.records(), start, deep, lake.tombstones
    )


def feed_status(contract: Contract, options: Settings) -> status.FeedStatus:
    lake = Lake(options)
    return status.feed_status(contract, lake.landing(contract), lake.store)


def object_history(name: str, options: Settings) -> trace.ObjectHistory:
    lake = Lake(options)
    return trace.object_history(name, lake.landings, lake.store, lake.connect)


def contract_violations(feeds: Iterable[Contract], options: Settings, now: dt.datetime) -> dict[str, str]:
    lake = Lake(options)
    return violations.contract_violations(feeds, lake.landings, lake.store, options.lake_start, now)


def judge(contract: Contract, days: Collection[dt.date], options: Settings) -> completeness.Verdict:
    lake = Lake(options)
    return completeness.judge(contract, days, lake.landing(contract), lake.store)


def apply_unchanged(options: Settings, shown: Mapping[str, int]) -> list[str]:
    lake = Lake(options)
    return invalidate.apply_unchanged(lake.state, lake.releases, lake.store, shown)


def serve(options: Settings, wait_seconds: float = 0.0) -> serving.Served:
    return serving.serve(options, Lake(options).releases, wait_seconds)
