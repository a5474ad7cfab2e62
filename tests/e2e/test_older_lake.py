"""A lake and a state of version 0.1, kept in tests/data, are read and continued by the current version.

They hold ten days of three plays with a quarantined line each, and a third day whose object was overwritten by one
play. The landing is not kept: the objects are gone from it, and their rows stay.
"""

from __future__ import annotations

import datetime as dt
import zipfile

import pytest

from ingest.contracts.contract import contracts
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT, settings
from pipeline.lake import Lake
from pipeline.state.opening import state_database
from pipeline.state.state import applied_positions
from tests.engagement import play
from tests.handle import ingest_all, verify_feed
from tests.home import Home

KEPT = PROJECT / "tests" / "data" / "lake_0_1.zip"
DAILY, POPULARITY = "gold.activity_engagement_metrics", "gold.activity_popularity_daily"


@pytest.fixture
def older(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("LAKE_START", "2026-01-01")
    settings.cache_clear()
    with zipfile.ZipFile(KEPT) as kept:
        kept.extractall(home.options_home)
    for feed in ("events", "users", "activities"):
        (home.options_home / "landing" / contracts()[feed].source.bucket).mkdir(parents=True)
    return home


def test_lake_and_releases_are_read(older: Home) -> None:
    found = {feed: verify_feed(contracts()[feed], older.options) for feed in ("events", "users", "activities")}

    assert [item.differences for item in found.values()] == [[], [], []]
    assert (found["events"].records, found["events"].rows, found["events"].quarantined) == (37, 28, 9)
    assert (found["events"].gone, found["users"].rows) == (10, 1)
    release = Lake(older.options).releases.current()
    assert release is not None
    assert (release.number, release.dates[DAILY]) == (2, ("2026-01-03",))
    assert release.positions["events"] == Ledger(Lake(older.options).store, "events").position()


def test_late_play_marks_its_dates_in_the_models_of_the_older_state(older: Home) -> None:
    with state_database(older.options).open() as state:
        before = applied_positions(state)
    older.put("events", "late.json", play("late", "2026-01-02"))

    done = ingest_all("events")

    assert done.errors == []
    assert {feed: days for feed, days in done.dates.items() if days} == {"events": (dt.date(2026, 1, 2),)}
    assert {DAILY, POPULARITY} <= set(done.models)
    with state_database(older.options).open() as state:
        assert applied_positions(state)["events"] == before["events"] + 1
        removed = state.rows(
            "SELECT name, MIN(start_ts), MAX(end_ts) FROM sqlmesh._intervals WHERE is_removed "
            "AND created_ts = (SELECT MAX(created_ts) FROM sqlmesh._intervals) GROUP BY name"
        )
    days = {
        name.replace('"', "").split(".", 1)[1]: [dt.datetime.fromtimestamp(at / 1000, dt.UTC).date() for at in between]
        for name, *between in removed
    }
    assert days[DAILY] == [dt.date(2026, 1, 2), dt.date(2026, 1, 3)]
    assert all(between[0] == dt.date(2026, 1, 2) for name, between in days.items() if name.startswith("silver."))
