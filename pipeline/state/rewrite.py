"""Copies a DuckDB file into a new one: deleted rows stay in the free blocks of a file until these are used again."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ingest.errors import RetriableError
from ingest.retry import while_busy
from ingest.sql import identifier, literal
from pipeline.process import duck

DRAFT = ".rewrite"
"""Suffix of the new file until it replaces the old one."""
_OLD, _NEW = "old_file", "new_file"
_OBJECTS = {
    "schemas": "schema_name, comment FROM duckdb_schemas()",
    "tables": "schema_name, table_name, sql, comment FROM duckdb_tables()",
    "views": "schema_name, view_name, sql, comment FROM duckdb_views()",
    "comments of columns": "schema_name, table_name, column_name, comment FROM duckdb_columns()",
    "indexes": "schema_name, table_name, index_name, sql FROM duckdb_indexes()",
    "sequences": "schema_name, sequence_name, last_value, sql FROM duckdb_sequences()",
    "types": "schema_name, type_name, logical_type FROM duckdb_types()",
    "macros": "schema_name, function_name, parameters, macro_definition FROM duckdb_functions()",
}
"""What a file may have, and the columns that must be equal afterwards."""
_ALWAYS = {"indexes": "TRUE", "sequences": "TRUE", "comments of columns": "NOT internal AND comment IS NOT NULL"}


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A file that was replaced by its copy.

    Attributes:
        bytes_before, bytes_after: of the file, with its log.
        seconds: wall time.
    """

    path: str
    bytes_before: int
    bytes_after: int
    seconds: float

    def __str__(self) -> str:
        sizes = f"{self.bytes_before:,} to {self.bytes_after:,} bytes"
        return f"{self.path}: copied without its free blocks, {sizes}, in {self.seconds:.1f} s"


def rewrite(path: str, wait_seconds: float = 0.0) -> Rewritten | None:
    """Replace a DuckDB file by a copy of what is in it, atomically. Safe to interrupt at any point.

    The file is locked meanwhile. What processes that were killed have left beside it is deleted.

    Args:
        wait_seconds: how long to wait for another process that has the file open.

    Returns:
        None if there is no such file.

    Raises:
        RetriableError: another process has it open, or the disk is full; the file is unchanged.
    """
    began, file = time.monotonic(), Path(path)
    target = file.resolve()  # of a link; DuckDB's log lies beside the link
    draft = Path(f"{target}{DRAFT}")
    _delete(draft)
    if not file.exists():
        return None
    try:
        with (
            _opened(file, wait_seconds) as connection,
            duck.translate_errors(path, "; it is unchanged", (duckdb.Error,)),
        ):
            shutil.rmtree(f"{path}.tmp", ignore_errors=True)  # what a killed process has spilled
            before = _bytes(file) + _bytes(Path(f"{path}.wal"))
            connection.execute(f"CHECKPOINT {_OLD}")
            if _bytes(Path(f"{path}.wal")):
                raise RetriableError(f"{path}.wal cannot be emptied; run this again. The file is unchanged")
            options = _options(connection, target)
            connection.execute(f"ATTACH {literal(draft)} AS {_NEW} ({options})")
            connection.execute(f"COPY FROM DATABASE {_OLD} TO {_NEW}")
            connection.execute(f"CHECKPOINT {_NEW}")
            connection.execute(f"DETACH {_NEW}")
            draft.chmod(file.stat().st_mode)
            _fsync(draft)
            connection.execute(f"ATTACH {literal(draft)} AS {_NEW} (READ_ONLY)")
            _require_equal(connection, path)
            connection.execute(f"DETACH {_NEW}")
            after = _bytes(draft)
            draft.replace(target)
            _fsync(target.parent)
    except OSError as error:
        raise RetriableError(f"{path}: {error.strerror}; it is unchanged, run this again") from error
    finally:
        _delete(draft)
    return Rewritten(path, before, after, time.monotonic() - began)


@contextmanager
def _opened(file: Path, wait_seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that keeps other processes out of a file.

    Raises:
        RetriableError: one has it open, or this process does, which no lock would show.
    """
    if _is_open_here(file):
        raise RetriableError(f"{file} is open in this process; close it first. It is unchanged")
    config: dict[str, Any] = {"temp_directory": f"{file}{DRAFT}.tmp", "write_buffer_row_group_count": 1}
    connection = duckdb.connect(":memory:", config=config)
    try:
        while_busy(
            lambda: connection.execute(f"ATTACH {literal(file)} AS {_OLD}"),
            duck.is_locked,
            wait_seconds,
        )
        yield connection
    except duckdb.Error as error:
        if duck.is_locked(error):
            raise RetriableError(
                f"{file} is in use by another process (a run, `sqlmesh ui`, or a reader); end that process and run "
                "this again. The file is unchanged"
            ) from None
        raise duck.unavailable(str(file), error, "; it is unchanged") from error
    finally:
        connection.close()


def _is_open_here(file: Path) -> bool:
    """Whether this process has the file open; False where the system does not say."""
    name = str(file.resolve())
    for entry in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):
            if str(entry.readlink()) == name:
                return True
    return False


def _options(connection: duckdb.DuckDBPyConnection, file: Path) -> str:
    """The options by which the new file has the format of the old one, so that the same versions of DuckDB read it.

    Raises:
        RetriableError: the copy would not fit on the disk.
    """
    query = f"SELECT block_size, used_blocks FROM pragma_database_size() WHERE database_name = '{_OLD}'"
    size, used = connection.execute(query).fetchall()[0]
    free = _free(file.parent)
    if free < size * used:
        raise RetriableError(
            f"{file}: its copy needs {size * used:,} bytes, and the disk has {free:,}; free disk space and run this "
            "again. The file is unchanged"
        )
    query = f"SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = '{_OLD}'"
    ((version,),) = connection.execute(query).fetchall()
    return f"STORAGE_VERSION {literal(version.removesuffix('+'))}, BLOCK_SIZE {size}"


def _require_equal(connection: duckdb.DuckDBPyConnection, path: str) -> None:
    """Check that the copy has the same objects, and tables as many rows.

    Raises:
        RetriableError: it does not.
    """
    for kind, columns in _OBJECTS.items():
        query = f"SELECT {columns} WHERE database_name = ? AND {_ALWAYS.get(kind, 'NOT internal')} ORDER BY ALL"
        found = [connection.execute(query, [name]).fetchall() for name in (_OLD, _NEW)]
        if found[0] != found[1]:
            raise RetriableError(f"{path}: its copy has other {kind}; it is unchanged, please report this")
    tables = connection.execute(
        f"SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = '{_OLD}' AND NOT internal"
    ).fetchall()
    for schema, table in tables:
        name = f"{identifier(schema)}.{identifier(table)}"
        counts = [connection.execute(f"SELECT COUNT(*) FROM {side}.{name}").fetchone() for side in (_OLD, _NEW)]
        if counts[0] != counts[1]:
            raise RetriableError(f"{path}: its copy has another number of rows in {schema}.{table}; it is unchanged")


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _delete(draft: Path) -> None:
    for path in (draft, Path(f"{draft}.wal")):
        path.unlink(missing_ok=True)
    shutil.rmtree(f"{draft}.tmp", ignore_errors=True)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
