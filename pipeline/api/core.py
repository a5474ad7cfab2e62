"""What both doors of the server, HTTP and tools, do for a caller."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ingest.errors import ConfigError
from ingest.settings import Settings
from ingest.text import printable
from pipeline.access.roles import load_roles
from pipeline.api.answers import Answers
from pipeline.api.keys import Caller, Keys
from pipeline.api.limits import Limits
from pipeline.api.measures import Measures
from pipeline.api.pool import Left, Pool, never
from pipeline.api.problems import Kind, Problem
from pipeline.api.rates import Rates
from pipeline.api.reads import Reads
from pipeline.api.rows import parse_cursor
from pipeline.api.snapshots import Snapshot, Snapshots
from pipeline.api.tasks import Outcome, Task
from pipeline.lake import Lake
from pipeline.metrics.definition import Metric
from pipeline.metrics.request import known
from pipeline.releases.release import ReleaseTable


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and the release that it is read from."""

    snapshot: Snapshot
    outcome: Outcome


class Core:
    """The release, the workers, and the rules for callers.

    Args:
        project: folder of the SQLMesh project.

    Raises:
        ConfigError: a setting is invalid.
    """

    def __init__(self, options: Settings, project: Path) -> None:
        self.options, self.project = options, project
        self.lake = Lake(options)
        self.limits = Limits.of(options)
        self.keys = Keys(options, [role.name for role in load_roles(project)])
        self.rates = Rates(self.limits.per_minute)
        self.snapshots = Snapshots(options, project)
        self.pool = Pool(self.limits)
        self.answers = Answers()
        self.measures = Measures(self.lake)
        self.reads = Reads(self.lake.audit_log, Path(options.lake_home), options.lake_api_audit_seconds)

    def start(self) -> None:
        """Start a first worker."""
        self.pool.start()

    async def close(self) -> None:
        """End the workers, and add the last reads to the audit log."""
        await self.pool.close()
        self.reads.flush()

    async def snapshot(self, caller: Caller) -> Snapshot:
        """The release that a caller reads now."""
        return await self.snapshots.current(caller.role)

    async def rows(
        self, caller: Caller, snapshot: Snapshot, table: str, asked: dict[str, Any], format: str, left: Left = never
    ) -> Answer:
        """A page of a table.

        Args:
            asked: columns, where, order, limit, cursor.
        """
        if asked["cursor"]:
            snapshot = await self.snapshots.numbered(caller.role, parse_cursor(asked["cursor"]).release)
        name = table_of(snapshot, table).name
        task = self._task("table", snapshot, {**asked, "name": name}, format)
        return await self._run(caller, snapshot, task, left)

    async def metrics(
        self,
        caller: Caller,
        snapshot: Snapshot,
        asked: dict[str, Any],
        format: str,
        left: Left = never,
        rows: int | None = None,
    ) -> Answer:
        """Values of metrics.

        Args:
            asked: names, by, where, since, until, compare.
            rows: most rows, of which more are cut; by default they are refused beyond the limit.
        """
        for name in asked["names"]:
            metric_of(snapshot, name)
        return await self._run(caller, snapshot, self._task("metrics", snapshot, asked, format, rows), left)

    async def sql(
        self,
        caller: Caller,
        snapshot: Snapshot,
        text: str,
        format: str,
        left: Left = never,
        rows: int | None = None,
    ) -> Answer:
        """The rows of one SELECT; arguments as in `metrics`."""
        return await self._run(caller, snapshot, self._task("sql", snapshot, {"sql": text}, format, rows), left)

    async def health(self, caller: Caller, snapshot: Snapshot, now: dt.datetime) -> Answer:
        """What the release itself says about the pipeline."""
        asked = {"now": now.isoformat(), "withheld": snapshot.withheld}
        return await self._run(caller, snapshot, self._task("health", snapshot, asked, "json"), never)

    def note(self, caller: Caller, how: str, of: Iterable[str], snapshot: Snapshot, rows: int = 0) -> None:
        """Note a read for the audit log, before its answer is sent."""
        self.reads.note(caller, how, of, snapshot.release.number, rows)

    def _task(self, kind: str, snapshot: Snapshot, asked: dict[str, Any], format: str, rows: int | None = None) -> Task:
        return Task(
            kind=kind,
            role=snapshot.role,
            release=snapshot.release.number,
            digest=snapshot.digest,
            format=format,
            rows=min(rows or self.limits.rows, self.limits.rows),
            bytes=self.limits.bytes,
            cut=rows is not None,
            arguments=asked,
        )

    async def _run(self, caller: Caller, snapshot: Snapshot, task: Task, left: Left) -> Answer:
        try:
            outcome = await self.answers.get(task, lambda: self.pool.run(task, left))
        except Problem as problem:
            if problem.kind in (Kind.GONE, Kind.UNAVAILABLE):
                self.snapshots.forget(snapshot.role)
            raise
        self.note(caller, task.kind, outcome.tables, snapshot, outcome.rows)
        return Answer(snapshot, outcome)


def table_of(snapshot: Snapshot, name: str) -> ReleaseTable:
    """A table of a release.

    Raises:
        Problem: the release has none of that name; the detail names the nearest.
    """
    found = snapshot.release.tables.get(name)
    if found is None:
        near = get_close_matches(name, snapshot.release.tables, 3, 0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else "GET /v1/tables lists them"
        raise Problem(Kind.NOT_FOUND, f"there is no table '{printable(name)}' in this release; {hint}")
    return found


def metric_of(snapshot: Snapshot, name: str) -> Metric:
    """A metric that a release can compute.

    Raises:
        Problem: there is none of that name; the detail names the nearest.
    """
    if name not in snapshot.definitions:
        try:
            known(snapshot.definitions, name)
        except ConfigError as error:
            raise Problem(Kind.NOT_FOUND, str(error)) from None
    return snapshot.definitions[name]
