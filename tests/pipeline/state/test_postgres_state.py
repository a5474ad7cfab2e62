"""The state in Postgres: it keeps the guarantees of the DuckDB file, also with concurrent processes and hosts."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from sqlmesh.utils.errors import SQLMeshError

from ingest.errors import ConfigError, RetriableError
from ingest.settings import PROJECT, settings
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.ingest import IngestSummary
from pipeline.cycle.rebuild import rebuild
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.releases.release import Releases
from pipeline.state.opening import state_database
from tests.conftest import settings_of
from tests.handle import ingest_all
from tests.home import PostgresHome, copy_home, use_project
from tests.postgres_server import Postgres

GOLD = "gold.activity_engagement_metrics"
DAILY = ("silver.activity_events", "silver.activity_events_enriched", GOLD, "gold.activity_popularity_daily")
DAYS = ("2026-01-05", "2026-01-20", "2026-02-03")


def event(name: str, day: str, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": name,
        "name": "activity_exit",
        "occurred_at": f"{day} 10:00:00",
        "user_id": "u1",
        "data": {"activity_id": "a1", "duration": 60, "completed": True, "collection_id": ""},
        "context": {"os": {"name": "iOS", "version": "1"}, "app": {"version": "1"}},
    } | fields


@pytest.fixture(scope="module")
def planned(
    postgres_server: Postgres, engagement_project: Path, tmp_path_factory: pytest.TempPathFactory
) -> PostgresHome:
    """Three days, planned and up to date; each test starts with a copy."""
    folder = tmp_path_factory.mktemp("planned")
    (folder / "dotenv").touch()
    with pytest.MonkeyPatch.context() as environment, settings_of(environment, folder, postgres_server, "planned"):
        use_project(engagement_project, environment)
        home = PostgresHome(postgres_server, "planned")
        home.put("users", "u.json", {"user_id": "u1", "country_code": "fr"})
        home.put("activities", "a.json", {"activity_id": "a1", "name": "Song", "type": "audiobook"})
        home.put("events", "1.json", *(event(f"e-{day}", day) for day in DAYS))
        home.ingest()
        home.plan()
    return home


@pytest.fixture
def shared(planned: PostgresHome, postgres_home: PostgresHome, engagement: Path) -> PostgresHome:
    """Three days, planned and up to date."""
    copy_home(planned, postgres_home)
    postgres_home.server.sql("postgres", f"DROP DATABASE {postgres_home.database}")
    postgres_home.server.sql("postgres", f"CREATE DATABASE {postgres_home.database} TEMPLATE {planned.database}")
    return postgres_home


def cycle(home: PostgresHome, **options: Any) -> RunSummary:
    return run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None, **options)


def ingest() -> IngestSummary:
    return ingest_all()


def plays(home: PostgresHome) -> dict[str, int]:
    """Plays by date in the warehouse."""
    return dict(home.rows(f"SELECT date::TEXT, SUM(activities_played)::INT FROM {GOLD} GROUP BY 1 ORDER BY 1"))


def published_plays(home: PostgresHome) -> dict[str, int]:
    """Plays by date as a reader sees them."""
    with Releases(home.options).connect() as reader:
        query = f"SELECT date::TEXT, SUM(activities_played)::INT FROM {GOLD} GROUP BY 1 ORDER BY 1"
        return dict(reader.execute(query).fetchall())


def recomputed(home: PostgresHome) -> list[str]:
    """The ranges of missing dates, which are equal for all daily models."""
    missing = home.missing()
    by_model = {tuple(missing.get(name, ())) for name in DAILY}
    assert len(by_model) == 1, missing
    return list(by_model.pop())


@contextmanager
def paused(script: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs a script and pauses where it prints `paused`, until a line arrives on its input."""
    command = [sys.executable, "-c", script]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)} | variables
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | {"text": True}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, **pipes) as process:
        try:
            assert process.stdout is not None
            assert "paused" in next((line for line in process.stdout if line.startswith("paused")), "")
            yield process
        finally:
            process.kill()


def resume(process: subprocess.Popen[str]) -> str:
    """Resume the process and return what it prints until it ends."""
    printed, errors = process.communicate("go on\n", timeout=300)
    assert process.returncode == 0, errors
    return printed


