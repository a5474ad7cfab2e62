"""Rebuild of warehouse and state from bronze: `lake rebuild`. For when one of them is lost or no longer trusted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from sqlmesh.utils.errors import SQLMeshError

from ingest.contracts.contract import contracts
from ingest.errors import RetriableError
from ingest.settings import Settings
from ingest.storage.store import Store
from pipeline.cycle.cycle import exclusive_cycle, serve_release
from pipeline.cycle.publication import audit_and_publish
from pipeline.cycle.summary import RunSummary
from pipeline.invalidation.continuity import require_writable
from pipeline.invalidation.invalidate import invalidate
from pipeline.state.compute_lock import compute_lock
from pipeline.warehouse.project import PROD, Computed, Progress, open_project
from pipeline.warehouse.spark.session import drop_models

LOST = ".before-rebuild"


def rebuild(options: Settings, computing: Progress | None = None, wait_seconds: float = 0.0) -> RunSummary:
    """Compute everything from bronze with the models of the project folder, and publish it.

    The old files (schemas, for a state in Postgres) are kept under another name until the rebuild has succeeded; Spark
    tables are dropped first. Readers keep their release meanwhile. After a crash the same command starts over.

    Raises:
        LostLedger: the ledger of a feed lacks entries, so bronze is incomplete.
        RetriableError: another cycle is in progress, or a model failed; the old files are kept.
    """
    now = dt.datetime.now(dt.UTC)
    summary = RunSummary(now)
    with exclusive_cycle(options, wait_seconds), compute_lock(options):
        lake = Store(options.lake_uri, options)
        require_writable(options, lake, contracts().values())
        if options.has_postgres_state:
            from pipeline.state.postgres import set_aside

            set_aside(options)
        for path in _files(options):
            # keep the file from before an interrupted rebuild, not its half-built one
            kept = path.with_name(path.name + LOST)
            if kept.exists():
                path.unlink(missing_ok=True)
            elif path.exists():
                path.rename(kept)
        with summary.stage("invalidate"):
            invalidate(options, lake, contracts())
        with summary.stage("load project"), open_project(computing) as project:
            if options.has_spark:
                drop_models(project.context)
            with summary.stage("run"):
                try:
                    project.context.plan(PROD, auto_apply=True, no_prompts=True, skip_tests=True, execution_time=now)
                except SQLMeshError as error:
                    reason = "; ".join(project.console.errors) or " ".join(str(error).split())
                    raise RetriableError(
                        f"the rebuild failed: {reason}. Fix it and run this again; the old files are kept as *{LOST}"
                    ) from error
            for name, done in project.console.computed.items():
                summary.computed[name] = Computed(set(done.dates), done.audits, done.failed_audits, done.seconds)
            summary.warnings += project.console.warnings
            audit_and_publish(project, options, summary, now)
        if not summary.errors:
            for path in _files(options):
                path.with_name(path.name + LOST).unlink(missing_ok=True)
            if options.has_postgres_state:
                from pipeline.state.postgres import drop_aside

                drop_aside(options)
    serve_release(options, summary, wait_seconds)
    return summary


def _files(options: Settings) -> Iterator[Path]:
    warehouse = [] if options.has_spark else [options.warehouse_path]
    for name in (*warehouse, *([] if options.has_postgres_state else [options.state_path])):
        yield Path(name)
        yield Path(name + ".wal")
