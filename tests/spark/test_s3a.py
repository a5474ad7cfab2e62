"""Bronze on a real S3 server, read by Spark over s3a with only the AWS_* variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.settings import PROJECT
from tests.engagement import play
from tests.home import Home
from tests.spark.conftest import arguments

pytestmark = pytest.mark.slow  # minutes: `make spark`

JARS = ("hadoop-aws-3.3.4.jar", "aws-java-sdk-bundle-1.12.262.jar")
SEEN = """
import json, os
os.environ["LAKE_GATEWAY"] = "spark"
from sqlmesh.core.config import Config, load_configs
from ingest.settings import PROJECT, settings
from pipeline.lake import Lake
from pipeline.warehouse.spark.session import configure
from pipeline.warehouse.spark.bronze import register

configure(settings())
adapter = load_configs(None, Config, [PROJECT])[PROJECT].gateways["spark"].connection.create_engine_adapter()
register(adapter, Lake(settings()).store, {})
query = "SELECT event_id, CAST(event_date AS STRING) FROM bronze.events WHERE event_date > '2026-01-01'"
rows = adapter.fetchall(query)
print(json.dumps(sorted(map(list, rows))))
"""


def test_bronze_on_s3_is_read_over_s3a(
    conditional_home: Home, spark_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(os.environ.get("SPARK_S3A_JARS", PROJECT / ".venv" / "jars"))
    if not all((folder / name).is_file() for name in JARS):
        pytest.skip(f"Spark: {folder} lacks {' and '.join(JARS)}; make setup-spark-s3a")
    home = conditional_home
    for day in (1, 2, 3):
        home.put("events", f"{day}.json", play(f"e{day}", f"2026-01-0{day}"))
    home.ingest()
    home.put("events", "2.json", play("e2", "2026-01-01"), play("é", "2026-01-04"))
    home.ingest()
    conf = f'{arguments(tmp_path / "spark")} --conf "spark.driver.extraClassPath={folder}/*"'
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", conf)
    assert home.options.lake_uri.startswith("s3://")
    done = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [["e3", "2026-01-03"], ["é", "2026-01-04"]]
