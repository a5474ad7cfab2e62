"""Whatever the order of arrival, incremental equals rebuilt, and both equal plain Python over the raw lines.

Histories are random: late, repeated and corrected events, overwritten objects, accounts that arrive after their events
or change, records that are rejected first and replayed, ingests, runs and cycles in any order, cycles that die at a
random statement. HISTORIES sets how many; a failure prints the shortest failing one.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import tests.home
from ingest.contracts.contract import contracts
from ingest.ledger.quarantine import Selection
from ingest.settings import PROJECT
from pipeline.cycle import quarantine
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.rebuild import rebuild
from pipeline.lake import Lake
from pipeline.releases.release import Releases
from tests import rebuilt
from tests.home import Home, copy_home, template

pytestmark = pytest.mark.usefixtures("engagement")

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
LONG_SKEW = 900 * 86_400
ENRICHED = (
    "SELECT event_id, date, user_id, country_code, subscription_status, activity_type "
    "FROM silver.activity_events_enriched"
)
DAILY = (
    "SELECT date, country_code, subscription_status, activity_type, SUM(activities_played)::BIGINT, "
    "SUM(completed_plays)::BIGINT, ROUND(SUM(total_time_spent), 6), ROUND(SUM(capped_time_spent), 6) "
    "FROM {schema}gold.activity_engagement_metrics GROUP BY 1, 2, 3, 4"
)

ACTIVE = (
    "SELECT date, user_kind, country_code, daily_active_users, weekly_active_users, monthly_active_users, "
    "active_user_days FROM gold.rpt_active_users_by_country"
)
RETENTION = "SELECT cohort_date, user_kind, day_number, users, retained_users FROM gold.rpt_retention"


@dataclass(frozen=True)
class Step:
    """One step of a history; `what` is the name of a method of World."""

    what: str
    values: tuple[Any, ...] = ()


ids = st.integers(0, 8)
lateness = st.sampled_from([0, 0, 0, 1, 2, 30, 31, 400])
event = st.tuples(ids, lateness, st.integers(0, 3), st.integers(0, 2), st.sampled_from([5, 60, 7200]), st.booleans())
countries = st.sampled_from(["fr", "us", None])
steps = st.one_of(
    st.builds(Step, st.just("events"), st.tuples(st.integers(0, 5), st.lists(event, min_size=1, max_size=4))),
    st.builds(Step, st.just("future"), st.tuples(st.integers(0, 5), ids)),
    st.builds(
        Step, st.just("user"), st.tuples(st.integers(0, 3), st.sampled_from(["fr", "us", None]), st.integers(0, 3))
    ),
    st.builds(Step, st.just("activity"), st.tuples(st.integers(0, 2), st.sampled_from(["game", "video"]))),
    st.builds(Step, st.just("ingest")),
    st.builds(Step, st.just("run")),
    st.builds(Step, st.just("cycle")),
    st.builds(Step, st.just("killed"), st.tuples(st.integers(1, 40))),
    st.builds(Step, st.just("replay")),
)


class World:
    """A lake on which a history is played; each write advances the clock by an hour."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.now = START
        self.skew = dt.timedelta(days=1)

    def put(self, feed: str, key: str, *lines: dict[str, Any]) -> None:
        self.now += dt.timedelta(hours=1)
        self.home.put(feed, key, *lines)
        root = self.home.landing(feed).root
        assert root is not None
        os.utime(root / key, (self.now.timestamp(), self.now.timestamp()))

    def play(self, name: str, at: dt.datetime, user: int, activity: int, duration: int, done: bool) -> dict[str, Any]:
        data = {"activity_id": f"a{activity}", "duration": float(duration), "completed": done, "collection_id": ""}
        return {
            "event_id": name,
            "name": "activity_exit",
            "occurred_at": at.strftime("%Y-%m-%d %H:%M:%S"),
            "user_id": f"u{user}",
            "child_id": f"c{activity}" if done else None,
            "data": data,
            "context": {"os": {"name": "iOS", "version": "1"}, "app": {"version": "1"}},
        }

    def events(self, number: int, items: list[tuple[int, int, int, int, int, bool]]) -> None:
        """Write an object of events, some of another month; an existing number is overwritten."""
        lines = [
            self.play(f"e{event}", self.now - dt.timedelta(days=late), user, activity, duration, done)
            for event, late, user, activity, duration, done in items
        ]
        self.put("events", f"{number}.json", *lines)

    def future(self, number: int, event: int) -> None:
        """Write an event of a clock two years ahead: rejected until a contract allows it."""
        self.put("events", f"f{number}.json", self.play(f"f{event}", self.now - dt.timedelta(days=1), 0, 0, 5, True),
                 self.play(f"g{event}", self.now + dt.timedelta(days=20), 1, 1, 5, True))  # fmt: skip

    def user(self, number: int, country: str | None, subscribed: int) -> None:
        day = dt.timedelta(days=1)
        windows: dict[str, Any] = {}
        if subscribed:
            first = START - 10 * subscribed * day
            windows = {"trial_start_at": str(first - 5 * day)[:19], "trial_end_at": str(first)[:19]}
            windows |= {"subscription_start_at": str(first)[:19], "subscription_expire_at": str(first + 20 * day)[:19]}
        key = f"{number}-{self.now:%m%d%H}.json"
        self.put("users", key, {"user_id": f"u{number}", "country_code": country} | windows)

    def activity(self, number: int, kind: str) -> None:
        self.put("activities", f"{number}.json", {"activity_id": f"a{number}", "name": "x", "type": kind})

    def ingest(self) -> None:
        self.home.ingest()

    def run(self) -> None:
        assert self.home.run() != "FAILURE"

    def cycle(self) -> None:
        done = run_cycle(Lake(self.home.options), (), lambda _: lambda objects, size: None)
        assert [error for error in done.errors if "are quarantined" not in error] == []
        assert done.outcome in ("published", "unchanged")

    def killed(self, statements: int) -> None:
        """Run a cycle whose process dies at one of its statements, possibly between a DELETE and its INSERT."""
        command = [
            sys.executable,
            "-c",
            DYING,
            str(statements),
            str(int(self.skew.total_seconds())),
            str(tests.home.PROJECT),
        ]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 9), done.stderr

    def replay(self) -> None:
        """Change the contract to allow what was rejected, and replay the quarantine."""
        self.skew = dt.timedelta(seconds=LONG_SKEW)
        allow(LONG_SKEW)
        quarantine.replay_all(Lake(self.home.options), (), Selection())


