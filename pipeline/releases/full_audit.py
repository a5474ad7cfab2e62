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
from pipeline.warehouse.project import Project, plain_name

ALL_DATES = "all dates"


def audit_everything(
    project: Project,
    snapshots: Mapping[str, Snapshot],
    now: dt.datetime,
    failed: Failed,
    frozen: Mapping[str, dt.date] | None = None,
) -> list[Outcome]:
    """Run production's audits over whole tables: those of models and the standalone ones.

    An audit that cannot be run does not prevent the others.

    Args:
        failed: receives the reason why an audit could not be run.
        frozen: see `standalone_audits`.

    Returns:
        The outcome of each standalone audit, and of each audit of a model that found rows or could not be run.
    """
    found = standalone_audits(snapshots, project.audit_scopes(), project.engine, None, failed, (), frozen)
    for snapshot in snapshots.values():
        if not snapshot.is_model or snapshot.is_symbolic or not snapshot.model.audits_with_args:
            continue
        name = plain_name(snapshot.name)
        start = to_datetime((frozen or {}).get(name, 0))
        with contained(f"audits of {name}", failed) as step:
            for result in project.context.snapshot_evaluator.audit(
                snapshot=snapshot, snapshots=dict(snapshots), start=start, end=now, execution_time=now
            ):
                if result.count:
                    rows, examples = offenders(project.engine, result.query)
                    title = f"{name}: {result.audit.name}"
                    found.append(Outcome(title, ALL_DATES, rows, examples, (), bool(result.blocking)))
        if step.error:
            found.append(Outcome(f"{name}: its audits", ALL_DATES, 0, blocks=True, is_broken=True))
    return found


def mark_suspects(releases: Releases, since: dt.datetime | None, audits: list[Outcome], now: dt.datetime) -> None:
    """Mark the releases since the last pass without a failure as suspect: they may have the rows that were found.

    Args:
        since: see pipeline/state/audit_pass.py; None for all releases.
        audits: those that found rows.
    """
    about: dict[str, Any] = {"found_at": now.isoformat(), "audits": {item.name: item.rows for item in audits}}
    marked = releases.suspects()
    for number in reversed(releases.numbers()):
        if since is not None and releases.get(number).published_at.replace(tzinfo=None) <= since:
            break
        if number not in marked:
            releases.store.put(suspect_key(number), json.dumps(about).encode())
