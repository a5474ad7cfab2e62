"""The state in Postgres, and the lock by which one process at a time computes on it or marks dates for recomputation.

A DuckDB state is locked by its file. On Postgres, without a lock, a run in flight would record a date as computed after
a load has marked it as stale, and two parallel runs would compute the same dates twice. So every process holds an
advisory lock while it computes or marks: `lake` and, through materializations/lock.py, SQLMesh's own commands. Reading
needs no lock.
"""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ingest.errors import Busy, ConfigError, LakemeshError, RetriableError
from ingest.retry import while_busy
from ingest.storage.lock import not_inherited
from pipeline.process import duck
from pipeline.process.postgres import (
    Lock,
    acquire,
    address,
    connect,
    driver_errors,
    holder,
    holds,
    release,
)
from pipeline.process.removed import Removed
from pipeline.process.vacuum import vacuum_full
from pipeline.state import interval_log as history
from pipeline.state.clock import reconcile_clock_skew
from pipeline.state.database import Database
from pipeline.state.dump import KIND, dump, load
from pipeline.state.postgres import SCHEMAS, PostgresState
from pipeline.state.state import State, applied_positions

if TYPE_CHECKING:
    from pipeline.process.postgres import Session

ASIDE = "_before_rebuild"
_COMPUTING = ("_run", "_apply")
"""Methods of SQLMesh's context that read and compute missing intervals. A plan that is only shown calls neither."""
_THREADS = threading.RLock()
_session: Session | None = None
_holder: int | None = None
"""The thread of this process that holds the lock; nested computations in that thread share it."""


