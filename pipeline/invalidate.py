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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from ingest.contract import Contract
from ingest.errors import RetriableError
from ingest.settings import Settings
from ingest.store import Store
from pipeline import history
from pipeline.affected import FeedChange, feed_changes
from pipeline.duck import connect
from pipeline.stale import DAY_MS, Dates, stale_versions
from pipeline.state import must_be_the_same_lake, open_state, settled_positions

_COLUMNS = (
    *("id", "created_ts", "name", "identifier", "version", "dev_version", "start_ts", "end_ts", "is_dev"),
    *("is_removed", "is_compacted", "is_pending_restatement", "last_altered_ts"),
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
        RetriableError: another process (a run, `sqlmesh ui`) holds the state file, or its disk is full. The loads
            are committed; the next `lake ingest` invalidates.
        ConfigError: the state cannot be written, or is newer than the lake.
    """
    with _unmarked(options.state_path), open_state(options) as state:
        must_be_the_same_lake(state, options, lake)
        history.collect(state)
        _bring_back(state)
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


@contextmanager
def _unmarked(path: str) -> Iterator[None]:
    """Turns what DuckDB says of a disk or a network into ours, one line each."""
    try:
        yield
    except (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException) as error:
        reason = str(error).split("\n", 1)[0]
        raise RetriableError(
            f"{path}: {reason}. What was loaded stays, but its dates are not marked for recomputation yet: mend that "
            "and run `lake ingest` again"
        ) from error


def _bring_back(state: duckdb.DuckDBPyConnection) -> None:
    """Moves rows of SQLMesh's record that lie in the future to now, in their order.

    They are replayed by the clocks of those who wrote them. A removal by a machine whose clock is ahead would overrule
    what this one computes afterwards, so that its dates stayed missing until our clock has passed that time.
    """
    if not _has_table(state, "_intervals"):
        return
    times = "SELECT DISTINCT created_ts AS was FROM sqlmesh._intervals"
    state.execute(
        "UPDATE sqlmesh._intervals SET created_ts = becomes FROM ("
        f"SELECT was, LEAST(was, $now - COUNT(*) OVER () + ROW_NUMBER() OVER (ORDER BY was)) AS becomes FROM ({times})"
        ") WHERE created_ts = was AND becomes < was AND (SELECT MAX(created_ts) FROM sqlmesh._intervals) > $now",
        {"now": int(time.time() * 1000)},
    )


def _remove_intervals(state: duckdb.DuckDBPyConnection, changes: list[FeedChange]) -> set[str]:
    """Adds one removal row per stale interval of each snapshot that is downstream of a changed feed."""
    if not changes or not _has_table(state, "_snapshots"):
        return set()
    bodies = state.execute("SELECT name, identifier, version, snapshot FROM sqlmesh._snapshots").fetchall()
    snapshots = {(name, identifier): (version, json.loads(body)) for name, identifier, version, body in bodies}
    stale = stale_versions(snapshots, {f"bronze.{change.feed}": _dates(change) for change in changes})
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
        found = stale.get((name, version))
        if found is None or last_end is None:
            continue
        for start, end in found.dates.ranges(last_end) if found.dates is not None else [(last_end - DAY_MS, last_end)]:
            rows.append((uuid.uuid4().hex, created, name, identifier, version, dev_version, start, end, is_dev))
    if rows:
        removed = pa.table([pa.array(values) for values in zip(*rows, strict=True)], names=_COLUMNS[: len(rows[0])])
        state.register("removed_intervals", removed)
        state.execute(
            f"INSERT INTO sqlmesh._intervals ({', '.join(_COLUMNS)}) "
            "SELECT *, TRUE, FALSE, FALSE, NULL FROM removed_intervals"
        )
        state.unregister("removed_intervals")
    return {row[2].replace('"', "").split(".", 1)[-1] for row in rows}


def _dates(change: FeedChange) -> Dates:
    return Dates(change.dates, onward=dt.date(1970, 1, 1) if change.is_everywhere else None)


def _has_table(state: duckdb.DuckDBPyConnection, name: str) -> bool:
    query = "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'sqlmesh' AND table_name = ?"
    return state.execute(query, [name]).fetchone() is not None
