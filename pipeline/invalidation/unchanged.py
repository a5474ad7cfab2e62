"""Models that are due by the calendar alone, over unchanged inputs: marked as computed instead of computed.

A FULL model, one that is computed by key, or a view is due each day, whether or not anything that it reads has changed.
Whatever changes bronze removes the last interval of each such model downstream of it (see invalidate.py), so one that
still has every interval it ever had, and whose parents were not computed after it, would get the same rows. `lake run`
writes such an interval into SQLMesh's state without computing it. Plain `sqlmesh run` computes it.

Views over bronze keep their intervals when it changes, so they are computed. So is everything on an engine that cannot
replace a table at once, where a run that is killed leaves part of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlmesh.core.model import Model
from sqlmesh.core.snapshot import Snapshot, snapshots_to_dag
from sqlmesh.core.snapshot.definition import Interval, SnapshotIntervals

from pipeline.state import interval_log as history
from pipeline.state.database import Database
from pipeline.state.interval_log import LastComputed
from pipeline.warehouse.by_key.definition import by_key
from pipeline.warehouse.project import Project, plain_name
from pipeline.warehouse.timeless import timeless

BRONZE = "bronze."


def mark_unchanged(project: Project, database: Database, feeds: Collection[str], now: dt.datetime) -> list[str]:
    """Mark the due intervals of unchanged models as computed.

    Args:
        feeds: those whose changes are invalidated; a model over any other table outside the project is computed.
        now: as for the run.

    Returns:
        Names of the models, sorted.
    """
    if not project.context.engine_adapter.SUPPORTS_REPLACE_TABLE:
        return []
    with database.open() as state:
        history.collect(state)
        last = history.last_computed(state)
    due = {snapshot.name: intervals for snapshot, intervals in project.due(now).items()}
    production = _Production(project.snapshots(), due, last, frozenset(feeds))
    whole = [production.snapshots[name] for name in due if _is_whole(production.snapshots[name])]
    candidates = timeless(whole, project.context.cache_dir)
    for snapshot_id in snapshots_to_dag(production.snapshots.values()):  # parents first
        if snapshot_id.name in candidates and production.is_unchanged(production.snapshots[snapshot_id.name]):
            production.unchanged.add(snapshot_id.name)
    if production.unchanged:
        project.context.state_sync.add_snapshots_intervals(list(map(production.mark, sorted(production.unchanged))))
        with database.open() as state:
            history.collect(state)
    return sorted(map(plain_name, production.unchanged))


@dataclass(frozen=True, slots=True)
class _Production:
    """Production before a run.

    Attributes:
        snapshots: by SQLMesh's full name, as all names here.
        due: intervals that a run would compute, in ms since 1970, sorted.
        last: the last computation by name and version.
        feeds: see `mark_unchanged`.
        unchanged: models found so far.
    """

    snapshots: Mapping[str, Snapshot]
    due: Mapping[str, list[Interval]]
    last: Mapping[tuple[str, str], LastComputed]
    feeds: frozenset[str]
    unchanged: set[str] = field(default_factory=set)

    def is_unchanged(self, snapshot: Snapshot) -> bool:
        """Whether computing what is due would give the same rows; its parents must have been asked before."""
        computed = self.last.get((snapshot.name, str(snapshot.version)))
        if computed is None or computed.identifier != snapshot.identifier or not snapshot.intervals:
            return False
        end = snapshot.intervals[-1][1]
        if end != computed.end_ts or self.due[snapshot.name][0][0] != end:  # one was removed, or never computed
            return False
        return self._has_same_inputs(snapshot, computed.altered_ts)

    def _has_same_inputs(self, snapshot: Snapshot, since: int) -> bool:
        """Whether everything that a model reads has the rows of a moment, in ms since 1970; views, what they read."""
        if not snapshot.model.depends_on <= {parent.name for parent in snapshot.parents}:
            return False  # a table that is not registered
        for parent in snapshot.parents:
            read = self.snapshots.get(parent.name)
            if read is None or read.snapshot_id != parent:
                return False
            if read.is_external:
                name = plain_name(read.name)
                if not (name.startswith(BRONZE) and name.removeprefix(BRONZE) in self.feeds):
                    return False
                continue
            computed = self.last.get((read.name, str(read.version)))
            if read.name in self.due.keys() - self.unchanged or computed is None or computed.altered_ts >= since:
                return False
            if read.model.kind.is_view and not self._has_same_inputs(read, since):
                return False
        return True

    def mark(self, name: str) -> SnapshotIntervals:
        """What is due of a model, as done without a time of change."""
        snapshot, due = self.snapshots[name], self.due[name]
        return SnapshotIntervals(
            name=snapshot.name,
            identifier=snapshot.identifier,
            version=snapshot.version,
            dev_version=snapshot.dev_version,
            intervals=[(due[0][0], due[-1][1])],
        )


def _is_whole(snapshot: Snapshot) -> bool:
    """Whether a model has no dates of its own, and loses its last interval when bronze changes."""
    model = snapshot.model
    if model.signals:
        return False
    is_whole = model.kind.is_full or by_key(model) is not None
    return bool(is_whole or (model.kind.is_view and not _reads_bronze(model)))


def _reads_bronze(model: Model) -> bool:
    return any(plain_name(name).startswith(BRONZE) for name in model.depends_on)
