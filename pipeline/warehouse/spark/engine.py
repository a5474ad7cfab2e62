"""Spark, for data that outgrows one machine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlglot import exp

from ingest.errors import ConfigError, LostLedger
from ingest.settings import Settings
from ingest.sql import identifier, literal
from ingest.storage.store import Store
from pipeline.process.removed import Removed
from pipeline.warehouse.duck import in_memory
from pipeline.warehouse.engine import DIALECT, FILE_FORMAT, Engine
from pipeline.warehouse.operations import ERASED, RUNS
from pipeline.warehouse.spark import bronze, operations, session


class SparkEngine(Engine):
    """A warehouse in the tables of a Spark catalog."""

    dialect = "spark"

    @classmethod
    def configure(cls, options: Settings) -> None:
        """See Engine."""
        session.configure(options)
        session.install()

    @classmethod
    def set_aside(cls, options: Settings) -> None:
        """See Engine. Spark's tables are dropped instead, once the project is loaded."""

    @classmethod
    def drop_aside(cls, options: Settings) -> None:
        """See Engine."""

    @classmethod
    def rewrite(cls, options: Settings) -> Removed:
        """See Engine. Spark deletes the files of what it drops or overwrites."""
        return Removed(
            beyond=(
                f"{options.warehouse_name}: files of dropped tables and overwritten dates are deleted at once; what "
                "catalog or file system keep of them (versions of Delta and Iceberg, the trash of HDFS, noncurrent "
                "versions of a bucket) is theirs to expire",
            )
        )

    @classmethod
    def copied(cls, options: Settings, copy: Path, wait_seconds: float) -> AbstractContextManager[bool]:
        """See Engine."""
        raise ConfigError(
            f"{options.warehouse_name}: its tables are files of their own; copy them by the means of their store, or "
            "leave out --warehouse: `lake rebuild` computes them again from what is restored"
        )

    def forget(self, tables: Collection[exp.Table]) -> Removed:
        """See Engine. No keys are recorded here."""
        if self.adapter.table_exists("operations.runs"):
            names = list(RUNS)
            _, rows = self.select(exp.select(*names).from_("operations.runs"))
            place = names.index("errors")
            kept = [(*row[:place], row[place] and ERASED, *row[place + 1 :]) for row in rows]
            if kept != rows:
                self.insert("operations.runs", RUNS, kept, replace=True)
        return Removed()

    def drop_models(self, context: Any) -> None:
        """See Engine."""
        session.drop_models(context)

    def allow_lake(self, options: Settings) -> None:
        """See Engine. Spark is configured with its access when it starts."""

    def register(self, options: Settings, lake: Store, lost: Mapping[str, LostLedger]) -> None:
        """See Engine. Unchanged views are skipped."""
        bronze.register(self.adapter, lake, lost)
        operations.register(self.adapter, lake, lost)

    def tables(self) -> set[str]:
        """See Engine."""
        schemas = [schema for (schema,) in self.adapter.fetchall("SHOW SCHEMAS")]
        return {
            f"{schema}.{row[1]}" for schema in schemas for row in self.adapter.fetchall(f"SHOW TABLES IN `{schema}`")
        }

    def select(self, query: exp.Query) -> tuple[list[str], list[tuple[Any, ...]]]:
        """See Engine."""
        frame = self.adapter.spark.sql(query.sql(self.dialect, identify=True))
        return list(frame.columns), [tuple(row) for row in frame.collect()]

    def freeze(
        self, table: exp.Table, column: str, before: dt.date, names: Collection[str], uri: str, paths: Collection[str]
    ) -> None:
        """See Engine. Tables by date are partitioned by it, and each partition is replaced at once."""
        name, key = table.sql(self.dialect, identify=True), f"{column}="
        days = [row[0].removeprefix(key) for row in self.adapter.fetchall(f"SHOW PARTITIONS {name}")]
        for day in days:
            if day < before.isoformat():
                self.adapter.cursor.execute(f"ALTER TABLE {name} DROP IF EXISTS PARTITION ({column} = '{day}')")
        if paths:
            stored = self.adapter.spark.table(name)
            found = self.adapter.spark.read.parquet(*(f"{session.spark_uri(uri)}/{path}" for path in paths))
            found.createOrReplaceTempView("frozen_rows")
            columns = ", ".join(
                f"CAST({f'`{field.name}`' if field.name in names else 'NULL'} AS {field.dataType.simpleString()})"
                for field in stored.schema.fields
            )
            self.adapter.cursor.execute(
                f"INSERT INTO {name} SELECT {columns} FROM frozen_rows WHERE `{column}` < DATE '{before}'"
            )

    def export(self, query: exp.Select, columns: Mapping[str, exp.DataType], path: Path) -> int:
        """See Engine. The rows come through the driver as Arrow."""
        order = query.args.pop("order", None)
        rows = self._arrow(query)
        typed = ", ".join(
            f"CAST({identifier(name)} AS {kind.sql(DIALECT)}) AS {identifier(name)}" for name, kind in columns.items()
        )
        with in_memory() as writer:
            writer.register("spark_rows", rows)
            ordered = order.sql(DIALECT) if order else ""
            target = f"{literal(path)} {FILE_FORMAT}"
            writer.execute(f"COPY (SELECT {typed} FROM spark_rows {ordered}) TO {target}")
        return len(rows)

    def _arrow(self, query: exp.Query) -> Any:
        """The rows as an Arrow table, without a detour through pandas, which would lose types."""
        import pyarrow as pa
        from pyspark.sql.pandas.types import to_arrow_schema

        frame = self.adapter.spark.sql(query.sql(self.dialect, identify=True))
        if not hasattr(frame, "_jdf"):  # Spark Connect
            table, _ = frame._session.client.to_table(frame._plan.to_proto(frame._session.client))
            return table
        return pa.Table.from_batches(frame._collect_as_arrow(), schema=to_arrow_schema(frame.schema))
