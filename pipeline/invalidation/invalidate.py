"""Turn late data into missing intervals, so that SQLMesh recomputes exactly those dates (docs/decisions/0003).

Removals are written directly to SQLMesh's state, for every snapshot of every environment and version, in one
transaction with the applied ledger positions. Verified against SQLMesh 0.236.4, which replays `_intervals` rows by
`created_ts`.
"""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb

from ingest.contracts.contract import Contract
from ingest.errors import LakemeshError, RetriableError
from ingest.ledger.horizons import read_horizons
from ingest.ledger.ledger import Ledger
from ingest.ledger.touched import touched
from ingest.storage.landing import Landings
from ingest.storage.store import Store
from pipeline.invalidation.changed_dates import FeedChange, feed_changes
from pipeline.invalidation.continuity import (
    LakeRecords,
    identify,
    lake_records,
    record_applied,
    require_recorded_entries,
)
from pipeline.invalidation.propagation import DAY_MS, Dates, stale_versions
from pipeline.process import duck
from pipeline.releases.release import Releases
from pipeline.state import interval_log as history
from pipeline.state.database import Database
from pipeline.state.state import State, applied_positions
from pipeline.warehouse.bronze import registered_positions
from pipeline.warehouse.damage import lake_damage

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

_UNMARKED = (
    "The loads are committed, but their dates are not marked for recomputation: fix this and run `lake ingest` again"
)
_COLUMNS = (
    *("id", "created_ts", "name", "identifier", "version", "dev_version", "start_ts", "end_ts", "is_dev"),
    *("is_removed", "is_compacted", "is_pending_restatement", "last_altered_ts"),
)


@dataclass(frozen=True, slots=True)
class Invalidation:
    """The dates and models that were marked for recomputation.

    Attributes:
        dates: changed dates by feed; SQLMesh recomputes those that a model had computed.
        models: names of the models with at least one interval removed.
        positions: applied ledger position by feed.
        lost: feeds whose logs lack recorded entries or cannot be checked; none of their dates are marked.
    """

    dates: Mapping[str, tuple[dt.date, ...]]
    models: tuple[str, ...]
    positions: Mapping[str, int]
    lost: Mapping[str, LakemeshError] = field(default_factory=dict)


def invalidate(
    lake: Store,
    landings: Landings,
    database: Database,
    releases: Releases,
    contracts: Mapping[str, Contract],
    connect: Callable[[], duckdb.DuckDBPyConnection],
) -> Invalidation:
    """Remove the intervals made stale by loads since the applied positions, and record the new positions as applied.

    A feed whose log lacks applied entries is skipped. Safe to repeat; after a crash at any point the next call starts
    over.

    Args:
        connect: opens a connection that can read the lake.

    Raises:
        RetriableError: another process (a run, `sqlmesh ui`) uses the state file or computes on the state, or it cannot
            be reached, or its disk is full. The loads are committed; the next `lake ingest` invalidates.
        LostLedger: the lake lost its identity.
        ConfigError: the state cannot be written, or belongs to another lake.
        DamagedLake: a bronze file cannot be read.
    """
    with _unmarked(database), database.open() as state, connect() as reader:
        recorded = lake_records(database, releases, lake, state)
        identify(state, lake, recorded)
        database.before_marking(state)
        applied = applied_positions(state)
        positions, lost = _positions(landings, lake, contracts, recorded)
        changes = _changes(lake, contracts, applied, positions, reader)
        if all(applied.get(change.feed) == change.position for change in changes):
            history.collect(state)
            return Invalidation({}, (), applied, lost)
        with database.compute_lock():
            history.collect(state)
            before, applied = applied, applied_positions(state)
            if applied != before:  # another host applied positions while this one waited
                positions, lost = _positions(landings, lake, contracts, lake_records(database, releases, lake, state))
                changes = _changes(lake, contracts, applied, positions, reader)
            moved = [change for change in changes if applied.get(change.feed) != change.position]
            with state.transaction(intervals=True):
                changed = {f"bronze.{change.feed}": _dates(change) for change in moved if change.changed}
                models = remove_intervals(state, changed, read_horizons(lake))
                _apply_positions(state, {change.feed: change.position for change in moved})
    for change in (item for item in moved if item.position):
        record_applied(lake, change.feed, change.position, change.load_id)
    return Invalidation(
        {change.feed: tuple(sorted(change.dates)) for change in moved},
        tuple(sorted(models)),
        {change.feed: change.position for change in changes},
        lost,
    )


def feeds_behind(warehouse: EngineAdapter, database: Database, releases: Releases, lake: Store) -> list[str]:
    """Feeds of which the run saw loads whose dates are not marked yet, so that gold is partly stale.

    Positions that change no row, such as those of maintenance, are applied here.

    Raises:
        ConfigError, RetriableError: see `apply_unchanged`.
    """
    return apply_unchanged(database, releases, lake, registered_positions(warehouse))


