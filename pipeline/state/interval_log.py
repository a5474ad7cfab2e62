"""The dates that SQLMesh has recomputed since a given moment, by `lake run`, `sqlmesh run` or a manual plan.

SQLMesh writes a row into `_intervals` after each batch and occasionally compacts all rows of a table. So whenever
Lakemesh opens the state, it collects the new rows into its own table, each collection under its number. If rows were
compacted before they were collected, their dates are unknown and reported as unknown. Rows without the time of a change
are marks of pipeline/invalidation/unchanged.py and no computation.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from pipeline.state.state import State

UNKNOWN = -1
"""A number before every collection: everything may have been computed after it."""
_ADDED = "NOT is_dev AND NOT is_removed AND NOT is_pending_restatement"


@dataclass(frozen=True, slots=True)
class Recomputed:
    """The recomputation of one version of a model since a given moment.

    Attributes:
        changed: whether any date was recomputed.
        dates: the recomputed dates; None if unknown, so that every date may differ.
    """

    changed: bool
    dates: frozenset[dt.date] | None


def collect(state: State) -> None:
    """Collect the rows that SQLMesh wrote since the last collection. Cheap and safe to repeat."""
    if state.has_table("sqlmesh", "_intervals"):
        with state.transaction():
            collect_in_transaction(state)


def collect_in_transaction(state: State) -> None:
    """Collect within the caller's transaction, because all reads must see the same snapshot."""
    number = newest(state)
    # compacted rows newer than the last collected ones: a gap, so everything before it is unknown
    state.execute(
        "INSERT INTO lakemesh.history "
        f"SELECT name, version, {number + 1}, MAX(last_altered_ts) FROM sqlmesh._intervals AS joined "
        f"WHERE is_compacted AND {_ADDED} AND COALESCE(last_altered_ts, 0) > COALESCE((SELECT altered_ts "
        "FROM lakemesh.history AS history WHERE history.name = joined.name AND history.version = joined.version), -1) "
        "GROUP BY name, version ON CONFLICT (name, version) DO UPDATE SET known_after = excluded.known_after"
    )
    state.execute(
        f"INSERT INTO lakemesh.recomputed SELECT {number + 1}, id, name, version, start_ts, end_ts "
        f"FROM sqlmesh._intervals WHERE NOT is_compacted AND {_ADDED} AND last_altered_ts IS NOT NULL "
        "AND id NOT IN (SELECT id FROM lakemesh.recomputed)"
    )
    # a version with history but without a row here is of an older Lakemesh: what was removed of it is not known
    state.execute(
        "INSERT INTO lakemesh.reached SELECT name, version, MAX(end_ts) + CASE WHEN EXISTS (SELECT 1 "
        "FROM lakemesh.history AS history WHERE history.name = added.name AND history.version = added.version) "
        "AND NOT EXISTS (SELECT 1 FROM lakemesh.reached AS known WHERE known.name = added.name "
        "AND known.version = added.version) THEN 1 ELSE 0 END "
        f"FROM sqlmesh._intervals AS added WHERE {_ADDED} GROUP BY name, version "
        "ON CONFLICT (name, version) DO UPDATE SET end_ts = GREATEST(reached.end_ts, excluded.end_ts)"
    )
    state.execute(
        "INSERT INTO lakemesh.history SELECT name, version, 0, COALESCE(MAX(last_altered_ts), 0) "
        f"FROM sqlmesh._intervals WHERE {_ADDED} GROUP BY name, version "
        "ON CONFLICT (name, version) DO UPDATE SET altered_ts = GREATEST(history.altered_ts, excluded.altered_ts)"
    )
    state.execute("DELETE FROM lakemesh.collected")
    state.execute("INSERT INTO lakemesh.collected VALUES (?)", [number + 1])


def newest(state: State) -> int:
    """The number of the newest collection; it only grows, unless a backup was restored (see `is_source_of`)."""
    found = state.row("SELECT COALESCE(MAX(newest), 0) FROM lakemesh.collected")
    assert found is not None
    return int(found[0])


