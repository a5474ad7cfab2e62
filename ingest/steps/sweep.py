"""The scope of an ingest: everything (a full sweep) or, until the next one is due, only where new objects are likely.

Only a full sweep proves that nothing waits. The last one is recorded in `ledger/<feed>/_sweep`, written after its loads
were committed, with the time at which its listing began. If that object is missing, or describes another place or a
longer ledger, the next ingest is a full sweep.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import pyarrow as pa

from ingest.contracts.contract import Contract
from ingest.errors import RetriableError
from ingest.storage.landing import Landing
from ingest.storage.names import LISTED
from ingest.storage.objects import StoredObject
from ingest.storage.store import Store

THREADS = 32
TIME_SAMPLE = 3


@dataclass(frozen=True, slots=True)
class Sweep:
    """A completed full sweep.

    Attributes:
        started_at: when its listing began, UTC: everything that was in the landing then is loaded.
        source: the place that was listed.
        position: the ledger's position afterwards.
    """

    started_at: dt.datetime
    source: str
    position: int

    def is_valid(self, contract: Contract, landing: Landing, position: int, now: dt.datetime) -> bool:
        """Whether the sweep is of this place and this ledger, and recent enough by the contract."""
        age = now - self.started_at
        return (
            self.source == _place(contract, landing)
            and self.position <= position
            and dt.timedelta(0) <= age < dt.timedelta(hours=contract.source.full_sweep_hours)
        )


def last_sweep(lake: Store, feed: str) -> Sweep | None:
    """The last full sweep of a feed; None if it is unknown."""
    try:
        document = json.loads(lake.get(_key(feed)))
        started_at = dt.datetime.fromisoformat(document["started_at"])
        return Sweep(started_at, str(document["source"]), int(document["position"])) if started_at.tzinfo else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def record_sweep(lake: Store, contract: Contract, landing: Landing, started_at: dt.datetime, position: int) -> None:
    """Record that a full sweep and all its loads are done."""
    document = {"started_at": started_at.isoformat(), "source": _place(contract, landing), "position": position}
    lake.put(_key(contract.feed), json.dumps(document).encode())


def _key(feed: str) -> str:
    return f"ledger/{feed}/_sweep"


def _place(contract: Contract, landing: Landing) -> str:
    return f"{landing.uri}/{contract.source.folder}"


@dataclass(slots=True)
class Scope:
    """The objects that one ingest of one feed considers.

    Attributes:
        started_at: when listing or lookup began, UTC.
        folders: only these are listed.
        keys: only these are looked up, without a listing.
        listed: only these versions are read, from an earlier listing: key, etag, size, modified_at.
        absent: number of `keys` that were not found.
    """

    started_at: dt.datetime
    folders: Collection[str] | None = None
    keys: Collection[str] | None = None
    listed: pa.Table | None = None
    absent: int = 0

    @property
    def kind(self) -> str:
        """`full`, `recent`, `hinted` or `listed`."""
        if self.listed is not None:
            return "listed"
        return "full" if self.folders is None and self.keys is None else "recent" if self.keys is None else "hinted"

    def table(self, contract: Contract, landing: Landing) -> pa.Table:
        """The objects in scope, with the columns of names.LISTED, unordered."""
        if self.listed is not None:
            return self.listed.append_column("problem", pa.nulls(len(self.listed), pa.string()))
        if self.keys is not None:
            found = _look_up(landing, self.keys)
            self.absent = len(self.keys) - len(found)
            return found
        if self.folders is None:
            return landing.listing(contract.source.folder)
        with ThreadPoolExecutor(THREADS) as pool:
            return pa.concat_tables(pool.map(landing.listing, self.folders)).combine_chunks()


def choose_scope(
    contract: Contract,
    landing: Landing,
    lake: Store,
    position: int,
    now: dt.datetime,
    full: bool = False,
    hints: Collection[str] | None = None,
) -> Scope:
    """Choose a full sweep if it is requested, due, or the only kind that the contract allows; else the smallest scope.

    Args:
        position: the ledger's position.
        hints: keys that notifications named; None unless a hinted ingest was requested.
    """
    folders = contract.source.recent_folders(now.date())
    if full or (folders is None and hints is None):
        return Scope(now)
    last = last_sweep(lake, contract.feed)
    if last is None or not last.is_valid(contract, landing, position, now):
        return Scope(now)
    return Scope(now, keys=tuple(dict.fromkeys(hints))) if hints is not None else Scope(now, folders=folders)


def _look_up(landing: Landing, keys: Collection[str]) -> pa.Table:
    """The existing objects among the given keys, exactly as a listing shows them."""
    with ThreadPoolExecutor(THREADS) as pool:
        seen = [item for item in pool.map(lambda key: _find(landing, key), keys) if item is not None]
        found = [version for version, problem in seen if problem is None]
        # The time is stored in bronze, and some stores return it in full precision only in a listing.
        if any(landing.listed_at(version.key) not in {None, version.modified_at} for version in found[:TIME_SAMPLE]):
            times = pool.map(landing.listed_at, (version.key for version in found))
            pairs = zip(found, times, strict=True)
            found = [replace(version, modified_at=time) for version, time in pairs if time is not None]
    rows = [(version, None) for version in found] + [(version, problem) for version, problem in seen if problem]
    return pa.Table.from_pylist([asdict(version) | {"problem": problem} for version, problem in rows], schema=LISTED)


def _find(landing: Landing, key: str) -> tuple[StoredObject, str | None] | None:
    try:
        return landing.inspect(key)
    except RetriableError:  # some stores fail on a name that they cannot have; then no listing shows it either
        if landing.listed_at(key) is None:
            return None
        raise
