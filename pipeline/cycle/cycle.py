"""One cycle in one process: ingest, invalidate, run, audit, publish. `lake run`, and its last part `lake publish`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ingest.contracts.contract import contracts
from ingest.errors import Busy, DamagedLake, RetriableError
from ingest.settings import Settings
from ingest.steps.load import Progress as IngestProgress
from ingest.storage.lock import file_lock
from ingest.storage.store import Store
from pipeline.alerting.alert import Channel
from pipeline.alerting.channels.sqlmesh import sqlmesh_channel
from pipeline.cycle.alerts import alerting
from pipeline.cycle.ingest import IngestSummary, ingest_all
from pipeline.cycle.publication import audit_and_publish
from pipeline.cycle.record import record
from pipeline.cycle.summary import RunSummary
from pipeline.invalidation.invalidate import feeds_behind
from pipeline.releases.gate import failed_audits
from pipeline.releases.release import Releases
from pipeline.state import interval_log as history
from pipeline.state.compute_lock import cycle_lock
from pipeline.state.opening import open_state
from pipeline.warehouse.damage import lake_damage
from pipeline.warehouse.project import Computed, Progress, Project, open_project

ATTEMPTS = 3
"""How often a cycle starts anew because a load was committed while it ran."""


def run_cycle(
    feeds: tuple[str, ...],
    options: Settings,
    ingesting: Callable[[str], IngestProgress],
    computing: Progress | None = None,
    wait_seconds: float = 0.0,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> RunSummary:
    """Ingests what waits, computes what is missing, audits what changed, and publishes it if all of that is well.

    What fails, foreseen or not, is an error of the summary and reported, and stops nothing that does not need it: what
    was loaded and computed stays, and the next cycle goes on.

    Args:
        feeds: the feeds to ingest, all without names.
        wait_seconds: how long to wait for another cycle on this lake.

    Raises:
        Busy: another cycle is in progress.
    """
    summary = RunSummary(now(), "failed")

    def work(channels: list[Channel]) -> None:
        for _ in range(ATTEMPTS):
            with summary.stage("ingest"), summary.contained("ingest") as loading:
                summary.ingest = _joined(summary.ingest, ingest_all(feeds, ingesting, options))
            if loading.error:  # of the lake itself: there is nothing to compute from
                return
            is_over = True
            with summary.stage("load project"), summary.contained("the project"), open_project(computing) as project:
                channels += _sqlmesh_channels(project, options)
                with summary.contained("the run"):
                    is_over = _run_and_publish(project, options, summary, now())
                if is_over:
                    _record(project, summary)
            if is_over:
                return
        summary.failed(RetriableError("loads keep being committed while models are computed; the next cycle goes on"))

    return _cycle(work, options, summary, wait_seconds, now)


def publish_only(options: Settings, now: dt.datetime, wait_seconds: float = 0.0) -> RunSummary:
    """Audits and publishes gold as it stands, for those who ingest and run by their own schedule.

    It also ends the hold of a rollback.

    Raises:
        Busy: as `run_cycle`.
    """
    summary = RunSummary(now, "failed")

    def work(channels: list[Channel]) -> None:
        with summary.contained("the project"), open_project() as project:
            channels += _sqlmesh_channels(project, options)
            with summary.contained("the publication"):
                project.must_have_tables()
                summary.outcome = "not published"
                audit_and_publish(project, options, summary, now, ends_hold=True)
            _record(project, summary)

    return _cycle(work, options, summary, wait_seconds, lambda: now)


def serve_too(options: Settings, summary: RunSummary, wait_seconds: float) -> None:
    """Brings the state that readers of the files have into Postgres, where one is set.

    Whatever became of the cycle: an earlier one may have failed to. What fails is reported, and tried by the next one.
    """
    if not options.serving_dsn:
        return
    with summary.stage("serve"), summary.contained("serving") as serving:
        if not Releases(options).pointer():
            return
        from pipeline.serving.serve import serve  # which needs the extra `postgres`

        summary.served = serve(options, max(wait_seconds, options.state_lock_seconds))
    summary.unserved = str(serving.error or "")


def _cycle(
    work: Callable[[list[Channel]], None],
    options: Settings,
    summary: RunSummary,
    wait_seconds: float,
    now: Callable[[], dt.datetime],
) -> RunSummary:
    """Does the work of one cycle while no other one is in progress, and reports what went wrong.

    Args:
        work: gets the channels that alerts go to, and may add some.

    Raises:
        Busy: another one is in progress.
    """
    with alerting(options, summary, now) as channels:
        with summary.contained("the cycle", but=(Busy,)) as cycle, one_cycle(options, wait_seconds):
            _look(options, summary)
            work(channels)
            serve_too(options, summary, wait_seconds)
        if cycle.error:
            _look(options, summary)
        if summary.ingest:
            summary.take_over(summary.ingest)
    return summary


def _look(options: Settings, summary: RunSummary) -> None:
    with summary.contained("the published states"):
        summary.look(Releases(options))


def _sqlmesh_channels(project: Project, options: Settings) -> list[Channel]:
    return [sqlmesh_channel(item, number) for number, item in enumerate(project.take_targets(options), 1)]


def _record(project: Project, summary: RunSummary) -> None:
    """Notes the cycle in the warehouse."""
    if summary.ingest:
        summary.take_over(summary.ingest)
    with summary.contained("the record of the cycle"):
        record(project.context.engine_adapter, summary)


@contextmanager
def one_cycle(options: Settings, wait_seconds: float) -> Iterator[None]:
    """Keeps other cycles on this lake out as long as the body runs: those of this host, and all that share the state.

    Raises:
        RetriableError: another one is in progress.
    """
    path = Path(options.lake_home) / "locks" / "cycle.lock"
    busy = f"another cycle is in progress in {options.lake_home}; wait for it, or use --wait"
    with file_lock(path, busy, wait_seconds), cycle_lock(options, wait_seconds):
        yield


def _run_and_publish(project: Project, options: Settings, summary: RunSummary, now: dt.datetime) -> bool:
    """Whether the cycle is over: False when a load came in between, so that it has to begin again."""
    project.must_have_tables()
    summary.outcome = "not published"
    is_complete = False
    with summary.stage("run"), summary.contained("the run") as running:
        try:
            is_complete = project.run(now)
        except RetriableError as error:
            raise _damage(project, options, now) or error from error
    for name, done in project.console.computed.items():
        whole = summary.computed.setdefault(name, Computed())
        whole.dates |= done.dates
        whole.audits += done.audits
        whole.failed_audits += done.failed_audits
        whole.seconds += done.seconds
    summary.warnings += project.console.warnings
    if not is_complete:
        summary.errors += project.console.errors
        summary.exit_code = max(summary.exit_code, 1)
        with summary.contained("the audits that failed"):
            summary.audits += failed_audits(project, options, summary.failed)
        with summary.contained("the look for damaged files"):
            if not (running.error or project.console.failed_audits) and (damage := _damage(project, options, now)):
                summary.failed(damage)
        return True
    # what could not be marked stays so: there is nothing to wait for, and the publication says what it lacks
    lost = set(summary.ingest.lost) if summary.ingest else set()
    if (
        summary.ingest
        and summary.ingest.is_marked
        and set(feeds_behind(project.context.engine_adapter, options)) - lost
    ):
        return False
    audit_and_publish(project, options, summary, now)
    if summary.outcome == "unchanged" and summary.ingest and not summary.ingest.is_marked:
        summary.outcome = "not published"  # what was loaded is new, and waits for its dates to be marked
    with summary.stage("house-keeping"), summary.contained("house-keeping"):
        project.clean_up()
        with open_state(options) as state:
            history.collect(state)
    return True


def _damage(project: Project, options: Settings, now: dt.datetime) -> DamagedLake | None:
    """What is wrong with bronze when a run failed; files of the dates that are missing are read."""
    due, _ = project.missing(now)
    dates = {day for days in due.values() for day in days}
    return lake_damage(Store(options.lake_uri, options), contracts().values(), dates)


def _joined(before: IngestSummary | None, after: IngestSummary) -> IngestSummary:
    """The summaries of two ingests of one cycle."""
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
