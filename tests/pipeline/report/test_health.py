"""Pipeline health, from the manifest and the tables of operations that a release holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import duckdb
import pytest

from pipeline.metrics.period import Grain
from pipeline.releases.release import Release, ReleaseTable
from pipeline.report.health import Fact, State, health
from pipeline.report.span import Span
from tests.known_release import PUBLISHED, Published

DAY = dt.date(2026, 6, 20)
NOW = PUBLISHED + dt.timedelta(hours=2)
TABLES = {
    "ops.feed_freshness": "feed TEXT, age_seconds BIGINT, freshness_seconds BIGINT, is_late BOOLEAN",
    "ops.volume_anomalies": "feed TEXT, event_date DATE, row_count BIGINT, usual_count DOUBLE",
    "ops.quarantine_daily": "feed TEXT, ingest_date DATE, reason TEXT, column_path TEXT, open_count BIGINT",
    "ops.cycles": ("run_id TEXT, started_at TIMESTAMP, outcome TEXT, is_success BOOLEAN, duration_seconds DOUBLE"),
    "ops.audit_results": "run_id TEXT, audit_name TEXT, row_count BIGINT, started_at TIMESTAMP",
    "ops.release_lag_daily": "feed TEXT, release_date DATE, p90_landing_seconds BIGINT",
}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A release's tables of operations, empty."""
    with duckdb.connect() as found:
        found.execute("CREATE SCHEMA ops")
        for name, columns in TABLES.items():
            found.execute(f"CREATE TABLE {name} ({columns})")
        yield found


@pytest.fixture
def release(published: Published) -> Release:
    """A release that holds them."""
    tables = {name: ReleaseTable(name, "1", "", ()) for name in TABLES}
    return replace(published.release, tables={**published.release.tables, **tables})


def facts(release: Release, connection: duckdb.DuckDBPyConnection, **options: object) -> dict[str, Fact]:
    asked = {"complete": {"Engagement": DAY, "Revenue": DAY}, "now": NOW} | options
    found = health(release, connection, Span(DAY, Grain.DAY), **asked)  # type: ignore[arg-type]
    return {fact.name: fact for fact in found}


