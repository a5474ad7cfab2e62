"""The state in a DuckDB file, which is the default. The file lock separates runs from the marking of dates."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ingest.errors import ConfigError, RetriableError
from ingest.retry import while_busy
from ingest.settings import Settings
from ingest.storage.errors import local_error
from ingest.storage.folders import make_folder
from pipeline.process import duck
from pipeline.process.duck_copy import copied
from pipeline.process.removed import Removed
from pipeline.state import aside
from pipeline.state.clock import reconcile_clock_skew
from pipeline.state.database import Database
from pipeline.state.rewrite import rewrite
from pipeline.state.state import TABLES, Row, State

KIND = "duckdb"


class DuckDatabase(Database):
    """A state in a DuckDB file. Its file lock keeps other processes out, so the other locks are empty."""

    def open(self, read_only: bool = False) -> State:
        """See Database."""
        return DuckState(self.options, read_only)

    def compute_lock(self) -> AbstractContextManager[None]:
        """See Database."""
        return nullcontext()

    def cycle_lock(self, wait_seconds: float) -> AbstractContextManager[None]:
        """See Database. The lock file in LAKE_HOME excludes other cycles on this host."""
        return nullcontext()

    def require_compute_lock(self) -> None:
        """See Database."""

    def install(self, current: Callable[[], Database]) -> None:
        """See Database."""

    def prepare(self, context: Any) -> None:
        """See Database."""

    def before_marking(self, state: State) -> None:
        """See Database."""
        reconcile_clock_skew(state)

    def set_aside(self) -> None:
        """See Database."""
        aside.set_aside(self.options.state_path)

    def drop_aside(self) -> None:
        """See Database."""
        aside.drop_aside(self.options.state_path)

    @contextmanager
    def copied(self, copy: Path, wait_seconds: float) -> Iterator[str]:
        """See Database."""
        with copied(Path(self.options.state_path), copy, wait_seconds) as exists:
            yield KIND if exists else ""

    def restore(self, kind: str, copy: Path, lake_id: str) -> bool:
        """See Database."""
        path = Path(self.options.state_path)
        if kind != KIND:
            return False
        if path.exists():
            with self.open(read_only=True) as state:
                found = state.row("SELECT id FROM lakemesh.lake")
            if found != (lake_id,):
                raise ConfigError(f"{path} exists, and is the state of another lake; move it away, or set STATE_PATH")
            return True
        try:
            make_folder(path.parent)
            draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
            try:
                shutil.copyfile(copy, draft)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise local_error(error, path) from error
        return True

    def rewrite(self) -> Removed:
        """See Database."""
        done = rewrite(self.options.state_path, self.options.state_lock_seconds)
        return Removed((str(done),) if done else ())


class DuckState(State):
    """A state in a DuckDB file. It is shared within the process that runs SQLMesh; other processes wait for it.

    Args:
        read_only: open for reading, without waiting for other processes; Lakemesh's tables may be missing.

    Raises:
        RetriableError: another process (a run, `sqlmesh ui`) holds the file.
        ConfigError: the file cannot be opened.
    """

    def __init__(self, options: Settings, read_only: bool = False) -> None:
        self.name = options.state_path
        path = Path(options.state_path)
        self._connection = _open_read_only(path) if read_only else _open(path, options.state_lock_seconds)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """See State."""
        return self._connection.execute(query, list(values)).fetchall()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """See State."""
        self._connection.execute(statement, list(values))

    def append(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """See State."""
        arrays = [pa.array(values) for values in zip(*rows, strict=True)]
        if not arrays:
            return
        self._connection.register("appended", pa.table(arrays, names=list(columns)))
        self._connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM appended")
        self._connection.unregister("appended")

    @contextmanager
    def transaction(self, intervals: bool = False) -> Iterator[None]:
        """See State."""
        self._connection.execute("BEGIN")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(duckdb.Error):  # a full disk has already ended the transaction
                self._connection.execute("ROLLBACK")
            raise
        if intervals:
            self._connection.execute("CHECKPOINT")

    def close(self) -> None:
        """See State."""
        self._connection.close()


def _open_read_only(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(path), read_only=True)
    except duckdb.ConnectionException:  # this process has the file open for writing, and a file has one mode
        return duckdb.connect(str(path))
    except duckdb.IOException as error:
        raise duck.unavailable(f"{path} is missing or in use", error) from None


def _open(path: Path, wait_seconds: float) -> duckdb.DuckDBPyConnection:
    try:
        make_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"{path.parent}: {error.strerror}; expected a folder that this user can write") from error
    try:
        return while_busy(partial(_open_once, path), _is_locked, wait_seconds)
    except (duckdb.IOException, duckdb.ConnectionException) as error:
        if _is_locked(error):
            raise RetriableError(
                f"{path} is locked by another process (a run, or `sqlmesh ui`); end that process"
            ) from None
        if os.strerror(errno.ENOSPC) in str(error):
            raise
        raise ConfigError(f"{path}: cannot be opened as a DuckDB file: {error}") from None


def _open_once(path: Path) -> duckdb.DuckDBPyConnection:
    _create(path)
    connection = duckdb.connect(str(path))
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA IF NOT EXISTS lakemesh")
        for table in TABLES:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
    except BaseException:  # whoever keeps the error would keep the database open, invalidated by a full disk or not
        connection.close()
        raise
    return connection


def _is_locked(error: Exception) -> bool:
    """Whether another process, or a connection of this process with other options, has the file open."""
    is_full = os.strerror(errno.ENOSPC) in str(error)
    return not is_full and (duck.is_locked(error) or isinstance(error, duckdb.ConnectionException))


def _create(path: Path) -> None:
    """Create the file atomically: on a full disk DuckDB would leave a file that it can never open."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        duckdb.connect(str(draft)).close()
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
