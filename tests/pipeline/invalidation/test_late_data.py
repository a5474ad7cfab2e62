"""SQLMesh previews and recomputes what a load changes, and nothing else."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from ingest.settings import settings
from pipeline.cycle.maintain import maintain_feed
from pipeline.lake import Lake
from tests.handle import ingest_all
from tests.home import Home, copy_home, template

pytestmark = pytest.mark.usefixtures("engagement")

GOLD = "gold.activity_engagement_metrics"
DAILY = ("silver.activity_events", "silver.activity_events_enriched", GOLD, "gold.activity_popularity_daily")


def event(event_id: str, day: str, user: str = "u1", **data: Any) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "name": "activity_exit",
        "occurred_at": f"{day} 10:00:00.000",
        "user_id": user,
        "data": {"activity_id": "a1", "duration": 10.0, "completed": True, "collection_id": ""} | data,
        "context": {"os": {"name": "iOS", "version": "14.2"}, "app": {"version": "7.40.0"}},
    }


def user(user_id: str, **fields: Any) -> dict[str, Any]:
    return {"user_id": user_id, "country_code": "us"} | fields


@pytest.fixture(scope="module")
def planned(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Three days of two users, planned and up to date."""
    with template(tmp_path_factory.mktemp("planned"), engagement_project) as home:
        for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
            home.put("events", f"{day}.json", event(f"u1-{day}", day), event(f"u2-{day}", day, "u2"))
        home.put("users", "users.json", user("u1"), user("u2"))
        home.put("activities", "activities.json", {"activity_id": "a1", "name": "A", "type": "game", "subtype": "x"})
        home.ingest()
        home.plan()
        assert home.missing() == {}
    return home


@pytest.fixture
def settled(planned: Home, home: Home) -> Home:
    """A copy of that lake."""
    return copy_home(planned, home)


