"""One process at a time computes on a shared state, and none while dates are marked for recomputation.

A DuckDB state is locked by its file. With Postgres a run in flight would note a date as computed after a load has
marked it as stale, and two runs at once would compute the same dates twice. So whoever computes, or marks, holds an
advisory lock meanwhile: `lake` and, through materializations/lock.py, SQLMesh's own commands. Looking needs no lock.
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
from ingest.settings import Settings, settings
from ingest.storage.lock import not_inherited
from pipeline.state import interval_log as history
from pipeline.state.opening import open_state
from pipeline.state.state import State, applied_positions

if TYPE_CHECKING:
    from pipeline.process.postgres import Lock, Session

LOG = logging.getLogger(__name__)
_COMPUTING = ("_run", "_apply")
"""Methods of SQLMesh's context that read what is missing and compute it. A plan that is only shown needs neither."""
_THREADS = threading.RLock()
_session: Session | None = None
_holder: int | None = None
"""The thread of this process that holds the lock; what it calls computes under it too."""


def compute_lock(options: Settings) -> AbstractContextManager[None]:
    """Keeps others on this state from computing and from marking dates as long as the body runs; repeatable inside.

    Raises:
        RetriableError: another process computes for longer than state_lock_seconds, or the lock was lost on the way.
    """
    return _compute_lock(options) if options.has_postgres_state else nullcontext()


def cycle_lock(options: Settings, wait_seconds: float) -> AbstractContextManager[None]:
    """Keeps other cycles on this state out, on whatever host, as long as the body runs.

    Raises:
        RetriableError: another one is in progress.
    """
    return _cycle_lock(options, wait_seconds) if options.has_postgres_state else nullcontext()


def must_still_hold(options: Settings) -> None:
    """To be asked before what was computed under the lock is published: SQLMesh goes on over a new connection.

    Raises:
        RetriableError: the lock was lost on the way.
    """
    if options.has_postgres_state:
        from pipeline.process.postgres import Lock, holds

        if _session is None or not holds(_session, Lock.COMPUTING):
            raise RetriableError("the lock of the state was lost on the way; run this again")


def install() -> None:
    """Makes SQLMesh's context hold the lock while it computes, whichever command or program asks it to.

    Its commands have no hook at that place: `before_all` runs after the missing intervals are read.
    """
    from sqlmesh.core.context import GenericContext

    for name in _COMPUTING:
        method = getattr(GenericContext, name)
        if not hasattr(method, "__wrapped__"):
            setattr(GenericContext, name, _locked(method))


def prepare(context: Any, options: Settings) -> None:
    """Lets a SQLMesh context compute under the lock: on the state as it is now, and on its own warehouse.

    Raises:
        ConfigError: the state belongs to another warehouse.
    """
    if options.has_postgres_state:
        context.state_sync.clear_cache()  # another process may have changed it while we waited
        for warehouse in context.engine_adapters.values():
            _reopen(warehouse, options)
        with open_state(options) as state:
            _must_be_the_same_warehouse(state, context.engine_adapter, options)


def _reopen(warehouse: Any, options: Settings) -> None:
    """Opens the warehouse anew: a connection from when another process had the file has no catalog, now or later.

    That process gives back the lock a moment before its file.

    Raises:
        RetriableError: it keeps the file for longer than state_lock_seconds.
    """
    deadline = time.monotonic() + options.state_lock_seconds
    while True:
        warehouse.close()
        try:
            warehouse.fetchone("SELECT 1")
            return
        except duckdb.IOException as error:
            if "lock" not in str(error).lower():
                raise
            if time.monotonic() > deadline:
                raise RetriableError(
                    f"{options.warehouse_path} is in use by another process; wait for it or end it, and run this again"
                ) from error
            time.sleep(0.2)


def _must_be_the_same_warehouse(state: State, warehouse: Any, options: Settings) -> None:
    """What one warehouse has, another does not: a run on it would note as computed what is in no other."""
    name = "operations.warehouse"
    known = state.row("SELECT id, place FROM lakemesh.warehouse")
    found = (warehouse.fetchone(f"SELECT id FROM {name}") or (None,))[0] if warehouse.table_exists(name) else None
    if known is not None and known[0] != found:
        raise ConfigError(
            f"{state.name} tells what the warehouse {known[1]} holds, and {_place(options)} is another one; "
            "mend WAREHOUSE_PATH, give this warehouse a state of its own (PGDATABASE), or, if the old one is lost, run "
            "`lake rebuild`"
        )
    if found is None:
        found = uuid.uuid4().hex
        warehouse.execute("CREATE SCHEMA IF NOT EXISTS operations")
        warehouse.execute(f"CREATE TABLE {name} AS SELECT '{found}' AS id")
    if known is None:
        state.execute("INSERT INTO lakemesh.warehouse VALUES (?, ?)", [found, _place(options, socket.gethostname())])


