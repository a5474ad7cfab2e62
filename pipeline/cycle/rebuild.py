"""Rebuild of warehouse and state from bronze: `lake rebuild`. For when one of them is lost or no longer trusted."""

from __future__ import annotations

import datetime as dt

from sqlmesh.core.snapshot.cache import SnapshotCache
from sqlmesh.utils.errors import SQLMeshError

from ingest.contracts.contract import contracts
from ingest.errors import RetriableError
from pipeline.cycle.cycle import exclusive_cycle, serve_release
from pipeline.cycle.frozen import keep_frozen
from pipeline.cycle.marking import mark
from pipeline.cycle.publication import audit_and_publish
from pipeline.cycle.summary import RunSummary
from pipeline.invalidation.continuity import require_writable
from pipeline.lake import Lake
from pipeline.state.aside import LOST
from pipeline.warehouse.project import PROD, Computed, Progress, open_project


def rebuild(
    lake: Lake, computing: Progress | None = None, wait_seconds: float = 0.0, now: dt.datetime | None = None
) -> RunSummary:
    """Compute everything from bronze with the models of the project folder, and publish it.

    The old files (schemas, for a state in Postgres) are kept under another name until the rebuild has succeeded; Spark
    tables are dropped first. Readers keep their release meanwhile. After a crash the same command starts over.

    Args:
        now: the time of its clock, which decides up to which date it computes; the real time by default.

    Raises:
        LostLedger: the ledger of a feed lacks entries, so bronze is incomplete.
        RetriableError: another cycle is in progress, or a model failed; the old files are kept.
    """
    now = now or dt.datetime.now(dt.UTC)
    summary = RunSummary(now)
    with exclusive_cycle(lake, wait_seconds), lake.state.compute_lock():
        require_writable(lake.landings, lake.store, contracts().values(), lake.records())
        lake.state.set_aside()
        lake.engine.set_aside(lake.options)
        with summary.stage("invalidate"):
            mark(lake)
        with summary.stage("load project"), open_project(lake.state, computing) as project:
            # snapshots of the state that was set aside, whose versions its tables are named by
            SnapshotCache(project.context.cache_dir).clear()
            project.engine.drop_models(project.context)
            with summary.stage("run"):
                try:
                    project.context.plan(PROD, auto_apply=True, no_prompts=True, skip_tests=True, execution_time=now)
                except SQLMeshError as error:
                    reason = "; ".join(project.console.errors) or " ".join(str(error).split())
                    raise RetriableError(
                        f"the rebuild failed: {reason}. Fix it and run this again; the old files are kept as *{LOST}"
                    ) from error
            is_kept = keep_frozen(lake, project, summary, now)
            for name, done in project.console.computed.items():
                summary.computed[name] = Computed(set(done.dates), done.audits, done.failed_audits, done.seconds)
            summary.warnings += project.console.warnings
            if is_kept:
                audit_and_publish(lake, project, summary, now)
        if not summary.errors:
            lake.engine.drop_aside(lake.options)
            lake.state.drop_aside()
    serve_release(lake, summary, wait_seconds)
    return summary