DYING = """
import os, sys
import pipeline.warehouse.project
from sqlmesh.core.engine_adapter import EngineAdapter
from ingest.settings import settings
from pipeline.cycle.cycle import run_cycle
from pipeline.lake import Lake
from tests.e2e.test_histories import allow

left, original = int(sys.argv[1]), EngineAdapter._execute

def execute(self, *arguments, **options):
    global left
    left -= 1
    if left <= 0:
        os._exit(9)
    return original(self, *arguments, **options)

EngineAdapter._execute = execute
pipeline.warehouse.project.PROJECT = sys.argv[3]
allow(int(sys.argv[2]))
run_cycle(Lake(settings()), (), lambda _: lambda objects, size: None)
"""


def allow(skew_seconds: int) -> None:
    """Change the contract of events in this process."""
    known = contracts()
    known["events"] = known["events"].model_copy(update={"clock_skew_seconds": skew_seconds})


@pytest.fixture(scope="module")
def planned(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """An empty lake with production planned on it."""
    with template(tmp_path_factory.mktemp("planned"), engagement_project) as home:
        home.put("users", "first.json", {"user_id": "u0"})
        home.ingest()
        home.plan()
    return home


@pytest.fixture
def in_home(monkeypatch: pytest.MonkeyPatch, planned: Home, tmp_path: Path) -> Callable[[], Home]:
    """Return a new copy of that lake with each call."""
    numbers = iter(range(1_000_000))

    def make() -> Home:
        folder = tmp_path / str(next(numbers))
        monkeypatch.setenv("LAKE_HOME", str(folder))
        from ingest.settings import settings as known

        known.cache_clear()
        return copy_home(planned, Home())

    return make


@settings(
    max_examples=int(os.environ.get("HISTORIES", "4")),
    deadline=None,
    derandomize="HISTORIES" not in os.environ,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(history=st.lists(steps, min_size=6, max_size=16))
def test_incremental_equals_rebuilt_and_plain_python(in_home: Callable[[], Home], history: list[Step]) -> None:
    world = World(in_home())
    before = contracts()["events"].clock_skew_seconds
    try:
        for step in history:
            getattr(world, step.what)(*step.values)
        world.cycle()

        landing = Path(world.home.options.lake_home) / "landing"
        assert set(world.home.rows(ENRICHED)) == rebuilt.enriched(landing, world.skew)
        gold = {row[:4]: row[4:] for row in world.home.rows(DAILY.format(schema=""))}
        assert gold == rebuilt.daily(landing, world.skew)
        active = rebuilt.active_days(landing, world.skew)
        yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
        assert set(world.home.rows(ACTIVE)) == rebuilt.active_users(active, yesterday)
        assert set(world.home.rows(RETENTION)) == rebuilt.retention(active, yesterday)
        with Releases(world.home.options).connect() as reader:
            read = {row[:4]: row[4:] for row in reader.execute(DAILY.format(schema="lake.")).fetchall()}
        assert read == gold

        done = rebuild(Lake(world.home.options))
        assert done.outcome == "published", json.dumps(done.errors)
        assert {row[:4]: row[4:] for row in world.home.rows(DAILY.format(schema=""))} == gold
    finally:
        allow(before)
        shutil.rmtree(world.home.options.lake_home)
