"""Last step of a cycle: check gold at the gate and publish it."""

from __future__ import annotations

import datetime as dt
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from ingest.contracts.contract import contracts
from ingest.steps.rename import is_release_due, released
from pipeline.access.audit_log import digest_of, note_definitions
from pipeline.access.roles import FILE
from pipeline.cycle.frozen import frozen_before
from pipeline.cycle.marking import behind
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.releases.gate import Candidate, Gate
from pipeline.warehouse.project import Project


def gate_of(lake: Lake, project: Project) -> Gate:
    """The gate of a lake."""
    options = lake.options
    frozen = frozen_before(lake, project)
    return Gate(
        project,
        lake.store,
        lake.state,
        lake.releases,
        lake.connect,
        options.published_states,
        frozen,
        is_release_due(lake.store),
    )


def audit_and_publish(
    lake: Lake, project: Project, summary: RunSummary, now: dt.datetime, resume: bool = False
) -> None:
    """Publish the current gold, if nothing is missing and no blocking audit finds rows.

    Args:
        summary: receives the outcome, the release that readers get afterwards, and any error.
        resume: whether to resume publishing after a rollback.
    """
    published, gate = lake.releases, gate_of(lake, project)
    with summary.contained("the releases") as reading:
        summary.read_release(published)
    candidate = None
    with summary.contained("the audits"):
        candidate = _audit(lake, gate, summary, now)
    if candidate is None:
        return
    state_before = summary.state
    timed = nullcontext() if candidate.is_same else summary.stage("publish")
    with summary.contained("the publication") as publishing, timed:
        head = partial(log_head, lake, Path(project.context.path), summary, now)
        done = gate.release(candidate, summary.audits, now, resume, summary.failed, head)
        summary.outcome = done.outcome
        if gate.is_due and done.dates is not None:
            released(lake.store)
        summary.published_dates = done.dates or {}
        summary.state = summary.state if done.state is None else done.state
    if publishing.error and not reading.error:
        with summary.contained("the releases"):
            summary.read_release(published)
            if summary.state is not None and summary.state != state_before:  # failed after switching the pointer
                summary.outcome = "published"
                summary.published_dates = published.get(summary.state).dates


def log_head(lake: Lake, folder: Path, summary: RunSummary, now: dt.datetime) -> str:
    """The head of the audit log, once it says which contracts and roles are others than before.

    Empty if the log cannot be read or written, which is an error of the summary and keeps no release back.

    Args:
        folder: of the project.
    """
    with summary.contained("the audit log"):
        digests = {f"contract {feed}": digest_of(item.model_dump_json()) for feed, item in contracts().items()}
        if (folder / FILE).is_file():
            digests["roles"] = digest_of((folder / FILE).read_bytes())
        note_definitions(lake.audit_log, digests, now)
        return lake.audit_log.head
    return ""


def _audit(lake: Lake, gate: Gate, summary: RunSummary, now: dt.datetime) -> Candidate | None:
    """Return what passed the gate; None if it is blocked."""
    with summary.stage("audit"):
        verdict = gate.check(now, behind(lake, gate.project), summary.failed)
    summary.held = verdict.withheld or {}
    summary.audits += verdict.audits
    if verdict.blocked:
        summary.failed(verdict.blocked)
    return verdict.candidate
