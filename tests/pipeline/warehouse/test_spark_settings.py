"""The settings that Lakemesh starts Spark with: its defaults, unless the user sets others. No Spark is needed."""

from __future__ import annotations

import os
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from ingest.settings import read_settings
from pipeline.warehouse.spark.session import ARGUMENTS, configure, spark_type, spark_uri, text


def properties() -> dict[str, str]:
    """Properties as spark-submit reads them from the arguments: the last of several values wins."""
    arguments = shlex.split(os.environ[ARGUMENTS])
    assert arguments[-1] == "pyspark-shell"
    pairs = [value for option, value in pairwise(arguments) if option == "--conf"]
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.fixture(autouse=True)
def _without_spark(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPARK_CONF_DIR", "SPARK_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(ARGUMENTS, "")
    monkeypatch.setenv("LAKE_GATEWAY", "spark")


def test_all_paths_are_below_the_home(clean_settings: Path) -> None:
    configure(read_settings())
    found = properties()
    assert found["spark.master"] == "local[*]"
    assert found["spark.sql.warehouse.dir"] == f"{clean_settings}/spark/warehouse"
    assert f"{clean_settings}/spark/metastore" in found["spark.hadoop.javax.jdo.option.ConnectionURL"]
    assert not any("s3a" in name for name in found)
    assert (clean_settings / "spark").is_dir()


def test_user_settings_win_and_are_passed_once(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = clean_settings.parent / "conf"
    folder.mkdir()
    (folder / "spark-defaults.conf").write_text("# mine\nspark.sql.shuffle.partitions  64\nspark.ui.enabled=true\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(folder))
    given = "--master spark://host:7077 --driver-memory 8g --conf 'spark.app.name=my lake' --packages a:b:1"
    monkeypatch.setenv(ARGUMENTS, given)
    configure(read_settings())
    found = properties()
    assert found.keys().isdisjoint({"spark.master", "spark.sql.shuffle.partitions", "spark.ui.enabled"})
    assert found["spark.app.name"] == "my lake"
    assert os.environ[ARGUMENTS].endswith(f"{given} pyspark-shell")
    once = os.environ[ARGUMENTS]
    configure(read_settings())
    assert os.environ[ARGUMENTS] == once


def test_s3a_uses_the_aws_variables_and_keys_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:7070",
        "AWS_REGION": "eu-west-3",
        "AWS_ACCESS_KEY_ID": "who",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    configure(read_settings())
    found = properties()
    assert found["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:7070"
    assert found["spark.hadoop.fs.s3a.endpoint.region"] == "eu-west-3"
    assert "secret" not in os.environ[ARGUMENTS]  # Spark takes the keys from the environment


def test_names_types_and_literals() -> None:
    assert spark_uri("s3://lake/prefix") == "s3a://lake/prefix"
    assert spark_uri("/srv/my lake") == "file:///srv/my%20lake"
    assert spark_type("STRUCT(at TIMESTAMP, n BIGINT)[]") == "ARRAY<STRUCT<at: TIMESTAMP_NTZ, n: BIGINT>>"
    assert text("it's \\") == "'it\\'s \\\\'"
