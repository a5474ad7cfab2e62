"""A full or read-only disk: clear errors, nothing half done, and the same command succeeds once it is fixed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.contracts.contract import contracts
from ingest.settings import settings
from ingest.upkeep import compact
from pipeline.checks.verify import FeedVerdict
from pipeline.cli import main
from tests.handle import verify_feed
from tests.home import Home
from tests.small_disk import remount, small_disk

MEGABYTE = 1 << 20
STEP = 24 << 10
ROWS = 500


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 2) as folder:
        yield folder


@pytest.fixture
def lake_on_disk(disk: Path, clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with the lake on the disk; landing and state are elsewhere."""
    monkeypatch.setenv("LAKE_URI", str(disk / "lake"))
    return Home()


@pytest.fixture
def home_on_disk(disk: Path, clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with lake and state on the disk."""
    monkeypatch.setenv("LANDING_URI", f"{clean_settings}/landing/{{bucket}}")
    monkeypatch.setenv("LAKE_HOME", str(disk / "home"))
    return Home()


@pytest.fixture
def temporary_files_on_disk(disk: Path, s3_home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with the lake in S3; files to upload are staged on the disk."""
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    return s3_home


def fill(disk: Path, free: int) -> None:
    """Fill the disk except for the given number of bytes."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    status = os.statvfs(disk)
    ballast.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - free)))


def put_events(home: Home, name: str) -> None:
    """Write one object with valid lines of five dates, and invalid ones."""
    lines = [
        {
            "event_id": f"{number}-{os.urandom(40).hex()}",
            "name": "activity_exit",
            "user_id": "u",
            "occurred_at": f"2026-01-0{1 + number % 5} 10:00:00",
            "data": {},
        }
        for number in range(ROWS)
    ]
    home.put("events", name, *lines, *[b"bad"] * 5)


def verdict_of(home: Home, deep: bool = False) -> FeedVerdict:
    verdict = verify_feed(contracts()["events"], home.options, deep)
    assert verdict.differences == []
    return verdict


def repeat_while_full(disk: Path, home: Home, *command: str) -> int:
    """Repeat the command with ever more space until it succeeds; return the number of failures."""
    before = verdict_of(home)
    orphans = before.orphans
    kept = []  # errors: none of them may keep a database open
    for refused, free in enumerate(range(0, MEGABYTE, STEP)):
        fill(disk, free)
        shown = CliRunner().invoke(main, command)
        kept.append(shown)
        if shown.exit_code == 0:
            return refused
        lines = shown.stderr.splitlines()
        assert shown.exit_code == 1
        assert 1 <= len(lines) <= 2  # a feed, and the dates
        assert all(line.startswith("error: ") and "No space left on device" in line for line in lines), lines
        (disk / "ballast").unlink()
        seen = verdict_of(home)
        assert seen.waiting == 0 or seen.rows == before.rows
        if seen.waiting and "/ledger/" not in lines[0]:  # a failed commit leaves its files
            assert seen.orphans == orphans
        orphans = seen.orphans
    pytest.fail("a megabyte was not enough")


@pytest.mark.parametrize(
    "kind", ["lake_on_disk", "home_on_disk", pytest.param("temporary_files_on_disk", marks=pytest.mark.s3)]
)
def test_full_disk_needs_nothing_but_a_retry(
    kind: str, disk: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    home: Home = request.getfixturevalue(kind)
    settings.cache_clear()
    monkeypatch.setattr(compact, "MIN_FILES", 2)
    for landed in ("a", "ab", "c"):  # the second time one object is overwritten
        for name in landed:
            put_events(home, f"{name}.json")
        assert repeat_while_full(disk, home, "ingest", "events") > 0
    assert repeat_while_full(disk, home, "maintain", "events", "--grace-hours", "0") > 0

    (disk / "ballast").unlink()
    verdict = verdict_of(home, deep=True)
    assert (verdict.objects, verdict.waiting, verdict.rows, verdict.quarantined) == (3, 0, 3 * ROWS, 15)


@pytest.mark.parametrize("kind", ["lake_on_disk", "home_on_disk"])
@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_read_only_disk_is_named_and_ingest_succeeds_once_writable(
    kind: str, used: bool, disk: Path, request: pytest.FixtureRequest
) -> None:
    home: Home = request.getfixturevalue(kind)
    settings.cache_clear()
    if used:
        put_events(home, "a.json")
        assert CliRunner().invoke(main, ["ingest", "events"]).exit_code == 0
    for name in ("a.json", "b.json"):
        put_events(home, name)
    remount(disk, "ro")
    refused = CliRunner().invoke(main, ["ingest", "events"])
    assert refused.exit_code == 2
    lines = refused.stderr.splitlines()
    assert 1 <= len(lines) <= 2  # a feed, and the dates
    assert all(line.startswith("error: ") and str(disk) in line for line in lines)
    assert "Read-only file system; expected a folder that this user can read and write" in lines[0]
    assert verdict_of(home).rows == (ROWS if used else 0)

    remount(disk, "rw")
    assert CliRunner().invoke(main, ["ingest", "events"]).exit_code == 0
    verdict = verdict_of(home, deep=True)
    assert (verdict.waiting, verdict.rows, verdict.quarantined) == (0, 2 * ROWS, 10)
