"""DuckDB, the embedded engine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlglot import exp

from ingest.errors import LostLedger
from ingest.schemes import is_remote
from ingest.settings import Settings
from ingest.sql import identifier, identifiers, literal
from ingest.storage.store import Store
from pipeline.process.duck_copy import copied
from pipeline.process.removed import Removed
from pipeline.state import aside
from pipeline.state.rewrite import rewrite
from pipeline.warehouse import bronze, operations, requests
from pipeline.warehouse.by_key import log as changes
from pipeline.warehouse.by_key.log import Log
from pipeline.warehouse.duck import lake_statements, parquet
from pipeline.warehouse.engine import DIALECT, FILE_FORMAT, Engine


class DuckEngine(Engine):
    """A warehouse in a DuckDB file."""

    dialect = DIALECT

    @classmethod
    def configure(cls, options: Settings) -> None:
        """See Engine."""

    @classmethod
    def set_aside(cls, options: Settings) -> None:
        """See Engine."""
        aside.set_aside(options.warehouse_path)

    @classmethod
    def drop_aside(cls, options: Settings) -> None:
        """See Engine."""
        aside.drop_aside(options.warehouse_path)

    @classmethod
    def rewrite(cls, options: Settings) -> Removed:
        """See Engine."""
        done = rewrite(options.warehouse_path, options.state_lock_seconds)
        return Removed((str(done),) if done else ())

    @classmethod
    def copied(cls, options: Settings, copy: Path, wait_seconds: float) -> AbstractContextManager[bool]:
        """See Engine."""
        return copied(Path(options.warehouse_path), copy, wait_seconds)

    def forget(self, tables: Collection[exp.Table]) -> Removed:
        """See Engine."""
        cursor = self.adapter.cursor
        dropped = changes.drop_others(cursor, {f"{table.db}.{table.name}" for table in tables})
        for table in tables:
            Log(cursor, table).forget_keys()
        if self.adapter.table_exists("operations.runs"):
            cursor.execute(f"UPDATE operations.runs SET errors = {literal(operations.ERASED)} WHERE errors <> ''")
        return Removed(tuple(f"dropped the changed keys of {name}" for name in dropped))

    def drop_models(self, context: Any) -> None:
        """See Engine. The file is new."""

    def allow_lake(self, options: Settings) -> None:
        """See Engine."""
        for statement in lake_statements(options):
            self.adapter.cursor.execute(statement)

    def register(self, options: Settings, lake: Store, lost: Mapping[str, LostLedger]) -> None:
        """See Engine."""
        self.allow_lake(options)
        statements = [
            *bronze.registration(self.adapter, lake, lost),
            *operations.registration(self.adapter, lake, lost),
        ]
        with self.adapter.transaction():
            for statement in statements:
                self.adapter.cursor.execute(statement)

    def tables(self) -> set[str]:
        """See Engine."""
        stored = self.adapter.fetchall("SELECT table_schema, table_name FROM information_schema.tables")
        return {f"{schema}.{name}" for schema, name in stored}

    def select(self, query: exp.Query) -> tuple[list[str], list[tuple[Any, ...]]]:
        """See Engine."""
        cursor = self.adapter.cursor
        cursor.execute(query.sql(DIALECT))
        return [item[0] for item in cursor.description], cursor.fetchall()

    def note_requests(self, options: Settings) -> None:
        """See Engine."""
        if is_remote(options.lake_uri):
            requests.note(self.adapter.cursor)

    def requests(self, options: Settings) -> Mapping[str, int]:
        """See Engine."""
        return requests.noted(self.adapter.cursor) if is_remote(options.lake_uri) else {}

    def log(self, table: exp.Table) -> Log:
        """See Engine."""
        return Log(self.adapter.cursor, table)

    def freeze(
        self, table: exp.Table, column: str, before: dt.date, names: Collection[str], uri: str, paths: Collection[str]
    ) -> None:
        """See Engine."""
        name, old = table.sql(DIALECT, identify=True), f"{identifier(column)} < DATE {literal(before)}"
        with self.adapter.transaction():
            self.adapter.cursor.execute(f"DELETE FROM {name} WHERE {old}")
            if paths:
                rows = f"SELECT {identifiers(names)} FROM {parquet(uri, paths)} WHERE {old}"
                self.adapter.cursor.execute(f"INSERT INTO {name} ({identifiers(names)}) {rows}")

    def export(self, query: exp.Select, columns: Mapping[str, exp.DataType], path: Path) -> int:
        """See Engine."""
        cursor = self.adapter.cursor
        cursor.execute(f"COPY ({query.sql(DIALECT)}) TO {literal(path)} {FILE_FORMAT}")
        return int(cursor.fetchone()[0])
