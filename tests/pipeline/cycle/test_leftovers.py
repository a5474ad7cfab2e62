"""Files on this host that may have values of records are deleted for an erasure; what others use stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ingest.settings import Settings
from pipeline.cycle.leftovers import YOUNG_SECONDS, clean_home, delete_drafts
from pipeline.cycle.record import forget_errors
from pipeline.process.temporary import delete_dead
from pipeline.releases.release import Releases

PERSON = "person-5f0c77aa91"


@pytest.fixture
def options(tmp_path: Path) -> Settings:
    return Settings(lake_home=str(tmp_path / "home"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def put(path: Path, text: str = PERSON) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_reports_logs_and_caches_go_and_other_files_stay(options: Settings, temporary: Path, tmp_path: Path) -> None:
    home, project = Path(options.lake_home), tmp_path / "project"
    gone = [
        put(home / "reports" / "daily.html"),
        put(home / "reports" / ".lakemesh-draft-00000000000000000000000000000000"),
        put(project / "logs" / "sqlmesh_2026_01_01_00_00_00.log"),
        put(project / ".cache" / "optimized_query" / "x"),
    ]
    kept = [put(home / name, "{}") for name in ("alerts.json", "up_to_date.json", "locks/cycle.lock", "lake/a.parquet")]
    kept += [put(project / "logs" / "mine.txt"), put(project / "models" / "x.sql")]

    done = clean_home(options, [project], project / ".cache")

    assert [path for path in gone if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert (project / ".cache" / "optimized_query").is_dir()  # a SQLMesh that runs goes on writing to it
    assert [line.split(" of ")[0] for line in done.done] == [
        "deleted 2 reports",
        "deleted 1 logs",
        "deleted 1 files",
    ]
    assert clean_home(options, [project], project / ".cache").done == ()


def test_texts_of_errors_are_removed_from_waiting_cycles_and_nothing_else(options: Settings) -> None:
    row = ["r1", "2026-01-01T00:00:00", "failed", 1, 1, 0, 0, 0, 0.5]
    path = put(
        Path(options.lake_home) / "cycles.jsonl", f"\n{json.dumps([*row, PERSON])}\n\n{json.dumps([*row, ''])}\n{{"
    )
    assert forget_errors(options) == 1
    lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    assert lines == [[*row, "removed by an erasure"], [*row, ""]]
    assert forget_errors(options) == 0
    path.unlink()
    assert forget_errors(options) == 0


def test_drafts_of_killed_processes_go_and_one_that_is_being_written_stays(options: Settings) -> None:
    published = Releases(options)
    root = Path(options.published_uri)
    old, young = (put(root / "portal" / "data" / f".lakemesh-draft-{digit * 32}") for digit in "01")
    other = put(root / "tables" / "x.parquet")
    os.utime(old, (0, time.time() - YOUNG_SECONDS - 1))
    assert delete_drafts(published).done == (f"{root}: deleted 1 drafts of killed processes",)
    assert [path.exists() for path in (old, young, other)] == [False, True, True]


def test_what_a_bucket_keeps_is_its_own_to_expire() -> None:
    published = Releases(Settings(published_uri="s3://bucket/published"))
    assert "lifecycle" in delete_drafts(published).beyond[0]


def test_temporary_folders_from_before_every_process_go_and_younger_ones_stay(temporary: Path) -> None:
    old, young, other = temporary / "lakemesh-old", temporary / "lakemesh-young", temporary / "elsewhere"
    grown = temporary / "lakemesh-grown"  # begun long ago, and still written to
    for folder in (old, young, other, grown):
        put(folder / "inner" / "spill")
    for path in (old, old / "inner", old / "inner" / "spill", other, other / "inner", other / "inner" / "spill", grown):
        os.utime(path, (0, 0))

    done = delete_dead()

    assert [folder.exists() for folder in (old, young, other, grown)] == [False, True, True, True]
    assert done.done == ("deleted 1 temporary folders of killed processes",)
    assert "2 folders" in done.beyond[0]


def test_temporary_folder_of_a_running_process_stays(temporary: Path) -> None:
    """It is as old as its process, which is older than the one that cleans up."""
    code = "import tempfile, time; print(tempfile.mkdtemp(prefix='lakemesh-'), flush=True); time.sleep(60)"
    environment = os.environ | {"TMPDIR": str(temporary)}
    clean = "import sys, tempfile; tempfile.tempdir = sys.argv[1]; from pipeline.process.temporary import delete_dead"
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        subprocess.run([sys.executable, "-c", f"{clean}; delete_dead()", str(temporary)], check=True)
        assert folder.is_dir()
        owner.kill()
