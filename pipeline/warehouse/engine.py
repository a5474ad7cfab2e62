"""The pipeline's own queries of the warehouse, outside SQLMesh, for DuckDB and Spark.

Queries are SQLGlot expressions in the project's dialect, and are transpiled for each engine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from ingest.sql import literal
from pipeline.warehouse.duck import in_memory

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

DIALECT = "duckdb"
SPARK = "spark"
FILE_FORMAT = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 30000)"
"""COPY options of published files."""


def is_spark(warehouse: EngineAdapter) -> bool:
    """Whether the engine is Spark."""
    return bool(warehouse.dialect == SPARK)


def tables(warehouse: EngineAdapter) -> set[str]:
    """`schema.name` of every table and view."""
    if not is_spark(warehouse):
        stored = warehouse.fetchall("SELECT table_schema, table_name FROM information_schema.tables")
        return {f"{schema}.{name}" for schema, name in stored}
    schemas = [schema for (schema,) in warehouse.fetchall("SHOW SCHEMAS")]
    return {f"{schema}.{row[1]}" for schema in schemas for row in warehouse.fetchall(f"SHOW TABLES IN `{schema}`")}


def select(warehouse: EngineAdapter, query: exp.Query) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run a query and return its column names and rows."""
    if is_spark(warehouse):
        frame = warehouse.spark.sql(query.sql(SPARK, identify=True))
        return list(frame.columns), [tuple(row) for row in frame.collect()]
    cursor = warehouse.cursor
    cursor.execute(query.sql(DIALECT))
    return [item[0] for item in cursor.description], cursor.fetchall()


def insert(warehouse: EngineAdapter, table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows into a table.

    Args:
        columns: name to type, in the order of the values.
    """
    kinds = list(columns.values())
    values = [
        exp.tuple_(*(exp.cast(_literal(value), kind, dialect=DIALECT) for value, kind in zip(row, kinds, strict=True)))
        for row in rows
    ]
    if values:
        dialect = SPARK if is_spark(warehouse) else DIALECT
        names = ", ".join(columns)
        tuples = ", ".join(value.sql(dialect) for value in values)
        warehouse.cursor.execute(f"INSERT INTO {table} ({names}) VALUES {tuples}")


def export(warehouse: EngineAdapter, query: exp.Select, columns: Mapping[str, exp.DataType], path: Path) -> int:
    """Write a query's rows to one local Parquet file, in the query's order, and return their number.

    Spark's rows come through the driver as Arrow. DuckDB writes the file on both engines, so the files are identical.
    """
    target = f"{literal(path)} {FILE_FORMAT}"
    if not is_spark(warehouse):
        cursor = warehouse.cursor
        cursor.execute(f"COPY ({query.sql(DIALECT)}) TO {target}")
        return int(cursor.fetchone()[0])
    order = query.args.pop("order", None)
    rows = _arrow(warehouse, query)
    typed = ", ".join(f'CAST("{name}" AS {kind.sql(DIALECT)}) AS "{name}"' for name, kind in columns.items())
    with in_memory() as writer:
        writer.register("spark_rows", rows)
        ordered = order.sql(DIALECT) if order else ""
        writer.execute(f"COPY (SELECT {typed} FROM spark_rows {ordered}) TO {target}")
    return len(rows)


def _arrow(warehouse: EngineAdapter, query: exp.Query) -> Any:
    """The rows as an Arrow table, without a detour through pandas, which would lose types."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_schema

    frame = warehouse.spark.sql(query.sql(SPARK, identify=True))
    if not hasattr(frame, "_jdf"):  # Spark Connect
        table, _ = frame._session.client.to_table(frame._plan.to_proto(frame._session.client))
        return table
    return pa.Table.from_batches(frame._collect_as_arrow(), schema=to_arrow_schema(frame.schema))


def _literal(value: Any) -> exp.Expression:
    if isinstance(value, dt.datetime):
        return exp.Literal.string(value.isoformat(sep=" "))
    return exp.convert(value)