def apply_unchanged(database: Database, releases: Releases, lake: Store, shown: Mapping[str, int]) -> list[str]:
    """Apply the positions that models saw for the feeds whose rows did not change since the applied positions.

    Compaction, cleaning and discards advance a feed's position without changing rows, so nothing has to be recomputed.

    Args:
        shown: the ledger position by feed that models saw.

    Returns:
        The other feeds whose models saw a position that is not applied: their dates are not marked yet.

    Raises:
        RetriableError: another process computes on the state, or it cannot be reached.
        ConfigError: the state belongs to another lake, or a ledger is shorter than what models saw.
    """
    with database.open() as state:
        if not _ahead(state, shown):
            return []
        identify(state, lake, lake_records(database, releases, lake, state))
        behind: list[str] = []
        unchanged: dict[str, str] = {}
        with database.compute_lock():
            for feed, applied in _ahead(state, shown).items():
                ledger = Ledger(lake, feed)
                delta = touched(ledger.state(applied), ledger.entries(applied, shown[feed]))
                if delta.changed or delta.begins:
                    behind.append(feed)
                else:
                    unchanged[feed] = delta.load_id
            if unchanged:
                with state.transaction():
                    _apply_positions(state, {feed: shown[feed] for feed in unchanged})
    for feed, load_id in unchanged.items():
        record_applied(lake, feed, shown[feed], load_id)
    return sorted(behind)


def _ahead(state: State, shown: Mapping[str, int]) -> dict[str, int]:
    """The applied position of each feed of which models saw a later one."""
    applied = applied_positions(state)
    return {feed: applied.get(feed, 0) for feed, position in shown.items() if position > applied.get(feed, 0)}


def _apply_positions(state: State, positions: Mapping[str, int]) -> None:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    for feed, position in positions.items():
        state.execute(
            "INSERT INTO lakemesh.settled VALUES (?, ?, ?) ON CONFLICT (feed) "
            "DO UPDATE SET position = excluded.position, settled_at = excluded.settled_at",
            [feed, position, now],
        )


def _positions(
    landings: Landings, lake: Store, contracts: Mapping[str, Contract], recorded: LakeRecords
) -> tuple[dict[str, int], dict[str, LakemeshError]]:
    """The position of each feed whose log has all recorded entries, and the errors of the other feeds."""
    positions: dict[str, int] = {}
    lost: dict[str, LakemeshError] = {}
    for feed, contract in contracts.items():
        try:
            positions[feed] = require_recorded_entries(
                contract, landings.bucket(contract.source.bucket), lake, recorded.records.get(feed, ())
            )
        except LakemeshError as error:
            lost[feed] = error
    return positions, lost


def _changes(
    lake: Store,
    contracts: Mapping[str, Contract],
    applied: Mapping[str, int],
    positions: Mapping[str, int],
    reader: duckdb.DuckDBPyConnection,
) -> list[FeedChange]:
    """The changes since the applied positions.

    Raises:
        DamagedLake: a bronze file cannot be read.
    """
    try:
        return feed_changes(lake, contracts, applied, reader, positions)
    except duckdb.Error as error:
        raise lake_damage(lake, contracts.values()) or duck.unavailable(
            f"{lake.uri}: bronze cannot be read", error, "; `lake verify --deep` names the file"
        ) from error


@contextmanager
def _unmarked(database: Database) -> Iterator[None]:
    """Add the next step to errors of the state, its disk or the network, on one line."""
    try:
        with duck.translate_errors(database.options.state_path):
            yield
    except RetriableError as error:
        raise RetriableError(f"{error}. {_UNMARKED}") from error


def remove_intervals(
    state: State, changed: Mapping[str, Dates], horizons: Mapping[str, dt.date] | None = None
) -> set[str]:
    """Insert one removal row per stale interval of each snapshot downstream of what changed.

    Args:
        changed: see `stale_versions`.
        horizons: of feeds that records expired of, see ingest/ledger/horizons.py.

    Returns:
        Names of the models with removed intervals.
    """
    if not changed or not state.has_table("sqlmesh", "_snapshots"):
        return set()
    bodies = state.rows("SELECT name, identifier, version, snapshot FROM sqlmesh._snapshots")
    snapshots = {(name, identifier): (version, json.loads(body)) for name, identifier, version, body in bodies}
    before = {f"bronze.{feed}": day for feed, day in (horizons or {}).items()}
    stale = stale_versions(snapshots, changed, before)
    if not stale:
        return set()
    key = "name, identifier, version, dev_version, is_dev"
    keys = state.rows(f"SELECT {key}, MAX(end_ts) FILTER (WHERE NOT is_removed) FROM sqlmesh._intervals GROUP BY {key}")
    (newest,) = state.row("SELECT MAX(created_ts) FROM sqlmesh._intervals") or (None,)
    created = max(int(time.time() * 1000), (newest or 0) + 1)  # rows are replayed in this order: these must be last
    ends: dict[tuple[str, str, str | None], int] = {}
    for name, _, version, dev_version, is_dev, last_end in keys:
        shared = (name, version, dev_version if is_dev else None)
        ends[shared] = max(ends.get(shared, 0), last_end or 0)
    rows = []
    for name, identifier, version, dev_version, is_dev, last_end in keys:
        found = stale.get((name, version))
        if found is None or last_end is None:
            continue
        # snapshots of one version share its intervals: the last one of a snapshot that a plan replaced is an older one
        if found.dates is None and last_end < ends[name, version, dev_version if is_dev else None]:
            continue
        for start, end in found.dates.ranges(last_end) if found.dates is not None else [(last_end - DAY_MS, last_end)]:
            keyed = (uuid.uuid4().hex, created, name, identifier, version, dev_version, start, end, is_dev)
            rows.append((*keyed, True, False, False, None))
    state.append("sqlmesh._intervals", _COLUMNS, rows)
    return {row[2].replace('"', "").split(".", 1)[-1] for row in rows}


def _dates(change: FeedChange) -> Dates:
    return Dates(change.dates, onward=dt.date(1970, 1, 1) if change.affects_all_dates else None)
