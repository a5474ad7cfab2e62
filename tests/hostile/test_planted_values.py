"""Values of a person, planted wherever a producer or a model can put them, and then everything that a run says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.settings import PROJECT
from tests.home import copy_project, keep_domain, switch_rules_off
from tests.receivers import Receiver

SQLMESH, LAKE = ("-c", "from sqlmesh.cli.main import cli; cli()"), ("-m", "pipeline")
USER, CHILD, DEVICE, MOOD = "planted.user@example.com", "planted-child", "planted-device", "planted mood"
HEADER = "tags (gold, engagement)"
BROKEN = f"""
MODEL (name gold.broken, kind FULL, cron '@daily', owner x, description 'One row per event.', grain n, {HEADER});
SELECT CAST(events.user_id AS INT)::INT AS n FROM silver.activity_events AS events
"""
SEEN = f"""
MODEL (
  name gold.seen, kind FULL, cron '@daily', owner x, description 'One row per account.', grain who, {HEADER},
  audits (forall(criteria := (LENGTH(who) < 3)))
);
SELECT DISTINCT events.user_id::TEXT AS who, events.child_id::TEXT AS kid FROM silver.activity_events AS events
"""
AUDIT = """
AUDIT (name assert_short, standalone TRUE, owner x, description 'x', cron '@daily', dialect duckdb);
SELECT events.user_id || '!' AS label, events.child_id AS kid FROM silver.activity_events AS events
WHERE LENGTH(events.user_id) > 3
"""


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "name": "activity_exit",
        "occurred_at": "2026-03-02 10:00:00",
        "user_id": USER,
        "child_id": CHILD,
        "data": {"activity_id": "a1", "duration": 60, "completed": True, "collection_id": ""},
        "context": {"device": {"device_id": DEVICE}},
    } | fields


USERS = (
    {"user_id": USER, "children_ids": [CHILD], "country_code": "fr"},
    {"user_id": USER, "children_ids": CHILD},
    {"user_id": 7, "children_ids": [CHILD]},
    {"user_id": USER, "registration_at": USER},
)
EVENTS: tuple[dict[str, Any] | bytes, ...] = (
    event(1),
    event(2, mood=MOOD),
    event(3, occurred_at=USER),
    event(4, user_id={"x": USER}),
    event(5, child_id=[CHILD]),
    event(6, data={"duration": CHILD}),
    event(7, occurred_at="never", **{USER: 1}),
    json.dumps(event(8)).encode()[:-5],
    b"\xff" + USER.encode(),
    f'{{"event_id": "e9", "user_id": "{USER}", "user_id": "{USER}"}}'.encode(),
    f"{USER},{CHILD}".encode(),
)


@pytest.fixture
def run(tmp_path: Path, receiver: Receiver) -> Callable[..., str]:
    """Run a program in a project with a model and audits that fail on these values; return all that it prints."""
    folder = copy_project(tmp_path / "project")
    keep_domain(folder, "engagement")
    switch_rules_off(folder)
    ignored = shutil.ignore_patterns("*.py", "__pycache__")
    shutil.copytree(PROJECT / "ingest/contracts", folder / "ingest/contracts", ignore=ignored)
    (folder / "models/gold/engagement/broken.sql").write_text(BROKEN)
    (folder / "models/gold/engagement/seen.sql").write_text(SEEN)
    (folder / "audits/assert_short.sql").write_text(AUDIT)
    (tmp_path / "dotenv").touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAKE_"))}
    own = {"LAKE_HOME": str(tmp_path / "home"), "LAKE_PROJECT": str(folder), "LAKE_START": "2026-03-01"}
    own |= {"SQLMESH_DOTENV_PATH": str(tmp_path / "dotenv"), "NOTIFY_WEBHOOK_URL": receiver.url}
    own |= {"PYTHONPATH": str(PROJECT)}

    def run(*command: str) -> str:
        program = [sys.executable, *command]
        done = subprocess.run(program, cwd=folder, env=kept | own, capture_output=True, timeout=500)
        return (done.stdout + done.stderr).decode("utf-8", "replace")

    return run


def test_nothing_that_a_run_says_has_them(run: Callable[..., str], tmp_path: Path, receiver: Receiver) -> None:
    activity = {"activity_id": "a1", "name": "Song", "type": "audiobook"}
    for feed, records in (("users", USERS), ("activities", (activity,)), ("events", EVENTS)):
        path = tmp_path / "home" / "landing" / f"raw-{feed}" / "1.json"
        path.parent.mkdir(parents=True)
        path.write_bytes(
            b"".join((item if isinstance(item, bytes) else json.dumps(item).encode()) + b"\n" for item in records)
        )
    run(*SQLMESH, "plan", "--auto-apply", "--no-prompts", "--skip-tests")
    said = {"ingest": run(*LAKE, "-v", "ingest")}
    run(*SQLMESH, "run")  # whose terminal is its own
    for command in (
        *("run", "status", "why raw-events/1.json", "why raw-events/1.json --json", "verify --deep", "quarantine list"),
        *("quarantine show --limit 50", "quarantine show --limit 50 --json", "quarantine replay", "maintain"),
        *("quarantine discard --all --because x", "quarantine show --discarded", "contracts propose", "access --log"),
    ):
        said[command] = run(*LAKE, "-v", *command.split())
    assert "Could not convert string *** to INT32" in said["run"]
    assert "audit assert_short found" in said["maintain"]
    assert '"occurred_at": "<string>"' in said["quarantine show --limit 50"]
    assert "planted" in run(*LAKE, "quarantine", "show", "--discarded", "--raw")
    logs = {path.name: path.read_text() for path in (tmp_path / "project" / "logs").glob("*.log")}
    assert any("Could not convert string *** to INT32" in text for text in logs.values())
    with duckdb.connect(str(tmp_path / "home" / "warehouse.duckdb"), read_only=True) as warehouse:
        recorded = warehouse.execute("SELECT errors FROM operations.runs").fetchall()
    assert "Could not convert string *** to INT32" in str(recorded)
    said |= logs | {"alerts": json.dumps(receiver.got), "runs": str(recorded)}
    assert receiver.got != []
    assert [name for name, text in said.items() if "planted" in text] == []
