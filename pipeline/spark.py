"""Spark's own settings, and Spark's names and types for what contracts say in DuckDB's dialect."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from sqlglot.expressions import DataType

from ingest.settings import Settings

ARGUMENTS = "PYSPARK_SUBMIT_ARGS"
"""The variable from which pyspark takes the arguments of spark-submit when it starts a Spark of its own."""


def defaults(options: Settings) -> dict[str, str]:
    """What a Spark in this process is set to where nothing else is said: all of it below LAKE_HOME, small, and quiet.

    What must hold on every Spark (time zone, overwriting of partitions) stands in config.yaml instead.
    """
    home = Path(options.lake_home) / "spark"
    found = {
        "spark.master": "local[*]",
        "spark.app.name": "lakemesh",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.warehouse.dir": str(home / "warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={home / 'metastore'};create=true",
        "spark.driver.extraJavaOptions": f"-Dderby.stream.error.file={home / 'derby.log'}",
    }
    if options.aws_endpoint_url:
        found |= {
            "spark.hadoop.fs.s3a.endpoint": options.aws_endpoint_url,
            "spark.hadoop.fs.s3a.endpoint.region": options.aws_region,
            "spark.hadoop.fs.s3a.path.style.access": "true",
        }
    return found


def configure(options: Settings) -> None:
    """Makes the Spark that this process will start take our defaults, unless its user says otherwise.

    Who says otherwise, each before the next: PYSPARK_SUBMIT_ARGS, spark-defaults.conf in SPARK_CONF_DIR or
    SPARK_HOME/conf. A Spark that runs already (spark-submit, SPARK_REMOTE) keeps its own settings.
    """
    given = shlex.split(os.environ.get(ARGUMENTS, ""))
    said = set(_said(given)) | set(_said_in_file())
    ours = [
        part for key, value in defaults(options).items() if key not in said for part in ("--conf", f"{key}={value}")
    ]
    rest = given if given[-1:] == ["pyspark-shell"] else [*given, "pyspark-shell"]
    os.environ[ARGUMENTS] = shlex.join([*ours, *rest])
    (Path(options.lake_home) / "spark").mkdir(parents=True, exist_ok=True)


def _said(arguments: list[str]) -> Iterator[str]:
    """Properties that arguments of spark-submit set."""
    options = {"--master": "spark.master", "--name": "spark.app.name", "--driver-java-options": _JAVA_OPTIONS}
    for place, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name in ("--conf", "-c"):
            yield (value or " ".join(arguments[place + 1 : place + 2])).partition("=")[0]
        elif name in options:
            yield options[name]


_JAVA_OPTIONS = "spark.driver.extraJavaOptions"


def _said_in_file() -> Iterator[str]:
    """Properties that the user's spark-defaults.conf sets."""
    home = os.environ.get("SPARK_HOME")
    folder = os.environ.get("SPARK_CONF_DIR") or (f"{home}/conf" if home else "")
    path = Path(folder) / "spark-defaults.conf"
    if folder and path.is_file():
        for line in path.read_text().splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield re.split(r"[\s=:]", line.strip(), maxsplit=1)[0]


def spark_type(kind: str) -> str:
    """`STRUCT(at TIMESTAMP)[]` → `ARRAY<STRUCT<at: TIMESTAMP_NTZ>>`."""
    return DataType.build(kind, dialect="duckdb").sql("spark")


def spark_uri(uri: str) -> str:
    """The address as Hadoop's file systems name it: `s3://bucket/key` → `s3a://bucket/key`, a folder → `file:…`."""
    return f"s3a://{uri.removeprefix('s3://')}" if uri.startswith("s3://") else Path(uri).as_uri()


def text(value: str) -> str:
    """A literal of Spark's SQL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
