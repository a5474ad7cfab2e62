"""The steps of docs/examples/pull_request.yml, run unchanged on a copy of the project and a lake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.settings import PROJECT
from tests.engagement import GOLD, cycle, expected, play, seen
from tests.home import Home, keep_domain

WORKFLOW: dict[str, Any] = yaml.safe_load((PROJECT / "docs/examples/pull_request.yml").read_text(encoding="utf-8"))
NUMBER = "7"
COLUMN = "  COUNT(\n    CASE\n      WHEN activity_events_enriched.completed_flag"
NEW_COLUMN = """  SUM(
    CASE WHEN activity_events_enriched.duration_seconds > @play_cap_seconds THEN 1 ELSE 0 END
  )::BIGINT AS long_plays, /* Plays longer than play_cap_seconds, additive */
"""
SHELL = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c"]
"""The command that GitHub runs for `shell: bash`."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The result of `actions/checkout`, with the virtual environment already created."""
    folder = tmp_path / "checkout"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
    keep_domain(folder, "engagement")
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(Path(sys.executable).parent)
    (folder / ".venv/.ready").touch()
    return folder


@pytest.fixture
def job(running: Home, checkout: Path, tmp_path: Path) -> Callable[[str], str]:
    """Run a job's steps and return its summary."""
    paths, summary = tmp_path / "paths", tmp_path / "summary"

    def run(name: str) -> str:
        paths.write_text("")
        summary.write_text("")
        variables = {key: value.replace("${{ github.event.number }}", NUMBER) for key, value in WORKFLOW["env"].items()}
        variables |= {"LAKE_HOME": running.options.lake_home, "PYTHONPATH": str(checkout)}
        variables |= {"GITHUB_PATH": str(paths), "GITHUB_STEP_SUMMARY": str(summary)}
        assert "${{" not in "".join(variables.values())
        for step in WORKFLOW["jobs"][name]["steps"]:
            if "run" not in step:
                assert step == {"uses": "actions/checkout@v4"}
                continue
            assert "${{" not in step["run"], "text of a pull request must not become a part of a script"
            found = ":".join([*reversed(paths.read_text().split()), "/usr/local/bin:/usr/bin:/bin"])
            done = subprocess.run(
                [*SHELL, step["run"]],
                cwd=checkout,
                env=os.environ | variables | {"PATH": found},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, step["name"] + done.stdout + done.stderr
        return summary.read_text()

    assert WORKFLOW["defaults"]["run"]["shell"] == "bash"
    return run


def environments(home: Home) -> dict[str, set[str]]:
    """Each environment with the schemas of its views."""
    context = home.context()
    try:
        rows = context.engine_adapter.fetchall("SELECT DISTINCT schema_name FROM duckdb_views() WHERE NOT internal")
        names = [environment.name for environment in context.state_reader.get_environments()]
    finally:
        home.close(context)
    return {name: {schema for (schema,) in rows if schema.endswith(f"__{name}")} for name in names}


def test_environment_is_created_reported_and_removed(running: Home, checkout: Path, job: Callable[[str], str]) -> None:
    # GIVEN a branch with one more column
    model = checkout / "models/gold/engagement/activity_engagement_metrics.sql"
    text = model.read_text()
    model.write_text(text.replace(COLUMN, NEW_COLUMN + COLUMN))
    assert model.read_text() != text
    before = seen(running)

    reported = job("plan")

    assert f"## Environment `pr_{NUMBER}`" in reported
    assert f"`gold__pr_{NUMBER}.activity_engagement_metrics` (Non-breaking)" in reported
    assert "**Models needing backfill:**" in reported
    schemas = {f"{layer}__pr_{NUMBER}" for layer in ("gold", "ops", "silver")}
    assert environments(running) == {"prod": set(), f"pr_{NUMBER}": schemas}
    table = GOLD.replace(".", f"__pr_{NUMBER}.")
    assert running.rows(f"SELECT SUM(long_plays)::INT, COUNT(*) FROM {table}") == [(0, 3)]
    assert seen(running) == before
    running.put("events", "late.json", play("late", "2026-01-02"))
    assert cycle(running).errors == []

    for _ in range(2):  # the second time there is nothing to remove
        job("remove")

    assert environments(running) == {"prod": set()}
    assert seen(running) == expected(running)