def test_a_sound_pipeline_has_nothing_to_check(release: Release, connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("INSERT INTO ops.feed_freshness VALUES ('events', 60, 3600, FALSE), ('users', 9, 3600, FALSE)")
    connection.execute("INSERT INTO ops.cycles VALUES ('a', '2026-06-21 04:00', 'published', TRUE, 12)")
    connection.execute("INSERT INTO ops.release_lag_daily VALUES ('events', '2026-06-20', 5400)")
    found = facts(release, connection)
    assert {name: fact.state for name, fact in found.items()} == {
        **dict.fromkeys(("release", "complete", "audits", "feeds", "arrivals", "quarantine", "cycles"), State.GOOD),
        "lag": State.NOTE,
    }
    assert found["release"].text == "release 1, published Sun 21 Jun 05:00 UTC"
    assert found["complete"].text == "Sat 20 Jun"
    assert found["complete"].values == {"sections": {"Engagement": "2026-06-20", "Revenue": "2026-06-20"}}
    assert found["feeds"].text == "all 2 in time at the release"
    assert found["cycles"].text == "1 in the day before the release, none failed, 12 s each; last: published"
    assert found["lag"].text == "90 % of the rows released on 20 Jun were published within 2 h of landing"


def test_each_trouble_is_named(release: Release, connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("INSERT INTO ops.feed_freshness VALUES ('events', 90000, 3600, TRUE), ('users', NULL, 60, TRUE)")
    connection.execute(
        "INSERT INTO ops.volume_anomalies VALUES ('events', '2026-06-20', 12, 400), ('x', '2026-06-19', 1, 9)"
    )
    connection.execute("INSERT INTO ops.quarantine_daily VALUES ('events', '2026-06-20', 'wrong_type', 'user_id', 7)")
    connection.execute("INSERT INTO ops.quarantine_daily VALUES ('events', '2026-06-01', 'not_json', NULL, 2)")
    connection.execute("INSERT INTO ops.cycles VALUES ('a', '2026-06-20 22:00', 'failed', FALSE, 30)")
    connection.execute("INSERT INTO ops.cycles VALUES ('b', '2026-06-01 22:00', 'failed', FALSE, 30)")
    connection.execute("INSERT INTO ops.audit_results VALUES ('a', 'assert_x', 5, '2026-06-20 22:00')")
    found = facts(release, connection, complete={"Engagement": DAY, "Revenue": None})
    assert found["complete"].text == "Engagement to Sat 20 Jun; Revenue to nothing yet"
    assert (
        found["feeds"].text
        == "late at the release: events (25 h old, 60 min allowed), users (nothing yet, 60 s allowed)"
    )
    assert found["arrivals"].text == "events 20 Jun: 12 rows, usually 400"
    assert found["quarantine"].text == (
        "9 records wait for a fix, 7 of them since 20 Jun: events wrong_type user_id (7), events not_json (2)"
    )
    assert (found["cycles"].values["count"], found["cycles"].values["failed"]) == (1, 1)
    assert found["audits"].text.endswith("found rows in assert_x (5 rows)")
    assert found["feeds"].state == State.BAD
    assert [found[name].state for name in ("complete", "arrivals", "quarantine", "cycles", "audits")] == [
        State.WARNING
    ] * 5


def test_an_old_or_rolled_back_release_is_said(release: Release, connection: duckdb.DuckDBPyConnection) -> None:
    old = facts(release, connection, now=PUBLISHED + dt.timedelta(days=3))["release"]
    assert (old.state, old.text.rpartition(", ")[2]) == (State.BAD, "3 days ago: no cycle has published since")
    chosen = facts(release, connection, now=PUBLISHED + dt.timedelta(days=3), is_current=False)["release"]
    assert (chosen.state, chosen.text.rpartition("; ")[2]) == (State.NOTE, "readers get another one")
    withheld = facts(release, connection, withheld=True)["release"]
    assert (withheld.state, withheld.text.rpartition("; ")[2]) == (State.WARNING, "newer releases are withheld")
    both = facts(release, connection, now=PUBLISHED + dt.timedelta(days=3), withheld=True)["release"]
    assert (both.state, both.text.rpartition("UTC, ")[2]) == (State.WARNING, "3 days ago; newer releases are withheld")


def test_a_column_that_a_file_named_is_shown_as_data(release: Release, connection: duckdb.DuckDBPyConnection) -> None:
    path = "a\x1b[31m\n\x00b" + "c" * 100
    connection.execute("INSERT INTO ops.quarantine_daily VALUES ('events', '2026-06-20', 'unknown', ?, 7)", [path])
    text = facts(release, connection)["quarantine"].text
    assert "events unknown a\\x1b[31m\\x0a\\x00bccc" in text
    assert text.endswith("c … (7)")
    assert text.isprintable()


def test_what_is_unknown_is_left_out(release: Release, connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("INSERT INTO ops.feed_freshness VALUES ('events', 90000, NULL, TRUE)")
    connection.execute("INSERT INTO ops.cycles VALUES ('a', '2026-06-21 04:00', 'published', TRUE, NULL)")
    connection.execute("INSERT INTO ops.release_lag_daily VALUES ('events', '2026-06-20', NULL)")
    found = facts(release, connection)
    assert found["feeds"].text == "late at the release: events (25 h old)"
    assert found["cycles"].text == "1 in the day before the release, none failed; last: published"
    assert "lag" not in found


def test_a_release_without_tables_of_operations_says_so(published: Published) -> None:
    with duckdb.connect() as connection:
        found = facts(published.release, connection)
    assert list(found) == ["release", "complete", "audits", "operations"]
