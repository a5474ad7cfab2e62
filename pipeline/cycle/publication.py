"""The end of a cycle: gold through the gate, and to readers."""

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
    project: Project, options: Settings, summary: RunSummary, now: dt.datetime, ends_hold: bool = False
) -> None:
    """Publishes gold as it stands, if nothing is missing and no blocking audit finds rows.

    Args:
        summary: gets the outcome, the release that readers have afterwards, and an error for whatever went wrong.
        ends_hold: whether the hold of a rollback ends.
    """
    published = Releases(options)
    with summary.contained("the published states") as looking:
        summary.look(published)
    candidate = None
    with summary.contained("the audits"):
        candidate = _audit(project, options, summary, now, published)
    if candidate is None:
        return
    state_before = summary.state
    timed = nullcontext() if candidate.is_same else summary.stage("publish")
    with summary.contained("the publication") as publishing, timed:
        done = release(candidate, summary.audits, project, options, now, published, ends_hold, summary.failed)
        summary.outcome = done.outcome
        summary.published_dates = done.dates or {}
        summary.state = summary.state if done.state is None else done.state
    if publishing.error and not looking.error:
        with summary.contained("the published states"):
            summary.look(published)
            if summary.state is not None and summary.state != state_before:  # it failed after readers were switched
                summary.outcome = "published"
                summary.published_dates = published.state(summary.state).dates


def _audit(
    project: Project, options: Settings, summary: RunSummary, now: dt.datetime, published: Releases
) -> Candidate | None:
    """What passed the gate; None when it is blocked."""
    with summary.stage("audit"):
        behind = feeds_behind(project.context.engine_adapter, options)
        verdict = check(project, options, published, now, behind, summary.failed)
    summary.held = verdict.held or {}
    summary.audits += verdict.audits
    if verdict.blocked:
        summary.failed(verdict.blocked)
    return verdict.candidate
