"""Search of DuckDB files: rows, definitions, bytes, and what deleted rows may have left behind.

A deleted row stays in its compressed segment, where no search of bytes finds it, until its row group is rewritten;
what was written before stays in free blocks. So the counts of the storage are compared with the rows, and neither
deleted rows, nor free blocks, nor a log are accepted: a file that was copied (`COPY FROM DATABASE`) has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from ingest.sql import identifier, literal
from pipeline.checks.traces import streams
from pipeline.checks.traces.cells import Cells
from pipeline.checks.traces.matcher import Found, Matcher
from pipeline.warehouse.duck import in_memory

MAGIC, MAGIC_AT = b"DUCK", 8
MEMORY = "1GB"
"""Limit on what DuckDB keeps in memory while it reads a file."""
BATCH_ROWS = 100_000
SHOWN_BYTES = 8
"""Bytes of a text that DuckDB keeps as the least or greatest one of a column."""
_DEFINITIONS = (
    "SELECT CONCAT_WS(chr(0), schema_name, table_name, sql, comment, tags::TEXT) FROM duckdb_tables()",
    "SELECT CONCAT_WS(chr(0), schema_name, view_name, sql, comment, tags::TEXT) FROM duckdb_views()",
    "SELECT CONCAT_WS(chr(0), column_name, column_default, data_type, comment) FROM duckdb_columns()",
    "SELECT CONCAT_WS(chr(0), index_name, sql, comment, tags::TEXT) FROM duckdb_indexes()",
    "SELECT CONCAT_WS(chr(0), sequence_name, sql, comment, tags::TEXT) FROM duckdb_sequences()",
    "SELECT CONCAT_WS(chr(0), type_name, labels::TEXT, comment, tags::TEXT) FROM duckdb_types()",
    "SELECT CONCAT_WS(chr(0), function_name, macro_definition, comment, tags::TEXT) FROM duckdb_functions()",
    "SELECT CONCAT_WS(chr(0), schema_name, sql, comment, tags::TEXT) FROM duckdb_schemas()",
)


def search(path: Path, matcher: Matcher) -> Iterator[tuple[str, Found | str]]:
    """Yield what is found with the table and column, and as text what may remain.

    Raises:
        duckdb.Error: the file is damaged, or another process has it open.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        yield from (("bytes", one) for one in streams.search(file, matcher))
    log = path.with_name(f"{path.name}.wal")
    if log.is_file() and log.stat().st_size:
        yield "write-ahead log", "it may have deleted rows; CHECKPOINT the file"
    cells = Cells(matcher)
    with closing(in_memory()) as connection:
        connection.execute(f"SET memory_limit = {literal(MEMORY)}")
        connection.execute(f"ATTACH {literal(path)} AS scanned (READ_ONLY)")
        for query in _DEFINITIONS:
            texts = connection.execute(f"{query} WHERE database_name = 'scanned'").fetchall()
            found = matcher.search("\0".join(text for (text,) in texts).encode())
            yield from (("definitions", one) for one in found)
        tables = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'scanned' ORDER BY ALL"
        ).fetchall()
        for schema, table in tables:
            yield from _search_table(connection, f"{schema}.{table}", ("scanned", schema, table), cells)
        (free,) = connection.execute(
            "SELECT free_blocks FROM pragma_database_size() WHERE database_name = 'scanned'"
        ).fetchone() or (0,)
    if free:
        yield "free blocks", f"{free} blocks may have deleted rows; copy the database to a new file"


def _search_table(
    connection: duckdb.DuckDBPyConnection, shown: str, parts: tuple[str, ...], cells: Cells
) -> Iterator[tuple[str, Found | str]]:
    name = ".".join(map(identifier, parts))
    rows = 0
    for batch in connection.execute(f"FROM {name}").to_arrow_reader(BATCH_ROWS):
        rows += len(batch)
        for column, values in zip(batch.schema.names, batch.columns, strict=True):
            yield from ((f"{shown}, column {column}", one) for one in cells.search((column,), values))
    if any('"' in part for part in parts):  # pragma_storage_info cannot read such a name
        yield shown, "deleted rows of a table with a quotation mark in its name cannot be counted; rename it"
        return
    # every column has a validity segment, whatever its type
    stored: Any = connection.execute(
        f"SELECT COALESCE(SUM(count), 0) FROM pragma_storage_info({literal(name)}) "
        "WHERE column_id = 0 AND segment_type = 'VALIDITY' AND column_path = '[0, 0]'"
    ).fetchone()
    if int(stored[0]) > rows:
        deleted = int(stored[0]) - rows
        yield shown, f"{deleted} deleted rows are still stored; copy the database to a new file"
