"""The SQLMesh project, loaded in this process: production's snapshots, its missing dates, and a run of it."""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console
from sqlmesh.core.notification_target import NotificationTargetManager
from sqlmesh.core.snapshot import Snapshot, SnapshotId
from sqlmesh.core.snapshot.definition import Interval, missing_intervals
from sqlmesh.utils.errors import AuditError, NodeAuditsErrors, SQLMeshError

from ingest.errors import ConfigError, LakemeshError, RetriableError, log_traceback
from ingest.settings import PROJECT, Settings
from ingest.text import printable
from pipeline.process import duck
from pipeline.process.postgres import driver_errors
from pipeline.state.database import Database
from pipeline.warehouse.engine import Engine
from pipeline.warehouse.engines import engine_of
from pipeline.warehouse.loader import ComputingLoader

PROD = "prod"
CONFIG_FILES = ("config.yaml", "config.yml", "config.py")
DAY_MS = 86_400_000
LOG = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Computed:
    """The result of a run for one model.

    Attributes:
        dates: computed dates.
        audits: number of passed audits.
        failed_audits: number of failed audits, including non-blocking ones.
        seconds: wall time of its batches, as SQLMesh reports it.
    """

    dates: set[dt.date] = field(default_factory=set)
    audits: int = 0
    failed_audits: int = 0
    seconds: float = 0.0


