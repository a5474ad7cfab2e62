"""Dagster in an environment of its own runs a cycle to a release, and fails, retries and skips as `lake` answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest.settings import PROJECT
from tests.scheduled import Environment, Scheduled, programs

pytestmark = pytest.mark.slow

FILE = PROJECT / "deploy" / "dagster" / "lakemesh.py"
MATERIALIZED = """
import json, dagster as dg
with dg.DagsterInstance.get() as instance:
    found = instance.fetch_materializations(dg.AssetKey("gold_release"), limit=100).records
    facts = [item.asset_materialization.metadata for item in found]
    print(json.dumps([{name: value.value for name, value in item.items()} for item in facts]))
"""
TICKS = """
import sys, dagster as dg
sys.path.insert(0, sys.argv[1])
import lakemesh
with dg.DagsterInstance.get() as instance:
    tick = lambda: type(lakemesh.every_ten_minutes(dg.build_schedule_context(instance=instance))).__name__
    print(tick())
    job = lakemesh.defs.resolve_job_def("lakemesh_cycle")
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    print(tick())
    limit, lakemesh.LONGEST_SECONDS = lakemesh.LONGEST_SECONDS, 0
    print(tick())
    lakemesh.LONGEST_SECONDS = limit
    instance.report_run_canceled(run)
    print(tick())
"""


class Dagster(Environment):
    """Dagster over a lake, with its records in SQLite."""

    def __init__(self, folder: Path, lake: Scheduled) -> None:
        self.lake = lake
        folder.mkdir()
        super().__init__("dagster", lake, {"DAGSTER_HOME": str(folder), "DAGSTER_DISABLE_TELEMETRY": "yes"})

    def execute(self, job: str) -> tuple[int, str]:
        """Run a job to its end; its exit code and what was logged."""
        done = self.run("dagster", "job", "execute", "-f", str(FILE), "-j", job)
        return done.returncode, done.stdout + done.stderr

    def releases(self) -> list[int]:
        """The releases of the materializations, newest first."""
        done = self.run("python", "-c", MATERIALIZED)
        assert done.returncode == 0, done.stderr
        return [item["release"] for item in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Dagster:
    folder = tmp_path_factory.mktemp("dagster")
    programs("dagster")
    return Dagster(folder / "home_of_dagster", Scheduled(folder))


def test_cycles_run_to_a_release_and_end_as_lake_does(dagster: Dagster) -> None:
    lake = dagster.lake

    # WHEN a wrong setting is met, THEN the job fails without a retry
    with lake.with_setting("LAKE_START=soon"):
        code, log = dagster.execute("lakemesh_cycle")
    assert (code, log.count("STEP_RESTARTED")) == (1, 0), log
    assert "'soon' is not a date" in log
    assert lake.release() == ""

    # WHEN another cycle is in progress, THEN nothing is materialized
    with lake.beside_another_cycle():
        code, log = dagster.execute("lakemesh_cycle")
    assert (code, "no new release: busy" in log) == (0, True), log

    # WHEN nothing is wrong, THEN the lake has a release, which is a materialization
    code, log = dagster.execute("lakemesh_cycle")
    assert code == 0, log
    assert json.loads(lake.release())["state"] == 1
    assert dagster.releases() == [1]

    # WHEN something fails that may pass, THEN it is tried twice
    with lake.with_an_object_that_cannot_be_loaded():
        code, log = dagster.execute("lakemesh_cycle")
    assert (code, log.count("STEP_RESTARTED -")) == (1, 1), log
    assert "some objects cannot be loaded" in log

    # WHEN nothing is new, THEN it succeeds without a materialization
    code, log = dagster.execute("lakemesh_cycle")
    assert (code, "no new release: unchanged" in log) == (0, True), log
    assert dagster.releases() == [1]


def test_maintenance_runs(dagster: Dagster) -> None:
    code, log = dagster.execute("lakemesh_maintain")
    assert code == 0, log


def test_a_tick_beside_a_running_cycle_is_skipped(dagster: Dagster) -> None:
    done = dagster.run("python", "-c", TICKS, str(FILE.parent))
    assert done.stdout.split() == ["RunRequest", "SkipReason", "RunRequest", "RunRequest"], done.stderr
