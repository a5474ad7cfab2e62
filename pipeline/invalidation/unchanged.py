"""Models that are due by the calendar alone, over unchanged inputs: marked as computed instead of computed.

A FULL model or a view is due each day, whether or not anything that it reads has changed. Whatever changes bronze
removes the last interval of each such model downstream of it (see invalidate.py), so one that still has every interval
it ever had, and whose parents were not computed after it, would get the same rows. `lake run` writes such an interval
into SQLMesh's state without computing it. Plain `sqlmesh run` computes it.

Views over bronze keep their intervals when it changes, so they are computed. So is everything on an engine that cannot
replace a table at once, where a run that is killed leaves part of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from sqlmesh.core.model import Model
from sqlmesh.core.snapshot import Snapshot
from sqlmesh.core.snapshot.definition import Interval, SnapshotIntervals

from pipeline.state import interval_log as history
from pipeline.state.database import Database
from pipeline.state.interval_log import LastComputed
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
    snapshots = project.snapshots()
    due = {snapshot.name: intervals for snapshot, intervals in project.due(now).items()}
    whole = [snapshots[name] for name in due if _is_whole(snapshots[name])]
    candidates = timeless(whole, project.context.cache_dir)
    unchanged: dict[str, SnapshotIntervals] = {}
    for name in _parents_first(snapshots):
        snapshot = snapshots[name]
        if name in candidates and _is_unchanged(snapshot, due, snapshots, unchanged, last, feeds):
            unchanged[name] = SnapshotIntervals(
                name=snapshot.name,
                identifier=snapshot.identifier,
                version=snapshot.version,
                dev_version=snapshot.dev_version,
                intervals=[(due[name][0][0], due[name][-1][1])],
            )
    if unchanged:
        project.context.state_sync.add_snapshots_intervals(list(unchanged.values()))
        with database.open() as state:
            history.collect(state)
    return sorted(map(plain_name, unchanged))


def _is_unchanged(
    snapshot: Snapshot,
    due: Mapping[str, list[Interval]],
    snapshots: Mapping[str, Snapshot],
    unchanged: Collection[str],
    last: Mapping[tuple[str, str], LastComputed],
    feeds: Collection[str],
) -> bool:
    computed = last.get((snapshot.name, str(snapshot.version)))
    if computed is None or computed.identifier != snapshot.identifier or not snapshot.intervals:
        return False
    end = snapshot.intervals[-1][1]
    if end != computed.end_ts or due[snapshot.name][0][0] != end:  # an interval was removed, or never computed
        return False
    return _has_same_inputs(snapshot, computed.altered_ts, due, snapshots, unchanged, last, feeds)


def _has_same_inputs(
    snapshot: Snapshot,
    since: int,
    due: Collection[str],
    snapshots: Mapping[str, Snapshot],
    unchanged: Collection[str],
    last: Mapping[tuple[str, str], LastComputed],
    feeds: Collection[str],
) -> bool:
    """Whether everything that a model reads has the rows of a moment, in ms since 1970; views, what they read."""
    if not snapshot.model.depends_on <= {parent.name for parent in snapshot.parents}:
        return False  # a table that is not registered
    for parent in snapshot.parents:
        read = snapshots.get(parent.name)
        if read is None or read.snapshot_id != parent:
            return False
        if read.is_external:
            if not (plain_name(read.name).startswith(BRONZE) and plain_name(read.name)[len(BRONZE) :] in feeds):
                return False
            continue
        computed = last.get((read.name, str(read.version)))
        if (parent.name in due and parent.name not in unchanged) or computed is None or computed.altered_ts >= since:
            return False
        if read.model.kind.is_view and not _has_same_inputs(read, since, due, snapshots, unchanged, last, feeds):
            return False
    return True


def _is_whole(snapshot: Snapshot) -> bool:
    """Whether a model is computed as a whole, and loses its last interval when bronze changes."""
    model = snapshot.model
    if model.signals:
        return False
    return bool(model.kind.is_full or (model.kind.is_view and not _reads_bronze(model)))


def _reads_bronze(model: Model) -> bool:
    return any(plain_name(name).startswith(BRONZE) for name in model.depends_on)


def _parents_first(snapshots: Mapping[str, Snapshot]) -> list[str]:
    """Names of all snapshots, each after its parents."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in order and name in snapshots:
            for parent in sorted(item.name for item in snapshots[name].parents):
                visit(parent)
            order[name] = None

    for name in sorted(snapshots):
        visit(name)
    return list(order)
