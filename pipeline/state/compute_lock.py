"""The lock by which one process at a time computes on a shared state or marks dates for recomputation.

A DuckDB state is locked by its file. On Postgres, without a lock, a run in flight would record a date as computed after
a load has marked it as stale, and two parallel runs would compute the same dates twice. So every process holds an
advisory lock while it computes or marks: `lake` and, through materializations/lock.py, SQLMesh's own commands. Reading
needs no lock.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any

import duckdb

from ingest.errors import Busy, ConfigError, LakemeshError, RetriableError
from ingest.retry import while_busy
from ingest.settings import Settings, settings
from ingest.storage.lock import not_inherited
from pipeline.process import duck
from pipeline.state import interval_log as history
from pipeline.state.opening import open_state
from pipeline.state.state import State, applied_positions

if TYPE_CHECKING:
    from pipeline.process.postgres import Lock, Session

LOG = logging.getLogger(__name__)
_COMPUTING = ("_run", "_apply")
"""Methods of SQLMesh's context that read and compute missing intervals. A plan that is only shown calls neither."""
_THREADS = threading.RLock()
_session: Session | None = None
_holder: int | None = None
"""The thread of this process that holds the lock; nested computations in that thread share it."""


def compute_lock(options: Settings) -> AbstractContextManager[None]:
    """Keep other processes from computing or marking dates on this state while the body runs; reentrant.

    Raises:
        RetriableError: another process computes for longer than state_lock_seconds, or the lock was lost.
    """
    return _compute_lock(options) if options.has_postgres_state else nullcontext()


def cycle_lock(options: Settings, wait_seconds: float) -> AbstractContextManager[None]:
    """Keep other cycles on this state, on any host, from running while the body runs.

    Raises:
        RetriableError: another cycle is in progress.
    """
    return _cycle_lock(options, wait_seconds) if options.has_postgres_state else nullcontext()


def require_compute_lock(options: Settings) -> None:
    """Check the lock before publishing what was computed under it: SQLMesh reconnects silently after a lost connection.

    Raises:
        RetriableError: the lock was lost.
    """
    if options.has_postgres_state:
        from pipeline.process.postgres import Lock, holds

        if _session is None or not holds(_session, Lock.COMPUTING):
            raise RetriableError("the lock of the state was lost during the run; run this again")


def install() -> None:
    """Make SQLMesh's context hold the lock while it computes, whichever command or program calls it.

    SQLMesh has no hook for this: `before_all` runs after the missing intervals are read.
    """
    from sqlmesh.core.context import GenericContext

    for name in _COMPUTING:
        method = getattr(GenericContext, name)
        if not hasattr(method, "__wrapped__"):
            setattr(GenericContext, name, _locked(method))


def prepare(context: Any, options: Settings) -> None:
    """Prepare a SQLMesh context to compute under the lock: on the current state, and only on the state's own warehouse.

    Raises:
        ConfigError: the state belongs to another warehouse.
    """
    if options.has_postgres_state:
        context.state_sync.clear_cache()  # another process may have changed it during the wait
        for warehouse in context.engine_adapters.values():
            _reopen(warehouse, options)
        with open_state(options) as state:
            _require_same_warehouse(state, context.engine_adapter, options)


def _reopen(warehouse: Any, options: Settings) -> None:
    """Reopen the warehouse: a connection opened while another process had the file never gets a catalog.

    That process releases the lock a moment before the file.

    Raises:
        RetriableError: the other process keeps the file for longer than state_lock_seconds.
    """

    def reopened() -> None:
        warehouse.close()
        warehouse.fetchone("SELECT 1")

    try:
        while_busy(reopened, duck.is_locked, options.state_lock_seconds)
    except duckdb.IOException as error:
        if not duck.is_locked(error):
            raise
        raise RetriableError(
            f"{options.warehouse_path} is in use by another process; wait for it or end it, and run this again"
        ) from error


def _require_same_warehouse(state: State, warehouse: Any, options: Settings) -> None:
    """Check that the state belongs to this warehouse: otherwise dates would count as computed that it lacks.

    Raises:
        ConfigError: the state belongs to another warehouse.
    """
    name = "operations.warehouse"
    known = state.row("SELECT id, place FROM lakemesh.warehouse")
    found = (warehouse.fetchone(f"SELECT id FROM {name}") or (None,))[0] if warehouse.table_exists(name) else None
    if known is not None and known[0] != found:
        raise ConfigError(
            f"{state.name} belongs to the warehouse {known[1]}, but {_warehouse_name(options)} is another one; correct "
            "WAREHOUSE_PATH, give this warehouse its own state (PGDATABASE) or, if the old warehouse is lost, run "
            "`lake rebuild`"
        )
    if found is None:
        found = uuid.uuid4().hex
        warehouse.execute("CREATE SCHEMA IF NOT EXISTS operations")
        warehouse.execute(f"CREATE TABLE {name} AS SELECT '{found}' AS id")
    if known is None:
        state.execute(
            "INSERT INTO lakemesh.warehouse VALUES (?, ?)", [found, _warehouse_name(options, socket.gethostname())]
        )


