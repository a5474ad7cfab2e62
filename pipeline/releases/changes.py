"""What is published, and what of it was recomputed since a release."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlmesh.core.snapshot import Snapshot

from pipeline.releases.release import Release
from pipeline.state import interval_log as history
from pipeline.state.interval_log import Recomputed
from pipeline.state.state import State
from pipeline.warehouse.project import plain_name

LAYER, RELEASED = "gold", "released"
"""The layer that is published, and the tag by which a model of another layer joins its releases."""


def is_published(name: str, tags: Collection[str]) -> bool:
    """Whether a model joins releases: its name with schema, as `gold.<table>`, and its tags."""
    return name.startswith(f"{LAYER}.") or RELEASED in tags


@dataclass(frozen=True, slots=True)
class Change:
    """A published model, and what was recomputed since the previous release.

    Attributes:
        recomputed: since that release; everything if the model's version differs. A view is recomputed as a whole if
            anything that it reads is.
    """

    snapshot: Snapshot
    recomputed: Recomputed

    @property
    def name(self) -> str:
        """Name with schema, as `gold.<table>`."""
        return plain_name(self.snapshot.name)

    @property
    def is_gold(self) -> bool:
        """Whether its rows can make a release necessary; those of other layers are only added to one."""
        return self.name.startswith(f"{LAYER}.")

    @property
    def is_view(self) -> bool:
        """Whether the model is a view."""
        return bool(self.snapshot.model.kind.is_view)


def changes(snapshots: Mapping[str, Snapshot], before: Release | None, state: State) -> dict[str, Change]:
    """Every published model of production with what was recomputed since a release."""
    history.collect(state)
    found = {}
    for snapshot in snapshots.values():
        name = plain_name(snapshot.name)
        if not snapshot.is_model or snapshot.is_external or snapshot.is_symbolic:
            continue
        if not is_published(name, snapshot.model.tags):
            continue
        version = str(snapshot.version)
        old = before.tables.get(name) if before else None
        if before is None or old is None or old.version != version:
            recomputed = Recomputed(True, None)
        else:
            recomputed = _recomputed(snapshot, snapshots, before.sequence, state)
        found[name] = Change(snapshot, recomputed)
    return found


def _recomputed(snapshot: Snapshot, snapshots: Mapping[str, Snapshot], sequence: int, state: State) -> Recomputed:
    """What of a model was recomputed after a collection; a view changes with the tables that it reads."""
    if not snapshot.model.kind.is_view:
        return history.recomputed_since(state, snapshot.name, str(snapshot.version), sequence)
    for parent in snapshot.parents:
        read = snapshots.get(parent.name)
        if read is None or read.is_external or _recomputed(read, snapshots, sequence, state).changed:
            return Recomputed(True, None)
    return Recomputed(False, frozenset())


def has_other_versions(before: Release, changed: Mapping[str, Change]) -> bool:
    """Whether a table was added, removed or got another version since the newest release."""
    versions = {name: table.version for name, table in before.tables.items()}
    return versions != {name: str(item.snapshot.version) for name, item in changed.items()}