def rebuilt(home: Home, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Gold of a new lake over the same landing."""
    monkeypatch.setenv("LANDING_URI", home.options.landing_uri)
    monkeypatch.setenv("LAKE_HOME", f"{home.options.lake_home}-rebuilt")
    settings.cache_clear()
    fresh = Home()
    fresh.ingest()
    fresh.plan()
    return fresh.rows(f"SELECT * FROM {GOLD} ORDER BY ALL")


def recomputed(home: Home, models: Sequence[str] = DAILY) -> set[str]:
    """The missing dates of each model, as `sqlmesh plan` previews them."""
    missing = home.missing()
    by_model = {name: frozenset(missing.get(name, ())) for name in models}
    assert len(set(by_model.values())) == 1, by_model
    return set(by_model[GOLD])


def test_late_event_is_one_missing_date(settled: Home) -> None:
    settled.put("events", "late.json", event("late", "2026-01-02"))

    summary = settled.ingest()

    assert summary.dates["events"] == (dt.date(2026, 1, 2),)
    assert recomputed(settled) == {"2026-01-02 - 2026-01-02"}
    assert settled.run() == "SUCCESS"
    assert settled.missing() == {}
    played = settled.rows(f"SELECT date::TEXT, SUM(activities_played)::INT FROM {GOLD} GROUP BY 1 ORDER BY 1")
    assert played == [("2026-01-01", 2), ("2026-01-02", 3), ("2026-01-03", 2)]


def test_load_without_changes_invalidates_nothing(settled: Home) -> None:
    assert settled.ingest().models == ()
    assert settled.run() == "NOTHING_TO_DO"


def test_overwritten_object_invalidates_the_dates_that_it_leaves_and_enters(settled: Home) -> None:
    settled.put("events", "2026-01-02.json", event("moved", "2026-01-05"))

    settled.ingest()

    assert recomputed(settled) == {"2026-01-02 - 2026-01-02", "2026-01-05 - 2026-01-05"}
    assert settled.run() == "SUCCESS"
    dates = settled.rows(f"SELECT DISTINCT date::TEXT FROM {GOLD} ORDER BY 1")
    assert dates == [("2026-01-01",), ("2026-01-03",), ("2026-01-05",)]


def test_changed_user_invalidates_the_dates_of_its_own_events(settled: Home) -> None:
    settled.put("events", "only-u2.json", event("only-u2", "2026-01-07", "u2"))
    settled.ingest()
    settled.run()
    settled.put("users", "moved.json", user("u1", country_code="mx"))

    summary = settled.ingest()

    assert summary.dates["users"] == tuple(dt.date(2026, 1, day) for day in (1, 2, 3))
    assert recomputed(settled, DAILY[1:]) == {"2026-01-01 - 2026-01-03"}
    settled.run()
    countries = settled.rows(f"SELECT date::TEXT, country_code FROM {GOLD} WHERE country_code = 'mx' ORDER BY 1")
    assert [day for day, _ in countries] == ["2026-01-01", "2026-01-02", "2026-01-03"]


def test_user_sent_again_unchanged_recomputes_no_date(settled: Home) -> None:
    settled.put("users", "again.json", user("u1"))
    assert settled.ingest().dates["users"] == ()
    assert set(settled.missing()).isdisjoint(DAILY)


def test_user_that_arrives_after_its_events_is_applied(settled: Home) -> None:
    settled.put("events", "early.json", event("early", "2026-01-09", "u9"))
    settled.ingest()
    settled.run()
    settled.put("users", "u9.json", user("u9", country_code="th"))

    settled.ingest()

    assert recomputed(settled, DAILY[1:]) == {"2026-01-09 - 2026-01-09"}
    settled.run()
    assert settled.rows(f"SELECT country_code FROM {GOLD} WHERE date = DATE '2026-01-09'") == [("th",)]


def test_events_outside_the_history_leave_no_missing_date(settled: Home) -> None:
    settled.put("events", "ancient.json", event("ancient", "2019-12-31"))

    summary = settled.ingest()

    assert [note for note in summary.notes if "1 rows are older than LAKE_START 2021-01-01" in note]
    whole = {"gold.rpt_engagement_by_subscription", "gold.rpt_retention", "gold.q3_subscription_impact_feeds"}
    assert set(settled.missing()) <= whole, "a whole table has no dates to tell apart"
    assert set(settled.missing()).isdisjoint(DAILY)


def test_crash_between_commit_and_invalidation_is_recovered_by_the_next_ingest(
    settled: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled.put("events", "late.json", event("late", "2026-01-02"))
    with monkeypatch.context() as crash:
        crash.setattr("pipeline.cycle.ingest.mark", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            settled.ingest()
    assert settled.missing() == {}

    settled.ingest()

    assert recomputed(settled) == {"2026-01-02 - 2026-01-02"}


def test_locked_state_is_a_clear_error_and_the_next_ingest_invalidates(
    settled: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_LOCK_SECONDS", "0.5")
    settings.cache_clear()
    settled.put("events", "late.json", event("late", "2026-01-02"))
    hold = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, settled.options.state_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        summary = ingest_all()
        other.communicate()

    assert [report.rows for report in summary.feeds if report.feed == "events"] == [1]
    assert summary.exit_code == 1
    assert "locked by another process" in summary.errors[0]
    assert "run `lake ingest` again" in summary.errors[0]

    settled.ingest()

    assert recomputed(settled) == {"2026-01-02 - 2026-01-02"}


def test_many_changes_at_once_equal_one_rebuild(settled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    settled.put("events", "late.json", event("late", "2026-01-02"), event("u1-2026-01-01", "2026-01-01", duration=99.0))
    settled.put("events", "2026-01-03.json", event("u2-2026-01-03", "2026-01-03", "u2"))
    settled.put("users", "change.json", user("u2", country_code="br"), user("u3"))
    settled.put("activities", "change.json", {"activity_id": "a1", "name": "B", "type": "video", "subtype": "y"})
    settled.put("events", "new.json", event("new", "2026-02-28", "u3"))
    settled.ingest()
    settled.run()
    incremental = settled.rows(f"SELECT * FROM {GOLD} ORDER BY ALL")
    assert len(incremental) > 4
    assert incremental == rebuilt(settled, monkeypatch)


def test_compaction_recomputes_nothing(settled: Home) -> None:
    for number in range(4):
        settled.put("events", f"late-{number}.json", event(f"late-{number}", "2026-01-02"))
        settled.put("users", f"again-{number}.json", user("u1"))
        settled.ingest()
    settled.run()
    before = settled.rows(f"SELECT * FROM {GOLD} ORDER BY ALL")

    done = [maintain_feed(Lake(settled.options), contracts()[feed], dt.timedelta(0)) for feed in ("events", "users")]

    assert [feed.compaction.before > feed.compaction.after for feed in done] == [True, True]
    cleaned = [maintain_feed(Lake(settled.options), contracts()[feed], dt.timedelta(0)) for feed in ("events", "users")]
    assert [feed.cleaning.files for feed in cleaned] == [feed.compaction.before for feed in done]
    assert settled.ingest().models == ()
    assert settled.run() == "NOTHING_TO_DO"
    settled.plan(restate_models=[GOLD])
    assert settled.rows(f"SELECT * FROM {GOLD} ORDER BY ALL") == before


def test_state_of_another_lake_is_rejected_and_a_moved_lake_is_not(
    settled: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(settled.options.lake_uri, moved)
    monkeypatch.setenv("LAKE_URI", str(moved))
    settings.cache_clear()
    assert Home().ingest().errors == []

    monkeypatch.setenv("LAKE_URI", str(tmp_path / "other"))
    settings.cache_clear()
    summary = ingest_all()
    assert summary.exit_code == 2
    assert f"belongs to the lake {moved}, not to {tmp_path / 'other'}" in summary.errors[0]


ROLLING = """MODEL (
  name gold.fct_plays_7_days,
  kind INCREMENTAL_BY_TIME_RANGE (time_column date),
  cron '@daily',
  owner engagement,
  description 'One row per date.',
  grain date,
  tags (gold, engagement, affects_6_days),
  partitioned_by date,
  audits (not_null(columns := (date)))
);

SELECT
  days.date::DATE AS date, /* UTC date */
  (
    SELECT COUNT(*) FROM silver.activity_events AS events
    WHERE events.event_date BETWEEN days.date - INTERVAL '6' DAY AND days.date
  )::BIGINT AS plays /* Plays of the seven days that end with it */
FROM (SELECT UNNEST(GENERATE_SERIES(@start_date, @end_date, INTERVAL '1' DAY)) AS date) AS days
"""


def test_rolling_window_is_recomputed_for_the_dates_after_a_late_event(home: Home, branch: Path) -> None:
    (branch / "models/gold/engagement/fct_plays_7_days.sql").write_text(ROLLING)
    home.put("events", "a.json", event("a", "2026-01-02"))
    home.ingest()
    home.plan()
    home.put("events", "late.json", event("late", "2026-01-05"))
    home.ingest()
    assert home.missing()["gold.fct_plays_7_days"] == ["2026-01-05 - 2026-01-11"]
    assert home.run() == "SUCCESS"
    rows = dict(home.rows("SELECT date::TEXT, plays FROM gold.fct_plays_7_days WHERE date >= DATE '2026-01-01'"))
    assert [rows[f"2026-01-{day:02}"] for day in (1, 2, 4, 5, 8, 9, 11, 12)] == [0, 1, 1, 2, 2, 1, 1, 0]


def test_environment_promoted_or_reverted_after_late_data_has_no_old_rows(settled: Home, branch: Path) -> None:
    """A changed model has its own version and intervals: late data makes those of every version stale."""
    model = branch / "models/silver/engagement/activity_events.sql"
    before, count = model.read_text(), f"SELECT COUNT(*) FROM {DAILY[0]}"
    ((rows,),) = settled.rows(count)
    model.write_text(before.replace("events.data.source::TEXT", "UPPER(events.data.source)::TEXT"))
    assert model.read_text() != before
    settled.plan("dev")

    # WHEN late data arrives after the branch was planned, and the branch is promoted
    settled.put("events", "late.json", event("late", "2026-01-02"))
    settled.ingest()
    settled.plan()
    assert settled.rows(count) == [(rows + 1,)]

    # WHEN more arrives, and the change is reverted
    settled.put("events", "later.json", event("later", "2026-01-03"))
    settled.ingest()
    model.write_text(before)
    settled.plan()
    assert settled.rows(count) == [(rows + 2,)]
    assert settled.run() == "NOTHING_TO_DO"
