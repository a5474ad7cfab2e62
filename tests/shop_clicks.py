"""A project with the models of clicks alone, and what they must contain by tests/shop_sessions.py."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from tests.home import Home, copy_project, keep_domain, switch_rules_off
from tests.shop_sessions import Record, Session, conversion, customers, funnel, sessions

MODELS = ("clickstream", "sessions", "dim_channel", "fct_sessions", "rpt_funnel_daily", "rpt_conversion_daily")
AUDITS = ("assert_sessions_hold_every_human_click", "assert_sessions_go_on_after_midnight")
COLUMNS = ", ".join(Session.__slots__)


def clicks_project(folder: Path) -> Path:
    """The project's SQLMesh side without what clicks do not need, which plans and runs take long for."""
    project = copy_project(folder)
    keep_domain(project, "shop")
    for path in (*(project / "models").glob("*/shop/*.sql"), *(project / "audits").glob("assert_*.sql")):
        if path.stem not in (*MODELS, *AUDITS):
            path.unlink()
    switch_rules_off(project)
    return project


def compute(home: Home, now: dt.datetime) -> None:
    """A run as of a moment."""
    context = home.context()
    try:
        status = context.run(execution_time=now, end=now, skip_janitor=True)
        assert not status.is_failure
    finally:
        home.close(context)


def must_be_right(home: Home, lines: Sequence[Record], first: dt.date, last: dt.date) -> list[Session]:
    """Compare sessions and reports of the computed dates with those of all clicks that landed, and return them."""
    everything = sessions(lines)
    expected = [row for row in everything if first <= row.date <= last]
    rows = home.rows(f"SELECT {COLUMNS} FROM gold.fct_sessions")
    assert ordered(rows) == ordered(map(astuple, expected))
    named = home.rows("SELECT visitor_id, started_at, customer_id FROM silver.sessions")
    wanted = {key: value for key, value in customers(lines).items() if first <= key[1].date() <= last}
    assert {tuple(row[:2]): row[2] for row in named} == wanted

    reported = [row for row in expected if first <= row.business_date <= last]
    steps = "purchase_sessions, view_step_sessions, cart_step_sessions, checkout_step_sessions, purchase_step_sessions"
    rows = home.rows(f"SELECT business_date, device, channel, sessions, {steps} FROM gold.rpt_funnel_daily")
    assert ordered(rows) == ordered(funnel(reported))
    rows = home.rows(
        "SELECT business_date, sessions, purchase_sessions, visitors, clicks, conversion_rate "
        "FROM gold.rpt_conversion_daily"
    )
    assert [row[0] for row in sorted(rows)] == [first + dt.timedelta(n) for n in range((last - first).days + 1)]
    assert ordered(row[:5] for row in rows if row[1]) == ordered(conversion(reported))
    assert all(row[1:] == (0, 0, 0, 0, None) for row in rows if not row[1])
    assert all(row[5] == row[2] / row[1] for row in rows if row[1])
    return expected


def must_pass_audits(home: Home) -> None:
    """Run the standalone audits over all dates."""
    context = home.context()
    try:
        for name in AUDITS:
            query = context.standalone_audits[name].render_audit_query()
            assert context.engine_adapter.fetchall(query) == [], name
    finally:
        home.close(context)


def ordered(rows: Any) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, rows), key=repr)
