"""A value that changes whenever a run on the state could find something to compute that it did not find before."""

from __future__ import annotations

from pipeline.state.state import State

_SEEN = (
    "SELECT name, plan_id, finalized_ts, expiration_ts FROM sqlmesh._environments ORDER BY name",
    "SELECT COUNT(*), MAX(updated_ts) FROM sqlmesh._snapshots",
    "SELECT COUNT(*), MAX(created_ts), MAX(last_altered_ts) FROM sqlmesh._intervals",
    "SELECT schema_version, sqlmesh_version FROM sqlmesh._versions",
    "SELECT feed, position FROM lakemesh.settled ORDER BY feed",
    "SELECT scope, audited_at FROM lakemesh.audited ORDER BY scope",
    "SELECT id, uri FROM lakemesh.lake ORDER BY id",
)


def fingerprint(state: State) -> str:
    """Environments, snapshots, intervals and applied positions of a state; empty without SQLMesh's tables.

    SQLMesh never changes a row of `_intervals` in place: it adds rows, and joins them into new ones.
    """
    if not state.has_table("sqlmesh", "_environments"):
        return ""
    return repr([state.rows(query) for query in _SEEN])
