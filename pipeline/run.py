"""One cycle in one process: ingest, invalidate, run, audit, publish. `lake run`, and its last part `lake publish`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.contract import contracts
from ingest.errors import DamagedLake, IngestError, RetriableError
from ingest.load import Progress as IngestProgress
from ingest.lock import file_lock
from ingest.settings import Settings
from ingest.store import Store
from pipeline import history
from pipeline.alerts import alerting
from pipeline.computing import cycle_lock
from pipeline.cycle import IngestSummary, ingest_all
from pipeline.damage import lake_damage
from pipeline.operations import record
from pipeline.project import Computed, Progress, Project, open_project
from pipeline.prove import audit_and_publish, failed_audits, feeds_behind
from pipeline.published import Published
from pipeline.state import open_state
from pipeline.summary import RunSummary

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

    A feed that fails does not hold up the others; what was loaded and computed stays, and the next cycle goes on.

    Args:
        feeds: the feeds to ingest, all without names.
        wait_seconds: how long to wait for another cycle on this lake.

    Raises:
        RetriableError: another cycle is in progress, or something is out of reach.
        ConfigError: a setting is wrong, or there is no production yet.
    """
    summary = RunSummary(now())
    with one_cycle(options, wait_seconds), alerting(options, summary, now) as targets:
        for _ in range(ATTEMPTS):
            with summary.stage("ingest"):
                summary.ingest = _joined(summary.ingest, ingest_all(feeds, ingesting, options))
            with summary.stage("load project"), open_project(computing) as project:
                targets += project.senders()
                is_over = _run_and_publish(project, options, summary, now())
                if is_over:
                    summary.take_over(summary.ingest)
                    record(project.context.engine_adapter, summary)
            if is_over:
                break
        else:
            summary.failed(
                RetriableError("loads keep being committed while models are computed; the next cycle goes on")
            )
        serve_too(options, summary, wait_seconds)
    return summary


def publish_only(options: Settings, now: dt.datetime, wait_seconds: float = 0.0) -> RunSummary:
    """Audits and publishes gold as it stands, for those who ingest and run by their own schedule.

    It also ends the hold of a rollback.

    Raises:
        RetriableError, ConfigError: as `run_cycle`.
    """
    summary = RunSummary(now)
    with one_cycle(options, wait_seconds), alerting(options, summary, lambda: now) as targets:
        with open_project() as project:
            targets += project.senders()
            project.must_have_tables()
            audit_and_publish(project, options, summary, now, release=True)
            record(project.context.engine_adapter, summary)
        serve_too(options, summary, wait_seconds)
    return summary


def serve_too(options: Settings, summary: RunSummary, wait_seconds: float) -> None:
    """Brings the state that readers of the files have into Postgres, where one is set.

    Whatever became of the cycle: an earlier one may have failed to. What fails is told, and tried by the next one.
    """
    if not options.serving_dsn or not Published(options).pointer():
        return
    from pipeline.serving.serve import serve  # which needs the extra `postgres`

    with summary.stage("serve"):
        try:
            summary.served = serve(options, max(wait_seconds, options.state_lock_seconds))
        except IngestError as error:
            summary.failed(error)
            summary.unserved = str(error)


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
    with summary.stage("run"):
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
        summary.audits += failed_audits(project, options)
        if not project.console.failed_audits and (damage := _damage(project, options, now)):
            summary.failed(damage)
        return True
    lost = set(summary.ingest.lost) if summary.ingest else set()
    if set(feeds_behind(project, options)) - lost:
        return False
    try:
        audit_and_publish(project, options, summary, now)
    finally:
        with summary.stage("house-keeping"):
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
    return IngestSummary(feeds, dates, models, notes, after.lost, after.errors, after.exit_code)
