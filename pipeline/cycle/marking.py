"""Marking of the dates that new loads changed."""

from __future__ import annotations

from ingest.contracts.contract import contracts
from pipeline.invalidation.invalidate import Invalidation, invalidate
from pipeline.lake import Lake


def mark(lake: Lake) -> Invalidation:
    """Mark the dates for recomputation that loads since the applied positions changed; see `invalidate`."""
    return invalidate(lake.store, lake.landings, lake.state, lake.releases, contracts(), lake.connect)
