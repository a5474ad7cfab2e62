"""Detect a lost log or a replaced lake, and stop writers of the affected feeds.

A log that lost entries looks like one that never had them. So the state, the releases and records in the lake outside
the log store how long it was, and bronze files prove that it existed. If they disagree with the log, nothing is written
to the feed until an operator restores or rebuilds its log; all other feeds continue.

Applied positions are also recorded in the lake, as `<lake>/settled/<feed>` with position and load, because a state in
use cannot be read, and because an entry must be the recorded one, not merely one of the same number.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import duckdb

from ingest.contracts.contract import Contract, contracts
from ingest.errors import ConfigError, LakemeshError, LostLedger
from ingest.ledger.files import LAYERS
from ingest.ledger.identity import PLACES, lake_id, name_lake
from ingest.ledger.ledger import Ledger
from ingest.ledger.state import LedgerState
from ingest.ledger.topics import recorded_topic
from ingest.steps.sweep import last_sweep
from ingest.storage.landing import Landing, Landings
from ingest.storage.store import Store
from ingest.upkeep.orphans import landed_objects, sole_copies
from pipeline.process import duck
from pipeline.releases.release import Releases
from pipeline.state.database import Database
from pipeline.state.state import State, applied_positions

LOG = logging.getLogger(__name__)
THREADS = 8


@dataclass(frozen=True, slots=True)
class Record:
    """Evidence, stored outside a feed's log, of an entry that the log had.

    Attributes:
        position: number of the entry.
        source: where the record is stored, for messages.
        load_id: of that entry; empty if not recorded.
    """

    position: int
    source: str
    load_id: str = ""


@dataclass(frozen=True, slots=True)
class LakeRecords:
    """Records of the lake in the state and the releases.

    Attributes:
        lake_id: its identity; empty if not recorded.
        source: where the identity is recorded, for messages.
        uri: its URI according to the state; empty if the state has none.
        records: records of each feed's log.
    """

    lake_id: str = ""
    source: str = ""
    uri: str = ""
    records: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)


def lake_records(database: Database, releases: Releases, lake: Store, state: State | None = None) -> LakeRecords:
    """Read the records of the lake from the state and the newest release.

    A release of another lake is ignored. Sources that cannot be read now, such as a state in use, are left out: writers
    check against the state again before they mark dates.

    Args:
        state: the state, if it is already open; otherwise it is read only if no other process uses it.
    """
    by_state = _from_state(state) if state else _from_unused_state(database)
    by_release = _from_release(releases)
    if (identity := lake_id(lake) or by_state.lake_id) and by_release.lake_id not in ("", identity):
        by_release = LakeRecords()
    feeds = by_state.records.keys() | by_release.records.keys()
    return LakeRecords(
        by_state.lake_id or by_release.lake_id,
        by_state.source if by_state.lake_id else by_release.source,
        by_state.uri,
        {feed: (*by_state.records.get(feed, ()), *by_release.records.get(feed, ())) for feed in feeds},
    )


def _from_state(state: State) -> LakeRecords:
    identity, uri = state.row("SELECT id, uri FROM lakemesh.lake") or ("", "")
    applied = applied_positions(state)
    return LakeRecords(identity, state.name, uri, {feed: (Record(n, state.name),) for feed, n in applied.items()})


def _from_unused_state(database: Database) -> LakeRecords:
    try:
        with database.open(read_only=True) as state:
            return _from_state(state)
    except (LakemeshError, duckdb.Error) as error:
        LOG.info("event=state_not_consulted because=%s", duck.error_text(error))
        return LakeRecords()


def _from_release(releases: Releases) -> LakeRecords:
    try:
        newest = releases.newest()
    except (LakemeshError, ValueError, KeyError, TypeError) as error:  # unreachable, or damaged
        LOG.info("event=releases_not_consulted because=%s", str(error).split("\n", 1)[0])
        return LakeRecords()
    if newest is None:
        return LakeRecords()
    name = f"release {newest.number}"
    return LakeRecords(newest.lake_id, name, "", {feed: (Record(n, name),) for feed, n in newest.positions.items()})


def require_recorded_lake(lake: Store, recorded: LakeRecords) -> None:
    """Check the identity of the lake. A new lake has none yet.

    Raises:
        LostLedger: the lake has no identity although one is recorded.
        ConfigError: it is another lake.
    """
    found = lake_id(lake)
    if found == recorded.lake_id or not recorded.lake_id:
        return
    if found or (lake.uri != recorded.uri and recorded.uri and _is_empty(lake)):
        is_named = recorded.uri and lake.uri != recorded.uri
        which = "" if is_named else f" (identity {found or 'none'}, expected {recorded.lake_id})"
        raise ConfigError(
            f"{recorded.source} belongs to {f'the lake {recorded.uri}' if recorded.uri else 'another lake'}, not to "
            f"{lake.uri}{which}; give this lake "
            "its own state and warehouse (LAKE_HOME, or STATE_PATH and WAREHOUSE_PATH; PGDATABASE for Postgres), fix "
            "LAKE_URI, or restore the ledger that belongs to this lake"
        )
    raise LostLedger(f"{lake.uri}/{PLACES[0]}", f"is missing, but {recorded.source} records the id {recorded.lake_id}")


def _is_empty(lake: Store) -> bool:
    return not any(True for folder in (*LAYERS, "ledger") for _ in lake.list(folder))


def identify(state: State, lake: Store, recorded: LakeRecords) -> None:
    """Record the lake's identity in the state, since its positions are valid for this lake only.

    Raises:
        LostLedger, ConfigError: see `require_recorded_lake`.
    """
    require_recorded_lake(lake, recorded)
    identity = name_lake(lake)
    if not recorded.uri:
        state.execute("INSERT INTO lakemesh.lake VALUES (?, ?)", [identity, lake.uri])
    elif recorded.uri != lake.uri:  # it was moved, and messages should name its current URI
        state.execute("UPDATE lakemesh.lake SET uri = ?", [lake.uri])


def restore_identity(lake: Store, recorded: LakeRecords) -> None:
    """Give a lake that lost its identity the recorded one, or a new one.

    Raises:
        ConfigError: it is another lake than the recorded one.
    """
    with suppress(LostLedger):
        require_recorded_lake(lake, recorded)
    name_lake(lake, recorded.lake_id)


def lost_ledgers(
    landings: Landings, lake: Store, feeds: Iterable[Contract], recorded: LakeRecords
) -> dict[str, LakemeshError]:
    """The feeds whose logs lack recorded entries, each with the error that stops its writers.

    A feed that cannot be checked, because a store cannot be read, is included.

    Args:
        recorded: see `lake_records`.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        chosen = list(feeds)
        found = pool.map(partial(_loss, landings, lake, recorded), chosen)
        return {contract.feed: error for contract, error in zip(chosen, found, strict=True) if error}


