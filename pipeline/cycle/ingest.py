"""Ingest of all feeds, then invalidation: `lake ingest`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ingest.contracts.contract import Contract, contracts, select
from ingest.errors import (
    ConfigError,
    LakemeshError,
    NoTopic,
    OverwriteRefused,
    StuckObjects,
    TooManyBadRecords,
    UnloadableObjects,
)
from ingest.ledger.tombstones import tombstone_names
from ingest.records.report import FeedReport, Progress
from ingest.steps.erase import erase
from ingest.steps.load import ingest_feed
from ingest.steps.notifications import finish, read_spool
from ingest.steps.topic import ingest_topic, is_read
from pipeline.checks.landings import absent, judge_absent
from pipeline.cycle.marking import mark
from pipeline.invalidation.continuity import lost_ledgers, require_recorded_lake
from pipeline.lake import Lake
from pipeline.process.contain import contained
from pipeline.process.log import located


@dataclass(slots=True)
class IngestSummary:
    """Summary of one `lake ingest`.

    Attributes:
        feeds: a report per feed.
        dates: changed dates that were invalidated, by feed.
        positions: applied ledger position by feed; empty if they are unknown.
        models: models that the next run partly recomputes.
        notes: information for the operator.
        lost: feeds whose ledgers lack entries; nothing was written to them.
        errors: one line per failed feed or step; the other ones succeeded.
        failed_feeds: feeds that were not or only partly loaded; `errors` has the reasons.
        is_marked: whether the changed dates are marked for recomputation.
        exit_code: 0 done, 1 failed, 2 misuse.
    """

    feeds: list[FeedReport] = field(default_factory=list)
    dates: Mapping[str, tuple[dt.date, ...]] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    positions: Mapping[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    lost: tuple[str, ...] = ()
    errors: list[str] = field(default_factory=list)
    failed_feeds: list[str] = field(default_factory=list)
    is_marked: bool = True
    exit_code: int = 0

    def failed(self, error: LakemeshError, feed: str = "") -> None:
        """Add an error, of a feed if one is named, without stopping the rest."""
        text = str(error)
        self.errors.append(text if text.startswith(feed) else f"{feed}: {text}")
        self.exit_code = max(self.exit_code, 2 if isinstance(error, ConfigError) else 1)


def ingest_all(
    lake: Lake,
    feeds: tuple[str, ...],
    progress: Callable[[str], Progress],
    full: bool = False,
    hinted: bool = False,
    accept_gap: bool = False,
) -> IngestSummary:
    """Load the named feeds, all if none is named, and invalidate the dates that changed.

    A failing feed does not hold up other feeds.

    Args:
        full: list everything, whatever the contracts say.
        hinted: between full sweeps, check only the objects named by notifications.
        accept_gap: record offsets that topics lack, and continue after them.

    Raises:
        ConfigError: a feed is unknown, or the lake cannot be used at all.
        RetriableError: the lake cannot be reached.
    """
    options = lake.options
    chosen = select(feeds)
    summary = IngestSummary()
    spool = read_spool(Path(options.notifications_path), contracts().values()) if hinted else None
    with lake.writable() as note:
        summary.notes += [note] if note else []
        recorded = lake.records()
        try:
            require_recorded_lake(lake.store, recorded)
        except ConfigError as error:  # never load into a different lake
            summary.failed(error)
            summary.failed_feeds += [contract.feed for contract in chosen]
            summary.is_marked = False
            return summary
        lost = lost_ledgers(lake.landings, lake.store, chosen, recorded)
        missing = []
        for contract in chosen:
            if contract.feed in lost:
                summary.failed(lost[contract.feed], feed=contract.feed)
                summary.failed_feeds.append(contract.feed)
                continue
            with (
                located(feed=contract.feed),
                contained(contract.feed, partial(summary.failed, feed=contract.feed)) as loading,
            ):
                landing = lake.landing(contract)
                has_topic = contract.source.kafka is not None and is_read(
                    contract, lake.kafka, lake.ledger(contract.feed).live()
                )
                if place := absent(contract, landing, lake.store):
                    missing += [] if has_topic and not place.known else [place]
                    if place.known and not place.empties:
                        continue
                report = ingest_feed(
                    contract,
                    landing,
                    lake.store,
                    options.lake_start,
                    progress(contract.feed),
                    limits=options.limits,
                    full=full,
                    hints=spool.keys(contract) if spool else None,
                    tombstones=lake.tombstones,
                )
                if has_topic:
                    report = _with_topic(lake, contract, report, progress(contract.feed), accept_gap, summary)
            if loading.error:
                summary.failed_feeds.append(contract.feed)
                continue
            summary.feeds.append(report)
            if report.quarantined > contract.max_quarantined_share * report.records:
                summary.failed(TooManyBadRecords(contract.feed, report.quarantined, report.records))
            if report.rescued and contract.unknown_fields == "evolve":
                summary.notes.append(
                    f"{contract.feed}: {report.rescued:,} records have fields that the contract does not declare; "
                    f"`lake contracts propose {contract.feed}` proposes columns"
                )
            if report.unloadable:
                summary.failed(UnloadableObjects(contract.feed, report.unloadable))
            if report.stuck:
                summary.failed_feeds.append(contract.feed)
                summary.failed(StuckObjects(contract.feed, dict(report.stuck)))
            if report.refused:
                summary.failed(OverwriteRefused(contract.feed, report.refused))
            if report.before_start:
                summary.notes.append(
                    f"{contract.feed}: {report.before_start} rows are older than LAKE_START {options.lake_start}; "
                    "they are in bronze, but no model covers them"
                )
        _erase_pending(lake, [contract for contract in chosen if contract.feed not in lost], summary)
        mistakes, notes = judge_absent(missing, len(chosen))
        summary.notes += notes
        for mistake in mistakes:
            summary.failed(mistake)
        if spool:
            summary.notes.append(spool.note())
            complete = [feed.feed for feed in summary.feeds if feed.is_complete]
            with contained("the spool of notifications", summary.failed):
                finish(spool, contracts().values(), complete)
        with contained("the marking of dates", summary.failed) as marking:
            done = mark(lake)
            summary.dates, summary.models, summary.positions = done.dates, done.models, done.positions
            for feed in done.lost.keys() - lost.keys():
                summary.failed(done.lost[feed], feed=feed)
            lost |= done.lost
        summary.lost = tuple(sorted(lost))
        summary.is_marked = marking.error is None
    return summary


def _with_topic(
    lake: Lake, contract: Contract, report: FeedReport, progress: Progress, accept_gap: bool, summary: IngestSummary
) -> FeedReport:
    """Load a feed's topic too; one that was never read may come later."""
    options = lake.options
    try:
        found = ingest_topic(
            contract,
            lake.kafka,
            lake.store,
            options.lake_start,
            progress,
            limits=options.limits,
            tombstones=lake.tombstones,
            accept_gap=accept_gap,
        )
    except NoTopic as error:
        if lake.ledger(contract.feed).live().next_offsets:
            raise
        summary.notes.append(f"{contract.feed}: {error}")
        return report
    summary.notes += [f"{contract.feed}: {text}, older messages expired" for text in found.begins]
    if found.accepted:
        with contained("the audit log", summary.failed):
            lake.audit_log.append("gap_accepted", {"feed": contract.feed, "gaps": list(found.accepted)})
    summary.notes += [f"{contract.feed}: accepted and recorded: {text}" for text in found.accepted]
    return report.with_topic(found)


def _erase_pending(lake: Lake, feeds: Iterable[Contract], summary: IngestSummary) -> None:
    """Take persons out of feeds whose erasure was interrupted, or whose further identifiers a load found."""
    if not tombstone_names(lake.store):
        return
    for contract in feeds:
        with contained(contract.feed, partial(summary.failed, feed=contract.feed)):
            ledger = lake.ledger(contract.feed)
            done = erase(contract, lake.store, ledger, lake.tombstones, dt.datetime.now(dt.UTC))
            if done.lines:
                summary.notes.append(
                    f"{contract.feed}: deleted {done.deleted + done.rejected:,} records of forgotten persons, changed "
                    f"{done.changed:,}; `lake erase --resume` takes them out of everything else"
                )
