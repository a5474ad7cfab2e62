"""Discovery of waiting objects: the landing's listing minus the ledger. There is no cursor, so no key can be missed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ingest.contracts.contract import Contract
from ingest.ledger.objects import CHANGED, SAME
from ingest.ledger.state import LedgerState
from ingest.records.listed import Listed
from ingest.records.waiting import Backlog
from ingest.steps.sweep import Scope
from ingest.storage.landing import Landing
from ingest.storage.names import classify


def discover(contract: Contract, landing: Landing, state: LedgerState, scope: Scope | None = None) -> Backlog:
    """List the feed's waiting objects in key order: all of them, or those within the scope.

    Raises:
        ConfigError: the bucket is missing or access is refused.
        RetriableError: the store cannot be reached.
    """
    table = scope.table(contract, landing) if scope else landing.listing(contract.source.folder)
    listed = _compared(contract, state, table)
    places = np.flatnonzero(listed.status != SAME)
    replaces = pa.array(listed.status[places] == CHANGED)
    waiting = listed.table.take(pa.array(places)).append_column("replaces", replaces)
    return Backlog(contract.source.bucket, waiting.sort_by("key"), listed.ignored, listed.unloadable)


def compare(contract: Contract, landing: Landing, state: LedgerState) -> Listed:
    """List all objects of the feed and look each up in the ledger."""
    return _compared(contract, state, landing.listing(contract.source.folder))


def _compared(contract: Contract, state: LedgerState, listed: pa.Table) -> Listed:
    """Classify listed objects and look the loadable ones up in the ledger."""
    found, bucket = classify(contract.source, listed), contract.source.bucket
    status = state.objects.status(bucket, found.table.column("key"), found.table.column("etag"))
    return Listed(bucket, found.table, status, found.ignored, found.unloadable, found.left_out)
