"""Whether a lake and the logs of its feeds are still those that others know: what stops writers of a log that is lost.

A log that lost entries, or all of them, looks like one that never had them. So state, releases and what lies beside the
log say how long it was, and files of bronze say that there was one. Where they disagree the feed has no writers until
somebody restores the log or rebuilds it; all other feeds go on.

What the state settled also lies in the lake, as `<lake>/settled/<feed>` with position and load: a state that is in use
cannot be asked, and an entry has to be the same one, not one of the same number.
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
from ingest.ledger.entry import LAYERS
from ingest.ledger.identity import PLACES, lake_id, name_lake
from ingest.ledger.ledger import Ledger, LedgerState
from ingest.settings import Settings
from ingest.steps.sweep import last_sweep
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from ingest.upkeep.orphans import landed_objects, sole_copies
from pipeline.releases.release import Releases
from pipeline.state.opening import open_state
from pipeline.state.state import State, applied_positions

LOG = logging.getLogger(__name__)
THREADS = 8


@dataclass(frozen=True, slots=True)
class Record:
    """What somebody noted of a feed's log.

    Attributes:
        position: number of an entry that it had.
        known_to: who noted it, for messages.
        load_id: of that entry; empty when it was not noted.
    """

    position: int
    known_to: str
    load_id: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What others know of the lake.

    Attributes:
        lake_id: its identity; empty when nobody knows it.
        known_to: who says so, for messages.
        uri: where it lay by the state; empty when the state does not know it.
        records: what is known of the log of each feed.
    """

    lake_id: str = ""
    known_to: str = ""
    uri: str = ""
    records: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)


def known(options: Settings, lake: Store, state: State | None = None) -> Known:
    """What the state and the newest release know of the lake.

    A release of another lake knows nothing of this one. What cannot be read just now, as a state that is in use, is
    left out: whoever writes checks against the state again before it marks dates.

    Args:
        state: the state, if it is open already; otherwise it is only looked at if nobody else uses it.
    """
    by_state = _by_state(state) if state else _by_free_state(options)
    by_release = _by_release(options)
    if (identity := lake_id(lake) or by_state.lake_id) and by_release.lake_id not in ("", identity):
        by_release = Known()
    feeds = by_state.records.keys() | by_release.records.keys()
    return Known(
        by_state.lake_id or by_release.lake_id,
        by_state.known_to if by_state.lake_id else by_release.known_to,
        by_state.uri,
        {feed: (*by_state.records.get(feed, ()), *by_release.records.get(feed, ())) for feed in feeds},
    )


def _by_state(state: State) -> Known:
    identity, uri = state.row("SELECT id, uri FROM lakemesh.lake") or ("", "")
    settled = applied_positions(state)
    return Known(identity, state.name, uri, {feed: (Record(n, state.name),) for feed, n in settled.items()})


def _by_free_state(options: Settings) -> Known:
    try:
        with open_state(options, look=True) as state:
            return _by_state(state)
    except (LakemeshError, duckdb.Error) as error:
        LOG.info("event=state_not_consulted because=%s", str(error).split("\n", 1)[0])
        return Known()


def _by_release(options: Settings) -> Known:
    try:
        newest = Releases(options).newest()
    except (LakemeshError, ValueError, KeyError, TypeError) as error:  # out of reach, or damaged
        LOG.info("event=releases_not_consulted because=%s", str(error).split("\n", 1)[0])
        return Known()
    if newest is None:
        return Known()
    name = f"the published state {newest.number}"
    return Known(newest.lake_id, name, "", {feed: (Record(n, name),) for feed, n in newest.positions.items()})


def must_be_the_known_lake(lake: Store, others: Known) -> None:
    """Checks the identity of the lake. A new one has none yet.

    Raises:
        LostLedger: it has none although others know it.
        ConfigError: it is another lake.
    """
    found = lake_id(lake)
    if found == others.lake_id or not others.lake_id:
        return
    if found or (lake.uri != others.uri and others.uri and _is_empty(lake)):
        which = f" (identity {found or 'none'}, expected {others.lake_id})" if lake.uri == others.uri else ""
        raise ConfigError(
            f"{others.known_to} belongs to the lake {others.uri}, not to {lake.uri}{which}; give this lake a state and "
            "a warehouse of its own (LAKE_HOME, or STATE_PATH and WAREHOUSE_PATH; PGDATABASE for Postgres), fix "
            "LAKE_URI, or restore the ledger that belongs to this lake"
        )
    raise LostLedger(
        f"{lake.uri}/{PLACES[0]}", f"is missing, and {others.known_to} knows this lake as {others.lake_id}"
    )


def _is_empty(lake: Store) -> bool:
    return not any(True for folder in (*LAYERS, "ledger") for _ in lake.list(folder))


def identify(state: State, lake: Store, others: Known) -> None:
    """Ties the state to the lake: positions in the ledgers of another one say nothing about this one.

    Raises:
        LostLedger, ConfigError: as above.
    """
    must_be_the_known_lake(lake, others)
    identity = name_lake(lake)
    if not others.uri:
        state.execute("INSERT INTO lakemesh.lake VALUES (?, ?)", [identity, lake.uri])
    elif others.uri != lake.uri:  # it was moved, and messages should name where it lies
        state.execute("UPDATE lakemesh.lake SET uri = ?", [lake.uri])


