"""Concurrent environments, versions and processes: late data reaches all of them, and no old data returns.

Each test states the rule that it guards and fails without it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import tests.home
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT
from ingest.storage.store import Store
from pipeline.cycle.summary import RunSummary
from pipeline.releases.release import Releases
from tests.engagement import GOLD, cycle, expected, gold, play, plays, seen
from tests.home import Home, free_port

MODEL = "models/gold/engagement/activity_engagement_metrics.sql"
SYSTEM, UPPER = "activity_events_enriched.os_name::TEXT", "UPPER(activity_events_enriched.os_name)::TEXT"
COMPUTING = "before:sqlmesh.core.scheduler:Scheduler.run_merged_intervals"


def worker(*arguments: str) -> list[str]:
    """The command of a process with an injected fault, see tests/worker.py."""
    return [sys.executable, "-m", "tests.worker", "--project", str(tests.home.PROJECT), *arguments]


def run(*arguments: str, code: int = 0) -> str:
    """Run such a process, assert its exit code and return its stderr."""
    done = subprocess.run(worker(*arguments), cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr


def change(branch: Path, old: str, new: str) -> None:
    """Edit the gold model."""
    path = branch / MODEL
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))


def must_publish(home: Home) -> RunSummary:
    """Run a successful cycle, after which readers get what the raw lines say."""
    done = cycle(home)
    assert (done.outcome, done.errors) == ("published", [])
    assert seen(home) == expected(home) == gold(home)
    return done


def remove_expired(home: Home) -> None:
    """Run `sqlmesh janitor --ignore-ttl`."""
    context = home.context()
    try:
        context.run_janitor(ignore_ttl=True)
    finally:
        home.close(context)


def events_position(home: Home) -> int:
    """The number of committed loads of events."""
    return Ledger(Store(home.options.lake_uri), "events").position()


@pytest.mark.parametrize(
    "is_forward_only",
    [pytest.param(False, id="new_version"), pytest.param(True, id="forward_only", marks=pytest.mark.slow)],
)
def test_promoted_environment_has_no_old_data(running: Home, branch: Path, is_forward_only: bool) -> None:
    """Rule: a changed date is removed from the intervals of every version, not of production's alone."""
    change(branch, SYSTEM, UPPER)
    running.plan("dev", forward_only=is_forward_only)

    # WHEN data arrives that is late for both, production loads it, and the branch is promoted
    running.put("events", "late.json", play("late", "2026-01-02"))
    must_publish(running)
    running.plan(forward_only=is_forward_only)

    assert gold(running) == expected(running)
    assert running.run() == "NOTHING_TO_DO"
    if not is_forward_only:  # a forward-only change applies only to what is computed after it
        done = must_publish(running)
        assert running.rows(f"SELECT DISTINCT os_name FROM {GOLD}") == [("IOS",)]
        # the dates computed on the branch, before the current release, were never audited
        assert {audit.scope for audit in done.audits} == {"all dates"}


def test_environment_planned_on_missing_dates_computes_what_it_reads_first(running: Home, branch: Path) -> None:
    """Rule: loads mark their dates at once, so that a plan sees shared tables as incomplete."""
    running.put("events", "late.json", play("late", "2026-01-02"))
    running.ingest()
    change(branch, SYSTEM, UPPER)

    running.plan("dev")

    assert running.rows(f"SELECT SUM(activities_played)::INT FROM {GOLD.replace('.', '__dev.')}") == [(4,)]
    running.plan()
    must_publish(running)


@pytest.mark.slow
def test_model_reverted_after_its_old_version_expired_is_complete(running: Home, branch: Path) -> None:
    """Rule: SQLMesh's intervals and its tables are removed together, whatever rows of Lakemesh lie between."""
    change(branch, SYSTEM, UPPER)
    running.plan()
    running.put("events", "late.json", play("late", "2026-01-02"))
    must_publish(running)
    remove_expired(running)
    running.put("events", "later.json", play("later", "2026-01-01"))
    running.ingest()

    change(branch, UPPER, SYSTEM)
    running.plan()

    must_publish(running)
    assert running.rows(f"SELECT DISTINCT os_name FROM {GOLD}") == [("iOS",)]


def test_changed_description_reaches_readers_and_rewrites_only_the_catalog(running: Home, branch: Path) -> None:
    """Rule: a release has the models' own descriptions, and shares the files of the previous release."""
    before = Releases(running.options).get(1)
    change(branch, "One row per day, country", "One row per date, country")
    running.plan()

    done = must_publish(running)

    after = Releases(running.options).get(2)
    assert (done.computed, dict(done.published_dates)) == ({}, {})
    rewritten = {name for name, table in after.tables.items() if table.files != before.tables[name].files}
    assert [name for name in rewritten if name.startswith("gold.")] == []
    assert after.tables[GOLD].description.startswith("One row per date, country")
    assert cycle(running).outcome == "unchanged"


def test_late_data_reaches_intervals_whose_snapshot_expired(running: Home, branch: Path) -> None:
    """Rule: intervals, not snapshots, determine what to remove: an expired snapshot's table may still be live."""
    change(branch, "One row per day, country", "One row per date, country")
    running.plan()
    remove_expired(running)
    running.put("events", "late.json", play("late", "2026-01-02"))

    must_publish(running)

    assert plays(seen(running))["2026-01-02"] == 2


