"""Feast on the published files: its point-in-time join gives what `lake features get` gives.

Feast has an environment of its own, whose interpreter FEAST_PYTHON names: `make feast`.
"""

from __future__ import annotations

import csv
import datetime as dt
import os
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sqlmesh import Context

from ingest.settings import PROJECT, Settings, settings
from pipeline.cli import main
from pipeline.releases.release import Releases, file_key, manifest_key
from tests.customer_features import CHANGED, FEATURES, KNOWN
from tests.known_release import publish
from tests.pipeline.features.test_customer_features import TABLES, Warehouse, landed, span

EXAMPLE = PROJECT / "docs/examples/feast"
VIEWS = {CHANGED: "customer_features", KNOWN: "customer_features_known"}
PYTHON = os.environ.get("FEAST_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="FEAST_PYTHON is not set; `make feast` makes an environment with Feast"),
]


def publish_features(folder: Path, warehouse: Warehouse) -> Releases:
    """Release 1 with both tables, each in two files, beside a file of no release."""
    rows, columns = {}, {}
    for table, _ in TABLES.values():
        described = warehouse.connection.execute(f"DESCRIBE {table}").fetchall()
        columns[table] = {name: kind for name, kind, *_ in described}
        found = warehouse.connection.execute(f"FROM {table}").fetchall()
        rows[table] = [dict(zip(columns[table], row, strict=True)) for row in found]
    releases = publish(folder, rows, columns)
    release, tables = releases.get(1), {}
    for name, table in release.tables.items():
        (whole,) = table.files
        path, parts = folder / "published" / whole.key, []
        for number, test in enumerate(("<", ">=")):
            key = file_key(name, 1, f"{number}-of-2")
            half = f"FROM '{path}' WHERE customer_id {test} 5"
            duckdb.sql(f"COPY ({half}) TO '{folder / 'published' / key}' (FORMAT parquet)")
            parts.append(replace(whole, key=key, part=f"{number}-of-2"))
        tables[name] = replace(table, files=tuple(parts))
    releases.store.put(manifest_key(1), replace(release, tables=tables).to_json())
    return releases


@pytest.mark.parametrize("axis", [CHANGED, KNOWN])
def test_feast_and_lake_agree(project: Context, clean_settings: Path, tmp_path: Path, axis: str) -> None:
    # GIVEN a release, and customers at random moments and at those of changes, in no order, some of them unknown
    warehouse, dice = Warehouse(project), random.Random(3)
    records = landed(1)
    warehouse.compute(records)
    publish_features(clean_settings, warehouse)
    times = span(records, axis)
    length = times[-1] - times[0] + dt.timedelta(days=60)
    moments = [times[0] - dt.timedelta(days=30) + length * dice.random() for _ in range(150)] + dice.sample(times, 150)
    entities = tmp_path / "entities.csv"
    with entities.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer_id", "event_timestamp", "label"])
        writer.writerows([dice.randrange(1, 60), at, number] for number, at in enumerate(moments))

    # WHEN both join
    repository = shutil.copytree(EXAMPLE, tmp_path / "feast")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PUBLISHED_URI": Settings().published_uri, "FEAST_USAGE": "False", "LAKE_RELEASE": "1"}
    feast = str(Path(PYTHON).parent / "feast")
    by_feast, by_lake = tmp_path / "feast.parquet", tmp_path / "lake.parquet"
    for command in ([feast, "apply"], [PYTHON, "train.py", VIEWS[axis], str(entities), str(by_feast)]):
        done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    settings.cache_clear()
    arguments = ["features", "get", "--entities", str(entities), "--output", str(by_lake)]
    result = CliRunner().invoke(main, arguments + ["--known-then"] * (axis == KNOWN))
    assert result.exit_code == 0, result.output

    # THEN they have the same rows, those without features too
    names = ", ".join(
        f"{name}::DECIMAL(18, 6)::TEXT" if name.endswith(("_amount", "_count")) else f"{name}::TEXT"
        for name in FEATURES
    )
    found = {}
    for path in (by_feast, by_lake):
        rows = duckdb.sql(f"SELECT label::BIGINT, {names} FROM '{path}' ORDER BY ALL").fetchall()
        found[path.stem] = [[item and str(item).removesuffix("+00") for item in row] for row in rows]
    assert len(found["lake"]) == 300
    assert 10 < pq.read_table(by_lake)["order_count"].null_count < 290
    assert found["feast"] == found["lake"]