def _warehouse_name(options: Settings, host: str = "") -> str:
    """The name of the warehouse in messages."""
    path = f"Spark of {options.lake_home}" if options.has_spark else options.warehouse_path
    return f"{host}:{path}" if host else path


def now_ms() -> int:
    """The clock of this host in milliseconds since 1970, the unit of SQLMesh's rows."""
    return int(time.time() * 1000)


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    from sqlmesh.utils.errors import SQLMeshError

    @wraps(method)
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _holder == threading.get_ident():  # nested in `lake run`, which has prepared the context
            return method(self, *args, **kwargs)
        try:
            with compute_lock(settings()):
                prepare(self, settings())
                return method(self, *args, **kwargs)
        except LakemeshError as error:
            raise SQLMeshError(str(error)) from error  # the only exception that SQLMesh prints on one line

    return locked


@contextmanager
def _compute_lock(options: Settings) -> Iterator[None]:
    from pipeline.process.postgres import Lock, release

    global _holder, _session
    with _THREADS:
        if _holder is not None:
            yield
            return
        advice = "wait for it or end it, and run this again (STATE_LOCK_SECONDS sets how long to wait)"
        session = _acquired(options, Lock.COMPUTING, options.state_lock_seconds, f"is computing; {advice}")
        applied: dict[str, int] | None = None
        _session, _holder = session, threading.get_ident()
        try:
            with open_state(options) as state:
                applied = applied_positions(state)
                reconcile_clock_skew(state)
            with not_inherited(session.fileno()):
                yield
            with open_state(options) as state:
                history.collect(state)  # before another process can compact the rows
        finally:
            _session = _holder = None
            if not release(session, Lock.COMPUTING) and applied is not None:
                _recover_from_lost_lock(options, applied)


def _recover_from_lost_lock(options: Settings, applied: Mapping[str, int]) -> None:
    """Reset the applied positions, so that dates are marked again that loads marked while the lock was lost.

    The intervals recorded by this process since then may hide those marks.

    Raises:
        RetriableError: always, because the result may be incomplete.
    """
    with open_state(options) as state, state.transaction():
        for feed, position in applied_positions(state).items():
            if feed not in applied:
                state.execute("DELETE FROM lakemesh.settled WHERE feed = ?", [feed])
            elif position > applied[feed]:
                state.execute("UPDATE lakemesh.settled SET position = ? WHERE feed = ?", [applied[feed], feed])
    raise RetriableError(
        f"the connection to {state.name} was lost during the run, and the lock with it: other processes may have "
        "loaded and computed meanwhile. Run `lake ingest` to mark the dates of those loads again, then run this again"
    )


@contextmanager
def _cycle_lock(options: Settings, wait_seconds: float) -> Iterator[None]:
    from pipeline.process.postgres import Lock, release

    session = _acquired(options, Lock.CYCLE, wait_seconds, "has a cycle in progress; wait for it, or use --wait")
    try:
        with not_inherited(session.fileno()):
            yield
    finally:
        release(session, Lock.CYCLE)


def _acquired(options: Settings, lock: Lock, wait_seconds: float, busy: str) -> Session:
    """Open a session that holds a lock.

    Raises:
        Busy: another process keeps the lock for longer than `wait_seconds`.
        RetriableError: the server cannot be reached.
    """
    from pipeline.process.postgres import acquire, address, connect, driver_errors, holder

    session = connect(options)
    try:
        with driver_errors(address(options)):
            if acquire(session, lock, wait_seconds):
                return session
            raise Busy(f"{address(options)}: {holder(session, lock)}, {busy}")
    except BaseException:
        session.close()
        raise


def reconcile_clock_skew(state: State) -> None:
    """Collect the interval rows of other processes, and ensure that the next rows of this process are the newest.

    SQLMesh replays its interval rows in order of the clock of the host that wrote them. If that clock was ahead of this
    host's, all rows are moved back by the same time, which keeps their order.
    """
    if not state.has_table("sqlmesh", "_intervals"):
        return
    history.collect(state)
    now = now_ms()
    query = "SELECT COALESCE(MAX(created_ts), 0), COALESCE(MAX(last_altered_ts), 0) FROM sqlmesh._intervals"
    created, altered = state.row(query) or (0, 0)
    if max(created, altered) < now:
        return
    LOG.warning("event=clock_behind state=%s milliseconds=%s", state.name, max(created, altered) - now)
    with state.transaction(intervals=True):
        history.collect_in_transaction(state)
        state.execute("UPDATE sqlmesh._intervals SET created_ts = created_ts - ?", [max(0, created - now + 1)])
        state.execute(
            "UPDATE sqlmesh._intervals SET last_altered_ts = ? WHERE last_altered_ts >= ?", [now - 1, now - 1]
        )
        state.execute("UPDATE lakemesh.history SET altered_ts = ? WHERE altered_ts >= ?", [now - 1, now - 1])