class PostgresDatabase(Database):
    """A state in Postgres, which any number of processes on any hosts can open at the same time."""

    def open(self, read_only: bool = False) -> State:
        """See Database."""
        return PostgresState(self.options)

    @contextmanager
    def compute_lock(self) -> Iterator[None]:
        """See Database."""
        global _holder, _session
        with _THREADS:
            if _holder is not None:
                yield
                return
            advice = "wait for it or end it, and run this again (STATE_LOCK_SECONDS sets how long to wait)"
            session = self._acquired(Lock.COMPUTING, self.options.state_lock_seconds, f"is computing; {advice}")
            applied: dict[str, int] | None = None
            _session, _holder = session, threading.get_ident()
            try:
                with self.open() as state:
                    applied = applied_positions(state)
                    reconcile_clock_skew(state)
                with not_inherited(session.fileno()):
                    yield
                with self.open() as state:
                    history.collect(state)  # before another process can compact the rows
            finally:
                _session = _holder = None
                if not release(session, Lock.COMPUTING) and applied is not None:
                    self._recover_from_lost_lock(applied)

    @contextmanager
    def cycle_lock(self, wait_seconds: float) -> Iterator[None]:
        """See Database."""
        session = self._acquired(Lock.CYCLE, wait_seconds, "has a cycle in progress; wait for it, or use --wait")
        try:
            with not_inherited(session.fileno()):
                yield
        finally:
            release(session, Lock.CYCLE)

    def require_compute_lock(self) -> None:
        """See Database. SQLMesh reconnects silently after a lost connection."""
        if _session is None or not holds(_session, Lock.COMPUTING):
            raise RetriableError("the lock of the state was lost during the run; run this again")

    def install(self, current: Callable[[], Database]) -> None:
        """See Database. SQLMesh has no hook for this: `before_all` runs after the missing intervals are read."""
        from sqlmesh.core.context import GenericContext

        for name in _COMPUTING:
            method = getattr(GenericContext, name)
            if not hasattr(method, "__wrapped__"):
                setattr(GenericContext, name, _locked(method, current))

    def prepare(self, context: Any) -> None:
        """See Database."""
        context.state_sync.clear_cache()  # another process may have changed it during the wait
        for warehouse in context.engine_adapters.values():
            self._reopen(warehouse)
        with self.open() as state:
            self._require_same_warehouse(state, context.engine_adapter)

    def before_marking(self, state: State) -> None:
        """See Database. Here the compute lock reconciles the clock."""

    def set_aside(self) -> None:
        """See Database."""
        with self.open() as state, state.transaction():
            names = {name for (name,) in state.rows("SELECT nspname FROM pg_namespace")}
            is_kept = any(f"{schema}{ASIDE}" in names for schema in SCHEMAS)
            for schema in filter(names.__contains__, SCHEMAS):
                if is_kept:
                    state.execute(f"DROP SCHEMA {schema} CASCADE")
                else:
                    state.execute(f"ALTER SCHEMA {schema} RENAME TO {schema}{ASIDE}")

    def drop_aside(self) -> None:
        """See Database."""
        with self.open() as state:
            for schema in SCHEMAS:
                state.execute(f"DROP SCHEMA IF EXISTS {schema}{ASIDE} CASCADE")

    @contextmanager
    def copied(self, copy: Path, wait_seconds: float) -> Iterator[str]:
        """See Database. What is copied is of one moment, so whoever computes meanwhile is not kept from it."""
        session = connect(self.options)
        try:
            with driver_errors(address(self.options), "; run this again"):
                exists = dump(session, SCHEMAS, copy)
            yield KIND if exists else ""
        finally:
            session.close()

    def restore(self, kind: str, copy: Path, lake_id: str) -> bool:
        """See Database."""
        if kind != KIND:
            return False
        with self.open() as state:
            found = state.row("SELECT id FROM lakemesh.lake")
            is_used = found is not None or state.has_table("sqlmesh", "_environments")
        if found == (lake_id,):
            return True
        if is_used:
            raise ConfigError(
                f"{address(self.options)} has a state already, of another lake; expected a database without one "
                "(PGDATABASE)"
            )
        session = connect(self.options)
        try:
            with driver_errors(address(self.options), "; nothing of the state is restored, run this again"):
                load(session, SCHEMAS, copy)
        finally:
            session.close()
        return True

    def rewrite(self) -> Removed:
        """See Database. Statements of other processes wait while a table is written again."""
        with self.compute_lock():
            session = connect(self.options)
            try:
                with driver_errors(address(self.options), "; run this again"):
                    return vacuum_full(session, SCHEMAS, address(self.options), "PGUSER")
            finally:
                session.close()

    def _reopen(self, warehouse: Any) -> None:
        """Reopen the warehouse: a connection opened while another process had the file never gets a catalog.

        That process releases the lock a moment before the file.

        Raises:
            RetriableError: the other process keeps the file for longer than state_lock_seconds.
        """

        def reopened() -> None:
            warehouse.close()
            warehouse.fetchone("SELECT 1")

        try:
            while_busy(reopened, duck.is_locked, self.options.state_lock_seconds)
        except duckdb.IOException as error:
            if not duck.is_locked(error):
                raise
            raise RetriableError(
                f"{self.options.warehouse_path} is in use by another process; wait for it or end it, and run this again"
            ) from error

    def _require_same_warehouse(self, state: State, warehouse: Any) -> None:
        """Check that the state belongs to this warehouse: otherwise dates would count as computed that it lacks.

        Raises:
            ConfigError: the state belongs to another warehouse.
        """
        name = "operations.warehouse"
        known = state.row("SELECT id, place FROM lakemesh.warehouse")
        found = (warehouse.fetchone(f"SELECT id FROM {name}") or (None,))[0] if warehouse.table_exists(name) else None
        if known is not None and known[0] != found:
            raise ConfigError(
                f"{state.name} belongs to the warehouse {known[1]}, but {self.options.warehouse_name} is another one; "
                "correct WAREHOUSE_PATH, give this warehouse its own state (PGDATABASE) or, if the old one is lost, "
                "run `lake rebuild`"
            )
        if found is None:
            found = uuid.uuid4().hex
            warehouse.execute("CREATE SCHEMA IF NOT EXISTS operations")
            warehouse.execute(f"CREATE TABLE {name} AS SELECT '{found}' AS id")
        if known is None:
            place = f"{socket.gethostname()}:{self.options.warehouse_name}"
            state.execute("INSERT INTO lakemesh.warehouse VALUES (?, ?)", [found, place])

    def _recover_from_lost_lock(self, applied: Mapping[str, int]) -> None:
        """Reset the applied positions, so that dates are marked again that loads marked while the lock was lost.

        The intervals recorded by this process since then may hide those marks.

        Raises:
            RetriableError: always, because the result may be incomplete.
        """
        with self.open() as state, state.transaction():
            for feed, position in applied_positions(state).items():
                if feed not in applied:
                    state.execute("DELETE FROM lakemesh.settled WHERE feed = ?", [feed])
                elif position > applied[feed]:
                    state.execute("UPDATE lakemesh.settled SET position = ? WHERE feed = ?", [applied[feed], feed])
        raise RetriableError(
            f"the connection to {state.name} was lost during the run, and the lock with it: other processes may have "
            "loaded and computed meanwhile. Run `lake ingest` to mark the dates of those loads again, then run this "
            "again"
        )

    def _acquired(self, lock: Lock, wait_seconds: float, busy: str) -> Session:
        """Open a session that holds a lock.

        Raises:
            Busy: another process keeps the lock for longer than `wait_seconds`.
            RetriableError: the server cannot be reached.
        """
        session = connect(self.options)
        try:
            with driver_errors(address(self.options)):
                if acquire(session, lock, wait_seconds):
                    return session
                raise Busy(f"{address(self.options)}: {holder(session, lock)}, {busy}")
        except BaseException:
            session.close()
            raise


def _locked(method: Callable[..., Any], current: Callable[[], Database]) -> Callable[..., Any]:
    from sqlmesh.utils.errors import SQLMeshError

    @wraps(method)
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _holder == threading.get_ident():  # nested in `lake run`, which has prepared the context
            return method(self, *args, **kwargs)
        try:
            database = current()
            with database.compute_lock():
                database.prepare(self)
                return method(self, *args, **kwargs)
        except LakemeshError as error:
            raise SQLMeshError(str(error)) from error  # the only exception that SQLMesh prints on one line

    return locked