def name_again(lake: Store, others: Known) -> None:
    """Gives a lake that lost its identity the one that others know, or a new one.

    Raises:
        ConfigError: it is another lake than others know.
    """
    with suppress(LostLedger):
        must_be_the_known_lake(lake, others)
    name_lake(lake, others.lake_id)


def lost_ledgers(
    options: Settings, lake: Store, feeds: Iterable[Contract], others: Known | None = None
) -> dict[str, LakemeshError]:
    """The feeds whose logs lack what others know of them, each with the error that stops its writers.

    A feed that cannot be judged, because a store cannot be read, is one of them.

    Args:
        others: what others know; by default it is looked up.
    """
    others = others or known(options, lake)
    with ThreadPoolExecutor(THREADS) as pool:
        chosen = list(feeds)
        found = pool.map(partial(_loss, options, lake, others), chosen)
        return {contract.feed: error for contract, error in zip(chosen, found, strict=True) if error}


def lost_now(options: Settings) -> dict[str, LostLedger]:
    """All feeds whose logs lack what others know of them.

    Raises:
        ConfigError, RetriableError: a feed cannot be judged.
    """
    lost: dict[str, LostLedger] = {}
    for feed, error in lost_ledgers(options, Store(options.lake_uri, options), contracts().values()).items():
        if not isinstance(error, LostLedger):
            raise error
        lost[feed] = error
    return lost


def must_be_writable(options: Settings, lake: Store, feeds: Iterable[Contract]) -> None:
    """Checks the lake and the logs of some feeds before anything is written to them.

    Raises:
        LostLedger: a log lacks entries, or the lake its identity.
        ConfigError: it is another lake than others know, or a bucket is missing.
        RetriableError: a store cannot be reached.
    """
    others = known(options, lake)
    must_be_the_known_lake(lake, others)
    for error in lost_ledgers(options, lake, feeds, others).values():
        raise error


def _loss(options: Settings, lake: Store, others: Known, contract: Contract) -> LakemeshError | None:
    try:
        must_continue(contract, options, lake, others.records.get(contract.feed, ()))
    except LakemeshError as error:
        return error
    return None


def must_continue(contract: Contract, options: Settings, lake: Store, records: Iterable[Record]) -> int:
    """Checks a feed's log against all that is known of it.

    Returns:
        Its position.

    Raises:
        LostLedger: it lacks entries, or others are in their place.
        ConfigError: the landing cannot be read.
        RetriableError: a store cannot be reached.
    """
    ledger = Ledger(lake, contract.feed)
    near = tuple(records_beside(lake, contract.feed))  # before the log, which may grow meanwhile
    newest = ledger.position()
    for record in (*records, *near):
        _must_have(ledger, newest, record)
    if not newest:
        _must_never_have_begun(contract, options, lake, ledger)
    return newest


def records_beside(lake: Store, feed: str) -> Iterator[Record]:
    """What the lake itself says of a feed's log, outside of the log."""
    if sweep := last_sweep(lake, feed):
        yield Record(sweep.position, "the last full sweep")
    try:
        said = json.loads(lake.get(_settled_key(feed)))
        yield Record(int(said["position"]), f"{lake.uri}/{_settled_key(feed)}", str(said["load_id"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # nobody settled it, or the note was cut short
        return


def record_applied(lake: Store, feed: str, position: int, load_id: str) -> None:
    """Notes in the lake what the state has settled.

    Args:
        load_id: of the entry at that position; empty when there is none.
    """
    lake.put(_settled_key(feed), json.dumps({"position": position, "load_id": load_id}).encode())


def _settled_key(feed: str) -> str:
    return f"settled/{feed}"


def _must_have(ledger: Ledger, newest: int, record: Record) -> None:
    """Checks that a log that ends at `newest` has an entry that somebody noted.

    Raises:
        LostLedger: it has not.
    """
    ledger.must_reach(record.position, newest, record.known_to)
    if record.load_id and record.position < newest and ledger.load_at(record.position) not in ("", record.load_id):
        raise ledger.lost(
            f"has another entry {record.position} than the one that was settled ({record.known_to}): the log was begun "
            "again, or restored and continued"
        )


def _must_never_have_begun(contract: Contract, options: Settings, lake: Store, ledger: Ledger) -> None:
    """Checks that a log without entries is that of a new feed; a first load that was killed may have left files.

    Raises:
        LostLedger: files hold rows of objects that the landing has no more.
    """
    files = [item.key for layer in LAYERS for item in lake.list(f"{layer}/{contract.feed}")]
    if files:
        landing = Landing(options.landing(contract.source.bucket), options)
        found = sole_copies(lake, files, LedgerState(), partial(landed_objects, contract, landing))
        if sole := next(found, None):
            raise ledger.lost(f"has no entries, but {lake.uri}/{sole[0]} {sole[1]}")
