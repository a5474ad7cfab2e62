"""A lake with a release, made once and copied for each test, and `lake` as a process on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tests.home
from ingest.settings import PROJECT
from pipeline.releases.release import Releases
from tests.engagement import cycle, play
from tests.home import Home, copy_home, template


class Lake:
    """`lake` as its own process on a home.

    Attributes:
        faults: functions that fail, in the form of tests/worker.py: (function, exception, word in its arguments).
        stops_at: the moment at which the process stops until it is continued, see tests/worker.py; empty for none.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.faults: list[tuple[str, str, str]] = []
        self.stops_at = ""

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        faults = [word for fault in self.faults for word in ("--fail", *fault)]
        worker = [sys.executable, "-m", "tests.worker", "--project", str(tests.home.PROJECT)]
        at = ["--at", self.stops_at, "stop"] if self.stops_at else []
        return [*worker, *faults, *at, "lake", *arguments]

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=PROJECT,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def run(self, *arguments: str, **variables: str) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
        """Run `lake run --json`; return its one line, and the process."""
        done = self("run", "--json", *arguments, **variables)
        (line,) = done.stdout.splitlines()
        return json.loads(line), done

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start the process."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.command(*arguments), cwd=PROJECT, env=os.environ | variables, stdout=pipe, stderr=pipe, text=True
        )

    def state(self) -> int | None:
        """The number of the current release."""
        return Releases(self.home.options).pointer().get("state")


@pytest.fixture(scope="session")
def published_once(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake with a play on each of the first three days of 2026, planned and published as release 1."""
    with template(tmp_path_factory.mktemp("published"), engagement_project) as home:
        for day in (1, 2, 3):
            home.put("events", f"{day}.json", play(f"e{day}", f"2026-01-0{day}"))
        home.put("users", "users.json", {"user_id": "u1", "country_code": "fr"})
        home.put("activities", "activities.json", {"activity_id": "a1", "name": "A", "type": "game"})
        home.ingest()
        home.plan()
        assert cycle(home).outcome == "published"
    return home


@pytest.fixture
def lake(published_once: Home, engagement: Path, home: Home) -> Lake:
    """`lake` on a copy of it."""
    return Lake(copy_home(published_once, home))


@pytest.fixture
def empty_lake(home: Home) -> Lake:
    """`lake` on an empty home."""
    return Lake(home)


@pytest.fixture
def late_play(lake: Lake) -> Callable[[str], None]:
    """Land a play of the first of January."""
    return lambda name: lake.home.put("events", f"{name}.json", play(name, "2026-01-01"))
