"""What the pipeline asks of the engine that stores silver and gold, outside SQLMesh.

Queries are SQLGlot expressions in the project's dialect, and each engine transpiles them.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sqlglot import exp

from ingest.errors import LostLedger
from ingest.settings import Settings, logs_as_json
from ingest.storage.store import Store
from pipeline.process.log import redact_handlers
from pipeline.process.removed import Removed

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

    from pipeline.warehouse.by_key.log import Log

DIALECT = "duckdb"
FILE_FORMAT = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 30000)"
"""COPY options of published files."""


class Engine(ABC):
    """An engine, connected by SQLMesh's adapter.

    Attributes:
        dialect: SQLGlot's name of its SQL.
        adapter: SQLMesh's connection to the warehouse.
    """

    dialect: ClassVar[str]

    def __init__(self, adapter: EngineAdapter) -> None:
        # of `sqlmesh`, which has set them up by now; `sqlmesh run` imports nothing of the project before
        redact_handlers(logs_as_json())
        self.adapter = adapter

    @classmethod
    @abstractmethod
    def configure(cls, options: Settings) -> None:
        """Prepare this process before SQLMesh starts the engine."""

    @classmethod
    @abstractmethod
    def set_aside(cls, options: Settings) -> None:
        """Keep the current warehouse under another name until a rebuild has succeeded, if the engine can."""

    @classmethod
    @abstractmethod
    def drop_aside(cls, options: Settings) -> None:
        """Drop the warehouse that `set_aside` kept."""

    @classmethod
    @abstractmethod
    def rewrite(cls, options: Settings) -> Removed:
        """Store what is in the warehouse without the rows that were deleted from it. It may not be open here.

        Raises:
            RetriableError: another process uses it, or the disk is full; it is unchanged.
        """

    @classmethod
    @abstractmethod
    def copied(cls, options: Settings, copy: Path, wait_seconds: float) -> AbstractContextManager[bool]:
        """Copy the warehouse to a local file, and keep other processes out of it while the body runs.

        Returns:
            Whether there is one.

        Raises:
            ConfigError: the engine cannot copy it.
            RetriableError: another process uses it for longer than `wait_seconds`.
        """

    @abstractmethod
    def forget(self, tables: Collection[exp.Table]) -> Removed:
        """Delete what the engine records about rows outside of the models' tables: changed keys, texts of errors.

        Args:
            tables: those of production.
        """

    @abstractmethod
    def drop_models(self, context: Any) -> None:
        """Drop tables that would conflict with the empty state of a rebuild.

        Args:
            context: SQLMesh's context with the project loaded.
        """

    @abstractmethod
    def allow_lake(self, options: Settings) -> None:
        """Let this session read the lake, which views over bronze do, also where nothing is registered in it."""

    @abstractmethod
    def register(self, options: Settings, lake: Store, lost: Mapping[str, LostLedger]) -> None:
        """Register current bronze and the operational tables in the warehouse.

        Not by statements for SQLMesh: it would resolve the tables of each among all models.

        Args:
            lost: feeds whose logs lack entries. Their bronze stays as it is registered.

        Raises:
            LostLedger: the log of a feed lacks entries, and the warehouse has no view of it yet.
            ConfigError, RetriableError: the lake cannot be read.
            DamagedLake: a live file is missing, or has another size than in the ledger.
        """

    @abstractmethod
    def tables(self) -> set[str]:
        """`schema.name` of every table and view."""

    @abstractmethod
    def select(self, query: exp.Query) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run a query and return its column names and rows."""

    def note_requests(self, options: Settings) -> None:  # noqa: B027  # an engine need not know them
        """Begin to count the requests that the engine sends to the store of the lake, if it can."""

    def requests(self, options: Settings) -> Mapping[str, int]:
        """Requests by operation since `note_requests` or the last call, and bytes `read` by them; empty if unknown."""
        return {}

    def log(self, table: exp.Table) -> Log | None:
        """What is recorded about a table that is computed by key; None on an engine that computes it as a whole."""
        return None

    @abstractmethod
    def export(self, query: exp.Select, columns: Mapping[str, exp.DataType], path: Path) -> int:
        """Write a query's rows to one local Parquet file, in the query's order, and return their number.

        DuckDB writes the file on every engine, so the files are identical.
        """

    @abstractmethod
    def freeze(
        self, table: exp.Table, column: str, before: dt.date, names: Collection[str], uri: str, paths: Collection[str]
    ) -> None:
        """Replace a table's rows before a date by those of published files.

        Args:
            column: the date.
            names: columns of the files to take; others of the table become null.
            uri, paths: of the files; without any the rows are only deleted.
        """

    def insert(
        self, table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]], replace: bool = False
    ) -> None:
        """Insert rows into a table.

        Args:
            columns: name to type, in the order of the values.
            replace: replace the rows of the table, on Spark.
        """
        kinds = list(columns.values())
        typed = (
            exp.tuple_(
                *(exp.cast(_literal(value), kind, dialect=DIALECT) for value, kind in zip(row, kinds, strict=True))
            )
            for row in rows
        )
        if values := ", ".join(value.sql(self.dialect) for value in typed):
            verb = "INSERT OVERWRITE TABLE" if replace else "INSERT INTO"
            self.adapter.cursor.execute(f"{verb} {table} ({', '.join(columns)}) VALUES {values}")


def _literal(value: Any) -> exp.Expression:
    if isinstance(value, dt.datetime):
        return exp.Literal.string(value.isoformat(sep=" "))
    return exp.convert(value)
