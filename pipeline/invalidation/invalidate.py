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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb

from ingest.contracts.contract import Contract
from ingest.errors import LakemeshError, RetriableError
from ingest.ledger.ledger import Ledger, touched
from ingest.settings import Settings
from ingest.storage.store import Store
from pipeline.invalidation.changed_dates import FeedChange, feed_changes
from pipeline.invalidation.continuity import Known, identify, known, must_continue, record_applied
from pipeline.invalidation.propagation import DAY_MS, Dates, stale_versions
from pipeline.state import interval_log as history
from pipeline.state.compute_lock import compute_lock, reconcile_clock_skew
from pipeline.state.opening import open_state
from pipeline.state.state import State, applied_positions
from pipeline.warehouse.bronze import registered_positions
from pipeline.warehouse.damage import lake_damage
from pipeline.warehouse.duck import connect

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

_UNMARKED = (
    "What was loaded stays, but its dates are not marked for recomputation yet: mend that and run `lake ingest` again"
)
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
        lost: feeds whose logs lack what others know of them, or cannot be judged; nothing of them is marked.
    """

    dates: Mapping[str, tuple[dt.date, ...]]
    models: tuple[str, ...]
    positions: Mapping[str, int]
    lost: Mapping[str, LakemeshError] = field(default_factory=dict)


def invalidate(options: Settings, lake: Store, contracts: Mapping[str, Contract]) -> Invalidation:
    """Removes the intervals that loads since the settled positions made stale, and settles the new positions.

    A feed whose log lost what was settled is left as it is; all others are done. Safe to repeat; after a crash at any
    point the next call does it all again.

    Raises:
        RetriableError: another process (a run, `sqlmesh ui`) holds the state file or computes on it, or it is out of
            reach, or its disk is full. The loads are committed; the next `lake ingest` invalidates.
        LostLedger: the lake lost its identity.
        ConfigError: the state cannot be written, or belongs to another lake.
        DamagedLake: a bronze file cannot be read.
    """
    with _unmarked(options), open_state(options) as state, connect(options) as reader:
        others = known(options, lake, state)
        identify(state, lake, others)
        if not options.has_postgres_state:  # there it is done under the lock
            reconcile_clock_skew(state)
        settled = applied_positions(state)
        positions, lost = _positions(options, lake, contracts, others)
        changes = _changes(lake, contracts, settled, positions, reader)
        if all(settled.get(change.feed) == change.position for change in changes):
            history.collect(state)
            return Invalidation({}, (), settled, lost)
        with compute_lock(options):
            history.collect(state)
            before, settled = settled, applied_positions(state)
            if settled != before:  # another host was here while this one waited
                positions, lost = _positions(options, lake, contracts, known(options, lake, state))
                changes = _changes(lake, contracts, settled, positions, reader)
            moved = [change for change in changes if settled.get(change.feed) != change.position]
            with state.changing(intervals=True):
                models = remove_intervals(state, [change for change in moved if change.changed])
                _settle(state, {change.feed: change.position for change in moved})
    for change in (item for item in moved if item.position):
        record_applied(lake, change.feed, change.position, change.load_id)
    return Invalidation(
        {change.feed: tuple(sorted(change.dates)) for change in moved},
        tuple(sorted(models)),
        {change.feed: change.position for change in changes},
        lost,
    )


def feeds_behind(warehouse: EngineAdapter, options: Settings) -> list[str]:
    """Feeds of which the run saw newer loads than those whose dates are marked: their other dates are stale.

    Positions that change no row, as those of maintenance, are settled by this.

    Raises:
        ConfigError, RetriableError: as `apply_unchanged`.
    """
    return apply_unchanged(options, Store(options.lake_uri, options), registered_positions(warehouse))


def apply_unchanged(options: Settings, lake: Store, shown: Mapping[str, int]) -> list[str]:
    """Settles the positions that models saw, of the feeds in which no row changed since the settled ones.

    Compaction, clean-up and discarded records move a feed's position and leave its rows as they were: nothing has to be
    computed because of them.

    Args:
        shown: the ledger position by feed that models saw.

    Returns:
        The other feeds whose models saw more than is settled: dates of theirs are not marked yet.

    Raises:
        RetriableError: another process computes on the state, or it is out of reach.
        ConfigError: the state belongs to another lake, or a ledger is shorter than what models saw.
    """
    with open_state(options) as state:
        if not _ahead(state, shown):
            return []
        identify(state, lake, known(options, lake, state))
        behind: list[str] = []
        unchanged: dict[str, str] = {}
        with compute_lock(options):
            for feed, settled in _ahead(state, shown).items():
                ledger = Ledger(lake, feed)
                news = touched(ledger.state(settled), ledger.entries(settled, shown[feed]))
                if news.changed or news.begins:
                    behind.append(feed)
                else:
                    unchanged[feed] = news.load_id
            if unchanged:
                with state.changing():
                    _settle(state, {feed: shown[feed] for feed in unchanged})
    for feed, load_id in unchanged.items():
        record_applied(lake, feed, shown[feed], load_id)
    return sorted(behind)


def _ahead(state: State, shown: Mapping[str, int]) -> dict[str, int]:
    """The settled position of each feed of which models saw a later one."""
    settled = applied_positions(state)
    return {feed: settled.get(feed, 0) for feed, position in shown.items() if position > settled.get(feed, 0)}


def _settle(state: State, positions: Mapping[str, int]) -> None:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    for feed, position in positions.items():
        state.execute(
            "INSERT INTO lakemesh.settled VALUES (?, ?, ?) ON CONFLICT (feed) "
            "DO UPDATE SET position = excluded.position, settled_at = excluded.settled_at",
            [feed, position, now],
        )


def _positions(
    options: Settings, lake: Store, contracts: Mapping[str, Contract], others: Known
) -> tuple[dict[str, int], dict[str, LakemeshError]]:
    """The position of each feed whose log has what others know of it, and what is wrong with the others."""
    positions: dict[str, int] = {}
    lost: dict[str, LakemeshError] = {}
    for feed, contract in contracts.items():
        try:
            positions[feed] = must_continue(contract, options, lake, others.records.get(feed, ()))
        except LakemeshError as error:
            lost[feed] = error
    return positions, lost


def _changes(
    lake: Store,
    contracts: Mapping[str, Contract],
    settled: Mapping[str, int],
    positions: Mapping[str, int],
    reader: duckdb.DuckDBPyConnection,
) -> list[FeedChange]:
    """What changed since the settled positions.

    Raises:
        DamagedLake: a file of bronze cannot be read.
    """
    try:
        return feed_changes(lake, contracts, settled, reader, positions)
    except duckdb.Error as error:
        raise lake_damage(lake, contracts.values()) or RetriableError(
            f"{lake.uri}: bronze cannot be read: {str(error).splitlines()[0]}; `lake verify --deep` names the file"
        ) from error


@contextmanager
def _unmarked(options: Settings) -> Iterator[None]:
    """Says what remains to be done when the state, its disk or the network fails, one line each."""
    try:
        yield
    except (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException) as error:
        reason = str(error).split("\n", 1)[0]
        raise RetriableError(f"{options.state_path}: {reason}. {_UNMARKED}") from error
    except RetriableError as error:
        raise RetriableError(f"{error}. {_UNMARKED}") from error


def remove_intervals(state: State, changes: list[FeedChange]) -> set[str]:
    """Adds one removal row per stale interval of each snapshot that is downstream of a changed feed."""
    if not changes or not state.has_table("sqlmesh", "_snapshots"):
        return set()
    bodies = state.rows("SELECT name, identifier, version, snapshot FROM sqlmesh._snapshots")
    snapshots = {(name, identifier): (version, json.loads(body)) for name, identifier, version, body in bodies}
    stale = stale_versions(snapshots, {f"bronze.{change.feed}": _dates(change) for change in changes})
    if not stale:
        return set()
    key = "name, identifier, version, dev_version, is_dev"
    keys = state.rows(f"SELECT {key}, MAX(end_ts) FILTER (WHERE NOT is_removed) FROM sqlmesh._intervals GROUP BY {key}")
    (newest,) = state.row("SELECT MAX(created_ts) FROM sqlmesh._intervals") or (None,)
    created = max(int(time.time() * 1000), (newest or 0) + 1)  # rows are replayed by this: ours must come last
    rows = []
    for name, identifier, version, dev_version, is_dev, last_end in keys:
        found = stale.get((name, version))
        if found is None or last_end is None:
            continue
        for start, end in found.dates.ranges(last_end) if found.dates is not None else [(last_end - DAY_MS, last_end)]:
            own = (uuid.uuid4().hex, created, name, identifier, version, dev_version, start, end, is_dev)
            rows.append((*own, True, False, False, None))
    state.append("sqlmesh._intervals", _COLUMNS, rows)
    return {row[2].replace('"', "").split(".", 1)[-1] for row in rows}


def _dates(change: FeedChange) -> Dates:
    return Dates(change.dates, onward=dt.date(1970, 1, 1) if change.is_everywhere else None)
