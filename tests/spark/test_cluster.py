"""A cluster of Spark's own kind, and the state in Postgres: what a team runs that has outgrown one machine."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.settings import settings
from tests.engagement import expected, play, seen
from tests.home import Home, free_port
from tests.postgres_server import Postgres
from tests.spark.conftest import ARGUMENTS, SparkHome
from tests.spark.test_kills import DEADLINE, command

pytestmark = pytest.mark.slow  # minutes: `make spark`


@pytest.fixture
def cluster(spark_folder: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a master with one worker, and the folder of what the worker's executors keep."""
    import pyspark

    port, work = free_port(), tmp_path / "work"
    address = f"spark://127.0.0.1:{port}"
    start = [str(Path(pyspark.__file__).parent / "bin" / "spark-class")]
    host = ["--host", "127.0.0.1", "--webui-port", "0"]
    limits = ["--cores", "2", "--memory", "1g", "--work-dir", str(work)]
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"}
    servers = []
    try:
        with (tmp_path / "cluster.log").open("w") as log:
            for arguments in (
                ["org.apache.spark.deploy.master.Master", *host, "--port", str(port)],
                ["org.apache.spark.deploy.worker.Worker", *host, *limits, address],
            ):
                servers.append(subprocess.Popen([*start, *arguments], env=environment, stdout=log, stderr=log))
            yield address, work
    finally:
        for server in servers:
            server.terminate()
            server.wait()


@pytest.mark.timeout(1800)
def test_cluster_with_its_state_in_postgres_gives_the_gold_of_plain_python(
    cluster: tuple[str, Path],
    own_spark: Path,
    spark_home: Home,
    engagement_project: Path,
    postgres_server: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, work = cluster
    database = f"state_{uuid.uuid4().hex}"
    postgres_server.sql("postgres", f"CREATE DATABASE {database}")
    for name, value in (postgres_server.variables | {"PGDATABASE": database}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LAKE_GATEWAY", "spark_postgres_state")
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    said = os.environ[ARGUMENTS].replace("spark.master=local[2]", f"spark.master={address}")
    monkeypatch.setenv(ARGUMENTS, f"{said} --conf spark.executor.memory=512m --conf spark.driver.host=127.0.0.1")
    settings.cache_clear()
    home = SparkHome()
    for day in (1, 2, 3):
        home.put("events", f"{day}.json", play(f"e{day}", f"2026-01-0{day}"), play(f"f{day}", f"2026-01-0{day}", "u2"))
    home.put("users", "users.json", {"user_id": "u1", "country_code": "fr"})
    home.put("activities", "activities.json", {"activity_id": "a1", "name": "A", "type": "game"})
    home.ingest()

    plan = command(engagement_project, "sqlmesh", "plan", "--auto-apply", "--no-prompts", "--skip-tests")
    subprocess.run(plan, check=True, capture_output=True, timeout=DEADLINE)
    home.put("events", "late.json", play("late", "2026-01-02"))
    home.put("users", "late.json", {"user_id": "u2", "country_code": "us"})
    done = subprocess.run(
        command(engagement_project, "lake", "run"), capture_output=True, text=True, timeout=DEADLINE, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert seen(home) == expected(home)
    assert list(work.glob("app-*/0/stderr")), "the executors were the cluster's"
    assert not Path(home.options.state_path).exists()
    assert postgres_server.sql(database, "SELECT COUNT(*) > 0 FROM sqlmesh._snapshots").strip() == "t"
