"""Clean-up of files that no reader can see: left by a crash, or replaced before the grace time of readers.

A file that may hold the only copy of a row is never deleted; see ingest/upkeep/orphans.py.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from ingest.ledger.entry import Entry
from ingest.ledger.files import LAYERS
from ingest.ledger.ledger import Ledger
from ingest.storage.landing import Hide
from ingest.storage.store import Store
from ingest.upkeep.orphans import Landed, sole_copies

GRACE = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cleaning:
    """The result of a clean-up.

    Attributes:
        files: number of files deleted.
        bytes: their total size.
        kept: files that were not deleted because they may hold the only copy of a row: path and reason.
    """

    files: int = 0
    bytes: int = 0
    kept: tuple[tuple[str, str], ...] = ()


def clean(
    lake: Store,
    ledger: Ledger,
    landed: Landed,
    now: dt.datetime,
    grace: dt.timedelta = GRACE,
    hide: Hide | None = None,
) -> Cleaning:
    """Delete the files that are older than the grace time and not visible at any position within it.

    A load that is still running, however slowly, cannot commit afterwards: its id is abandoned in the ledger first.

    Args:
        landed: returns the objects in the landing.
        hide: see Landing.

    Raises:
        LostLedger: entries of the log are missing.
        RetriableError: a store cannot be reached.
    """
    horizon = now - grace
    kept, position = _reachable(ledger, horizon)
    dead = [
        item
        for layer in LAYERS
        for item in lake.list(f"{layer}/{ledger.feed}")
        if item.key not in kept and item.modified_at < horizon
    ]
    if not dead:
        return Cleaning()
    sole = dict(sole_copies(lake, (item.key for item in dead), ledger.state(), landed, hide))
    dead = [item for item in dead if item.key not in sole]
    if not dead:
        return Cleaning(kept=tuple(sole.items()))
    loads = sorted({load_of(item.key) for item in dead})
    entry = Entry(f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}", now, abandoned=tuple(loads))
    sequence = ledger.commit(entry, position)
    if sequence > position + 1:  # a slow load may have committed just before
        kept |= {file.path for _, other in ledger.entries(position, sequence) for file in other.added}
        dead = [item for item in dead if item.key not in kept]
    lake.delete(item.key for item in dead)
    return Cleaning(len(dead), sum(item.size for item in dead), tuple(sole.items()))


def load_of(path: str) -> str:
    """Return the identifier of the load that wrote a bronze file.

    >>> load_of("bronze/events/ingest_date=2026-01-10/20260110T120000-0123456789ab-7.parquet")
    '20260110T120000-0123456789ab'
    """
    return "-".join(path.rsplit("/", 1)[-1].removesuffix(".parquet").split("-")[:2])


def _reachable(ledger: Ledger, horizon: dt.datetime) -> tuple[set[str], int]:
    """Every file visible at any position since the horizon, and the newest position."""
    newest, first = ledger.position(), ledger.first()
    position = newest
    while position and position >= first and ledger.committed_at(position) >= horizon:
        position -= 1
    kept = set(ledger.state(position).files)
    kept |= {file.path for _, entry in ledger.entries(position, newest) for file in entry.added}
    return kept, newest
