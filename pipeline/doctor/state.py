"""SQLMesh's state: whether it can be read, whether it has production, and who holds the locks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from ingest.errors import LakemeshError, RetriableError
from ingest.settings import Settings
from pipeline.doctor.finding import Finding, Reporter
from pipeline.doctor.holders import holders
from pipeline.lake import Lake
from pipeline.process import postgres
from pipeline.state.state import State

PRODUCTION = "SELECT 1 FROM sqlmesh._environments WHERE name = 'prod'"
INGEST_LOCKS = "?" * 16 + ".lock"
"""Names of the lock files of lakes whose store ignores conditional writes."""
_PLAN = "run `sqlmesh plan` once, review and apply it"
AHEAD_SECONDS = 5.0
"""How far a row of SQLMesh's may lie ahead of this host's clock."""


def check(lake: Lake) -> Iterator[Finding]:
    """See the module."""
    report, options = Reporter("state"), lake.options
    yield from _files(report, options)
    if options.has_postgres_state:
        yield from _of_postgres(report, lake)
        return
    path = Path(options.state_path)
    if not path.exists():
        step = "`lake ingest`, then `sqlmesh plan`; if there was one, `lake rebuild`"
        yield report.warn(str(path), "not there yet", "the state of SQLMesh", step)
        return
    by, current = holders(path), _current_version()
    try:
        with lake.state.open(read_only=True) as state:
            found = list(_of_sqlmesh(report, state, current))  # the file is free again before anybody looks at them
    except RetriableError as error:
        why = f"held by {', '.join(by)}, so not read" if by else str(error)
        yield report.warn(str(path), why, "a file that is free", "wait for that process, or end it")
    else:
        yield from found


def _of_sqlmesh(report: Reporter, state: State, current: int) -> Iterator[Finding]:
    """What is in the state, whose schema this SQLMesh expects to have the version `current`."""
    if not state.has_table("sqlmesh", "_environments"):
        yield report.warn(state.name, "no tables of SQLMesh", "production", _PLAN)
        return
    if state.row(PRODUCTION) is not None:
        yield report.ok(state.name, "readable, with production")
    else:
        step = f"{_PLAN}; if there was production, `lake rebuild`"
        yield report.warn(state.name, "readable, without production", "an environment prod", step)
    found = state.row("SELECT schema_version FROM sqlmesh._versions")
    version, about = found[0] if found else 0, f"{state.name}, schema of SQLMesh"
    if version == current:
        yield report.ok(about, f"version {version}, as this SQLMesh writes it")
    elif version < current:
        step = "back the state up, then run `sqlmesh migrate` once"
        yield report.fail(about, f"version {version}", f"version {current}", step)
    else:
        step = "install the SQLMesh of whoever migrated it; an older one must not write there"
        yield report.fail(about, f"version {version}", f"version {current}", step)
    yield from _newest_row(report, state)


def _current_version() -> int:
    """The version of the schema that this SQLMesh writes; it is imported before the state is opened."""
    from sqlmesh.core.state_sync.base import SCHEMA_VERSION  # takes a second

    return int(SCHEMA_VERSION)


def _newest_row(report: Reporter, state: State) -> Iterator[Finding]:
    """Whether the clock of a host that wrote intervals was ahead of this one: their order follows it."""
    found = state.row("SELECT MAX(created_ts) FROM sqlmesh._intervals")
    ahead = (found[0] or 0) / 1000 - time.time() if found else 0.0
    if ahead > AHEAD_SECONDS:
        step = "let NTP set the clocks of all hosts; the next `lake run` here puts the order right"
        about = f"{state.name}, newest interval"
        yield report.warn(about, f"written {ahead:.0f} s in the future of this host", "a time in the past", step)


def _files(report: Reporter, options: Settings) -> Iterator[Finding]:
    """Who runs a cycle, ingests or has the warehouse, by the locks of files."""
    folder = Path(options.lake_home) / "locks"
    places = {folder / "cycle.lock": "the cycle", Path(options.warehouse_path): "the warehouse"}
    places |= dict.fromkeys(folder.glob(INGEST_LOCKS), "ingestion, since the store ignores conditions")
    for path, what in places.items():
        if path.exists():
            by = holders(path)
            yield report.ok(str(path), f"{what} is held by {', '.join(by)}" if by else f"no process here holds {what}")


def _of_postgres(report: Reporter, lake: Lake) -> Iterator[Finding]:
    """Who holds the locks there, and SQLMesh's tables, if they exist: opening the state would create ours."""
    place = postgres.address(lake.options)
    try:
        session = postgres.connect(lake.options)
    except LakemeshError as error:
        step = "correct PGHOST, PGPORT, PGUSER, PGPASSWORD or PGDATABASE, or start the server"
        yield report.fail(place, str(error), "a server that accepts the login", step)
        return
    try:
        with postgres.driver_errors(place), session.cursor() as cursor:
            for lock in (postgres.Lock.CYCLE, postgres.Lock.COMPUTING):
                by = postgres.holder_if_any(session, lock)
                yield report.ok(f"{place}, lock {lock.name.lower()}", f"held by {by}" if by else "free")
            cursor.execute("SELECT TO_REGCLASS('sqlmesh._environments') IS NOT NULL")
            ((has_tables,),) = cursor.fetchall()
    finally:
        session.close()
    if not has_tables:
        yield report.warn(place, "no tables of SQLMesh", "production", _PLAN)
        return
    with lake.state.open() as state:
        yield from _of_sqlmesh(report, state, _current_version())
