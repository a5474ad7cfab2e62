"""Late data becomes missing intervals: SQLMesh itself then recomputes exactly those dates (DESIGN: decision 8).

The rows are written straight into SQLMesh's state: one insert for every snapshot of every environment and version, in
one transaction with the settled ledger positions. Verified against SQLMesh 0.236.4, whose `_intervals` rows are
replayed by `created_ts`.
"""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb

from ingest.contract import Contract
from ingest.settings import Settings
from ingest.store import Store
from pipeline import history
from pipeline.affected import FeedChange, feed_changes
from pipeline.duck import connect
from pipeline.state import must_be_the_same_lake, open_state, settled_positions

DAY_MS = 86_400_000
_NOT_COMPUTED = {"VIEW", "SEED", "EXTERNAL", "EMBEDDED"}
_BY_DATE = {"INCREMENTAL_BY_TIME_RANGE"}
_COLUMNS = (
    "id, created_ts, name, identifier, version, dev_version, start_ts, end_ts, is_dev, is_removed, is_compacted, "
    "is_pending_restatement, last_altered_ts"
)


@dataclass(frozen=True, slots=True)
class Invalidation:
    """What was marked as not processed.

    Attributes:
        dates: the touched dates by feed; SQLMesh recomputes those that a model had processed.
        models: names of the models with at least one interval removed.
        positions: settled ledger position by feed.
    """

    dates: Mapping[str, tuple[dt.date, ...]]
    models: tuple[str, ...]
    positions: Mapping[str, int]


def invalidate(options: Settings, lake: Store, contracts: Mapping[str, Contract]) -> Invalidation:
    """Removes the intervals that loads since the settled positions made stale, and settles the new positions.

    Safe to repeat; after a crash at any point the next call does it all again.

    Raises:
        RetriableError: another process (a run, `sqlmesh ui`) holds the state file. The loads are committed; the
            next `lake ingest` invalidates.
        ConfigError: the state cannot be written, or is newer than the lake.
    """
    with open_state(options) as state:
        must_be_the_same_lake(state, options, lake)
        history.collect(state)
        settled = settled_positions(state)
        with connect(options) as reader:
            changes = feed_changes(lake, contracts, settled, reader)
        moved = [change for change in changes if settled.get(change.feed) != change.position]
        if not moved:
            return Invalidation({}, (), settled)
        state.execute("BEGIN")
        models = _remove_intervals(state, [change for change in moved if change.changed])
        state.executemany(
            "INSERT OR REPLACE INTO lakemesh.settled VALUES (?, ?, now()::TIMESTAMP)",
            [(change.feed, change.position) for change in moved],
        )
        state.execute("COMMIT")
        state.execute("CHECKPOINT")
    return Invalidation(
        {change.feed: tuple(sorted(change.dates)) for change in moved},
        tuple(sorted(models)),
        {change.feed: change.position for change in changes},
    )


def _remove_intervals(state: duckdb.DuckDBPyConnection, changes: list[FeedChange]) -> set[str]:
    """Adds one removal row per stale interval of each snapshot that is downstream of a changed feed."""
    if not changes or not _has_table(state, "_snapshots"):
        return set()
    stale = _stale_snapshots(state, changes)
    if not stale:
        return set()
    keys = state.execute(
        "SELECT name, identifier, version, dev_version, is_dev, MAX(end_ts) FILTER (WHERE NOT is_removed) "
        "FROM sqlmesh._intervals GROUP BY ALL"
    ).fetchall()
    newest = state.execute("SELECT COALESCE(MAX(created_ts), 0) FROM sqlmesh._intervals").fetchone()
    assert newest is not None
    created = max(int(time.time() * 1000), newest[0] + 1)  # rows are replayed by this: ours must come last
    rows = []
    for name, identifier, version, dev_version, is_dev, last_end in keys:
        ranges = stale.get((name, version))
        if ranges is None or last_end is None:
            continue
        for start, end in ranges if ranges != WHOLE else [(last_end - DAY_MS, last_end)]:
            if start < last_end:
                row = (uuid.uuid4().hex, created, name, identifier, version, dev_version, start, end, is_dev)
                rows.append((*row, True, False, False, None))
    if rows:
        state.executemany(f"INSERT INTO sqlmesh._intervals ({_COLUMNS}) VALUES ({', '.join('?' * 13)})", rows)
    return {row[2].replace('"', "").split(".", 1)[-1] for row in rows}


WHOLE: tuple[tuple[int, int], ...] = ((-1, -1),)
"""Stands for a model that is rebuilt as a whole: its last interval is removed."""


def _stale_snapshots(
    state: duckdb.DuckDBPyConnection, changes: list[FeedChange]
) -> dict[tuple[str, str], tuple[tuple[int, int], ...]]:
    """The stale time ranges (ms since 1970) by (snapshot name, version), each walked by its own parents."""
    snapshots = {}
    for name, identifier, version, body in state.execute(
        "SELECT name, identifier, version, snapshot FROM sqlmesh._snapshots"
    ).fetchall():
        snapshots[name, identifier] = (version, json.loads(body))
    by_table = {f"bronze.{change.feed}": change for change in changes}
    reached: dict[tuple[str, str], frozenset[str]] = {}

    def feeds_of(key: tuple[str, str]) -> frozenset[str]:
        """The changed feeds that a snapshot reads, directly or not."""
        if key not in reached:
            reached[key] = frozenset()
            _, body = snapshots.get(key, ("", {"parents": []}))
            found = {".".join(key[0].replace('"', "").split(".")[-2:])} & by_table.keys()
            for parent in body["parents"]:
                found |= feeds_of((parent["name"], parent["identifier"]))
            reached[key] = frozenset(found)
        return reached[key]

    stale: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {}
    for key, (version, body) in snapshots.items():
        kind = body["node"].get("kind", {})
        name = kind.get("name", "VIEW").upper()
        feeds = feeds_of(key)
        if not feeds or name in _NOT_COMPUTED or kind.get("disable_restatement"):
            continue
        if name in _BY_DATE:
            days = {day for feed in feeds for day in by_table[feed].dates}
            stale[key[0], version] = tuple(_ranges(days))
        else:
            stale[key[0], version] = WHOLE
    return stale


def _ranges(days: Iterable[dt.date]) -> list[tuple[int, int]]:
    """Contiguous days as half-open ranges in ms since 1970.

    >>> _ranges([dt.date(1970, 1, 2), dt.date(1970, 1, 1)])
    [(0, 172800000)]
    """
    found: list[tuple[int, int]] = []
    for day in sorted(days):
        start = (day - dt.date(1970, 1, 1)).days * DAY_MS
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], start + DAY_MS)
        else:
            found.append((start, start + DAY_MS))
    return found


def _has_table(state: duckdb.DuckDBPyConnection, name: str) -> bool:
    query = "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'sqlmesh' AND table_name = ?"
    return state.execute(query, [name]).fetchone() is not None
