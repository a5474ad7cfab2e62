"""The steps of a cycle that need SQLMesh, which takes a second to load: compute what is missing, audit, publish."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ingest.contracts.contract import contracts
from ingest.errors import DamagedLake, LakemeshError, PublishBlocked, RetriableError
from ingest.settings import Settings
from pipeline.alerting.alert import Channel
from pipeline.alerting.channels.sqlmesh import sqlmesh_channel
from pipeline.cycle import up_to_date
from pipeline.cycle.alerts import Alerts
from pipeline.cycle.frozen import keep_frozen
from pipeline.cycle.marking import behind
from pipeline.cycle.pages import write_pages
from pipeline.cycle.publication import audit_and_publish, gate_of
from pipeline.cycle.record import insert_waiting, record
from pipeline.cycle.roles import write_roles
from pipeline.cycle.summary import RunSummary
from pipeline.cycle.usage_record import insert_kept
from pipeline.invalidation.unchanged import mark_unchanged
from pipeline.lake import Lake
from pipeline.monitoring.model_runs import model_runs
from pipeline.process.contain import contained
from pipeline.releases.audits import describe
from pipeline.state import interval_log as history
from pipeline.state.fingerprint import fingerprint
from pipeline.warehouse.damage import lake_damage
from pipeline.warehouse.pins import pinned
from pipeline.warehouse.project import Computed, Progress, Project, open_project


def compute(
    lake: Lake, summary: RunSummary, alerts: Alerts, now: dt.datetime, progress: Progress | None = None
) -> bool:
    """Compute, audit and publish.

    Args:
        summary: with what was ingested; receives the rest.
        alerts: receives the channels of SQLMesh's configuration.

    Returns:
        Whether the cycle is over; False if a load was committed during it, so that it must restart.
    """
    up_to_date.forget(lake.options)
    definitions = up_to_date.definitions(lake.options)
    is_over, left = True, None
    positions = summary.ingest.positions if summary.ingest and summary.ingest.is_marked else {}
    with (
        summary.stage("load project"),
        summary.contained("the project"),
        pinned(positions),
        open_project(lake.state, progress) as project,
    ):
        alerts.channels += sqlmesh_channels(project, lake.options)
        with _counting(lake, project, summary), summary.contained("the run"):
            is_over = _run_and_publish(lake, project, summary, now)
        if is_over:
            record_cycle(project, summary)
            with summary.contained("what is due next"):
                left = _left(lake, project, definitions, now) if _is_done(summary) else None
    if left:  # after the databases are closed, which writes them
        violations, unseen = alerts.violations()
        if _is_done(summary) and not unseen:
            up_to_date.leave(lake, left, now, violations)
    return is_over


def publish_now(lake: Lake, summary: RunSummary, channels: list[Channel], now: dt.datetime) -> None:
    """Audit and publish current gold, and resume publishing after a rollback."""
    with summary.contained("the project"), open_project(lake.state) as project:
        channels += sqlmesh_channels(project, lake.options)
        with _counting(lake, project, summary), summary.contained("the publication"):
            project.require_tables()
            summary.outcome = "not published"
            audit_and_publish(lake, project, summary, now, resume=True)
            write_pages(lake, project, contracts(), summary)
            write_roles(lake, project, contracts(), summary)
        record_cycle(project, summary)


def audit_now(lake: Lake, summary: RunSummary, channels: list[Channel], now: dt.datetime) -> None:
    """Run every audit over whole tables, and withhold the next release if one fails."""
    with summary.contained("the project"), open_project(lake.state) as project:
        channels += sqlmesh_channels(project, lake.options)
        project.require_tables()
        with summary.stage("audit"), _counting(lake, project, summary), summary.contained("the audits"):
            found = gate_of(lake, project).audit_everything(now, summary.failed)
            summary.audits += found
            summary.outcome = "audited"
            if failing := [item for item in found if item.blocks]:
                reason = (
                    f"{'; '.join(map(describe, failing))}. The next release is withheld until all audits pass; those "
                    "since they last did are marked as suspect, see `lake publish --list`"
                )
                summary.failed(PublishBlocked(reason))
        record_cycle(project, summary)


def add_channels(lake: Lake, channels: list[Channel]) -> None:
    """Add the alert channels of SQLMesh's configuration."""
    with open_project(lake.state) as project:
        channels += sqlmesh_channels(project, lake.options)