def lost_feeds(landings: Landings, lake: Store, recorded: LakeRecords) -> dict[str, LostLedger]:
    """All feeds whose logs lack recorded entries.

    Raises:
        ConfigError, RetriableError: a feed cannot be checked.
    """
    lost: dict[str, LostLedger] = {}
    for feed, error in lost_ledgers(landings, lake, contracts().values(), recorded).items():
        if not isinstance(error, LostLedger):
            raise error
        lost[feed] = error
    return lost


def require_writable(landings: Landings, lake: Store, feeds: Iterable[Contract], recorded: LakeRecords) -> None:
    """Check the lake and the logs of some feeds before anything is written to them.

    Raises:
        LostLedger: a log lacks entries, or the lake its identity.
        ConfigError: it is another lake than the recorded one, or a bucket is missing.
        RetriableError: a store cannot be reached.
    """
    require_recorded_lake(lake, recorded)
    for error in lost_ledgers(landings, lake, feeds, recorded).values():
        raise error


def _loss(landings: Landings, lake: Store, recorded: LakeRecords, contract: Contract) -> LakemeshError | None:
    try:
        require_recorded_entries(
            contract, landings.bucket(contract.source.bucket), lake, recorded.records.get(contract.feed, ())
        )
    except LakemeshError as error:
        return error
    return None


def require_recorded_entries(contract: Contract, landing: Landing, lake: Store, records: Iterable[Record]) -> int:
    """Check a feed's log against the records of it.

    Returns:
        The position of the log.

    Raises:
        LostLedger: it lacks recorded entries, or has different ones in their place.
        ConfigError: the landing cannot be read.
        RetriableError: a store cannot be reached.
    """
    ledger = Ledger(lake, contract.feed)
    in_lake = tuple(records_in_lake(lake, contract.feed))  # before the log, which may grow meanwhile
    newest = ledger.position()
    for record in (*records, *in_lake):
        _require_entry(ledger, newest, record)
    if not newest:
        _require_new_feed(contract, landing, lake, ledger)
    return newest


def records_in_lake(lake: Store, feed: str) -> Iterator[Record]:
    """Records of a feed's log that are stored in the lake, outside the log."""
    if sweep := last_sweep(lake, feed):
        yield Record(sweep.position, "the last full sweep")
    if topic := recorded_topic(lake, feed):
        yield Record(topic[0], "the loads of its topic", topic[1])
    try:
        applied = json.loads(lake.get(_applied_key(feed)))
        yield Record(int(applied["position"]), f"{lake.uri}/{_applied_key(feed)}", str(applied["load_id"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # never applied, or the file is truncated
        return


def record_applied(lake: Store, feed: str, position: int, load_id: str) -> None:
    """Record a feed's applied position in the lake.

    Args:
        load_id: of the entry at that position; empty if there is none.
    """
    lake.put(_applied_key(feed), json.dumps({"position": position, "load_id": load_id}).encode())


def _applied_key(feed: str) -> str:
    return f"settled/{feed}"


def _require_entry(ledger: Ledger, newest: int, record: Record) -> None:
    """Check that a log that ends at `newest` has a recorded entry.

    Raises:
        LostLedger: it does not.
    """
    ledger.require_position(record.position, newest, record.source)
    if record.load_id and record.position < newest and ledger.load_at(record.position) not in ("", record.load_id):
        raise ledger.lost(
            f"has another entry {record.position} than the one that was applied ({record.source}): the log was "
            "restarted, or restored and continued"
        )


def _require_new_feed(contract: Contract, landing: Landing, lake: Store, ledger: Ledger) -> None:
    """Check that a log without entries belongs to a new feed; a killed first load may have left files.

    Raises:
        LostLedger: files contain rows of objects that are no longer in the landing.
    """
    files = [item.key for layer in LAYERS for item in lake.list(f"{layer}/{contract.feed}")]
    if files:
        found = sole_copies(lake, files, LedgerState(), partial(landed_objects, contract, landing))
        if sole := next(found, None):
            raise ledger.lost(f"has no entries, but {lake.uri}/{sole[0]} {sole[1]}")
