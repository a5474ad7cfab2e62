"""Rule: a cycle that finds nothing new, with nothing due, ends without SQLMesh; whatever may matter voids that."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from ingest.settings import read_settings
from pipeline.cli.show_run import show_run
from pipeline.cycle import alerts, up_to_date
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.portal.keys import CURRENT
from pipeline.releases.release import Releases
from pipeline.state.fingerprint import fingerprint
from tests.engagement import play
from tests.home import Home, copy_home, template
from tests.receivers import Receiver, serve_receiver

pytestmark = pytest.mark.usefixtures("engagement")
DAY = dt.timedelta(days=1)


def cycle(home: Home, **options: Any) -> RunSummary:
    return run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None, **options)


def holds(home: Home) -> bool:
    """Whether the next cycle would end early, unless it loads something."""
    before = up_to_date.read(home.options)
    return before is not None and before.holds(Lake(home.options), before.since)


@pytest.fixture(scope="module")
def settled(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake whose last cycle published everything; no feed is late."""
    with template(tmp_path_factory.mktemp("settled"), engagement_project) as home:
        now = dt.datetime.now(dt.UTC)
        for feed, record in {
            "users": {"user_id": "u1", "country_code": "fr"},
            "activities": {"activity_id": "a1", "name": "Song", "type": "audiobook"},
            "events": play("e1", str((now - 2 * DAY).date())),
            "accounts": {"account_id": "a1"},
            "subscriptions": {"subscription_id": "s1"},
            "invoices": {"invoice_id": "i1"},
        }.items():
            home.put(feed, "1.json", record)
        home.put("events", "2.json", play("e2", str((now - DAY).date())))
        for day in range(8):
            home.landing("events").put(f"_SUCCESS-{now.date() - day * DAY}", b"")
        home.ingest()
        home.plan()
        assert cycle(home).outcome == "published"
    return home


@pytest.fixture
def idle(settled: Home, home: Home) -> Home:
    """The same lake elsewhere, known to be up to date."""
    before = up_to_date.read(settled.options)
    assert before is not None
    lake = Lake(copy_home(settled, home).options)
    home.ingest()  # the state names the lake's address
    with lake.state.open() as state:
        left = up_to_date.Left(before.due_at, fingerprint(state), up_to_date.definitions(home.options))
        up_to_date.leave(lake, left, before.since, before.violations)
    return home


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with serve_receiver() as found:
        yield found


