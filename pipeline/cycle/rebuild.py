"""Warehouse and state made anew from bronze: `lake rebuild`. For when one of them is lost, or not trusted any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from sqlmesh.utils.errors import SQLMeshError

from ingest.contracts.contract import contracts
from ingest.errors import RetriableError
from ingest.settings import Settings
from ingest.storage.store import Store
from pipeline.cycle.cycle import one_cycle, serve_too
from pipeline.cycle.publication import audit_and_publish
from pipeline.cycle.summary import RunSummary
from pipeline.invalidation.continuity import must_be_writable
from pipeline.invalidation.invalidate import invalidate
from pipeline.state.compute_lock import compute_lock
from pipeline.warehouse.project import PROD, Computed, Progress, open_project
from pipeline.warehouse.spark.session import drop_models

LOST = ".before-rebuild"


def rebuild(options: Settings, computing: Progress | None = None, wait_seconds: float = 0.0) -> RunSummary:
    """Computes everything from bronze by the models of the project folder, and publishes it.

    The old files (of a state in Postgres, its schemas) are kept under another name until that has succeeded; the tables
    of Spark go first. Readers keep their state all the while. After a crash the same command begins again.

    Raises:
        LostLedger: the log of a feed lacks entries, so bronze is not all there.
        RetriableError: another cycle is in progress, or a model failed; the old files stay.
    """
    now = dt.datetime.now(dt.UTC)
    summary = RunSummary(now)
    with one_cycle(options, wait_seconds), compute_lock(options):
        lake = Store(options.lake_uri, options)
        must_be_writable(options, lake, contracts().values())
        if options.has_postgres_state:
            from pipeline.state.postgres import set_aside

            set_aside(options)
        for path in _files(options):
            # a half-built file of an interrupted rebuild is worth nothing, the one from before it is kept
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
                    told = "; ".join(project.console.errors) or " ".join(str(error).split())
                    raise RetriableError(
                        f"the rebuild stopped: {told}. Mend it and run this again; the files from before are kept as "
                        f"*{LOST}"
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
    serve_too(options, summary, wait_seconds)
    return summary


def _files(options: Settings) -> Iterator[Path]:
    warehouse = [] if options.has_spark else [options.warehouse_path]
    for name in (*warehouse, *([] if options.has_postgres_state else [options.state_path])):
        yield Path(name)
        yield Path(name + ".wal")
