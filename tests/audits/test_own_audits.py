"""Each audit of our own finds bad rows and lets good ones pass, in the query that SQLMesh itself would run."""

from __future__ import annotations

import duckdb
import pytest
from sqlglot import exp
from sqlmesh import Context

EVENTS = "silver.activity_events(event_id, event_date)"
ENRICHED = "silver.activity_events_enriched(date, event_id, completed_flag)"
METRICS = (
    "gold.activity_engagement_metrics(date, country_code, os_name, os_version, app_version, subscription_status, "
    "activity_type, collection_id, activities_played, completed_plays, total_time_spent, capped_time_spent)"
)
POPULARITY = (
    "gold.activity_popularity_daily(date, activity_id, plays, completed_plays, total_time_spent, capped_time_spent)"
)
GROUP = "'us', 'iOS', '14.2', '7.40.0', 'free', 'game', NULL"
D1, D2 = "DATE '2026-01-01'", "DATE '2026-01-02'"

# audit: (tables with good rows, rows that make them bad, what the audit must find)
CASES = {
    "assert_event_id_on_one_date": (
        {EVENTS: [f"'a', {D1}", f"'a', {D1}", f"'b', {D2}"]},
        {EVENTS: [f"'b', {D1}"]},
        [("b", 2)],
    ),
    "assert_enriched_reconciles_with_events": (
        {EVENTS: [f"'a', {D1}", f"'b', {D2}"], ENRICHED: [f"{D1}, 'a', TRUE", f"{D2}, 'b', NULL"]},
        {EVENTS: [f"'c', {D1}"]},
        [("2026-01-01", 2, 1)],
    ),
    "assert_engagement_grain_is_unique": (
        {METRICS: [f"{D1}, {GROUP}, 1, 1, 5.0, 5.0", f"{D2}, {GROUP}, 1, 1, 5.0, 5.0"]},
        {METRICS: [f"{D2}, {GROUP}, 7, 7, 7.0, 7.0"]},
        [("2026-01-02", "us", "iOS", "14.2", "7.40.0", "free", "game", None, 2)],
    ),
    "assert_engagement_reconciles_with_events": (
        {
            ENRICHED: [f"{D1}, 'a', TRUE", f"{D1}, 'b', NULL", f"{D2}, 'c', FALSE"],
            METRICS: [f"{D1}, {GROUP}, 2, 1, 5.0, 5.0", f"{D2}, {GROUP}, 1, 0, 5.0, 5.0"],
        },
        {ENRICHED: [f"{D2}, 'd', TRUE"]},
        [("2026-01-02", 2, 1, 1, 0)],
    ),
    "assert_popularity_grain_is_unique": (
        {POPULARITY: [f"{D1}, 'x', 1, 1, 5.0, 5.0", f"{D1}, NULL, 1, 1, 5.0, 5.0", f"{D2}, 'x', 1, 1, 5.0, 5.0"]},
        {POPULARITY: [f"{D1}, NULL, 9, 9, 9.0, 9.0"]},
        [("2026-01-01", None, 2)],
    ),
    "assert_popularity_reconciles_with_engagement": (
        {
            METRICS: [f"{D1}, {GROUP}, 2, 1, 1e9, 5.0", f"{D2}, {GROUP}, 1, 0, NULL, NULL"],
            POPULARITY: [
                f"{D1}, 'x', 1, 1, 4e8, 3.0",
                f"{D1}, 'y', 1, 0, 600000000.0001, 2.0",
                f"{D2}, 'x', 1, 0, NULL, NULL",
            ],
        },
        {POPULARITY: [f"{D2}, 'y', 0, 0, 3.0, 2.0"]},
        [("2026-01-02", 1, 1, 0, 0, 0.0, 3.0, 0.0, 2.0)],
    ),
}


def found(query: exp.Query, tables: dict[str, list[str]], more: dict[str, list[str]]) -> list[tuple[object, ...]]:
    """What a query finds in the given tables, dates as text."""
    with duckdb.connect(":memory:") as connection:
        connection.execute("ATTACH ':memory:' AS warehouse; USE warehouse; CREATE SCHEMA silver; CREATE SCHEMA gold")
        for signature, rows in tables.items():
            name, columns = signature.rstrip(")").split("(")
            values = ", ".join(f"({row})" for row in rows + more.get(signature, []))
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM (VALUES {values}) AS v({columns})")
        rows = connection.execute(query.sql("duckdb")).fetchall()
    return [tuple(str(cell) if hasattr(cell, "isoformat") else cell for cell in row) for row in rows]


@pytest.mark.parametrize("audit", CASES)
def test_standalone_audit_finds_exactly_the_bad_rows(project: Context, audit: str) -> None:
    good, bad, expected = CASES[audit]
    query = project.standalone_audits[audit].render_audit_query()
    assert found(query, good, {}) == []
    assert found(query, good, bad) == expected


def test_every_standalone_audit_is_proven(project: Context) -> None:
    assert set(project.standalone_audits) == set(CASES)


def test_referential_integrity_finds_orphans_and_spares_null(project: Context) -> None:
    model = project.get_model("silver.activity_events_enriched", raise_if_missing=True)
    audit, arguments = next(
        (model.audit_definitions.get(name) or project._audits[name], arguments)
        for name, arguments in model.audits
        if name == "referential_integrity"
    )
    start, end = "2026-01-01", "2026-01-31"
    query = model.render_audit_query(audit, start=start, end=end, **arguments)
    good = {
        "silver.activity_events_enriched(date, user_id)": [f"{D1}, 'u1'", f"{D1}, NULL"],
        "silver.users(user_id)": ["'u1'"],
    }
    bad = {"silver.activity_events_enriched(date, user_id)": [f"{D2}, 'nobody'", "DATE '2025-12-31', 'out of range'"]}
    assert found(query, good, {}) == []
    assert found(query, good, bad) == [("nobody",)]
