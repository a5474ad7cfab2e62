"""SQLMesh's state database, and what Lakemesh keeps in it."""

from __future__ import annotations

import errno
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

import duckdb

from ingest.errors import ConfigError, RetriableError
from ingest.ledger import lake_id
from ingest.settings import Settings
from ingest.store import Store

LOCK_SECONDS = 30.0


def open_state(options: Settings) -> duckdb.DuckDBPyConnection:
    """SQLMesh's state with our tables in it. In the process that runs SQLMesh it is shared, others wait for it.

    Raises:
        RetriableError: another process (a run, `sqlmesh ui`) holds the file.
        ConfigError: it cannot be opened.
    """
    path = Path(options.state_path)
    deadline = time.monotonic() + LOCK_SECONDS
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path.parent}: {error.strerror}; expected a folder that this user can write") from error
    while True:
        try:
            _create(path)
            connection = duckdb.connect(str(path))
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("CREATE SCHEMA IF NOT EXISTS lakemesh")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS lakemesh.settled "
                "(feed TEXT PRIMARY KEY, position BIGINT, settled_at TIMESTAMP)"
            )
            connection.execute(
                "CREATE TABLE IF NOT EXISTS lakemesh.audited (scope TEXT PRIMARY KEY, audited_at TIMESTAMP)"
            )
            return connection
        except duckdb.IOException as error:
            if os.strerror(errno.ENOSPC) in str(error):
                raise
            if "Could not set lock" not in str(error):
                raise ConfigError(f"{path}: cannot be opened as DuckDB file: {error}") from None
            if time.monotonic() > deadline:
                raise RetriableError(
                    f"{path} is locked by another process (a run, or `sqlmesh ui`). The data is loaded, but its dates "
                    "are not marked for recomputation yet: end that process and run `lake ingest` again"
                ) from None
            time.sleep(0.2)


def _create(path: Path) -> None:
    """Makes the file, whole or not at all: DuckDB leaves one that it can never open again when the disk is full."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        duckdb.connect(str(draft)).close()
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def settled_positions(state: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The ledger position of each feed up to which changed dates are marked for recomputation."""
    return dict(state.execute("SELECT feed, position FROM lakemesh.settled").fetchall())


def must_be_the_same_lake(state: duckdb.DuckDBPyConnection, options: Settings, lake: Store) -> None:
    """Positions in another lake's ledgers say nothing about this one: its data would never be recomputed.

    Raises:
        ConfigError: the state belongs to another lake.
    """
    found = lake_id(lake)
    state.execute("CREATE TABLE IF NOT EXISTS lakemesh.lake (id TEXT PRIMARY KEY, uri TEXT)")
    known = state.execute("SELECT id, uri FROM lakemesh.lake").fetchone()
    if known is None:
        state.execute("INSERT INTO lakemesh.lake VALUES (?, ?)", [found, lake.uri])
    elif known[0] != found:
        raise ConfigError(
            f"{options.state_path} belongs to the lake {known[1]}, not to {lake.uri}; give this lake a state and a "
            "warehouse of its own (LAKE_HOME, or STATE_PATH and WAREHOUSE_PATH), or mend LAKE_URI"
        )