HOLD = """
from ingest.settings import settings
from pipeline.state.opening import state_database
with state_database(settings()).compute_lock():
    print("paused", flush=True)
    input()
"""
PAUSE = """
from sqlmesh.core.snapshot.evaluator import SnapshotEvaluator
evaluate, seen = SnapshotEvaluator.evaluate, []
def pause(self, *args, **kwargs):
    if not seen:
        seen.append(True)
        print("paused", flush=True)
        input()
    return evaluate(self, *args, **kwargs)
SnapshotEvaluator.evaluate = pause
"""
RUN = f"""{PAUSE}
from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console
set_console(NoopConsole())
context = Context(paths=".")
print("status", context.run(skip_janitor=True).name, flush=True)
"""


def test_late_event_is_one_missing_date_and_one_run(shared: PostgresHome) -> None:
    assert shared.missing() == {}
    shared.put("events", "late.json", event("late", "2026-01-20"))

    summary = shared.ingest()

    assert summary.dates["events"] == (dt.date(2026, 1, 20),)
    assert recomputed(shared) == ["2026-01-20 - 2026-01-20"]
    assert shared.run() == "SUCCESS"
    assert shared.missing() == {}
    assert plays(shared) == {"2026-01-05": 1, "2026-01-20": 2, "2026-02-03": 1}
    assert shared.state("SELECT position FROM lakemesh.settled WHERE feed = 'events'") == ["2"]
    assert not Path(shared.options.state_path).exists()
    assert shared.run() == "NOTHING_TO_DO"


def test_cycles_publish_what_changed(shared: PostgresHome) -> None:
    assert cycle(shared).outcome == "published"
    assert cycle(shared).outcome == "unchanged"
    shared.put("events", "late.json", event("late", "2026-01-20"))

    done = cycle(shared)

    assert (done.outcome, done.state, done.errors) == ("published", 2, [])
    assert done.computed[GOLD].dates == {dt.date(2026, 1, 20)}
    assert done.published_dates[GOLD] == ("2026-01-20",)
    assert published_plays(shared) == {"2026-01-05": 1, "2026-01-20": 2, "2026-02-03": 1}
    assert shared.state("SELECT scope FROM lakemesh.audited") == ["all dates"]


