"""Last step of a cycle: check gold at the gate and publish it."""

from __future__ import annotations

import datetime as dt
from contextlib import nullcontext

from ingest.settings import Settings
from pipeline.cycle.summary import RunSummary
from pipeline.invalidation.invalidate import feeds_behind
from pipeline.releases.gate import Candidate, check, release
from pipeline.releases.release import Releases
from pipeline.warehouse.project import Project


def audit_and_publish(
    project: Project, options: Settings, summary: RunSummary, now: dt.datetime, resume: bool = False
) -> None:
    """Publish the current gold, if nothing is missing and no blocking audit finds rows.

    Args:
        summary: receives the outcome, the release that readers get afterwards, and any error.
        resume: whether to resume publishing after a rollback.
    """
    published = Releases(options)
    with summary.contained("the releases") as reading:
        summary.read_release(published)
    candidate = None
    with summary.contained("the audits"):
        candidate = _audit(project, options, summary, now, published)
    if candidate is None:
        return
    state_before = summary.state
    timed = nullcontext() if candidate.is_same else summary.stage("publish")
    with summary.contained("the publication") as publishing, timed:
        done = release(candidate, summary.audits, project, options, now, published, resume, summary.failed)
        summary.outcome = done.outcome
        summary.published_dates = done.dates or {}
        summary.state = summary.state if done.state is None else done.state
    if publishing.error and not reading.error:
        with summary.contained("the releases"):
            summary.read_release(published)
            if summary.state is not None and summary.state != state_before:  # failed after switching the pointer
                summary.outcome = "published"
                summary.published_dates = published.get(summary.state).dates


def _audit(
    project: Project, options: Settings, summary: RunSummary, now: dt.datetime, published: Releases
) -> Candidate | None:
    """Return what passed the gate; None if it is blocked."""
    with summary.stage("audit"):
        behind = feeds_behind(project.context.engine_adapter, options)
        verdict = check(project, options, published, now, behind, summary.failed)
    summary.held = verdict.withheld or {}
    summary.audits += verdict.audits
    if verdict.blocked:
        summary.failed(verdict.blocked)
    return verdict.candidate
