"""The example of docs/how-to/add_a_domain.md, copied over the project, is ingested, planned and updated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import yaml

from ingest.settings import PROJECT

EXAMPLE = PROJECT / "docs" / "example_domain"
LAKE = ("-m", "pipeline")
SQLMESH = ("-c", "from sqlmesh.cli.main import cli; cli()")
CHECK_AND_PLAN = """
from sqlmesh import Context
context = Context(paths=".")
assert context.format(check=True), "sqlmesh format --check"
names = ("silver/support/test_tickets.yaml", "gold/support/test_fct_tickets_daily.yaml")
tested = context.test(tests=[f"tests/models/{name}" for name in names])
assert tested.wasSuccessful() and tested.testsRun == 2, tested
context.plan(auto_apply=True, no_prompts=True, skip_tests=True)
"""
TICKETS = (
    {"ticket_id": "t1", "account_id": "a1", "topic": "billing", "opened_at": "2026-01-05T08:00:00Z"},
    {"ticket_id": "t2", "account_id": "a1", "topic": "billing", "opened_at": "2026-01-05T23:59:59Z"},
    {"ticket_id": "t3", "topic": "login", "opened_at": "2026-01-06T00:00:00Z"},
)
Run = Callable[..., str]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project's tracked files, with the example copied over it."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}")
    for name in listed.stdout.splitlines():
        if (PROJECT / name).is_file():
            (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, tmp_path / "project" / name)
    new = [path.relative_to(EXAMPLE) for path in EXAMPLE.rglob("*") if path.is_file()]
    assert [str(path) for path in new if (PROJECT / path).exists()] == [], "an example adds files and changes none"
    shutil.copytree(EXAMPLE, tmp_path / "project", dirs_exist_ok=True)
    return tmp_path / "project"


@pytest.fixture
def run(copy: Path) -> Run:
    """Run a command of the copy, with its own lake, and return its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAKE_"))}
    (copy.parent / "dotenv").touch()
    own = {"SQLMESH_DOTENV_PATH": str(copy.parent / "dotenv"), "LAKE_HOME": str(copy.parent / "home")}
    environment = kept | own | {"LAKE_START": "2026-01-01", "PYTHONPATH": str(copy)}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def put(copy: Path, name: str, *records: dict[str, str]) -> None:
    path = copy.parent / "home" / "landing" / "raw-tickets" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")


def gold(copy: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(copy.parent / "home" / "warehouse.duckdb"), read_only=True) as warehouse:
        return warehouse.execute(
            "SELECT date::TEXT, topic, tickets, customers FROM gold.fct_tickets_daily ORDER BY date, topic"
        ).fetchall()


def test_example_domain_is_ingested_planned_and_updated(copy: Path, run: Run) -> None:
    # GIVEN the contract, from which bronze is derived
    run(*LAKE, "contracts", "--write")
    known = yaml.safe_load((copy / "external_models" / "bronze.yaml").read_text(encoding="utf-8"))
    assert "bronze.tickets" in {model["name"] for model in known}

    # WHEN records arrive and the models are planned: linted, tested, computed, audited
    put(copy, "2026-01-06.json", *TICKETS)
    loaded = {feed["feed"]: feed for feed in json.loads(run(*LAKE, "ingest", "tickets", "--json"))["feeds"]}
    assert loaded["tickets"]["rows"] == 3
    run("-c", CHECK_AND_PLAN)

    # THEN gold counts them
    first = ("2026-01-05", "billing", 2, 1)
    assert gold(copy) == [first, ("2026-01-06", "login", 1, 0)]

    # AND a late record recomputes its date
    put(
        copy,
        "late.json",
        {"ticket_id": "t5", "account_id": "a3", "topic": "login", "opened_at": "2026-01-06T10:00:00Z"},
    )
    run(*LAKE, "ingest", "tickets")
    run(*SQLMESH, "run")
    assert gold(copy) == [first, ("2026-01-06", "login", 2, 1)]
