"""The DuckDB catalog of a release: one view per table, over exactly the release's files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
from sqlglot import exp

from ingest.sql import dotted, files, identifier, literal
from pipeline.releases.release import Release, Releases, ReleaseTable
from pipeline.warehouse.duck import connect
from pipeline.warehouse.engine import DIALECT

STORAGE_VERSION = "v1.0.0"
"""The format of catalogs, whichever DuckDB writes them: version 2 would write one that no 1.x opens."""


def write_catalog(published: Releases, path: Path, release: Release) -> None:
    """Write a catalog with one view per table, with comments and absolute paths."""
    with connect(published.options, published.options.published_uri) as reader:
        reader.execute(f"ATTACH {literal(path)} AS lake (STORAGE_VERSION {literal(STORAGE_VERSION)})")
        reader.execute("USE lake")
        reader.execute("BEGIN")  # a transaction for each comment takes twice the time
        create_views(reader, published, release.tables.values())
        for table in release.tables.values():
            reader.execute(f"COMMENT ON VIEW {dotted(table.name)} IS {literal(table.description)}")
            for name, _, comment in table.columns:
                if comment:
                    reader.execute(f"COMMENT ON COLUMN {dotted(table.name)}.{identifier(name)} IS {literal(comment)}")
        reader.execute("COMMIT")
        reader.execute("USE memory")
        reader.execute("DETACH lake")


def create_views(reader: duckdb.DuckDBPyConnection, published: Releases, tables: Iterable[ReleaseTable]) -> None:
    """Create or replace a view of each table in a connection's current database."""
    waiting = list(tables)
    for schema in sorted({table.name.split(".")[0] for table in waiting}):
        reader.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}")
    while waiting:  # a view is created after what it reads
        names = {table.name for table in waiting}
        table = next(item for item in waiting if not parents(item) & (names - {item.name}))
        waiting.remove(table)
        reader.execute(f"CREATE OR REPLACE VIEW {dotted(table.name)} AS {_query(published, table)}")


def parents(table: ReleaseTable) -> set[str]:
    """The published tables that a view reads; empty for a table."""
    if not table.query:
        return set()
    found = exp.maybe_parse(table.query, dialect=DIALECT).find_all(exp.Table)
    return {f"{item.db}.{item.name}" for item in found if item.db}


def _query(published: Releases, table: ReleaseTable) -> str:
    if table.query:
        return table.query
    if not table.files:
        columns = ", ".join(f"CAST(NULL AS {kind}) AS {identifier(name)}" for name, kind, _ in table.columns)
        return f"SELECT {columns} WHERE FALSE"
    paths = files(published.store.uri, (file.key for file in table.files))
    return f"SELECT * FROM READ_PARQUET([{paths}], hive_partitioning = FALSE)"
