"""Which dates SQLMesh has computed since a moment, whoever asked for it: `sqlmesh run`, a plan by hand, `lake run`.

SQLMesh writes a row into `_intervals` after each batch, and now and then joins all rows of a table into few. So every
time that we open the state its new rows are collected into a table of our own, each collection under its number.
When rows were joined before we saw them, what they said is unknown, and that is said. So it is after a back-up of the
state was restored: numbers have random gaps, and one that this history never gave means nothing in it.
"""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass

import duckdb

_GAP = 1 << 32
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


def collect(state: duckdb.DuckDBPyConnection) -> None:
    """Takes over what SQLMesh noted since the last time. Cheap, and safe to repeat."""
    state.execute("CREATE SCHEMA IF NOT EXISTS lakemesh")
    state.execute("CREATE TABLE IF NOT EXISTS lakemesh.collected (newest BIGINT)")
    state.execute(
        "CREATE TABLE IF NOT EXISTS lakemesh.recomputed "
        "(sequence BIGINT, id TEXT, name TEXT, version TEXT, start_ts BIGINT, end_ts BIGINT)"
    )
    state.execute(
        "CREATE TABLE IF NOT EXISTS lakemesh.history "
        "(name TEXT, version TEXT, known_after BIGINT, altered_ts BIGINT, PRIMARY KEY (name, version))"
    )
    if not state.execute(
        "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'sqlmesh' AND table_name = '_intervals'"
    ).fetchone():
        return
    number = newest(state) + 1 + secrets.randbelow(_GAP)
    state.execute("BEGIN")
    # joined rows that hold something newer than what was collected: a gap, everything before it is unknown
    unknown = _count(
        state,
        "INSERT INTO lakemesh.history "
        f"SELECT name, version, {number}, MAX(last_altered_ts) FROM sqlmesh._intervals AS joined "
        f"WHERE is_compacted AND {_ADDED} AND COALESCE(last_altered_ts, 0) > COALESCE((SELECT altered_ts "
        "FROM lakemesh.history AS history WHERE history.name = joined.name AND history.version = joined.version), -1) "
        "GROUP BY name, version ON CONFLICT DO UPDATE SET known_after = excluded.known_after",
    )
    known = _count(
        state,
        f"INSERT INTO lakemesh.recomputed SELECT {number}, id, name, version, start_ts, end_ts "
        f"FROM sqlmesh._intervals WHERE NOT is_compacted AND {_ADDED} "
        "AND id NOT IN (SELECT id FROM lakemesh.recomputed)",
    )
    state.execute(
        "INSERT INTO lakemesh.history SELECT name, version, 0, COALESCE(MAX(last_altered_ts), 0) "
        f"FROM sqlmesh._intervals WHERE {_ADDED} GROUP BY name, version "
        "ON CONFLICT DO UPDATE SET altered_ts = GREATEST(altered_ts, excluded.altered_ts)"
    )
    if unknown or known:
        state.execute("INSERT INTO lakemesh.collected VALUES (?)", [number])
    state.execute("COMMIT")


def _count(state: duckdb.DuckDBPyConnection, insert: str) -> int:
    """Runs an INSERT; how many rows it wrote."""
    found = state.execute(insert).fetchone()
    assert found is not None
    return int(found[0])


def newest(state: duckdb.DuckDBPyConnection) -> int:
    """The number of the newest collection that found something; it only grows, except when a back-up was restored."""
    found = state.execute("SELECT COALESCE(MAX(newest), 0) FROM lakemesh.collected").fetchone()
    assert found is not None
    return int(found[0])


def since(state: duckdb.DuckDBPyConnection, name: str, version: str, sequence: int) -> Recomputed:
    """What was computed of a table after a number that `newest` gave.

    Args:
        name: SQLMesh's full name of the model.
    """
    known = state.execute(
        "SELECT known_after FROM lakemesh.history WHERE name = ? AND version = ?", [name, version]
    ).fetchone()
    is_ours = state.execute("SELECT 1 FROM lakemesh.collected WHERE newest = ?", [sequence]).fetchone()
    if known is None or sequence < known[0] or not is_ours:
        return Recomputed(True, None)
    ranges = state.execute(
        "SELECT start_ts, end_ts FROM lakemesh.recomputed WHERE name = ? AND version = ? AND sequence > ?",
        [name, version, sequence],
    ).fetchall()
    days = {day for start, end in ranges for day in range(start // 86_400_000, -(-end // 86_400_000))}
    return Recomputed(bool(ranges), frozenset(dt.date(1970, 1, 1) + dt.timedelta(days=day) for day in days))


def forget(state: duckdb.DuckDBPyConnection, sequence: int) -> None:
    """Drops what nobody asks for again: earlier numbers, and rows up to this one that SQLMesh has joined meanwhile."""
    state.execute("DELETE FROM lakemesh.collected WHERE newest < ?", [sequence])
    state.execute(
        "DELETE FROM lakemesh.recomputed WHERE sequence <= ? AND id NOT IN (SELECT id FROM sqlmesh._intervals)",
        [sequence],
    )
