"""The clock of this host, and rows of SQLMesh's intervals that were written ahead of it."""

from __future__ import annotations

import logging
import time

from pipeline.state import interval_log as history
from pipeline.state.state import State

LOG = logging.getLogger(__name__)


def now_ms() -> int:
    """The clock of this host in milliseconds since 1970, the unit of SQLMesh's rows."""
    return int(time.time() * 1000)


def reconcile_clock_skew(state: State) -> None:
    """Collect the interval rows of other processes, and ensure that the next rows of this process are the newest.

    SQLMesh replays its interval rows in order of the clock of the host that wrote them. If that clock was ahead of this
    host's, all rows are moved back by the same time, which keeps their order.
    """
    if not state.has_table("sqlmesh", "_intervals"):
        return
    history.collect(state)
    now = now_ms()
    query = "SELECT COALESCE(MAX(created_ts), 0), COALESCE(MAX(last_altered_ts), 0) FROM sqlmesh._intervals"
    created, altered = state.row(query) or (0, 0)
    if max(created, altered) < now:
        return
    LOG.warning("event=clock_behind state=%s milliseconds=%s", state.name, max(created, altered) - now)
    with state.transaction(intervals=True):
        history.collect_in_transaction(state)
        state.execute("UPDATE sqlmesh._intervals SET created_ts = created_ts - ?", [max(0, created - now + 1)])
        state.execute(
            "UPDATE sqlmesh._intervals SET last_altered_ts = ? WHERE last_altered_ts >= ?", [now - 1, now - 1]
        )
        state.execute("UPDATE lakemesh.history SET altered_ts = ? WHERE altered_ts >= ?", [now - 1, now - 1])
