"""The README's commands, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.settings import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def commands() -> list[str]:
    """The lines of the README's `sh` blocks, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


def test_commands_do_what_the_readme_says(clean_settings: Path) -> None:
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "200"}

    def run(command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=PROJECT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run("lake sample --events 2000 --days 5 --late 0.05")
    run("lake ingest")
    run("sqlmesh plan --auto-apply --no-prompts --skip-tests")
    run("lake sample --seed 2 --events 500 --days 2")

    shown = {command: run(command) for command in commands()}

    assert "to recompute with `sqlmesh run`: gold.activity_engagement_metrics" in " ".join(shown["lake ingest"].split())
    assert "gold.activity_engagement_metrics" in shown["sqlmesh run"]
    assert "No changes to plan" in shown["sqlmesh plan"]
    table = shown['sqlmesh fetchdf "SELECT * FROM gold.rpt_most_played_activities LIMIT 5"']
    assert "game_" in table
    assert "engagement/events" in shown["lake contracts events"]


def test_make_targets_are_those_of_the_makefile() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", README))
    listed = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert named - set(re.findall(r"make ([a-z0-9-]+)", listed)) == set()


@pytest.mark.parametrize("name", ["LAKE_HOME", "LANDING_URI", "LAKE_URI", "WAREHOUSE_PATH", "STATE_PATH", "LAKE_START"])
def test_settings_are_explained(name: str) -> None:
    assert re.search(rf"^\|.*`{name}`", README, re.MULTILINE)
