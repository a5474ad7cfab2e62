"""A change feed is declared, ingested and read by a model of the project: the recorded events, then corrected ones."""

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
import yaml

from ingest.settings import PROJECT
from tests.envelopes import COLUMNS, envelope, line, recorded
from tests.home import copy_project, keep_domain

LAKE = ("-m", "pipeline")
MODEL = """
MODEL (
  name silver.customer_changes,
  kind FULL,
  cron '@daily',
  owner shop,
  description 'One row per change of a customer.',
  grain (position, transaction_order),
  tags (silver, shop),
  audits (not_null(columns := (operation, position)))
);

SELECT
  changes.id::BIGINT AS customer_id, /* Key of the customer */
  changes._operation::TEXT AS operation, /* What was done */
  changes._position::TEXT AS position, /* Place in the log */
  changes._transaction_order::BIGINT AS transaction_order, /* Place in the transaction */
  changes._committed_at::TIMESTAMP AS committed_at, /* When, UTC */
  LEN(changes._unavailable)::BIGINT AS unavailable_count /* Columns whose values were left out */
FROM bronze.customers AS changes
"""
PLAN = """
from sqlmesh import Context
context = Context(paths=".")
context.plan(auto_apply=True, no_prompts=True, skip_tests=True)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project with the models of engagement and one more, and the contract of a change feed."""
    folder = copy_project(tmp_path / "project")
    keep_domain(folder, "engagement")
    shutil.copytree(PROJECT / "ingest" / "contracts", folder / "ingest" / "contracts")
    shutil.rmtree(folder / "ingest" / "contracts" / "shop")  # its customers are others
    contract = {
        "version": 1,
        "kind": "change",
        "owner": "shop",
        "description": "One record per change of a customer.",
        "source": {"bucket": "raw-customers", "format": "debezium"},
        "key": ["id"],
        "freshness_seconds": 3600,
        "columns": [{"description": "A column.", **column} for column in COLUMNS],
    }
    for name, text in (
        ("ingest/contracts/shop/customers.yaml", yaml.safe_dump(contract)),
        ("models/silver/shop/customer_changes.sql", MODEL.lstrip()),
    ):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def run(project: Path, tmp_path: Path) -> Callable[..., str]:
    """Run Python in that project, with its own lake, and return the output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAKE_"))}
    (tmp_path / "dotenv").touch()
    own = {"SQLMESH_DOTENV_PATH": str(tmp_path / "dotenv"), "LAKE_HOME": str(tmp_path / "home")}
    own |= {"LAKE_PROJECT": str(project), "PYTHONPATH": str(PROJECT), "LAKE_START": "2026-01-01"}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=project, env=kept | own, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_recorded_events_reach_a_model(project: Path, run: Callable[..., str], tmp_path: Path) -> None:
    def put(name: str, *items: Any) -> None:
        path = tmp_path / "home" / "landing" / "raw-customers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line(item) + b"\n" for item in items))

    def ingest() -> dict[str, Any]:
        (report,) = json.loads(run(*LAKE, "ingest", "customers", "--json"))["feeds"]
        return dict(report)

    def query(text: str) -> list[Any]:
        with duckdb.connect(str(tmp_path / "home" / "warehouse.duckdb"), read_only=True) as warehouse:
            return warehouse.execute(text).fetchall()

    # GIVEN the contract, from which bronze is derived
    run(*LAKE, "contracts", "--write")

    # WHEN the events are loaded and the models are planned
    put("1.json", *recorded().values())
    report = ingest()
    run("-c", PLAN)

    # THEN bronze and the model have the changes, and all else is counted
    assert (report["records"], report["rows"]) == (21, 9)
    assert report["skipped"] == [["tombstone", 2], ["transaction", 10]]
    counted = "SELECT operation, COUNT(*) FROM silver.customer_changes GROUP BY operation ORDER BY operation"
    before = query(counted)
    assert before == [("create", 3), ("delete", 2), ("read", 2), ("truncate", 1), ("update", 1)]
    counts = query("SELECT records, rows, skipped FROM operations.objects WHERE feed = 'customers'")
    assert counts == [(21, 9, 12)]
    assert query("SELECT kind FROM operations.feeds WHERE feed = 'customers'") == [("change",)]

    # AND one more change reaches the model by the next run
    put("2.json", envelope("u"))
    assert ingest()["rows"] == 1
    run("-c", "from sqlmesh.cli.main import cli; cli()", "run")
    assert dict(query(counted))["update"] == 2
    assert "agrees" in run(*LAKE, "verify", "customers", "--deep")
