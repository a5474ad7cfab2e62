"""Airflow in an environment of its own runs a cycle to a release, skips, fails and retries as `lake` answers."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import PROJECT
from tests.scheduled import Environment, Scheduled, programs

pytestmark = pytest.mark.slow


class Airflow(Environment):
    """Airflow over a lake, with its metadata in SQLite."""

    def __init__(self, folder: Path, lake: Scheduled) -> None:
        self.lake, self.database = lake, folder / "airflow.db"
        own = {
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "deploy" / "airflow" / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        super().__init__("airflow", lake, own)
        done = self.run("airflow", "db", "migrate")
        assert done.returncode == 0, done.stdout + done.stderr

    def test(self, dag: str) -> tuple[str, int, str]:
        """Run a DAG to its end; the state and the number of tries of its task, and what was logged."""
        done = self.run("airflow", "dags", "test", dag)
        query = "SELECT state, try_number FROM task_instance ORDER BY start_date DESC LIMIT 1"
        ((state, tries),) = self.rows(query)
        return state, tries, done.stdout + done.stderr

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.database) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    folder = tmp_path_factory.mktemp("airflow")
    programs("airflow")
    return Airflow(folder / "home", Scheduled(folder))


def test_cycles_run_to_a_release_and_end_as_lake_does(airflow: Airflow) -> None:
    lake = airflow.lake

    # WHEN a wrong setting is met, THEN the task fails without a retry
    with lake.with_setting("LAKE_START=soon"):
        state, tries, log = airflow.test("lakemesh_cycle")
    assert (state, tries) == ("failed", 1), log
    assert "'soon' is not a date" in log
    assert lake.release() == ""

    # WHEN another cycle is in progress, THEN the task is skipped
    with lake.beside_another_cycle():
        state, _, log = airflow.test("lakemesh_cycle")
    assert state == "skipped", log
    assert "another cycle is in progress" in log

    # WHEN nothing is wrong, THEN the lake has a release, which is the task's result and an event of the asset
    state, tries, log = airflow.test("lakemesh_cycle")
    assert (state, tries) == ("success", 1), log
    assert json.loads(lake.release())["state"] == 1
    ((result,),) = airflow.rows("SELECT value FROM xcom WHERE key = 'return_value' ORDER BY timestamp DESC LIMIT 1")
    facts = json.loads(json.loads(result)) if result.startswith('"') else json.loads(result)
    assert (facts["outcome"], facts["release"]) == ("published", 1)
    assert facts["rows"] > 0
    assert "gold.activity_engagement_metrics" in facts["models"]
    events = "SELECT extra FROM asset_event"
    assert [json.loads(extra) for (extra,) in airflow.rows(events)] == [{"release": 1}]

    # WHEN something fails that may pass, THEN it is tried twice
    with lake.with_an_object_that_cannot_be_loaded():
        state, tries, log = airflow.test("lakemesh_cycle")
    assert (state, tries) == ("failed", 2), log
    assert "some objects cannot be loaded" in log

    # WHEN nothing is new, THEN it succeeds without an event
    state, _, log = airflow.test("lakemesh_cycle")
    assert state == "success", log
    assert len(airflow.rows(events)) == 1


def test_maintenance_runs(airflow: Airflow) -> None:
    state, tries, log = airflow.test("lakemesh_maintain")
    assert (state, tries) == ("success", 1), log


def test_runs_never_overlap_or_pile_up(airflow: Airflow) -> None:
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import lakemesh\n"
        "dags = (lakemesh.cycle, lakemesh.maintenance)\n"
        "print(json.dumps([[item.dag_id, item.max_active_runs, item.catchup] for item in dags]))"
    )
    done = airflow.run("python", "-c", code, str(PROJECT / "deploy" / "airflow" / "dags"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [["lakemesh_cycle", 1, False], ["lakemesh_maintain", 1, False]]