class RunConsole(NoopConsole):  # type: ignore[misc]  # SQLMesh publishes no types
    """Collect what SQLMesh would print.

    Attributes:
        computed: by model, in the order of computation.
        spans: when the first batch of each model began, and the last one ended, by model.
        failed: why models failed, by model.
        failed_audits: blocking audits that stopped a model.
        errors: messages of failed models and of the run itself.
        warnings: SQLMesh's other warnings, mainly failed non-blocking audits.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        super().__init__()
        self.computed: dict[str, Computed] = defaultdict(Computed)
        self.spans: dict[str, tuple[dt.datetime, dt.datetime]] = {}
        self.failed: dict[str, str] = {}
        self.failed_audits: list[AuditError] = []
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self._progress = progress
        self._batches = 0

    def start_evaluation_progress(self, batched_intervals: dict[Snapshot, list[Interval]], *_: Any, **__: Any) -> None:
        self._batches = sum(map(len, batched_intervals.values()))
        if self._progress:
            self._progress("", 0, self._batches)

    def start_snapshot_evaluation_progress(self, snapshot: Snapshot, *_: Any, **__: Any) -> None:
        now = dt.datetime.now(dt.UTC)
        self.spans.setdefault(plain_name(snapshot.name), (now, now))

    def update_snapshot_evaluation_progress(
        self,
        snapshot: Snapshot,
        interval: Interval,
        batch_idx: int,
        duration_ms: int | None,
        num_audits_passed: int,
        num_audits_failed: int,
        *_: Any,
        **__: Any,
    ) -> None:
        name = plain_name(snapshot.name)
        now = dt.datetime.now(dt.UTC)
        self.spans[name] = (self.spans.get(name, (now, now))[0], now)
        done = self.computed[name]
        done.dates.update(days_of(interval))
        done.audits += num_audits_passed
        done.failed_audits += num_audits_failed
        done.seconds += (duration_ms or 0) / 1000
        if self._progress:
            self._progress(name, 1, self._batches)

    def log_failed_models(self, errors: list[Any]) -> None:
        for error in errors:
            cause = error.__cause__ or error
            name = plain_name(str(getattr(error.node, "snapshot_name", error.node)))
            kind = ""
            if not isinstance(cause, SQLMeshError | LakemeshError | duckdb.Error):
                kind = f"{type(cause).__name__}: "
                log_traceback(name, cause)
            self.failed[name] = f"{kind}{printable(' '.join(str(cause).split())[:1000])}"
            self.errors.append(f"{name}: {self.failed[name]}")
            if isinstance(cause, NodeAuditsErrors):
                self.failed_audits += cause.errors

    def log_error(self, message: str) -> None:
        self.errors.append(printable(" ".join(message.split())))

    def log_warning(self, short_message: str, long_message: str | None = None, *_: Any, **__: Any) -> None:
        if "not recommended for storing SQLMesh state" in short_message:
            return  # state in a DuckDB file with Spark as the engine: docs/spark.md describes its limits
        self.warnings.append(printable(" ".join((long_message or short_message).split())[:1000]))


class Project:
    """A SQLMesh context with access to production's snapshots."""

    def __init__(self, context: Context, console: RunConsole) -> None:
        self.context = context
        self.console = console
        self._snapshots: dict[SnapshotId, Snapshot] = {}

    @property
    def engine(self) -> Engine:
        """The engine that stores silver and gold."""
        return engine_of(self.context.engine_adapter)

    def snapshots(self) -> dict[str, Snapshot]:
        """The snapshots of production by full name, with their current intervals.

        Definitions are read once, which is most of the work; later calls update the intervals of the same snapshots.

        Raises:
            ConfigError: there is no production yet.
        """
        environment = self.context.state_reader.get_environment(PROD)
        if environment is None:
            raise ConfigError(
                "there is no production yet; run `sqlmesh plan` once, review and apply it. If there was one, its "
                "state is lost: `lake rebuild` recreates it"
            )
        if self._snapshots.keys() == {item.snapshot_id for item in environment.snapshots}:
            self.context.state_reader.refresh_snapshot_intervals(self._snapshots.values())
        else:
            self._snapshots = dict(self.context.state_reader.get_snapshots(environment.snapshots))
        return {snapshot.name: snapshot for snapshot in self._snapshots.values()}

    def require_tables(self) -> None:
        """Check that the warehouse is the one that the state describes.

        Raises:
            ConfigError: there is no production yet, or the warehouse lacks its tables.
        """
        existing = self.engine.tables()
        lost = [
            plain_name(snapshot.name)
            for snapshot in self.snapshots().values()
            if snapshot.is_model
            and not (snapshot.is_external or snapshot.is_symbolic)
            and plain_name(snapshot.table_name()) not in existing
        ]
        if lost:
            raise ConfigError(
                f"the warehouse lacks {len(lost)} tables of production, including {', '.join(sorted(lost)[:3])}: it "
                "was lost or replaced. Restore warehouse and state from the same backup, or run `lake rebuild`; "
                "readers keep the current release"
            )

    def due(self, now: dt.datetime) -> dict[Snapshot, list[Interval]]:
        """The intervals that each model of production lacks by its schedule, in ms since 1970, merged and sorted."""
        snapshots = [snapshot for snapshot in self.snapshots().values() if snapshot.is_model]
        found = missing_intervals(snapshots, execution_time=now, end=now)
        return {snapshot: intervals for snapshot, intervals in found.items() if intervals}

    def missing(self, now: dt.datetime) -> tuple[dict[str, list[dt.date]], dict[str, list[dt.date]]]:
        """The dates that each model of production lacks by its schedule.

        Returns:
            Those that a run would compute, and those withheld by a signal of the model or of what it reads.
        """
        found = self.due(now)
        if not found:
            return {}, {}
        environment = self.context.state_reader.get_environment(PROD)
        scheduler = self.context.scheduler(environment=PROD)
        ready = scheduler.batch_intervals(
            {snapshot: found[snapshot] for snapshot in found}, None, environment.naming_info
        )
        due = {plain_name(snapshot.name): _days(intervals) for snapshot, intervals in ready.items() if intervals}
        lacking = {plain_name(snapshot.name): _days(intervals) for snapshot, intervals in found.items() if intervals}
        withheld = {name: sorted(set(days) - set(due.get(name, ()))) for name, days in lacking.items()}
        return due, {name: days for name, days in withheld.items() if days}

    def next_due(self, now: dt.datetime) -> dt.datetime:
        """When the next interval of a model of production is due by its schedule, after `now`."""
        models = [item.model for item in self.snapshots().values() if item.is_model and not item.is_symbolic]
        due_at: dt.datetime = min(model.cron_next(now) for model in models)
        return due_at

    def audit_scopes(self) -> dict[str, str]:
        """The scope of each standalone audit, which SQLMesh's state does not keep; see pipeline/releases/audits.py."""
        audits = self.context.standalone_audits.values()
        return {audit.name: audit.defaults["scope"].name for audit in audits if "scope" in audit.defaults}

    def run(self, now: dt.datetime) -> bool:
        """Compute what is missing by the models' schedules, and return whether all of it succeeded.

        Standalone audits are not run here: SQLMesh would run each over all dates, once a day.

        Raises:
            RetriableError: SQLMesh could not start the run.
        """
        try:
            status = self.context.run(execution_time=now, end=now, skip_janitor=True, select_models=["*"])
        except SQLMeshError as error:
            raise RetriableError(f"the run could not start: {' '.join(str(error).split())}") from error
        return not status.is_failure and not self.console.errors

    def take_targets(self, options: Settings) -> list[Any]:
        """Take over SQLMesh's notification targets, so that it sends nothing, and return those not in the settings."""
        found = [target for target in self.context.notification_targets if target.is_configured]
        self.context.notification_targets = []
        from_settings = {("slack_webhook", options.slack_webhook_url), ("smtp", options.smtp_host)}
        return [
            target
            for target in found
            if (target.type_, getattr(target, "url", None) or getattr(target, "host", None)) not in from_settings
        ]

    def clean_up(self) -> None:
        """Run SQLMesh's own maintenance: expired environments and tables, and its record of intervals."""
        self.context.run_janitor(ignore_ttl=False)