def sqlmesh_channels(project: Project, options: Settings) -> list[Channel]:
    """The alert channels of SQLMesh's configuration."""
    return [sqlmesh_channel(item, number) for number, item in enumerate(project.take_targets(options), 1)]


def record_cycle(project: Project, summary: RunSummary) -> None:
    """Record the cycle in the warehouse."""
    if summary.ingest:
        summary.merge_ingest(summary.ingest)
    with summary.contained("the record of the cycle"):
        record(project.engine, summary)


@contextmanager
def _counting(lake: Lake, project: Project, summary: RunSummary) -> Iterator[None]:
    """Count the requests that the engine sends while the body runs; that it cannot is a warning."""

    def failed(error: LakemeshError) -> None:
        summary.warnings.append(str(error))

    with contained("the requests of the engine", failed):
        project.engine.note_requests(lake.options)
    yield
    with contained("the requests of the engine", failed):
        for name, number in project.engine.requests(lake.options).items():
            summary.engine_requests[name] = summary.engine_requests.get(name, 0) + number


def _is_done(summary: RunSummary) -> bool:
    """Whether a cycle left nothing to the next one: no failure or warning, no withheld date, and readers have it."""
    is_clean = not (summary.exit_code or summary.errors or summary.warnings or summary.held)
    return is_clean and summary.outcome in ("published", "unchanged")


def _left(lake: Lake, project: Project, definitions: Mapping[str, str], now: dt.datetime) -> up_to_date.Left:
    """What is due next, and the state while no other process can compute or mark dates."""
    with lake.state.open() as state:
        return up_to_date.Left(project.next_due(now), fingerprint(state), definitions)


def _run_and_publish(lake: Lake, project: Project, summary: RunSummary, now: dt.datetime) -> bool:
    """Compute, audit and publish.

    Returns:
        Whether the cycle is over; False if a load was committed during it, so that it must restart.
    """
    project.require_tables()
    with summary.contained("the record of cycles that found nothing"):
        insert_waiting(project.engine, lake.options)
    with summary.contained("the record of what was used"):
        insert_kept(project.engine, lake.options)
    summary.outcome = "not published"
    with summary.stage("compare"), summary.contained("the marking of unchanged models"):
        summary.unchanged += mark_unchanged(project, lake.state, contracts().keys(), now)
    is_complete = False
    with summary.stage("run"), summary.contained("the run") as running:
        try:
            is_complete = project.run(now)
        except RetriableError as error:
            raise _damage(lake, project, now) or error from error
    if lake.options.sends_lineage:
        with summary.contained("the lineage of the run"):
            summary.model_runs += model_runs(project)
    for name, done in project.console.computed.items():
        total = summary.computed.setdefault(name, Computed())
        total.dates |= done.dates
        total.audits += done.audits
        total.failed_audits += done.failed_audits
        total.seconds += done.seconds
    # of an attempt before, in which it had not changed yet
    summary.unchanged = [name for name in summary.unchanged if name not in summary.computed]
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
    if not keep_frozen(lake, project, summary, now):
        return True
    # dates of lost ledgers cannot be marked: do not wait for them, the publication names what it lacks
    lost = set(summary.ingest.lost) if summary.ingest else set()
    if summary.ingest and summary.ingest.is_marked and set(behind(lake, project)) - lost:
        return False
    audit_and_publish(lake, project, summary, now)
    if summary.outcome == "unchanged" and summary.ingest and not summary.ingest.is_marked:
        summary.outcome = "not published"  # new data is loaded, but its dates are not marked yet
    write_pages(lake, project, contracts(), summary)
    write_roles(lake, project, contracts(), summary)
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
