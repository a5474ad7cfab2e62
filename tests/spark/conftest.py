"""One Spark for the whole session, emptied for each test: its start takes longer than most tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlmesh.core.console import NoopConsole, set_console

from ingest.settings import settings
from tests.home import Home, copy_project, keep_domain

TEST_CONF = {
    "spark.master": "local[2]",
    "spark.sql.shuffle.partitions": "1",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m",
    "spark.log.level": "ERROR",
    # compiling takes longer than processing these few rows
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}
ARGUMENTS = "PYSPARK_SUBMIT_ARGS"


@pytest.fixture(scope="session")
def spark_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of Spark's metastore and tables; PYSPARK_SUBMIT_ARGS sets it for every Spark of the session."""
    pytest.importorskip("pyspark", reason="Spark: pyspark is not installed, the extra `spark`")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("Spark: no Java")
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ARGUMENTS, arguments(folder))
        yield folder
        if session := SparkSession.getActiveSession():
            session.stop()


def arguments(folder: Path) -> str:
    """PYSPARK_SUBMIT_ARGS of a small Spark with its metastore and tables in a folder."""
    confs = TEST_CONF | {
        "spark.driver.extraJavaOptions": f"{TEST_CONF['spark.driver.extraJavaOptions']} "
        f"-Dderby.stream.error.file={folder / 'derby.log'}",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder / 'metastore'};create=true",
    }
    return " ".join(f'--conf "{key}={value}"' for key, value in confs.items())


@pytest.fixture(scope="session")
def engagement_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's SQLMesh part with only the models of engagement; read-only."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "engagement")
    keep_domain(folder, "engagement")
    return folder


class SparkHome(Home):
    """A home whose warehouse is Spark."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query in DuckDB's dialect."""
        return [tuple(row) for row in spark().sql(sqlglot.transpile(query, read="duckdb", write="spark")[0]).collect()]


@pytest.fixture
def spark_home(
    spark_folder: Path, engagement_project: Path, clean_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Home]:
    """An empty lake whose models run on Spark, with only the models of engagement."""
    monkeypatch.setenv("LAKE_GATEWAY", "spark")
    monkeypatch.setattr("tests.home.PROJECT", engagement_project)
    monkeypatch.setattr("pipeline.warehouse.project.PROJECT", engagement_project)
    monkeypatch.setenv(ARGUMENTS, os.environ[ARGUMENTS])
    settings.cache_clear()
    set_console(NoopConsole())
    yield SparkHome()
    empty()


@pytest.fixture
def own_spark(spark_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the Sparks of this test's processes: the session's Spark locks its own metastore."""
    monkeypatch.setenv(ARGUMENTS, arguments(tmp_path / "spark"))
    return tmp_path / "spark"


def empty() -> None:
    """Drop everything in the session's Spark."""
    session = spark()
    if session is not None:
        for (schema,) in session.sql("SHOW SCHEMAS").collect():
            if schema != "default":
                session.sql(f"DROP SCHEMA `{schema}` CASCADE")


def spark() -> Any:
    """The session's Spark; None before its first use."""
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession()
