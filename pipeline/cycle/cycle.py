"""One cycle in one process: ingest, invalidate, run, audit, publish. `lake run`, and its last step `lake publish`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.errors import Busy, LakemeshError, RetriableError
from ingest.process import without_pandas
from ingest.records.report import Progress as IngestProgress
from ingest.storage.lock import file_lock
from pipeline.alerting.alert import Channel
from pipeline.alerting.report import is_silent
from pipeline.cycle import up_to_date
from pipeline.cycle.alerts import Alerts, alerting
from pipeline.cycle.ingest import IngestSummary, ingest_all
from pipeline.cycle.observe import note_start, observed
from pipeline.cycle.record import record_later
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.process.log import located
from pipeline.state import audit_pass

if TYPE_CHECKING:  # a cycle that finds nothing does not load SQLMesh, which takes a second
    from pipeline.warehouse.project import Progress

ATTEMPTS = 3
"""Maximum number of attempts of a cycle; it restarts when it read loads whose dates are not marked."""


def run_cycle(
    lake: Lake,
    feeds: tuple[str, ...],
    ingesting: Callable[[str], IngestProgress],
    computing: Progress | None = None,
    wait_seconds: float = 0.0,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> RunSummary:
    """Ingest waiting objects, compute missing intervals, audit changes, and publish if all of that succeeds.

    Every failure, expected or not, is reported and becomes an error of the summary. It stops only the steps that depend
    on it: loaded and computed data stays, and the next cycle continues from there.

    Args:
        feeds: feeds to ingest; all if empty.
        wait_seconds: how long to wait for another cycle on this lake.

    Raises:
        Busy: another cycle is in progress.
    """
    summary = RunSummary(now(), "failed")

    def work(alerts: Alerts) -> None:
        for _ in range(ATTEMPTS):
            with without_pandas():
                with summary.stage("ingest"), summary.contained("ingest") as loading:
                    summary.ingest = _merged(summary.ingest, ingest_all(lake, feeds, ingesting))
                if loading.error:  # the lake itself failed, so there is nothing to compute from
                    return
                if _is_up_to_date(lake, summary, alerts, now()):
                    return
            from pipeline.cycle.compute import compute

            if compute(lake, summary, alerts, now(), computing):
                return
        summary.failed(RetriableError("loads keep being committed while models are computed; the next cycle retries"))

    return _cycle(work, lake, summary, wait_seconds, now)


def publish_only(lake: Lake, now: dt.datetime, wait_seconds: float = 0.0) -> RunSummary:
    """Audit and publish the current gold, for setups that schedule ingest and run separately.

    This also resumes publishing after a rollback.

    Raises:
        Busy: another cycle is in progress.
    """
    from pipeline.cycle.compute import publish_now

    return _one_step(publish_now, lake, now, wait_seconds)


def audit_only(lake: Lake, now: dt.datetime, wait_seconds: float = 0.0) -> RunSummary:
    """Run every audit over whole tables: defence in depth beside those of a cycle, which look at what changed.

    When one fails, releases are withheld until all pass.

    Raises:
        Busy: another cycle is in progress.
    """
    from pipeline.cycle.compute import audit_now

    return _one_step(audit_now, lake, now, wait_seconds)


def is_audit_due(lake: Lake, now: dt.datetime) -> bool:
    """Whether there is production, and the last pass of all audits over it is older than the settings allow."""
    with lake.state.open() as state:
        return audit_pass.is_due(state, now, lake.options.full_audit_hours)


def _one_step(
    step: Callable[[Lake, RunSummary, list[Channel], dt.datetime], None],
    lake: Lake,
    now: dt.datetime,
    wait_seconds: float,
) -> RunSummary:
    """A cycle of one of the steps in pipeline/cycle/compute.py."""
    summary = RunSummary(now, "failed")
    return _cycle(lambda alerts: step(lake, summary, alerts.channels, now), lake, summary, wait_seconds, lambda: now)


def serve_release(lake: Lake, summary: RunSummary, wait_seconds: float) -> None:
    """Copy the current release to Postgres, if SERVING_DSN is set.

    This runs even if the cycle failed, since an earlier cycle may have failed to serve. A failure is reported, and the
    next cycle retries.
    """
    options = lake.options
    if not options.serving_dsn:
        return
    with summary.stage("serve"), summary.contained("serving") as serving:
        if not lake.releases.pointer():
            return
        from pipeline.serving.serve import serve  # needs the extra `postgres`

        summary.served = serve(options, lake.releases, max(wait_seconds, options.state_lock_seconds))
    summary.unserved = str(serving.error or "")


def _cycle(
    work: Callable[[Alerts], None],
    lake: Lake,
    summary: RunSummary,
    wait_seconds: float,
    now: Callable[[], dt.datetime],
) -> RunSummary:
    """Run one cycle exclusively, and report its failures.

    Args:
        work: the steps of the cycle; may add alert channels.

    Raises:
        Busy: another cycle is in progress.
    """
    with located(run=summary.run_id), observed(lake, summary, now), alerting(lake, summary, now) as alerts:
        with summary.contained("the cycle", reraise=(Busy,)) as cycle, exclusive_cycle(lake, wait_seconds):
            note_start(lake, summary)
            _read_release(lake, summary)
            work(alerts)
            serve_release(lake, summary, wait_seconds)
            if summary.due_at:
                record_later(lake.options, summary)
                if summary.errors:  # the channels of SQLMesh's configuration get them too
                    from pipeline.cycle.compute import add_channels

                    add_channels(lake, alerts.channels)
        if cycle.error:
            _read_release(lake, summary)
        if summary.ingest:
            summary.merge_ingest(summary.ingest)
    return summary


def _read_release(lake: Lake, summary: RunSummary) -> None:
    with summary.contained("the releases"):
        summary.read_release(lake.releases)


def _is_up_to_date(lake: Lake, summary: RunSummary, alerts: Alerts, now: dt.datetime) -> bool:
    """Whether the cycle is over because it found nothing new, nothing is due, and nothing failed before."""
    before = up_to_date.read(lake.options)
    if before is None or summary.ingest is None or not up_to_date.found_nothing(summary.ingest):
        return False
    violations, unseen = alerts.violations()
    if unseen or violations.keys() != before.violations or not is_silent(lake.options, violations, now):
        return False
    with summary.stage("compare"), suppress(LakemeshError):  # a full cycle names what cannot be read
        if before.holds(lake, now):
            summary.outcome, summary.due_at = "unchanged", before.due_at
    return summary.due_at is not None


@contextmanager
def exclusive_cycle(lake: Lake, wait_seconds: float) -> Iterator[None]:
    """Hold the cycle lock while the body runs: against cycles on this host, and all that share the state.

    Raises:
        Busy: another cycle is in progress.
    """
    home = lake.options.lake_home
    path = Path(home) / "locks" / "cycle.lock"
    busy = f"another cycle is in progress in {home}; wait for it, or use --wait"
    with file_lock(path, busy, wait_seconds), lake.state.cycle_lock(wait_seconds):
        yield


def _merged(before: IngestSummary | None, after: IngestSummary) -> IngestSummary:
    """Merge the summaries of two ingests of one cycle."""
    if before is None:
        return after
    dates = {
        feed: tuple(sorted({*before.dates.get(feed, ()), *after.dates.get(feed, ())}))
        for feed in {*before.dates, *after.dates}
    }
    models = tuple(sorted({*before.models, *after.models}))
    notes = list(dict.fromkeys([*before.notes, *after.notes]))
    feeds = [*before.feeds, *after.feeds]
    return replace(after, feeds=feeds, dates=dates, models=models, notes=notes)
