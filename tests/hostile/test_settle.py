"""After maintenance, `sqlmesh run` and `lake publish`: positions that change no row become applied by themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.contracts.contract import contracts
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT
from ingest.storage.store import Store
from pipeline.state.opening import state_database
from pipeline.state.state import applied_positions
from tests.engagement import cycle, expected, play, seen
from tests.handle import apply_unchanged
from tests.home import Home, copy_home, template

UNMARKED = "events: models saw loads whose dates are not marked yet; run `lake ingest` first"
Run = Callable[..., subprocess.CompletedProcess[str]]


def fill(home: Home) -> None:
    """Make five loads of events whose files can be joined, with a bad line."""
    home.put("users", "users.json", {"user_id": "u1", "country_code": "fr"})
    home.put("activities", "activities.json", {"activity_id": "a1", "name": "A", "type": "game"})
    for number in range(5):
        home.put("events", f"{number}.json", play(f"e{number}", "2026-01-01"), *[b"{"] * (number == 0))
        home.ingest()


@pytest.fixture(scope="module")
def published(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Production after its first cycle."""
    with template(tmp_path_factory.mktemp("published"), engagement_project) as home:
        fill(home)
        home.plan()
        assert cycle(home).outcome == "published"
    return home


@pytest.fixture
def run(engagement_project: Path) -> Run:
    """Run `lake …` or `sqlmesh …` as a process."""

    def done(*arguments: str) -> subprocess.CompletedProcess[str]:
        worker = [sys.executable, "-m", "tests.worker", "--project", str(engagement_project), *arguments]
        return subprocess.run(worker, cwd=PROJECT, capture_output=True, text=True, check=False)

    return done


def positions(home: Home) -> tuple[int, int]:
    """The ledger's position and the applied position of events."""
    with state_database(home.options).open() as state:
        applied = applied_positions(state)["events"]
    return Ledger(Store(home.options.lake_uri), "events").position(), applied


def load_unmarked(run: Run) -> None:
    """Run `lake ingest` and kill it after its loads, before it marks dates and records the applied position."""
    assert run("--at", "before:pipeline.cycle.ingest:mark", "kill", "lake", "ingest").returncode == -9


def compact(home: Home, run: Run) -> None:
    assert run("lake", "maintain", "events").returncode == 0


def abandon(home: Home, run: Run) -> None:
    folder = Path(home.options.lake_uri) / "bronze/events/ingest_date=2026-01-01/event_date=2026-01-01"
    folder.mkdir(parents=True)
    (folder / "20260101T000000-0123456789ab-0.parquet").write_bytes(b"left by a crash")
    assert run("lake", "maintain", "events", "--grace-hours", "0").returncode == 0


def discard(home: Home, run: Run) -> None:
    assert run("lake", "quarantine", "discard", "events", "--all", "--because", "noise").returncode == 0


def see_again(home: Home, run: Run) -> None:
    home.put("events", "1.json", play("e1", "2026-01-01"))
    load_unmarked(run)


def load_bad_lines(home: Home, run: Run) -> None:
    home.put("events", "bad.json", b"{", b"[]")
    load_unmarked(run)


HARMLESS = [compact, abandon, discard, see_again, load_bad_lines]


@pytest.mark.parametrize("harmless", HARMLESS)
def test_position_that_changes_no_row_becomes_applied(home: Home, run: Run, harmless: Callable[..., None]) -> None:
    fill(home)
    before, applied = positions(home)
    harmless(home, run)
    after, still = positions(home)
    assert (after > before, still) == (True, applied)
    assert apply_unchanged(home.options, {"events": after, "users": 1}) == []

    assert positions(home) == (after, after)
    assert home.ingest().dates == {}


def test_models_computed_at_such_a_position_are_published_by_the_next_command(
    published: Home, home: Home, run: Run
) -> None:
    copy_home(published, home)
    home.put("events", "late.json", play("late", "2026-01-02"))
    assert run("lake", "ingest").returncode == 0
    compact(home, run)
    discard(home, run)
    after, applied = positions(home)
    assert after > applied
    assert run("sqlmesh", "run").returncode == 0

    done = run("lake", "publish", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "published"
    assert seen(home) == expected(home)
    assert positions(home) == (after, after)
    alerts = Path(home.options.lake_home) / "alerts.json"
    assert not alerts.exists() or "cycle" not in json.loads(alerts.read_text())

    # WHEN the models have read a load whose dates are not marked
    home.put("users", "more.json", {"user_id": "u1", "country_code": "de", "updated_at": "2026-01-03"})
    assert run("lake", "ingest").returncode == 0
    home.put("events", "unmarked.json", play("unmarked", "2026-01-01"))
    load_unmarked(run)
    discard(home, run)
    assert run("sqlmesh", "run").returncode == 0
    stopped = run("lake", "publish")
    assert stopped.returncode == 1
    assert UNMARKED in " ".join(stopped.stderr.split())
    assert positions(home)[1] == after


def test_feed_with_an_unmarked_load_stays_behind_and_others_become_applied(home: Home, run: Run) -> None:
    fill(home)
    home.put("events", "late.json", play("late", "2026-01-01"))
    home.put("users", "none.json", b"{")
    load_unmarked(run)
    lake = Store(home.options.lake_uri)
    shown = {feed: Ledger(lake, feed).position() for feed in contracts()}

    assert apply_unchanged(home.options, shown) == ["events"]

    with state_database(home.options).open() as state:
        applied = applied_positions(state)
    assert (applied["events"], applied["users"]) == (shown["events"] - 1, shown["users"])
    assert [str(day) for day in home.ingest().dates["events"]] == ["2026-01-01"]
