"""The pass over everything: every audit over whole tables, whatever changed. Defence in depth, once a day.

A cycle audits what it computed. What holds for each part and held before holds as a whole, so this pass finds only what
cannot happen: a table changed outside SQLMesh, a fault of an engine or of this software.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from sqlmesh.core.snapshot import Snapshot
from sqlmesh.utils.date import to_datetime

from pipeline.process.contain import contained
from pipeline.releases.audits import Failed, Outcome, offenders, standalone_audits
from pipeline.releases.release import Releases, suspect_key
from pipeline.state.state import State
from pipeline.warehouse.project import Project, plain_name

_PASSED, _FAILED = "all dates", "failed"
"""Scopes in lakemesh.audited: when the last pass without a failure was; when the last one failed, if it did."""


def audit_everything(
    project: Project, snapshots: Mapping[str, Snapshot], now: dt.datetime, failed: Failed
) -> list[Outcome]:
    """Run production's audits over whole tables: those of models and the standalone ones.

    An audit that cannot be run does not prevent the others.

    Args:
        failed: receives the reason why an audit could not be run.

    Returns:
        The outcome of each standalone audit, and of each audit of a model that found rows or could not be run.
    """
    found = standalone_audits(snapshots, project.audit_scopes(), project.engine, None, failed)
    for snapshot in snapshots.values():
        if not snapshot.is_model or snapshot.is_symbolic or not snapshot.model.audits_with_args:
            continue
        name = plain_name(snapshot.name)
        with contained(f"audits of {name}", failed) as step:
            for result in project.context.snapshot_evaluator.audit(
                snapshot=snapshot, snapshots=dict(snapshots), start=to_datetime(0), end=now, execution_time=now
            ):
                if result.count:
                    rows, examples = offenders(project.engine, result.query)
                    title = f"{name}: {result.audit.name}"
                    found.append(Outcome(title, _PASSED, rows, examples, (), bool(result.blocking)))
        if step.error:
            found.append(Outcome(f"{name}: its audits", _PASSED, 0, blocks=True, is_broken=True))
    return found


def is_due(state: State, now: dt.datetime, hours: float) -> bool:
    """Whether the last pass without a failure is older than some hours, or none was."""
    passed = passed_at(state)
    return passed is None or now.replace(tzinfo=None) - passed >= dt.timedelta(hours=hours)


def passed_at(state: State) -> dt.datetime | None:
    """When the last pass without a failure was, UTC without offset."""
    found = state.row("SELECT audited_at FROM lakemesh.audited WHERE scope = ?", [_PASSED])
    return found[0] if found else None


def has_failed(state: State) -> bool:
    """Whether the last pass found rows: releases are withheld until one does not."""
    return state.row("SELECT 1 FROM lakemesh.audited WHERE scope = ?", [_FAILED]) is not None


def record_pass(state: State, now: dt.datetime, has_failed: bool) -> None:
    """Record the outcome of a pass."""
    with state.transaction():
        state.execute("DELETE FROM lakemesh.audited WHERE scope = ?", [_FAILED])
        state.execute(
            "INSERT INTO lakemesh.audited VALUES (?, ?) "
            "ON CONFLICT (scope) DO UPDATE SET audited_at = excluded.audited_at",
            [_FAILED if has_failed else _PASSED, now.replace(tzinfo=None)],
        )


def mark_suspects(
    releases: Releases, since: dt.datetime | None, audits: list[Outcome], now: dt.datetime
) -> tuple[int, ...]:
    """Mark the releases since the last pass without a failure as suspect: they may have the rows that were found.

    Args:
        since: see `passed_at`; None for all releases.
        audits: those that found rows.

    Returns:
        Numbers of the releases that are marked now.
    """
    marked = []
    about: dict[str, Any] = {"found_at": now.isoformat(), "audits": {item.name: item.rows for item in audits}}
    for number in reversed(releases.numbers()):
        if since is not None and releases.get(number).published_at.replace(tzinfo=None) <= since:
            break
        if number not in releases.suspects():
            releases.store.put(suspect_key(number), json.dumps(about).encode())
        marked.append(number)
    return tuple(sorted(marked))
