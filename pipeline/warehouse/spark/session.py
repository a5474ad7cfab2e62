"""Spark's settings, fixes of SQLMesh's Spark adapter, and Spark's names for types and addresses."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sqlglot import exp

from ingest.schemes import FOLDER, scheme_of
from ingest.settings import Settings
from ingest.storage.folders import make_folder

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

HADOOP_SCHEMES = {"s3": "s3a"}
"""What Hadoop calls the schemes of remote addresses."""
PARTITIONS_AT_ONCE = 1000
"""Partitions that one statement drops."""
ARGUMENTS = "PYSPARK_SUBMIT_ARGS"
"""The variable from which pyspark takes spark-submit's arguments when it starts its own Spark."""


def defaults(options: Settings) -> dict[str, str]:
    """Default properties of a Spark started by this process: files below LAKE_HOME, few partitions, little output.

    Properties that every Spark needs (time zone, overwriting of partitions) are in config.yaml instead.
    """
    home = Path(options.lake_home) / "spark"
    found = {
        "spark.master": "local[*]",
        "spark.app.name": "lakemesh",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "16",
        "spark.sql.warehouse.dir": str(home / "warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={home / 'metastore'};create=true",
        "spark.driver.defaultJavaOptions": f"-Dderby.stream.error.file={home / 'derby.log'}",
    }
    if options.aws_endpoint_url:
        found |= {
            "spark.hadoop.fs.s3a.endpoint": options.aws_endpoint_url,
            "spark.hadoop.fs.s3a.endpoint.region": options.aws_region,
            "spark.hadoop.fs.s3a.path.style.access": "true",
        }
    return found


def configure(options: Settings) -> None:
    """Apply the defaults to the Spark that this process will start, except properties that the user sets.

    User settings are, in order of precedence, PYSPARK_SUBMIT_ARGS and spark-defaults.conf in SPARK_CONF_DIR or
    SPARK_HOME/conf. A Spark that already runs (spark-submit, SPARK_REMOTE) keeps its own settings.
    """
    arguments = shlex.split(os.environ.get(ARGUMENTS, ""))
    user_set = set(_set_by_arguments(arguments)) | set(_set_by_file())
    added = [
        part for key, value in defaults(options).items() if key not in user_set for part in ("--conf", f"{key}={value}")
    ]
    rest = arguments if arguments[-1:] == ["pyspark-shell"] else [*arguments, "pyspark-shell"]
    os.environ[ARGUMENTS] = shlex.join([*added, *rest])
    make_folder(Path(options.lake_home) / "spark", options.lake_folder_mode)


def _set_by_arguments(arguments: list[str]) -> Iterator[str]:
    """Properties that spark-submit's arguments set."""
    options = {"--master": "spark.master", "--name": "spark.app.name"}
    for place, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name in ("--conf", "-c"):
            yield (value or " ".join(arguments[place + 1 : place + 2])).partition("=")[0]
        elif name in options:
            yield options[name]


def _set_by_file() -> Iterator[str]:
    """Properties that the user's spark-defaults.conf sets."""
    home = os.environ.get("SPARK_HOME")
    folder = os.environ.get("SPARK_CONF_DIR") or (f"{home}/conf" if home else "")
    path = Path(folder) / "spark-defaults.conf"
    if folder and path.is_file():
        for line in path.read_text().splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield re.split(r"[\s=:]", line.strip(), maxsplit=1)[0]


def install() -> None:
    """Patch two defects of SQLMesh's Spark adapter.

    Its INSERT OVERWRITE replaces only partitions for which it has rows. A date whose last row is gone (its object was
    overwritten, its records were discarded) would keep its old rows. So the partitions that are rewritten are dropped
    first, as other engines do by DELETE and INSERT.

    Rows of seeds come from pandas, with values that Spark refuses: an integer in a column with NULLs is a float there,
    and a decimal has lost digits. They are passed as text and cast to the model's types.
    """
    from sqlmesh.core.engine_adapter.spark import SparkEngineAdapter

    overwrite, frame = SparkEngineAdapter._insert_overwrite_by_condition, SparkEngineAdapter._ensure_pyspark_df
    if hasattr(overwrite, "__wrapped__"):
        return

    @wraps(overwrite)
    def replacing(
        self: Any, table: Any, queries: Any, columns: Any = None, where: Any = None, *args: Any, **named: Any
    ) -> Any:
        _drop_partitions(self, table, where)
        return overwrite(self, table, queries, columns, where, *args, **named)

    @wraps(frame)
    def as_text(self: Any, rows: Any, columns: Any = None, source_columns: Any = None) -> Any:
        pandas = self.try_get_pandas_df(rows)
        if (
            pandas is not None
            and columns
            and not any(kind.is_type(*exp.DataType.NESTED_TYPES) for kind in columns.values())
        ):
            names = [name for name in columns if name in (source_columns or columns)]
            rows = self.spark.createDataFrame(_texts(pandas[names]), ", ".join(f"`{name}` STRING" for name in names))
        return frame(self, rows, columns, source_columns=source_columns)

    SparkEngineAdapter._insert_overwrite_by_condition = replacing
    SparkEngineAdapter._ensure_pyspark_df = as_text


def _texts(rows: Any) -> list[list[str | None]]:
    """The rows of a pandas frame as text; missing values are None."""
    missing = rows.isna().to_numpy()
    return [
        [None if is_missing else _text(value) for value, is_missing in zip(row, flags, strict=True)]
        for row, flags in zip(rows.itertuples(index=False, name=None), missing, strict=True)
    ]


def _text(value: Any) -> str:
    """A value as text that Spark can cast: whole numbers without a point, which ANSI mode refuses for integers."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _drop_partitions(warehouse: EngineAdapter, table_name: Any, where: exp.Between | None) -> None:
    """Drop the partitions of a table between two dates, or all of them."""
    table = exp.to_table(table_name).sql("spark", identify=True)
    described = [row[0] for row in warehouse.fetchall(f"DESCRIBE TABLE {table}")]
    if "# Partition Information" not in described:
        return
    low, high = ("", "~") if where is None else (_day(where.args["low"]), _day(where.args["high"]))
    dropped = []
    for (name,) in warehouse.fetchall(f"SHOW PARTITIONS {table}"):
        parts = dict(part.split("=", 1) for part in name.split("/"))
        time = where.this.name if where is not None else next(iter(parts))
        if low <= parts[time] <= high:
            dropped.append(", ".join(f"`{key}` = {_value(value)}" for key, value in parts.items()))
    for first in range(0, len(dropped), PARTITIONS_AT_ONCE):
        some = ", ".join(f"PARTITION ({part})" for part in dropped[first : first + PARTITIONS_AT_ONCE])
        warehouse.execute(f"ALTER TABLE {table} DROP IF EXISTS {some}")


def _value(folder: str) -> str:
    """SQL literal of a partition's value, from its folder name."""
    return "NULL" if folder == "__HIVE_DEFAULT_PARTITION__" else text(unquote(folder))


def _day(bound: exp.Expression) -> str:
    """`CAST('2025-01-31' AS DATE)` → `2025-01-31`."""
    return str(bound.find(exp.Literal).this)[:10]


def drop_models(context: Any) -> None:
    """Drop the tables and views of the models in every environment, which would conflict with a new state.

    Args:
        context: SQLMesh's context with the project loaded.
    """
    schemas = {name for model in context.models.values() if not model.kind.is_external for name in _schemas(model)}
    for (schema,) in context.engine_adapter.fetchall("SHOW SCHEMAS"):
        if any(schema == name or schema.startswith(f"{name}__") for name in schemas):
            context.engine_adapter.execute(f"DROP SCHEMA `{schema}` CASCADE")


def _schemas(model: Any) -> tuple[str, str]:
    """The schemas of a model's views and of its tables."""
    return model.schema_name, model.physical_schema


def spark_type(kind: str) -> str:
    """`STRUCT(at TIMESTAMP)[]` → `ARRAY<STRUCT<at: TIMESTAMP_NTZ>>`."""
    return str(exp.DataType.build(kind, dialect="duckdb").sql("spark"))


def spark_uri(uri: str) -> str:
    """The URI for Hadoop's file systems: `s3://bucket/key` → `s3a://bucket/key`, a folder → `file:…`."""
    scheme = scheme_of(uri)
    if scheme == FOLDER:
        return Path(uri).as_uri()
    return f"{HADOOP_SCHEMES[scheme]}://{uri.removeprefix(f'{scheme}://')}"


def text(value: str) -> str:
    """A string literal in Spark SQL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
