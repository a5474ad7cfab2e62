"""Runs on Spark that die while they write: whatever they leave, the next run is correct. Each Spark is a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from pipeline.cycle.cycle import exclusive_cycle
from pipeline.lake import Lake
from tests.engagement import expected, play, seen
from tests.home import Home

pytestmark = pytest.mark.slow  # minutes: `make spark`

DEADLINE = 600
STAGED = "sqlmesh__*/*/.spark-staging-*"


def command(project: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.worker", "--project", str(project), *arguments]


def wait_until_it_writes(run: subprocess.Popen[str], warehouse: Path, tables: int, known: set[Path]) -> None:
    """Wait until Spark has begun to write the given number of tables.

    Args:
        known: staged files that killed runs have left.
    """
    deadline = time.monotonic() + DEADLINE
    met: set[Path] = set()
    while len(met) < tables:
        assert run.poll() is None, "the run ended too early"
        assert time.monotonic() < deadline
        met |= {path.parent for path in warehouse.glob(STAGED) if path not in known}
        time.sleep(0.005)


def start(arguments: list[str]) -> subprocess.Popen[str]:
    """Start a run whose processes, Python and Java, can be killed together."""
    return subprocess.Popen(
        arguments, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.timeout(1800)
def test_a_run_that_dies_while_it_writes_is_repaired_by_the_next(
    own_spark: Path, spark_home: Home, engagement_project: Path
) -> None:
    home = spark_home
    for day in (1, 2, 3):
        home.put("events", f"{day}.json", play(f"e{day}", f"2026-01-0{day}"))
    home.put("users", "users.json", {"user_id": "u1", "country_code": "fr"})
    home.put("activities", "activities.json", {"activity_id": "a1", "name": "A", "type": "game"})
    home.ingest()
    plan = command(engagement_project, "sqlmesh", "plan", "--auto-apply", "--no-prompts", "--skip-tests")
    subprocess.run(plan, check=True, capture_output=True, timeout=DEADLINE)
    run = command(engagement_project, "lake", "run")
    warehouse = own_spark / "warehouse"
    home.put("events", "late.json", play("late", "2026-01-02"))
    home.put("events", "3.json", play("e3", "2026-01-04"))
    with start(run) as dying:
        wait_until_it_writes(dying, warehouse, 3, set(warehouse.glob(STAGED)))
        os.killpg(dying.pid, signal.SIGKILL)
    done = subprocess.run(run, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert seen(home) == expected(home)


def test_of_two_processes_on_one_state_the_second_exits(
    own_spark: Path, spark_home: Home, engagement_project: Path
) -> None:
    options = spark_home.options
    with exclusive_cycle(Lake(options), 0):  # another `lake run`
        second = subprocess.run(
            command(engagement_project, "lake", "run"), capture_output=True, text=True, timeout=DEADLINE, check=False
        )
    assert second.returncode == 1
    assert "another cycle is in progress" in second.stderr
    Path(options.state_path).parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(options.state_path):  # another `sqlmesh run`
        second = subprocess.run(
            command(engagement_project, "sqlmesh", "run"), capture_output=True, text=True, timeout=DEADLINE, check=False
        )
    assert second.returncode == 1
    assert "Could not set lock" in second.stdout + second.stderr
