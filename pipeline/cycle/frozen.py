"""Frozen dates: those before the horizon of a feed that a model reads, whose records have expired (retention.py).

Tables by date keep what they computed of these dates, but for rows of persons, which go too. Bronze cannot compute
them again: where that was tried, by a new version of a model, a rebuild or a restatement, their rows are taken from the
files of the newest release.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from sqlglot import exp
from sqlmesh.core.snapshot import Snapshot

from ingest.contracts.classes import Class
from ingest.contracts.contract import Kind, contracts
from ingest.ledger.horizons import read_horizons
from ingest.sql import identifier, literal
from pipeline.access.classes import Classification
from pipeline.cycle.summary import RunSummary
from pipeline.invalidation.invalidate import remove_intervals
from pipeline.invalidation.propagation import Dates
from pipeline.invalidation.propagation import frozen_before as before_horizons
from pipeline.lake import Lake
from pipeline.releases.changes import Change, changes
from pipeline.releases.release import ReleaseTable
from pipeline.state import interval_log as history
from pipeline.warehouse.classes import project_classes
from pipeline.warehouse.engine import DIALECT
from pipeline.warehouse.project import Project, plain_name


def frozen_before(lake: Lake, project: Project) -> dict[str, dt.date]:
    """By model of production, as `gold.<table>`, the date before which it is not computed again."""
    horizons = read_horizons(lake.store)
    if not horizons:
        return {}
    bodies = {
        (name, item.identifier): {
            "parents": [{"name": parent.name, "identifier": parent.identifier} for parent in item.parents],
            "node": {"tags": item.node.tags if item.is_model else ()},
        }
        for name, item in project.snapshots().items()
    }
    found = before_horizons(bodies, {f"bronze.{feed}": day for feed, day in horizons.items()})
    return {plain_name(name): day for (name, _), day in found.items()}


def keep_frozen(lake: Lake, project: Project, summary: RunSummary, now: dt.datetime) -> bool:
    """Let go of rows of persons that have expired, and keep what was computed of frozen dates, after a run.

    What reads restored tables as a whole is computed again.

    Args:
        summary: receives a warning that names restored tables, and errors.

    Returns:
        Whether it worked.
    """
    is_complete = True
    with summary.contained("what has expired") as keeping:
        horizons = read_horizons(lake.store)
        if horizons:
            columns = project_classes(project.context).columns
            of_events = {feed: day for feed, day in horizons.items() if _is_of_events(feed)}
            _expire_rows(lake, project, columns, of_events)
            if restored := _restored(lake, project, columns, of_events):
                summary.warnings.append(
                    f"{', '.join(restored)}: dates whose records have expired have the rows of the newest release; "
                    "columns that it lacks are empty there"
                )
                with lake.state.open() as state, state.transaction(intervals=True):
                    remove_intervals(state, dict.fromkeys(restored, Dates()))
                is_complete = project.run(now)
                summary.errors += [] if is_complete else project.console.errors
    return is_complete and keeping.error is None


def _expire_rows(lake: Lake, project: Project, columns: Classification, horizons: Mapping[str, dt.date]) -> None:
    """Delete rows of persons from tables by date of every environment, of dates whose events have expired.

    The next release is written without them.
    """
    existing = project.engine.tables()
    for snapshot in _all_snapshots(project):
        before = _expired_before(plain_name(snapshot.name), columns, horizons)
        if before is None or not snapshot.is_model or snapshot.model.time_column is None:
            continue
        for is_deployable in (True, False):
            table = exp.to_table(snapshot.table_name(is_deployable=is_deployable), dialect=DIALECT)
            if f"{table.db}.{table.name}" in existing:
                _delete(lake, project, snapshot, table, before)


def _restored(lake: Lake, project: Project, columns: Classification, horizons: Mapping[str, dt.date]) -> list[str]:
    """Take the rows of frozen dates that were computed again from the newest release; return the tables."""
    before, release = frozen_before(lake, project), lake.releases.newest()
    if release is None:
        return []
    with lake.state.open() as state:
        is_source = history.is_source_of(state, release.number, release.sequence)
        changed = changes(project.snapshots(), release if is_source else None, state)
    done = []
    for name, change in changed.items():
        old, day = release.tables.get(name), before.get(name)
        if old is None or day is None or not _is_by_date(change) or not _has_frozen(change, day):
            continue
        if _expired_before(name, columns, horizons) is None:  # other rows have expired with the events
            _restore(lake, project, change, old, day)
            done.append(name)
    return done


def _restore(lake: Lake, project: Project, change: Change, old: ReleaseTable, day: dt.date) -> None:
    model = change.snapshot.model
    stored = {name for name, *_ in old.columns}
    names = [name for name in model.columns_to_types_or_raise if name in stored]
    paths = [file.key for file in old.files if file.part <= f"{day:%Y-%m}"]
    table = exp.to_table(change.snapshot.table_name(), dialect=DIALECT)
    project.engine.freeze(table, model.time_column.column.name, day, names, lake.releases.store.uri, paths)


def _has_frozen(change: Change, day: dt.date) -> bool:
    """Whether frozen dates may have been computed since the release."""
    done = change.recomputed
    return done.changed and (done.dates is None or any(date < day for date in done.dates))


def _is_by_date(change: Change) -> bool:
    return bool(change.snapshot.model.kind.is_incremental_by_time_range)


def _is_of_events(feed: str) -> bool:
    contract = contracts().get(feed)
    return contract is not None and contract.kind is Kind.EVENT


def _expired_before(name: str, columns: Classification, horizons: Mapping[str, dt.date]) -> dt.date | None:
    """The date before which rows of a table have to go: it has identifiers of persons from events that have expired."""
    origins = {
        origin.split(".", 2)[1]
        for item in columns.get(name, {}).values()
        if item.class_ is Class.DIRECT
        for origin in item.origins
        if origin.startswith("bronze.")
    }
    return max((horizons[feed] for feed in origins & horizons.keys()), default=None)


def _all_snapshots(project: Project) -> Iterator[Snapshot]:
    """The snapshots of every environment."""
    reader = project.context.state_reader
    ids = {item.snapshot_id: item for environment in reader.get_environments() for item in environment.snapshots}
    yield from reader.get_snapshots(ids.values()).values()


def _delete(lake: Lake, project: Project, snapshot: Snapshot, table: exp.Table, before: dt.date) -> None:
    """Delete a table's rows of before a date."""
    column = snapshot.model.time_column.column.name
    name, old = table.sql(DIALECT, identify=True), f"{identifier(column)} < CAST({literal(before)} AS DATE)"
    query = f"SELECT MIN({identifier(column)}) AS first FROM {name} WHERE {old}"
    _, ((since,),) = project.engine.select(exp.maybe_parse(query, dialect=DIALECT))
    if since:
        project.engine.freeze(table, column, before, (), "", ())
        with lake.state.open() as state:
            history.note(state, snapshot.name, str(snapshot.version), since, before)
