"""One cycle in one process: ingest, invalidate, run, audit, publish. `lake run`, and its last step `lake publish`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ingest.contracts.contract import contracts
from ingest.errors import Busy, DamagedLake, RetriableError
from ingest.records.report import Progress as IngestProgress
from ingest.settings import Settings
from ingest.storage.lock import file_lock
from pipeline.alerting.alert import Channel
from pipeline.alerting.channels.sqlmesh import sqlmesh_channel
from pipeline.cycle.alerts import alerting
from pipeline.cycle.ingest import IngestSummary, ingest_all
from pipeline.cycle.marking import behind
from pipeline.cycle.pages import write_pages
from pipeline.cycle.publication import audit_and_publish, gate_of
from pipeline.cycle.record import record
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.state import interval_log as history
from pipeline.warehouse.damage import lake_damage
from pipeline.warehouse.project import Computed, Progress, Project, open_project

ATTEMPTS = 3
"""Maximum number of attempts of a cycle; it restarts when a load was committed while it ran."""


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

    def work(channels: list[Channel]) -> None:
        for _ in range(ATTEMPTS):
            with summary.stage("ingest"), summary.contained("ingest") as loading:
                summary.ingest = _merged(summary.ingest, ingest_all(lake, feeds, ingesting))
            if loading.error:  # the lake itself failed, so there is nothing to compute from
                return
            is_over = True
            with (
                summary.stage("load project"),
                summary.contained("the project"),
                open_project(lake.state, computing) as project,
            ):
                channels += _sqlmesh_channels(project, lake.options)
                with summary.contained("the run"):
                    is_over = _run_and_publish(lake, project, summary, now())
                if is_over:
                    _record(project, summary)
            if is_over:
                return
        summary.failed(RetriableError("loads keep being committed while models are computed; the next cycle retries"))

    return _cycle(work, lake, summary, wait_seconds, now)


def publish_only(lake: Lake, now: dt.datetime, wait_seconds: float = 0.0) -> RunSummary:
    """Audit and publish the current gold, for setups that schedule ingest and run separately.

    This also resumes publishing after a rollback.

    Raises:
        Busy: another cycle is in progress.
    """
    summary = RunSummary(now, "failed")

    def work(channels: list[Channel]) -> None:
        with summary.contained("the project"), open_project(lake.state) as project:
            channels += _sqlmesh_channels(project, lake.options)
            with summary.contained("the publication"):
                project.require_tables()
                summary.outcome = "not published"
                audit_and_publish(lake, project, summary, now, resume=True)
                write_pages(lake, project, contracts(), summary)
            _record(project, summary)

    return _cycle(work, lake, summary, wait_seconds, lambda: now)


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
    work: Callable[[list[Channel]], None],
    lake: Lake,
    summary: RunSummary,
    wait_seconds: float,
    now: Callable[[], dt.datetime],
) -> RunSummary:
    """Run one cycle exclusively, and report its failures.

    Args:
        work: the steps of the cycle; receives the alert channels and may add to them.

    Raises:
        Busy: another cycle is in progress.
    """
    with alerting(lake, summary, now) as channels:
        with summary.contained("the cycle", reraise=(Busy,)) as cycle, exclusive_cycle(lake, wait_seconds):
            _read_release(lake, summary)
            work(channels)
            serve_release(lake, summary, wait_seconds)
        if cycle.error:
            _read_release(lake, summary)
        if summary.ingest:
            summary.merge_ingest(summary.ingest)
    return summary


def _read_release(lake: Lake, summary: RunSummary) -> None:
    with summary.contained("the releases"):
        summary.read_release(lake.releases)


def _sqlmesh_channels(project: Project, options: Settings) -> list[Channel]:
    return [sqlmesh_channel(item, number) for number, item in enumerate(project.take_targets(options), 1)]


def _record(project: Project, summary: RunSummary) -> None:
    """Record the cycle in the warehouse."""
    if summary.ingest:
        summary.merge_ingest(summary.ingest)
    with summary.contained("the record of the cycle"):
        record(project.engine, summary)


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


def _run_and_publish(lake: Lake, project: Project, summary: RunSummary, now: dt.datetime) -> bool:
    """Compute, audit and publish.

    Returns:
        Whether the cycle is over; False if a load was committed during it, so that it must restart.
    """
    project.require_tables()
    summary.outcome = "not published"
    is_complete = False
    with summary.stage("run"), summary.contained("the run") as running:
        try:
            is_complete = project.run(now)
        except RetriableError as error:
            raise _damage(lake, project, now) or error from error
    for name, done in project.console.computed.items():
        total = summary.computed.setdefault(name, Computed())
        total.dates |= done.dates
        total.audits += done.audits
        total.failed_audits += done.failed_audits
        total.seconds += done.seconds
    summary.warnings += project.console.warnings
    if not is_complete:
        summary.errors += project.console.errors
        summary.exit_code = max(summary.exit_code, 1)
        with summary.contained("the audits that failed"):
            summary.audits += gate_of(lake, project).failed_audits(summary.failed)
        with summary.contained("the check for damaged files"):
            if not (running.error or project.console.failed_audits) and (damage := _damage(lake, project, now)):
                summary.failed(damage)
        return True
    # dates of lost ledgers cannot be marked: do not wait for them, the publication names what it lacks
    lost = set(summary.ingest.lost) if summary.ingest else set()
    if summary.ingest and summary.ingest.is_marked and set(behind(lake, project)) - lost:
        return False
    audit_and_publish(lake, project, summary, now)
    if summary.outcome == "unchanged" and summary.ingest and not summary.ingest.is_marked:
        summary.outcome = "not published"  # new data is loaded, but its dates are not marked yet
    write_pages(lake, project, contracts(), summary)
    with summary.stage("house-keeping"), summary.contained("housekeeping"):
        project.clean_up()
        with lake.state.open() as state:
            history.collect(state)
    return True


def _damage(lake: Lake, project: Project, now: dt.datetime) -> DamagedLake | None:
    """Find damaged bronze files after a failed run, reading the files of the missing dates."""
    due, _ = project.missing(now)
    dates = {day for days in due.values() for day in days}
    return lake_damage(lake.store, contracts().values(), dates)


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
