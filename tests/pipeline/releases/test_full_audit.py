"""The pass of all audits over whole tables: what a cycle does not look at, what a failure withholds, what it marks."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.cycle.cycle import audit_only, is_audit_due
from pipeline.lake import Lake
from tests.engagement import cycle, play
from tests.home import Home, copy_home, template

pytestmark = pytest.mark.usefixtures("engagement")

DAY = dt.timedelta(days=1)
OLD, NEW = "2026-01-10", "2026-01-11"


@pytest.fixture(scope="module")
def published(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake with a release of an old day."""
    with template(tmp_path_factory.mktemp("published"), engagement_project) as home:
        home.put("users", "1.json", {"user_id": "u1", "country_code": "de"})
        home.put("activities", "1.json", {"activity_id": "a1", "name": "x", "type": "game"})
        home.put("events", "1.json", play("early", OLD))
        home.ingest()
        home.plan()
        assert cycle(home).outcome == "published"
    return home


def change_by_hand(home: Home, statement: str) -> None:
    """Change an old day of the daily table in the warehouse, behind everybody's back."""
    with duckdb.connect(home.options.warehouse_path) as warehouse:
        (table,) = warehouse.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
            "WHERE table_name LIKE 'gold__activity_popularity_daily__%'"
        ).fetchone() or ("",)
        warehouse.execute(statement.format(table=table))


def test_fault_outside_of_what_changed_is_found_by_the_pass(
    published: Home, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_home(published, home)
    lake, now = Lake(home.options), dt.datetime.now(dt.UTC)
    assert not is_audit_due(lake, now), "the first release was audited as a whole"
    assert is_audit_due(lake, now + DAY)

    # GIVEN a cycle that computes another day
    change_by_hand(home, f"UPDATE {{table}} SET plays = plays + 1 WHERE date = '{OLD}'")
    home.put("events", "2.json", play("late", NEW))
    assert cycle(home).outcome == "published"

    # WHEN everything is audited
    done = audit_only(lake, now + DAY)

    # THEN the next release is withheld, and the one that may be wrong is marked
    assert (done.outcome, done.exit_code) == ("audited", 1)
    assert "assert_popularity_reconciles_with_engagement found 1 rows" in done.errors[0]
    assert "withheld until all audits pass" in done.errors[0]
    assert set(lake.releases.suspects()) == {2}
    assert lake.releases.suspects()[2]["audits"] == {"assert_popularity_reconciles_with_engagement": 1}
    assert is_audit_due(lake, now + DAY), "the last good pass is the one before"
    home.put("events", "3.json", play("later", NEW))
    withheld = cycle(home, now + DAY)
    assert (withheld.outcome, withheld.state) == ("not published", 2)
    again = cycle(home, now + DAY)
    assert (again.outcome, again.exit_code) == ("not published", 1), "also when nothing is new"
    listed = CliRunner().invoke(main, ["publish", "--list"])
    assert "suspect: release 2, in whose tables audits found rows later" in listed.output

    # AND a repair is published by the next cycle; what readers had before stays suspect
    change_by_hand(home, f"UPDATE {{table}} SET plays = plays - 1 WHERE date = '{OLD}'")
    assert (cycle(home, now + DAY).outcome, lake.releases.pointer()["state"]) == ("published", 3)
    assert not is_audit_due(lake, now + DAY)
    assert set(lake.releases.suspects()) == {2}


def test_audits_of_models_are_part_of_the_pass(published: Home, home: Home) -> None:
    copy_home(published, home)
    change_by_hand(home, f"UPDATE {{table}} SET plays = NULL WHERE date = '{OLD}'")
    done = audit_only(Lake(home.options), dt.datetime.now(dt.UTC))
    assert any("gold.activity_popularity_daily: not_null found 1 rows" in error for error in done.errors)


def test_maintenance_runs_the_pass_when_it_is_due(published: Home, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_home(published, home)
    assert "all audits passed" not in CliRunner().invoke(main, ["maintain"]).output
    monkeypatch.setenv("FULL_AUDIT_HOURS", "0")
    from ingest.settings import settings

    settings.cache_clear()
    done = CliRunner().invoke(main, ["maintain"])
    assert (done.exit_code, "all audits passed over whole tables" in done.output) == (0, True), done.output
    change_by_hand(home, f"DELETE FROM {{table}} WHERE date = '{OLD}'")
    failed = CliRunner().invoke(main, ["maintain", "--json"])
    assert failed.exit_code == 1
    assert '"assert_popularity_reconciles_with_engagement"' in failed.output
    assert CliRunner().invoke(main, ["audit"]).exit_code == 2, "--all says that it takes its time"