def _place(options: Settings, host: str = "") -> str:
    """The warehouse as messages name it."""
    path = f"Spark of {options.lake_home}" if options.has_spark else options.warehouse_path
    return f"{host}:{path}" if host else path


def now_ms() -> int:
    """The clock of this host, in ms since 1970, as SQLMesh notes it with its rows."""
    return int(time.time() * 1000)


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    from sqlmesh.utils.errors import SQLMeshError

    @wraps(method)
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _holder == threading.get_ident():  # inside of `lake run`, which has prepared it
            return method(self, *args, **kwargs)
        try:
            with compute_lock(settings()):
                prepare(self, settings())
                return method(self, *args, **kwargs)
        except LakemeshError as error:
            raise SQLMeshError(str(error)) from error  # the only kind that SQLMesh shows as one line

    return locked


@contextmanager
def _compute_lock(options: Settings) -> Iterator[None]:
    from pipeline.process.postgres import Lock, release

    global _holder, _session
    with _THREADS:
        if _holder is not None:
            yield
            return
        advice = "wait for it or end it, and run this again (STATE_LOCK_SECONDS says how long to wait)"
        session = _acquired(options, Lock.COMPUTING, options.state_lock_seconds, f"is at work; {advice}")
        settled: dict[str, int] | None = None
        _session, _holder = session, threading.get_ident()
        try:
            with open_state(options) as state:
                settled = applied_positions(state)
                reconcile_clock_skew(state)
            with not_inherited(session.fileno()):
                yield
            with open_state(options) as state:
                history.collect(state)  # before anybody else can join the rows
        finally:
            _session = _holder = None
            if not release(session, Lock.COMPUTING) and settled is not None:
                _after_a_lost_lock(options, settled)


def _after_a_lost_lock(options: Settings, settled: Mapping[str, int]) -> None:
    """What was loaded and marked while we computed without the lock may be hidden by what we noted: it is marked again.

    Raises:
        RetriableError: always, so that nobody takes the result for whole.
    """
    with open_state(options) as state, state.changing():
        for feed, position in applied_positions(state).items():
            if feed not in settled:
                state.execute("DELETE FROM lakemesh.settled WHERE feed = ?", [feed])
            elif position > settled[feed]:
                state.execute("UPDATE lakemesh.settled SET position = ? WHERE feed = ?", [settled[feed], feed])
    raise RetriableError(
        f"the connection to {state.name} was lost on the way, and the lock with it: others may have loaded and "
        "computed meanwhile. The next `lake ingest` marks again what was loaded since; then run this again"
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
    """A session that holds a lock.

    Raises:
        Busy: another one has it for longer than that.
        RetriableError: the server cannot be reached.
    """
    from pipeline.process.postgres import acquire, connect, holder, is_from_driver, place, reason

    session = connect(options)
    try:
        if acquire(session, lock, wait_seconds):
            return session
        raise Busy(f"{place(options)}: {holder(session, lock)}, {busy}")
    except BaseException as error:
        session.close()
        if isinstance(error, Exception) and is_from_driver(error):
            raise RetriableError(f"{place(options)}: {reason(error)}") from error
        raise


def reconcile_clock_skew(state: State) -> None:
    """Takes over what others noted, and makes what this process is going to note the newest.

    SQLMesh replays its interval rows by the clock of the host that wrote them. Where that was ahead of ours, its rows
    are moved back, all by the same time, so that their order stays.
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
    with state.changing(intervals=True):
        history.take_over(state)
        state.execute("UPDATE sqlmesh._intervals SET created_ts = created_ts - ?", [max(0, created - now + 1)])
        state.execute(
            "UPDATE sqlmesh._intervals SET last_altered_ts = ? WHERE last_altered_ts >= ?", [now - 1, now - 1]
        )
        state.execute("UPDATE lakemesh.history SET altered_ts = ? WHERE altered_ts >= ?", [now - 1, now - 1])
