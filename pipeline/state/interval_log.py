"""Which dates SQLMesh has computed since a moment, whoever asked for it: `sqlmesh run`, a plan by hand, `lake run`.

SQLMesh writes a row into `_intervals` after each batch, and now and then joins all rows of a table into few. So every
time that we open the state its new rows are collected into a table of our own, each collection under its number.
When rows were joined before we saw them, what they said is unknown, and that is said.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pipeline.state.state import State

UNKNOWN = -1
"""A number before all others: everything may have been computed after it."""
_ADDED = "NOT is_dev AND NOT is_removed AND NOT is_pending_restatement"


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What happened to one version of a model since a moment.

    Attributes:
        changed: whether any of it was computed anew.
        dates: which dates; None when that is not known, so that all may differ.
    """

    changed: bool
    dates: frozenset[dt.date] | None


def collect(state: State) -> None:
    """Takes over what SQLMesh noted since the last time. Cheap, and safe to repeat."""
    if state.has_table("sqlmesh", "_intervals"):
        with state.changing():
            take_over(state)


def take_over(state: State) -> None:
    """The same inside a transaction: what it reads of the rows has to be of one moment."""
    number = newest(state)
    # joined rows that hold something newer than what was collected: a gap, everything before it is unknown
    state.execute(
        "INSERT INTO lakemesh.history "
        f"SELECT name, version, {number + 1}, MAX(last_altered_ts) FROM sqlmesh._intervals AS joined "
        f"WHERE is_compacted AND {_ADDED} AND COALESCE(last_altered_ts, 0) > COALESCE((SELECT altered_ts "
        "FROM lakemesh.history AS history WHERE history.name = joined.name AND history.version = joined.version), -1) "
        "GROUP BY name, version ON CONFLICT (name, version) DO UPDATE SET known_after = excluded.known_after"
    )
    state.execute(
        f"INSERT INTO lakemesh.recomputed SELECT {number + 1}, id, name, version, start_ts, end_ts "
        f"FROM sqlmesh._intervals WHERE NOT is_compacted AND {_ADDED} "
        "AND id NOT IN (SELECT id FROM lakemesh.recomputed)"
    )
    state.execute(
        "INSERT INTO lakemesh.history SELECT name, version, 0, COALESCE(MAX(last_altered_ts), 0) "
        f"FROM sqlmesh._intervals WHERE {_ADDED} GROUP BY name, version "
        "ON CONFLICT (name, version) DO UPDATE SET altered_ts = GREATEST(history.altered_ts, excluded.altered_ts)"
    )
    state.execute("DELETE FROM lakemesh.collected")
    state.execute("INSERT INTO lakemesh.collected VALUES (?)", [number + 1])


def newest(state: State) -> int:
    """The number of the newest collection; it only grows, except when a back-up was restored (see `continues`)."""
    found = state.row("SELECT COALESCE(MAX(newest), 0) FROM lakemesh.collected")
    assert found is not None
    return int(found[0])


def continues(state: State, number: int, sequence: int) -> bool:
    """Whether a published state was made from here: when not, a back-up was restored, and its number means nothing."""
    query = "SELECT 1 FROM lakemesh.published WHERE number = ? AND sequence = ?"
    return state.row(query, [number, sequence]) is not None


def since(state: State, name: str, version: str, sequence: int) -> Recomputed:
    """What was computed of a table after a number that `newest` gave.

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


def publishing(state: State, before: int, number: int, sequence: int) -> None:
    """Notes the state that is going to be published, beside the one before: after a crash either is the newest."""
    with state.changing():
        state.execute("DELETE FROM lakemesh.published WHERE number <> ?", [before])
        state.execute("INSERT INTO lakemesh.published VALUES (?, ?)", [number, sequence])


def forget(state: State, sequence: int) -> None:
    """Drops what nobody asks for again: rows up to a number that SQLMesh has joined meanwhile."""
    state.execute(
        "DELETE FROM lakemesh.recomputed WHERE sequence <= ? AND id NOT IN (SELECT id FROM sqlmesh._intervals)",
        [sequence],
    )