def is_source_of(state: State, number: int, sequence: int) -> bool:
    """Whether a release was made from this state; if not, a backup was restored and its sequence is meaningless."""
    query = "SELECT 1 FROM lakemesh.published WHERE number = ? AND sequence = ?"
    return state.row(query, [number, sequence]) is not None


def recomputed_since(state: State, name: str, version: str, sequence: int) -> Recomputed:
    """The recomputation of a table after a collection number returned by `newest`.

    Args:
        name: SQLMesh's full name of the model.
    """
    known = state.row("SELECT known_after FROM lakemesh.history WHERE name = ? AND version = ?", [name, version])
    if known is None or sequence < known[0] or sequence > newest(state):
        return Recomputed(True, None)
    ranges = state.rows(
        "SELECT start_ts, end_ts FROM lakemesh.recomputed WHERE name = ? AND version = ? AND sequence > ?",
        [name, version, sequence],
    )
    days = {day for start, end in ranges for day in range(start // 86_400_000, -(-end // 86_400_000))}
    return Recomputed(bool(ranges), frozenset(dt.date(1970, 1, 1) + dt.timedelta(days=day) for day in days))


@dataclass(frozen=True, slots=True)
class LastComputed:
    """The last computation of one version of a model, whatever was removed since.

    Attributes:
        identifier: of the snapshot that computed it; empty if that is deleted. Snapshots of one version can differ in
            their query, or in that of a parent.
        altered_ts: when it wrote the table, in ms since 1970 by the clock of its process.
        end_ts: the end of the last interval that was ever computed or marked as done, in ms since 1970.
    """

    identifier: str
    altered_ts: int
    end_ts: int


def last_computed(state: State) -> dict[tuple[str, str], LastComputed]:
    """By SQLMesh's full name and version, as of the last collection."""
    rows = state.rows(
        "SELECT added.name, added.version, added.identifier, MAX(added.last_altered_ts) AS altered_ts, reached.end_ts "
        "FROM sqlmesh._intervals AS added JOIN lakemesh.reached AS reached ON reached.name = added.name "
        f"AND reached.version = added.version WHERE {_ADDED} AND added.last_altered_ts IS NOT NULL "
        "GROUP BY added.name, added.version, added.identifier, reached.end_ts ORDER BY altered_ts"
    )
    return {(name, version): LastComputed(by or "", altered, end) for name, version, by, altered, end in rows}


def note(state: State, name: str, version: str, first: dt.date, after: dt.date) -> None:
    """Note that rows of a table were deleted, so that the next release is written without them.

    Args:
        name: SQLMesh's full name of the model.
        first, after: the dates, the last one exclusive.
    """
    start, end = ((day - dt.date(1970, 1, 1)).days * 86_400_000 for day in (first, after))
    with state.transaction():
        number = newest(state) + 1
        row = [number, uuid.uuid4().hex, name, version, start, end]
        state.execute("INSERT INTO lakemesh.recomputed VALUES (?, ?, ?, ?, ?, ?)", row)
        state.execute("DELETE FROM lakemesh.collected")
        state.execute("INSERT INTO lakemesh.collected VALUES (?)", [number])


def record_release(state: State, before: int, number: int, sequence: int) -> None:
    """Record the release about to be published next to the previous one: after a crash either may be the newest."""
    with state.transaction():
        state.execute("DELETE FROM lakemesh.published WHERE number <> ?", [before])
        state.execute("INSERT INTO lakemesh.published VALUES (?, ?)", [number, sequence])


def prune(state: State, sequence: int) -> None:
    """Delete rows that are no longer needed: those up to a collection number that SQLMesh has compacted since."""
    state.execute(
        "DELETE FROM lakemesh.recomputed WHERE sequence <= ? AND id NOT IN (SELECT id FROM sqlmesh._intervals)",
        [sequence],
    )
