"""When all audits over whole tables last passed, and whether the newest pass of them failed."""

from __future__ import annotations

import datetime as dt

from pipeline.state.state import State

PASSED, FAILED = "all dates", "failed"
"""Scopes in lakemesh.audited: of the last pass without a failure, and of the newest one if it failed."""


def is_due(state: State, now: dt.datetime, hours: float) -> bool:
    """Whether there is production, and the last pass without a failure is older than some hours, or there was none."""
    if not state.has_table("sqlmesh", "_environments"):
        return False
    has_production = state.row("SELECT 1 FROM sqlmesh._environments WHERE name = 'prod'") is not None
    passed = passed_at(state)
    return has_production and (passed is None or now.replace(tzinfo=None) - passed >= dt.timedelta(hours=hours))


def passed_at(state: State) -> dt.datetime | None:
    """When the last pass without a failure was, UTC without offset."""
    found = state.row("SELECT audited_at FROM lakemesh.audited WHERE scope = ?", [PASSED])
    return found[0] if found else None


def has_failed(state: State) -> bool:
    """Whether the newest pass failed: releases are withheld until one does not."""
    return state.row("SELECT 1 FROM lakemesh.audited WHERE scope = ?", [FAILED]) is not None


def record(state: State, now: dt.datetime, scope: str) -> None:
    """Record a pass, as PASSED or FAILED."""
    with state.transaction():
        state.execute("DELETE FROM lakemesh.audited WHERE scope = ?", [FAILED])
        state.execute(
            "INSERT INTO lakemesh.audited VALUES (?, ?) "
            "ON CONFLICT (scope) DO UPDATE SET audited_at = excluded.audited_at",
            [scope, now.replace(tzinfo=None)],
        )
