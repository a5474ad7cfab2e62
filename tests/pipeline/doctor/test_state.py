"""The state: reachable or not, its schema, and who holds its locks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import duckdb
import pytest

from ingest.settings import PROJECT, settings
from ingest.storage.lock import file_lock
from pipeline.doctor import state
from pipeline.doctor.finding import Finding, Status
from pipeline.lake import Lake
from pipeline.process.postgres import Lock, acquire, connect
from tests.home import Home, PostgresHome, free_port

HOLD = "import duckdb, sys; kept = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def checked() -> list[Finding]:
    return list(state.check(Lake(settings())))


def made(path: Path, version: int, environments: str = "('prod')", newest: float = 0) -> None:
    """Write a state as SQLMesh of a schema version does, as far as it is looked at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA sqlmesh")
        connection.execute(f"CREATE TABLE sqlmesh._versions AS SELECT {version} AS schema_version")
        connection.execute(f"CREATE TABLE sqlmesh._environments AS SELECT * FROM (VALUES {environments}) AS e (name)")
        connection.execute(f"CREATE TABLE sqlmesh._intervals AS SELECT {int(newest * 1000)}::BIGINT AS created_ts")


def test_a_state_that_is_not_there_yet(clean_settings: Path) -> None:
    (found,) = checked()
    assert (found.status, "sqlmesh plan" in found.next_step) == (Status.WARN, True)
    assert not clean_settings.exists(), "looking makes nothing"


@pytest.mark.parametrize(
    ("version", "status", "step"),
    [(101, "fail", "sqlmesh migrate"), (102, "ok", ""), (103, "fail", "an older one must not write there")],
)
def test_schema_of_sqlmesh(clean_settings: Path, version: int, status: str, step: str) -> None:
    from sqlmesh.core.state_sync.base import SCHEMA_VERSION

    made(clean_settings / "state.duckdb", SCHEMA_VERSION + version - 102)
    found = {item.object: item for item in checked()}[f"{clean_settings / 'state.duckdb'}, schema of SQLMesh"]
    assert found.status == status
    assert step in found.next_step


def test_a_state_without_production_or_from_the_future(clean_settings: Path) -> None:
    path = clean_settings / "state.duckdb"
    made(path, 102, "('dev')", time.time() + 600)
    found = {item.object: item for item in checked()}
    assert found[str(path)].status is Status.WARN
    assert "in the future" in found[f"{path}, newest interval"].found


def test_locks_name_who_holds_them(clean_settings: Path) -> None:
    path = clean_settings / "state.duckdb"
    made(path, 102)
    with (
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other,
        file_lock(clean_settings / "locks" / "cycle.lock", "busy"),
    ):
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        found = {item.object: item for item in checked()}
        other.communicate()

    cycle = found[str(clean_settings / "locks" / "cycle.lock")]
    assert (cycle.status, f"pid {os.getpid()}," in cycle.found) == (Status.OK, True)
    held = found[str(path)]
    assert (held.status, f"pid {other.pid}," in held.found) == (Status.WARN, True)
    assert [item.found for item in checked() if item.object.endswith("cycle.lock")] == [
        "no process here holds the cycle"
    ]


def test_a_postgres_that_is_away_or_wrong(postgres_home: PostgresHome, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(**variables: str) -> Finding:
        with monkeypatch.context() as changed:
            for name, value in variables.items():
                changed.setenv(name, value)
            settings.cache_clear()
            (found,) = checked()
        assert found.status is Status.FAIL
        return found

    assert "cannot be reached" in failing(PGPORT=str(free_port())).found
    assert "does not exist" in failing(PGDATABASE="nothing_here").found
    refused = failing(PGPASSWORD="wrong-password")
    assert "authentication failed" in refused.found
    assert "wrong-password" not in str(refused)


def test_locks_in_postgres(postgres_home: PostgresHome) -> None:
    session = connect(settings())
    try:
        assert acquire(session, Lock.CYCLE, 0)
        found = {item.object.rsplit(", ", 1)[-1]: item for item in checked()}
    finally:
        session.close()

    assert f"pid {os.getpid()}" in found["lock cycle"].found
    assert found["lock computing"].found == "free"
    missing = [item for item in found.values() if item.status is Status.WARN]
    assert [item.found for item in missing] == ["no tables of SQLMesh"]
    assert postgres_home.state("SELECT nspname FROM pg_namespace WHERE nspname = 'lakemesh'") == [], "nothing is made"


def test_state_of_a_planned_lake(home: Home) -> None:
    home.options_home.mkdir(parents=True)
    with zipfile.ZipFile(PROJECT / "tests" / "data" / "lake_0_1.zip") as kept:
        kept.extractall(home.options_home)
    statuses = {item.object: item.status for item in checked()}
    assert set(statuses.values()) == {Status.OK}
    assert f"{home.options.state_path}, schema of SQLMesh" in statuses