@pytest.mark.parametrize("command", [pytest.param("plan", marks=pytest.mark.slow), "run"])
def test_load_committed_while_models_are_computed_is_marked_by_the_next_one(
    running: Home, branch: Path, command: str
) -> None:
    """Rule: a feed's position is applied only with its removals; a process that cannot write them leaves it behind."""
    running.put("events", "first.json", play("first", "2026-01-02"))
    running.ingest()
    arguments = []
    if command == "plan":
        change(branch, SYSTEM, UPPER)
        arguments = ["dev", "--auto-apply", "--no-prompts", "--skip-tests"]
    computing = subprocess.Popen(
        worker("--at", COMPUTING, "stop", "sqlmesh", command, *arguments),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _, status = os.waitpid(computing.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        running.put("events", "second.json", play("second", "2026-01-02"), play("third", "2026-01-03"))

        before = events_position(running)
        errors = run("lake", "ingest", code=1)

        assert f"{running.options.state_path} is locked by another process" in errors
        assert "The loads are committed" in errors
        assert events_position(running) == before + 1
    finally:
        computing.send_signal(signal.SIGCONT)
    output, _ = computing.communicate()
    assert computing.returncode == 0, output
    if command == "plan":
        running.plan()
    must_publish(running)


def test_ingest_that_dies_around_the_removal_is_recovered_by_the_next_cycle(running: Home) -> None:
    """Rule: removals and applied position are one transaction, after the commits of the ledger."""
    before = events_position(running)
    moments = (
        "before:pipeline.cycle.ingest:mark",
        "after:pipeline.invalidation.invalidate:remove_intervals",
        "before:CHECKPOINT",
    )
    for number, moment in enumerate(moments, 1):
        running.put("events", f"late{number}.json", play(f"late{number}", "2026-01-02"))
        run("--at", moment, "kill", "lake", "ingest", code=-signal.SIGKILL)
        assert events_position(running) == before + number
        must_publish(running)


@pytest.mark.slow
def test_restored_state_file_is_brought_up_to_date(running: Home, tmp_path: Path) -> None:
    """Rule: the applied position is in the same file as the intervals, so what a backup lacks is marked again."""
    back_up = tmp_path / "state.duckdb"
    shutil.copy(running.options.state_path, back_up)
    running.put("events", "late.json", play("late", "2026-01-02"))
    must_publish(running)
    shutil.copy(back_up, running.options.state_path)
    running.put("events", "later.json", play("later", "2026-01-03"))

    done = cycle(running)

    assert {day.day for day in done.computed[GOLD].dates} == {2, 3}
    assert seen(running) == expected(running) == gold(running)


def test_dates_computed_after_a_restore_are_published_however_late(running: Home, tmp_path: Path) -> None:
    """Rule: a number of the computation history is valid only in the history that assigned it."""
    back_up = tmp_path / "state.duckdb"
    shutil.copy(running.options.state_path, back_up)
    for day in (1, 2):
        running.put("events", f"late{day}.json", play(f"late{day}", f"2026-01-0{day}"))
        must_publish(running)
    shutil.copy(back_up, running.options.state_path)

    # WHEN each step is a separate command, and loads advance the number before the next publication
    running.put("events", "later.json", play("later", "2026-01-03"))
    running.ingest()
    assert running.run() == "SUCCESS"
    for _ in range(12):
        running.ingest()

    assert cycle(running).errors == []
    assert seen(running) == expected(running) == gold(running)


def test_two_ingesters_and_one_run_lose_nothing(running: Home) -> None:
    """Rule: each ingester marks the commits of all ingesters; the state's lock serializes them."""
    for number in range(20):
        running.put("events", f"n{number}.json", play(f"n{number}", f"2026-01-0{1 + number % 3}"))
    ingesters = [
        subprocess.Popen(
            [sys.executable, "-m", "pipeline", "ingest"], cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    assert [(process.communicate()[1], process.returncode) for process in ingesters] == [(b"", 0)] * 2

    assert running.run() == "SUCCESS"

    assert gold(running) == expected(running)
    must_publish(running)


def test_different_clocks_have_no_effect(running: Home) -> None:
    """Rule: a removal sorts after all recorded intervals and before all later ones, whatever the clocks say."""
    # WHEN a machine that is a minute ahead marks a date, and this one computes it
    running.put("events", "1.json", play("one", "2026-01-02"))
    run("--ahead", "60", "lake", "ingest")
    must_publish(running)

    # WHEN the machine that is ahead computes, and this one marks
    running.put("events", "2.json", play("two", "2026-01-02"))
    run("--ahead", "60", "lake", "run")
    running.put("events", "3.json", play("three", "2026-01-02"))
    must_publish(running)
    assert running.run() == "NOTHING_TO_DO"


def test_state_locked_by_the_ui_is_named_and_the_next_cycle_recovers(running: Home) -> None:
    """Rule: a locked state stops marking and computing, never loading; each command reports it in one line."""
    port = free_port()
    command = ["sqlmesh", "ui", "--host", "127.0.0.1", "--port", str(port), "--mode", "catalog"]
    ui = subprocess.Popen(worker(*command), cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}/api/models", ui)
        running.put("events", "late.json", play("late", "2026-01-02"))
        before = events_position(running)

        errors = {name: run("lake", name, code=1) for name in ("ingest", "run")}

        assert "is locked by another process (a run, or `sqlmesh ui`); end that process. The loads" in errors["ingest"]
        assert "in use by another process (a run, or `sqlmesh ui`); wait for it or end it" in errors["run"]
        assert "Traceback" not in errors["ingest"] + errors["run"]
        assert events_position(running) == before + 1
        assert plays(seen(running)) == {"2026-01-01": 1, "2026-01-02": 1, "2026-01-03": 1}
    finally:
        ui.terminate()
        ui.communicate()
    must_publish(running)


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until a page answers."""
    deadline = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=60):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"{address} does not answer: {server.poll()}")
