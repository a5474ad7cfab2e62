"""Marking of the dates that new loads changed, and the feeds for which it is behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.contracts.contract import contracts
from pipeline.invalidation.invalidate import Invalidation, feeds_behind, invalidate
from pipeline.lake import Lake

if TYPE_CHECKING:  # loading SQLMesh takes a second, which an ingest need not
    from pipeline.warehouse.project import Project


def mark(lake: Lake) -> Invalidation:
    """Mark the dates for recomputation that loads since the applied positions changed; see `invalidate`."""
    return invalidate(lake.store, lake.landings, lake.state, lake.releases, contracts(), lake.connect)


def behind(lake: Lake, project: Project) -> list[str]:
    """The feeds of which the run saw loads whose dates are not marked yet; see `feeds_behind`."""
    return feeds_behind(project.context.engine_adapter, lake.state, lake.releases, lake.store)
