"""Releases made by hand: any table, any values, without models, plans and cycles."""

from __future__ import annotations

import datetime as dt
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from ingest.settings import Settings
from pipeline.releases.catalog import write_catalog
from pipeline.releases.release import Release, ReleaseFile, Releases, ReleaseTable, catalog_key, manifest_key
from pipeline.releases.rollups import store_rollups


@dataclass(frozen=True, slots=True)
class Table:
    """A table as a model would describe it, with its rows.

    Attributes:
        columns: types by name, as DuckDB writes them.
        parts: the SELECT of each file by part; releases with the same SELECT share a file.
        query: the query of a view.
    """

    columns: Mapping[str, str]
    parts: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    grain: tuple[str, ...] = ()
    time_column: str = ""
    not_null: tuple[str, ...] = ()
    description: str = "One row per thing."
    version: str = "1"


class GoldStates:
    """Publish releases, one after the other.

    Attributes:
        lake_id: the identity of their lake.

    Args:
        rolls_up: whether rollups become files, as in `lake publish`.
    """

    def __init__(self, options: Settings, lake_id: str = "lake-1", rolls_up: bool = False) -> None:
        self.published = Releases(options)
        self.lake_id = lake_id
        self._rolls_up = rolls_up
        self._files: dict[tuple[str, str, str], ReleaseFile] = {}

    def publish(self, **tables: Table) -> Release:
        """Publish `gold.<name>` of each table as the current release."""
        number = max(self.published.numbers(), default=0) + 1
        found = {f"gold.{name}": self._table(f"gold.{name}", table, number) for name, table in tables.items()}
        if self._rolls_up:
            found |= store_rollups(self.published, found, self.published.newest(), number)
        state = Release(number, dt.datetime.now(dt.UTC), self.lake_id, {"events": number}, number, found)
        store = self.published.store
        with tempfile.TemporaryDirectory() as folder:
            catalog = Path(folder) / "catalog.duckdb"
            write_catalog(self.published, catalog, state)
            store.put(catalog_key(number), catalog.read_bytes())
        assert store.put_new(manifest_key(number), state.to_json())
        self.published.point_to(number)
        return state

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows that readers of the files see."""
        with self.published.connect() as reader:
            return reader.execute(query).fetchall()

    def _table(self, name: str, table: Table, number: int) -> ReleaseTable:
        columns = tuple((column, kind, f"What {column} is") for column, kind in table.columns.items())
        about = ReleaseTable(name, table.version, table.description, columns, query=table.query)
        files = tuple(self._file(name, part, query, table) for part, query in sorted(table.parts.items()))
        return replace(
            about,
            files=tuple(file for file in files if file.rows),
            grain=table.grain,
            time_column=table.time_column,
            not_null=table.not_null,
        )

    def _file(self, name: str, part: str, query: str, table: Table) -> ReleaseFile:
        if (name, part, query) not in self._files:
            key = f"tables/{name}/{part or 'all'}-{uuid.uuid4().hex[:8]}.parquet"
            path = self.published.store.stage(key)
            casts = ", ".join(f'"{column}"::{kind} AS "{column}"' for column, kind in table.columns.items())
            with duckdb.connect() as writer:
                writer.execute("SET TimeZone = 'UTC'")
                writer.execute(f"COPY (SELECT {casts} FROM ({query})) TO '{path}' (FORMAT parquet)")
                (rows,) = writer.fetchone() or (0,)
            size = path.stat().st_size
            self.published.store.publish({key: path})
            self._files[name, part, query] = ReleaseFile(key, part, rows, size)
        return self._files[name, part, query]
