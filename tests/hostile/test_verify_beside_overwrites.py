"""`lake verify --deep` compares the versions in the ledger, whatever producers and ingesters do concurrently."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from ingest.errors import RetriableError
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT
from ingest.steps.load import ingest_feed
from ingest.storage.landing import Landing
from ingest.storage.objects import StoredObject
from ingest.storage.store import Store
from pipeline.checks import deep
from tests.engagement import play
from tests.handle import verify_feed
from tests.home import Home

EVENTS = contracts()["events"]
OBJECTS, LINES = 200, 40
OVERWRITER = """
import itertools, json, os, sys, time
folder, scratch, how = sys.argv[1:]
names = [name for name in sorted(os.listdir(folder)) if name.endswith(".json")]
print("ready", flush=True)
for number in itertools.count():
    while not any(name.startswith("lakemesh-verify-") for name in os.listdir(scratch)):
        time.sleep(0.001)
    name = names[number * 7 % len(names)]
    path = os.path.join(folder, name)
    line = {"name": "activity_exit", "occurred_at": "2026-01-02 10:00:00", "user_id": "u", "data": {}}
    lines = [json.dumps(line | {"event_id": f"{number}-{place}"}) + "\\n" for place in range(3 + number % 60)]
    if how == "in place":
        with open(path, "w") as file:
            for line in lines:
                file.write(line)
                file.flush()
        continue
    if how == "deleted first" and os.path.exists(path):
        os.unlink(path)
    with open(path + "#1", "w") as file:
        file.writelines(lines)
    os.replace(path + "#1", path)
"""
"""Overwrites objects while `lake verify` reads the landing."""


@pytest.fixture
def loaded(home: Home) -> Home:
    for number in range(OBJECTS):
        lines = [play(f"{number}-{line}", f"2026-01-0{1 + line % 3}") for line in range(LINES)]
        home.put("events", f"{number:04}.json", *lines, b"{" if number % 10 == 0 else play(f"{number}", "2026-01-04"))
    home.ingest("events")
    return home


def landing(home: Home) -> Path:
    root = home.landing("events").root
    assert root is not None
    return root


@contextmanager
def running(*command: str) -> Iterator[None]:
    """Run a process while the body runs, from the moment it reports its start."""
    process = subprocess.Popen([sys.executable, *command], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield
        assert process.poll() is None, "it ended too early"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder for temporary files of the processes."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return str(folder)


def verified(expected: int = 0) -> dict[str, Any]:
    """The output of `lake verify events --deep --json` as a process."""
    command = [sys.executable, "-m", "pipeline", "verify", "events", "--deep", "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    (found,) = json.loads(done.stdout)
    assert done.returncode == expected, found
    return dict(found)


@pytest.mark.parametrize("how", ["in place", "renamed", "deleted first"])
def test_objects_overwritten_during_verify_are_no_difference(loaded: Home, scratch: str, how: str) -> None:
    moved = 0
    for _ in range(3):
        with running("-c", OVERWRITER, str(landing(loaded)), scratch, how):
            found = verified()
        assert found["differences"] == []
        assert (found["objects"], found["records"]) == (OBJECTS, found["rows"] + found["quarantined"])
        moved += found["waiting"] + found["gone"]
        for name in landing(loaded).glob("*#1"):
            name.unlink()
        loaded.ingest("events")
    assert moved > 0
    assert verified()["waiting"] == 0


def test_ingesters_during_overwrites_are_no_difference(loaded: Home, scratch: str) -> None:
    ingester = (
        "import os, subprocess, sys\nprint('ready', flush=True)\nwhile True:\n"
        "    subprocess.run([sys.executable, '-m', 'pipeline', 'ingest', 'events'], stdout=subprocess.DEVNULL,"
        " stderr=subprocess.DEVNULL, env=os.environ | {'STATE_LOCK_SECONDS': '0'})\n"
    )
    with running("-c", ingester), running("-c", OVERWRITER, str(landing(loaded)), scratch, "renamed"):
        for _ in range(3):
            assert verified()["differences"] == []


@contextmanager
def after_the_listing(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> Iterator[None]:
    """Run a function between the listing and the reading of the objects."""
    with monkeypatch.context() as patch:

        def meanwhile(*arguments: Any, **options: Any) -> Any:
            happens()
            return ingest_feed(*arguments, **options)

        patch.setattr(deep, "ingest_feed", meanwhile)
        yield


def test_changed_and_deleted_objects_are_counted_when_they_are_read(
    loaded: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = landing(loaded)

    def change() -> None:
        loaded.put("events", "0000.json", play("new", "2026-01-05"))
        with (folder / "0001.json").open("a") as file:
            file.write(json.dumps(play("more", "2026-01-05")) + "\n")
        (folder / "0002.json").unlink()
        loaded.put("events", "0003.json", *(folder / "0003.json").read_bytes().splitlines())  # the same bytes
        loaded.put("events", "new.json", play("newer", "2026-01-05"))

    with after_the_listing(monkeypatch, change):
        found = verify_feed(EVENTS, loaded.options, deep=True)
    assert (found.differences, found.waiting, found.gone) == ([], 4, 1)


def test_rows_of_unchanged_objects_are_still_compared(loaded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object with other content under the same etag, as left by a tool that resets times, is found."""
    folder = landing(loaded)
    path = folder / "0005.json"
    before, content = path.stat(), path.read_bytes()
    with path.open("r+b") as file:
        file.write(content.replace(b'"user_id": "u1"', b'"user_id": "u2"', 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with after_the_listing(monkeypatch, lambda: loaded.put("events", "0000.json", play("new", "2026-01-05"))):
        found = verify_feed(EVENTS, loaded.options, deep=True)

    assert found.differences == [
        "row only in the lake: raw-events/0005.json line 1",
        "row only in the source: raw-events/0005.json line 1",
    ]
    assert found.waiting == 1
    assert verified(expected=1)["differences"] == found.differences


def test_object_that_cannot_be_read_is_a_difference(loaded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Landing.read

    def read(self: Landing, version: StoredObject) -> Iterator[bytes]:
        if version.key == "0007.json":
            raise RetriableError("0007.json: the disk is worn out")
        return original(self, version)

    monkeypatch.setattr(Landing, "read", read)
    found = verify_feed(EVENTS, loaded.options, deep=True)
    (difference,) = found.differences
    assert difference == "object cannot be read: raw-events/0007.json: 0007.json: the disk is worn out"
    assert found.waiting == 0


def test_objects_that_wait_are_not_read(loaded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded.put("events", "new.json", play("new", "2026-01-05"))
    scratch: list[int] = []

    def reading(*arguments: Any, **options: Any) -> Any:
        report = ingest_feed(*arguments, **options)
        scratch.append(report.objects)
        return report

    monkeypatch.setattr(deep, "ingest_feed", reading)
    found = verify_feed(EVENTS, loaded.options, deep=True)
    assert (found.waiting, scratch, found.differences) == (1, [OBJECTS], [])
    assert len(Ledger(Store(loaded.options.lake_uri), "events").state().objects) == OBJECTS