@contextmanager
def open_project(database: Database, progress: Progress | None = None) -> Iterator[Project]:
    """Load the project; no other process computes on its state or uses its warehouse while the body runs.

    Args:
        database: the state of the project's gateway.

    Raises:
        RetriableError: another process uses the databases, or they cannot be reached.
        ConfigError: the project cannot be loaded.
    """
    if not any((Path(PROJECT) / name).exists() for name in CONFIG_FILES):
        raise ConfigError(
            f"{PROJECT} has no config.yaml; expected a SQLMesh project: run this in its folder, or set LAKE_PROJECT"
        )
    console = RunConsole(progress)
    set_console(console)
    try:
        with driver_errors("the state cannot be read"), duck.lock_errors():
            context = Context(paths=str(PROJECT), loader=ComputingLoader)
    except SQLMeshError as error:
        raise ConfigError(f"the SQLMesh project cannot be loaded: {' '.join(str(error).split())}") from error
    try:
        with driver_errors("the state connection was lost", "; run this again"), database.compute_lock():
            with duck.lock_errors():
                context.state_reader.get_environment(PROD)
                context.engine_adapter.fetchone("SELECT 1")
            database.prepare(context)
            engine_of(context.engine_adapter).allow_lake(database.options)
            # SQLMesh would report every failed run again; a cycle reports it once, see pipeline/alerting
            context.notification_target_manager = NotificationTargetManager()
            yield Project(context, console)
    finally:
        context.close()
        for adapter in context.engine_adapters.values():  # an open one locks other processes out
            adapter.close()


def plain_name(name: str) -> str:
    """`"warehouse"."gold"."fct"` → `gold.fct`."""
    return ".".join(name.replace('"', "").split(".")[-2:])


def _days(intervals: Iterable[Interval]) -> list[dt.date]:
    return sorted({day for interval in intervals for day in days_of(interval)})


def days_of(interval: Interval) -> Iterator[dt.date]:
    """The UTC dates that a half-open interval in ms since 1970 touches."""
    start, end = interval
    for day in range(start // DAY_MS, -(-end // DAY_MS)):
        yield dt.date(1970, 1, 1) + dt.timedelta(days=day)
