"""Discovery of waiting objects: the landing's listing minus the ledger. There is no cursor, so no key can be missed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest.contracts.contract import Contract
from ingest.ledger.objects import CHANGED, SAME
from ingest.ledger.state import LedgerState
from ingest.records.listed import Listed, in_bucket
from ingest.records.waiting import Backlog
from ingest.steps.sweep import Scope
from ingest.storage.arrays import Indices, single_array
from ingest.storage.landing import Hide, Landing
from ingest.storage.names import classify

Status = npt.NDArray[np.int8]


def discover(contract: Contract, landing: Landing, state: LedgerState, scope: Scope | None = None) -> Backlog:
    """List the feed's waiting objects in key order: all of them, or those within the scope.

    Raises:
        ConfigError: the bucket is missing or access is refused.
        RetriableError: the store cannot be reached.
    """
    table = scope.table(contract, landing) if scope else landing.listing(contract.source.folder)
    listed = _compared(contract, state, table, landing.hide)
    places = np.flatnonzero(listed.status != SAME)
    replaces = pa.array(listed.status[places] == CHANGED)
    waiting = listed.table.append_column("name", listed.names).take(pa.array(places))
    waiting = waiting.append_column("replaces", replaces)
    size = int(pc.sum(table.column("size")).as_py() or 0)
    return Backlog(contract.source.bucket, waiting.sort_by("key"), listed.ignored, listed.unloadable, size)


def compare(contract: Contract, landing: Landing, state: LedgerState) -> Listed:
    """List all objects of the feed and look each up in the ledger."""
    return _compared(contract, state, landing.listing(contract.source.folder), landing.hide)


def _compared(contract: Contract, state: LedgerState, listed: pa.Table, hide: Hide | None) -> Listed:
    """Classify listed objects and look the loadable ones up in the ledger."""
    found, bucket = classify(contract.source, listed), contract.source.bucket
    table = found.table.combine_chunks()
    names = in_bucket(bucket, single_array(table.column("key")))
    status = state.objects.status(bucket, table.column("key"), table.column("etag"))
    places = np.flatnonzero(status != SAME)
    if hide and len(places):
        names, status = _hidden(state, names, status, places, table.column("etag"), hide)
    return Listed(bucket, table, names, status, found.ignored, found.unloadable, found.left_out)


def _hidden(
    state: LedgerState, names: pa.Array, status: Status, places: Indices, etags: pa.ChunkedArray, hide: Hide
) -> tuple[pa.Array, Status]:
    """Look those objects up by the names that stand for theirs that the ledger does not know as they are.

    One that it still knows by its own name, and that was overwritten, waits until the erasure has hidden that.
    """
    own = names.take(pa.array(places)).to_pylist()
    pairs = zip(places.tolist(), own, hide(own), strict=True)
    moved = [(place, hidden) for place, name, hidden in pairs if hidden != name]
    if not moved:
        return names, status
    known = state.objects.lookup(hidden for _, hidden in moved)
    status, replaced = status.copy(), names.to_pylist()
    for place, hidden in moved:
        if status[place] == CHANGED:
            status[place] = SAME
            continue
        replaced[place] = hidden
        if item := known.get(hidden):
            status[place] = SAME if item.etag == etags[place].as_py() else CHANGED
    return pa.array(replaced, pa.string()), status