def test_a_cycle_that_finds_nothing_does_not_load_sqlmesh(idle: Home, engagement: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ingest.settings import settings\n"
        "from pipeline.cycle.cycle import run_cycle\n"
        "from pipeline.lake import Lake\n"
        "from pipeline.cycle import up_to_date\n"
        f"up_to_date.PROJECT = Path({str(engagement)!r})\n"
        "done = run_cycle(Lake(settings()), (), lambda _: lambda objects, size: None)\n"
        "print(done.outcome, done.exit_code, done.state, done.due_at is not None)\n"
        "print(sorted({'sqlmesh', 'sqlglot', 'pandas'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["unchanged 0 1 True", "[]"]


def test_a_cycle_that_finds_nothing_says_so_without_a_row_for_each_feed(idle: Home) -> None:
    shown = show_run(cycle(idle))
    assert "nothing is new, and nothing is due before " in shown
    assert "quarantined" not in shown
    up_to_date.forget(idle.options)
    assert "quarantined" in show_run(cycle(idle)), "of a full cycle each feed is shown"


def test_it_is_recorded_by_the_next_cycle_that_computes_and_once(idle: Home) -> None:
    assert cycle(idle).due_at is not None
    waiting = (idle.options_home / "cycles.jsonl").read_text(encoding="utf-8")
    recorded = len(idle.rows("SELECT 1 FROM operations.runs"))
    idle.put("users", "2.json", {"user_id": "u2", "country_code": "de"})
    cycle(idle)
    assert len(idle.rows("SELECT 1 FROM operations.runs")) == recorded + 2
    assert not (idle.options_home / "cycles.jsonl").exists()

    # killed after the insert, before the file was removed; the last line was cut
    (idle.options_home / "cycles.jsonl").write_text(waiting + '["2026', encoding="utf-8")
    idle.put("users", "3.json", {"user_id": "u3", "country_code": "de"})
    cycle(idle)
    assert len(idle.rows("SELECT 1 FROM operations.runs")) == recorded + 3


def _another_ingest(home: Home) -> None:
    home.put("users", "2.json", {"user_id": "u2", "country_code": "de"})
    home.ingest()


def _another_environment(home: Home) -> None:
    home.plan("dev", include_unmodified=True)


def _lost_warehouse(home: Home) -> None:
    Path(home.options.warehouse_path).unlink()


def _rollback(home: Home) -> None:
    Releases(home.options).point_to(1, withhold=True)


def _other_pages(home: Home) -> None:
    Releases(home.options).store.put(CURRENT, b"//")


def _damaged_record(home: Home) -> None:
    (home.options_home / "up_to_date.json").write_text('{"format": 1, "since": "yest', encoding="utf-8")


@pytest.mark.parametrize(
    "change", [_another_ingest, _another_environment, _lost_warehouse, _rollback, _other_pages, _damaged_record]
)
def test_whatever_may_matter_voids_it(idle: Home, change: Callable[[Home], None]) -> None:
    assert holds(idle)
    change(idle)
    assert not holds(idle)


def test_an_alert_that_lasts_or_is_owed_voids_it(idle: Home) -> None:
    now = dt.datetime.now(dt.UTC).isoformat()
    content = {"cycle": {"since": now, "told": now, "event": "problem", "owed": ["mail"]}}
    (idle.options_home / "alerts.json").write_text(json.dumps(content), encoding="utf-8")
    assert holds(idle)
    assert cycle(idle).due_at is None


def test_new_objects_due_intervals_and_a_clock_set_back_void_it(idle: Home) -> None:
    before = up_to_date.read(idle.options)
    assert before is not None
    tomorrow = dt.datetime.combine(dt.datetime.now(dt.UTC).date() + DAY, dt.time(), dt.UTC)
    assert before.due_at == tomorrow
    lake = Lake(idle.options)
    assert before.holds(lake, before.since)
    assert before.holds(lake, tomorrow - dt.timedelta(seconds=1))
    assert not before.holds(lake, tomorrow)
    assert not before.holds(lake, before.since - dt.timedelta(seconds=1))
    idle.put("events", "new.json", play("e9", str((before.since - DAY).date())))
    done = cycle(idle)
    assert (done.due_at, done.outcome) == (None, "published")


def test_another_project_voids_it(idle: Home, branch: Path) -> None:
    assert not holds(idle)  # the branch lies in another folder


def test_other_settings_void_it(idle: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLISHED_STATES", str(idle.options.published_states + 1))
    idle.options = read_settings()
    assert not holds(idle)


def test_a_changed_definition_voids_it(idle: Home, engagement: Path) -> None:
    path = next((engagement / "models").rglob("*.sql"))
    found = path.stat()
    try:
        path.touch()
        assert not holds(idle)
    finally:
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert holds(idle)


def test_a_late_feed_voids_it_and_is_reported(idle: Home) -> None:
    later = dt.datetime.now(dt.UTC) + 5 * DAY
    done = cycle(idle, now=lambda: later)
    assert done.due_at is None
    assert any(name.startswith("freshness/") for name in done.broken_promises)


def promise(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Let the contract of users promise another freshness when feeds are judged; the project's own stays."""
    known = contracts()
    changed = {**known, "users": known["users"].model_copy(update={"freshness_seconds": seconds})}
    monkeypatch.setattr(alerts, "contracts", lambda: changed)


@pytest.mark.parametrize("has_channel", [True, False])
def test_sqlmesh_is_loaded_once_for_a_feed_that_stays_late(
    idle: Home, monkeypatch: pytest.MonkeyPatch, receiver: Receiver, has_channel: bool
) -> None:
    if has_channel:
        monkeypatch.setenv("NOTIFY_WEBHOOK_URL", receiver.url)
        idle.options = read_settings()
    promise(monkeypatch, 0)
    first, second = cycle(idle), cycle(idle)
    assert (first.due_at, second.outcome) == (None, "unchanged")
    assert second.due_at is not None
    assert list(first.broken_promises) == list(second.broken_promises) == ["freshness/users"]
    promise(monkeypatch, 10**9)
    recovered, after = cycle(idle), cycle(idle)
    assert (recovered.due_at, recovered.broken_promises) == (None, {})
    assert after.due_at is not None
    events = [(alert["event"], alert["name"]) for alert in receiver.got]
    assert events == [("problem", "freshness/users"), ("recovery", "freshness/users")] * has_channel


def test_it_is_loaded_to_report_again_after_a_day(
    idle: Home, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    monkeypatch.setenv("NOTIFY_WEBHOOK_URL", receiver.url)
    idle.options = read_settings()
    promise(monkeypatch, 0)
    cycle(idle)
    assert cycle(idle).due_at is not None
    path = idle.options_home / "alerts.json"
    path.write_text(path.read_text().replace(str(dt.datetime.now(dt.UTC).year), "2020"))
    assert cycle(idle).due_at is None
    assert [alert["event"] for alert in receiver.got] == ["problem", "problem"]


def test_a_cycle_that_fails_leaves_nothing(idle: Home) -> None:
    idle.put("users", "2.json", b"not json")
    done = cycle(idle)
    assert done.exit_code == 1
    assert up_to_date.read(idle.options) is None