def test_load_during_a_run_is_not_lost(shared: PostgresHome, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a run that has read what is missing and is about to compute it
    shared.put("events", "late.json", event("late", "2026-01-20"))
    shared.ingest()
    shared.put("events", "later.json", event("later", "2026-01-20"), event("other", "2026-02-03"))
    with paused(RUN) as run:
        # WHEN a load of the same date is committed meanwhile, with a short lock timeout
        monkeypatch.setenv("STATE_LOCK_SECONDS", "1")
        settings.cache_clear()
        summary = ingest()
        # THEN it is loaded but not marked, and the message names the process to wait for
        assert [feed.rows for feed in summary.feeds if feed.feed == "events"] == [2]
        assert summary.exit_code == 1
        (error,) = summary.errors
        assert f"pid {run.pid}, since " in error
        assert "not marked for recomputation" in error

        # WHEN another load waits for the run to end
        monkeypatch.setenv("STATE_LOCK_SECONDS", "120")
        settings.cache_clear()
        summaries: list[IngestSummary] = []
        waiting = threading.Thread(target=lambda: summaries.append(ingest()))
        waiting.start()
        time.sleep(1)
        assert "status SUCCESS" in resume(run)
        waiting.join(timeout=120)

    # THEN the intervals that the run recorded do not hide what was loaded
    assert summaries[0].errors == []
    assert recomputed(shared) == ["2026-01-20 - 2026-01-20", "2026-02-03 - 2026-02-03"]
    assert shared.run() == "SUCCESS"
    assert plays(shared) == {"2026-01-05": 1, "2026-01-20": 3, "2026-02-03": 2}


def test_two_concurrent_runs_compute_once(shared: PostgresHome, tmp_path: Path) -> None:
    shared.put("events", "late.json", event("late", "2026-01-20"))
    shared.ingest()
    command = [str(Path(sys.executable).parent / "sqlmesh"), "--log-file-dir", str(tmp_path), "run"]
    with paused(RUN, STATE_LOCK_SECONDS="120") as first:
        second = subprocess.Popen(
            command, cwd=PROJECT, env=os.environ | {"STATE_LOCK_SECONDS": "120"}, stdout=subprocess.PIPE, text=True
        )
        time.sleep(10)
        assert second.poll() is None
        assert "status SUCCESS" in resume(first)
        printed, _ = second.communicate(timeout=300)
    assert second.returncode == 0, printed
    assert "No models are ready to run" in printed
    assert plays(shared) == {"2026-01-05": 1, "2026-01-20": 2, "2026-02-03": 1}
    assert shared.missing() == {}


def test_second_run_names_the_process_it_waits_for(shared: PostgresHome, tmp_path: Path) -> None:
    shared.put("events", "late.json", event("late", "2026-01-20"))
    shared.ingest()
    command = [str(Path(sys.executable).parent / "sqlmesh"), "--log-file-dir", str(tmp_path), "run"]
    with paused(HOLD) as other:
        done = subprocess.run(
            command, cwd=PROJECT, env=os.environ | {"STATE_LOCK_SECONDS": "1"}, capture_output=True, text=True
        )
        # reading needs no lock: missing dates are shown, and `sqlmesh ui` loads the same project
        assert recomputed(shared) == ["2026-01-20 - 2026-01-20"]
        resume(other)
    assert done.returncode == 1
    assert f"pid {other.pid}, since " in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stdout + done.stderr


def test_two_cycles_of_two_hosts_one_after_the_other(shared: PostgresHome, tmp_path: Path) -> None:
    cycle(shared)
    shared.put("events", "late.json", event("late", "2026-01-20"))
    # GIVEN another host: its own LAKE_HOME, so its own lock file, and the same lake, warehouse and state
    options = shared.options
    elsewhere = os.environ | {
        "LAKE_HOME": str(tmp_path / "host"),
        "LANDING_URI": options.landing_uri,
        "LAKE_URI": options.lake_uri,
        "WAREHOUSE_PATH": options.warehouse_path,
        "PUBLISHED_URI": options.published_uri,
    }
    script = """
import sys
import pipeline.cycle.cycle
from ingest.settings import settings
from pipeline.lake import Lake
ingest_all = pipeline.cycle.cycle.ingest_all
def pause(*args, **kwargs):
    print("paused", flush=True)
    input()
    return ingest_all(*args, **kwargs)
pipeline.cycle.cycle.ingest_all = pause
done = pipeline.cycle.cycle.run_cycle(Lake(settings()), (), lambda _: lambda objects, size: None)
print(done.outcome, done.state, done.errors)
"""
    with paused(script, **elsewhere) as first:
        with pytest.raises(RetriableError, match=rf"pid {first.pid}, since .*has a cycle in progress.*--wait"):
            cycle(shared)
        shown = subprocess.run([sys.executable, "-m", "pipeline", "run"], cwd=PROJECT, capture_output=True, text=True)
        assert shown.returncode == 1
        assert "has a cycle in progress" in shown.stderr
        summaries: list[RunSummary] = []
        waiting = threading.Thread(target=lambda: summaries.append(cycle(shared, wait_seconds=120)))
        waiting.start()
        time.sleep(1)
        assert "published 2 []" in resume(first)
        waiting.join(timeout=120)
    assert (summaries[0].outcome, summaries[0].state) == ("unchanged", 2)
    assert published_plays(shared) == {"2026-01-05": 1, "2026-01-20": 2, "2026-02-03": 1}


def test_state_restored_from_an_older_backup_loses_no_late_data(shared: PostgresHome, tmp_path: Path) -> None:
    cycle(shared)
    dump = tmp_path / "state.sql"
    shared.server.run("pg_dump", "-d", shared.database, "-f", str(dump))
    for number, day in enumerate(("2026-01-20", "2026-01-05"), 2):
        shared.put("events", f"late-{day}.json", event(f"late-{day}", day))
        assert cycle(shared).state == number

    # WHEN the older state is restored, and more data arrives
    shared.server.run(
        "psql", "-q", "-d", shared.database, "-c", "DROP SCHEMA sqlmesh CASCADE; DROP SCHEMA lakemesh CASCADE"
    )
    shared.server.run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", shared.database, "-f", str(dump))
    shared.put("events", "new.json", event("new", "2026-02-03"))
    shared.ingest()

    # THEN everything since is marked again, and readers get all of it
    assert recomputed(shared) == [f"{day} - {day}" for day in DAYS]
    for _ in range(4):  # runs and loads advance the numbering of the restored state beyond the lost one
        shared.run()
        shared.ingest()
    done = cycle(shared)
    assert (done.outcome, done.state, done.errors) == ("published", 4, [])
    assert plays(shared) == published_plays(shared) == dict.fromkeys(DAYS, 2)


@pytest.mark.parametrize("seconds", [60, pytest.param(-60, marks=pytest.mark.slow)])
def test_clients_with_different_clocks_agree_on_what_came_last(
    shared: PostgresHome, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    # GIVEN a run of a client whose clock is wrong
    shared.put("events", "late.json", event("late", "2026-01-20"))
    shared.ingest()
    with monkeypatch.context() as elsewhere:
        wrong_clock(elsewhere, seconds)
        assert shared.run() == "SUCCESS"
        assert shared.missing() == {}

    # WHEN other clients load and compute the same date
    shared.put("events", "later.json", event("later", "2026-01-20"))
    shared.ingest()
    assert recomputed(shared) == ["2026-01-20 - 2026-01-20"]
    assert shared.run() == "SUCCESS"

    # THEN their work counts as the latest, and so does that of the first client when it returns
    assert shared.missing() == {}
    shared.put("events", "last.json", event("last", "2026-01-20"))
    with monkeypatch.context() as elsewhere:
        wrong_clock(elsewhere, seconds)
        shared.ingest()
        assert recomputed(shared) == ["2026-01-20 - 2026-01-20"]
        assert shared.run() == "SUCCESS"
    assert shared.missing() == {}
    assert plays(shared) == {"2026-01-05": 1, "2026-01-20": 4, "2026-02-03": 1}


def wrong_clock(patch: pytest.MonkeyPatch, seconds: int) -> None:
    """Shift the clock by which SQLMesh and Lakemesh order interval rows."""
    moved = time.time
    patch.setattr("sqlmesh.core.state_sync.db.interval.now_timestamp", lambda: int((moved() + seconds) * 1000))
    patch.setattr("sqlmesh.core.scheduler.now_timestamp", lambda: int((moved() + seconds) * 1000))
    patch.setattr("pipeline.state.clock.now_ms", lambda: int((moved() + seconds) * 1000))


@pytest.mark.slow
def test_dates_to_publish_are_found_although_clocks_differ(
    shared: PostgresHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interval rows of a client with a slow clock are merged before they are read: no date is missed."""
    with monkeypatch.context() as elsewhere:
        wrong_clock(elsewhere, 60)
        cycle(shared)
        shared.put("events", "late.json", event("late", "2026-01-20"))
        shared.ingest()
        shared.run()
    shared.put("events", "later.json", event("later", "2026-01-05"))
    shared.ingest()
    assert shared.run() == "SUCCESS"
    context = shared.context()
    context.state_sync.compact_intervals()
    shared.close(context)

    assert cycle(shared).outcome == "published"

    assert published_plays(shared) == {"2026-01-05": 2, "2026-01-20": 2, "2026-02-03": 1}


def test_kill_between_commit_and_marking_is_recovered(shared: PostgresHome) -> None:
    shared.put("events", "late.json", event("late", "2026-01-20"))
    script = """
import os, signal
import pipeline.invalidation.invalidate
from tests.handle import ingest_all

pipeline.invalidation.invalidate.remove_intervals = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
ingest_all()
"""
    killed = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(PROJECT)})
    assert killed.returncode == -signal.SIGKILL
    assert shared.missing() == {}
    started = time.monotonic()

    shared.ingest()

    assert time.monotonic() - started < 20, "a killed process keeps no lock"
    assert recomputed(shared) == ["2026-01-20 - 2026-01-20"]


def test_lost_lock_fails_and_what_was_loaded_meanwhile_is_marked_again(shared: PostgresHome) -> None:
    shared.put("events", "late.json", event("late", "2026-01-20"))
    lock = state_database(shared.options).compute_lock()
    lock.__enter__()
    shared.state(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    # WHEN another host loads and marks, and this one then records what it computed from older data
    done = subprocess.run([sys.executable, "-m", "pipeline", "ingest"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert shared.state("SELECT position FROM lakemesh.settled WHERE feed = 'events'") == ["2"]
    shared.state("DELETE FROM sqlmesh._intervals WHERE is_removed")

    # THEN that is an error, and the next ingest marks again
    with pytest.raises(RetriableError, match=r"connection to .* was lost during the run"):
        lock.__exit__(None, None, None)
    assert shared.missing() == {}
    shared.ingest()
    assert recomputed(shared) == ["2026-01-20 - 2026-01-20"]


def test_cycle_whose_connections_are_cut_fails_and_the_next_one_recovers(shared: PostgresHome) -> None:
    shared.put("events", "late.json", event("late", "2026-01-20"))
    script = PAUSE + "from pipeline.cli import main\nmain(['run'])"
    with paused(script) as cut:
        shared.state(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        _, errors = cut.communicate("go on\n", timeout=300)
    assert cut.returncode == 1
    assert "was lost" in errors
    assert "Traceback" not in errors
    assert not Releases(shared.options).pointer()

    assert cycle(shared).outcome == "published"
    assert published_plays(shared) == {"2026-01-05": 1, "2026-01-20": 2, "2026-02-03": 1}


@pytest.mark.slow
def test_rebuild_starts_a_new_state_and_keeps_the_old_one_until_it_is_done(
    shared: PostgresHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    cycle(shared)
    before = plays(shared)
    Path(shared.options.warehouse_path).unlink()
    with monkeypatch.context() as crash:
        crash.setattr("pipeline.cycle.rebuild.mark", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                rebuild(Lake(shared.options))
            assert shared.state("SELECT COUNT(*) > 0 FROM sqlmesh_before_rebuild._snapshots") == ["t"]

    done = rebuild(Lake(shared.options))

    assert (done.outcome, done.errors) == ("published", [])
    assert plays(shared) == published_plays(shared) == before
    assert shared.missing() == {}
    schemas = shared.state("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(sqlmesh|lakemesh)' ORDER BY 1")
    assert schemas == ["lakemesh", "sqlmesh"]


def test_state_of_another_lake_is_rejected(
    shared: PostgresHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAKE_URI", str(tmp_path / "other"))
    settings.cache_clear()
    summary = ingest()
    assert summary.exit_code == 2
    assert re.search(rf"belongs to the lake \S+/lake, not to {tmp_path / 'other'};", summary.errors[0])
    assert "PGDATABASE for Postgres" in summary.errors[0]


def test_another_warehouse_is_rejected(shared: PostgresHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A client with the same state and its own file would record dates as computed that no other client has."""
    shared.put("events", "late.json", event("late", "2026-01-20"))
    shared.ingest()
    with monkeypatch.context() as colleague:
        colleague.setenv("WAREHOUSE_PATH", str(tmp_path / "own.duckdb"))
        settings.cache_clear()
        with pytest.raises(SQLMeshError, match=r"belongs to the warehouse \S+, but \S+ is another one"):
            shared.run()
        done = run_cycle(Lake(settings()), (), lambda _: lambda objects, size: None)
        assert done.exit_code == 2
        assert "run `lake rebuild`" in done.errors[0]
    settings.cache_clear()
    assert recomputed(shared) == ["2026-01-20 - 2026-01-20"]
    assert shared.run() == "SUCCESS"


def test_sqlmesh_ui_does_not_block_cycles(shared: PostgresHome, tmp_path: Path) -> None:
    shared.put("events", "late.json", event("late", "2026-01-20"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "sqlmesh"), "--log-file-dir", str(tmp_path), "ui", "--port", str(port)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as page:
        try:
            deadline = time.monotonic() + 120
            while not (shown := environments(port)):
                assert time.monotonic() < deadline
                time.sleep(0.5)
            assert "prod" in shown
            assert cycle(shared).outcome == "published"
            assert "prod" in environments(port)
        finally:
            page.terminate()
    assert published_plays(shared) == {"2026-01-05": 1, "2026-01-20": 2, "2026-02-03": 1}


def environments(port: int) -> dict[str, Any]:
    """The environments that the UI lists; empty until it is up."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/environments", timeout=60) as answer:
            return dict(json.load(answer)["environments"])
    except URLError:
        return {}


def test_unreachable_server_is_reported_in_one_line(
    postgres_home: PostgresHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_home.put("events", "1.json", event("e1", "2026-01-05"))
    monkeypatch.setenv("PGPORT", "1")
    settings.cache_clear()
    summary = ingest()
    assert (summary.exit_code, [feed.rows for feed in summary.feeds if feed.feed == "events"]) == (1, [1])
    assert "postgresql://127.0.0.1:1/" in summary.errors[0]
    assert "cannot be reached" in summary.errors[0]
    assert "not marked for recomputation" in summary.errors[0]
    shown = subprocess.run([sys.executable, "-m", "pipeline", "run"], cwd=PROJECT, capture_output=True, text=True)
    assert shown.returncode == 1
    assert "Traceback" not in shown.stderr


def test_wrong_password_is_a_configuration_error(postgres_home: PostgresHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "not-this-one")
    settings.cache_clear()
    with pytest.raises(ConfigError, match=r"password authentication failed .* Correct PGUSER, PGPASSWORD or"):
        state_database(settings()).open()
    assert "not-this-one" not in repr(settings())


def test_missing_library_is_named(postgres_home: PostgresHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    for name in ("postgres", "shared"):
        monkeypatch.delitem(sys.modules, f"pipeline.state.{name}", raising=False)
    with pytest.raises(ConfigError, match=r"needs psycopg2: install requirements-postgres\.lock"):
        state_database(postgres_home.options).open()
