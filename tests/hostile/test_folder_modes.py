"""Files of the lake contain personal data: other users cannot enter its folders, whatever the umask."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.settings import PROJECT, settings
from pipeline.warehouse.duck import in_memory
from tests.home import Home

GOOD = b'{"event_id":"a","name":"activity_exit","occurred_at":"2026-11-01T10:00:00Z","user_id":"u"}\n'


LAKE = [sys.executable, "-m", "pipeline"]
SQLMESH = [str(Path(sys.executable).with_name("sqlmesh"))]


def run(program: list[str], *arguments: str, umask: int = 0o022, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process under a umask."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAKE_")} | variables
    return subprocess.run(
        [*program, *arguments],
        cwd=PROJECT,
        env=environment,
        umask=umask,
        capture_output=True,
        text=True,
        timeout=300,
    )


def modes(folder: Path) -> Iterator[tuple[str, int]]:
    """Each folder at and below a path, with its permission bits."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            yield str(path), stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_folders_of_a_new_lake_are_accessible_to_the_owner_only(
    clean_settings: Path, tmp_path: Path, umask: int
) -> None:
    # GIVEN a home whose parents are missing as well, and a lake elsewhere
    home, lake = tmp_path / "srv" / "deep" / "home", tmp_path / "lake"
    variables = {"LAKE_HOME": str(home), "LAKE_URI": str(lake)}

    # WHEN a sample is written and loaded, its events with many broken lines
    sample = ("sample", "--events", "20", "--days", "1", "--accounts", "0", "--malformed", "0.5")
    for command in (sample, ("ingest", "events")):
        done = run(LAKE, *command, umask=umask, **variables)
        assert done.returncode == 0 or "are quarantined" in done.stderr, done.stderr

    # THEN
    found = dict([*modes(tmp_path / "srv"), *modes(lake)])
    layers = {str(lake / name) for name in ("bronze", "quarantine", "ledger")}
    assert {str(home), str(home / "landing" / "raw-events")} | layers <= found.keys()
    assert {name: oct(mode) for name, mode in found.items() if mode != 0o700} == {}


def test_every_new_folder_gets_the_mode_for_shared_readers(clean_settings: Path, tmp_path: Path) -> None:
    landing, home = tmp_path / "landing" / "raw-events", tmp_path / "home"
    landing.mkdir(parents=True)
    (landing / "one.jsonl").write_bytes(GOOD)
    variables = {"LAKE_HOME": str(home), "LANDING_URI": f"{tmp_path}/landing/{{bucket}}", "LAKE_FOLDER_MODE": "0750"}
    done = run(LAKE, "ingest", "events", umask=0o077, **variables)
    assert done.returncode == 0, done.stderr
    assert {mode for _, mode in modes(home)} == {0o750}


def test_an_existing_folder_keeps_its_mode(clean_settings: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    landing = home / "landing" / "raw-events"
    landing.mkdir(parents=True)
    (landing / "one.jsonl").write_bytes(GOOD)
    for path, mode in ((home, 0o755), (home / "landing", 0o711), (landing, 0o2775)):
        path.chmod(mode)
    assert run(LAKE, "ingest", "events", LAKE_HOME=str(home)).returncode == 0
    found = dict(modes(home))
    assert [found[str(path)] for path in (home, home / "landing", landing)] == [0o755, 0o711, 0o2775]
    assert found[str(home / "lake")] == 0o700


@pytest.mark.parametrize("value", ["0644", "755x", "7", "0o10755"])
def test_a_mode_that_locks_out_the_owner_is_misuse(clean_settings: Path, tmp_path: Path, value: str) -> None:
    done = run(LAKE, "ingest", LAKE_HOME=str(tmp_path / "home"), LAKE_FOLDER_MODE=value)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: LAKE_FOLDER_MODE: '{value}' is not a folder mode")
    assert not (tmp_path / "home").exists()


def test_sqlmesh_alone_creates_warehouse_and_state_in_closed_folders(
    clean_settings: Path, engagement_project: Path, tmp_path: Path
) -> None:
    variables = {"LAKE_HOME": str(tmp_path / "new" / "home"), "STATE_PATH": str(tmp_path / "states" / "one.duckdb")}
    done = run(SQLMESH, "--paths", str(engagement_project), "fetchdf", "SELECT 1", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "new/home/warehouse.duckdb").is_file()
    assert {mode for _, mode in [*modes(tmp_path / "new"), *modes(tmp_path / "states")]} == {0o700}


def test_published_folders_can_have_their_own_mode(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.releases.release import Releases

    shared = home.options_home.with_name("shared")
    shared.mkdir()
    shared.chmod(0o2750)
    for name, value in {"PUBLISHED_URI": str(shared / "gold"), "PUBLISHED_FOLDER_MODE": "0750"}.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    Releases().store.put("states/00000000000000000001/manifest.json", b"{}")
    home.put("events", "one.jsonl", GOOD)
    assert {mode & 0o777 for _, mode in modes(shared)} == {0o750}
    assert all(mode & stat.S_ISGID for _, mode in modes(shared)), "the group is that of the shared folder"
    assert {mode for _, mode in modes(home.options_home)} == {0o700}


def test_what_does_not_fit_into_memory_is_not_left_where_the_process_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with in_memory() as connection:
        connection.execute("SET memory_limit = '64MB'; SET threads = 1")
        connection.execute("CREATE TABLE wide AS SELECT MD5(range::TEXT), MD5((range + 1)::TEXT) FROM RANGE(2000000)")
        (folder,) = connection.execute("SELECT CURRENT_SETTING('temp_directory')").fetchall()[0]
        assert any(Path(folder).iterdir()), "nothing was spilled, so nothing was shown"
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []
