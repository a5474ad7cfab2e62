"""A lake whose release moves: events arrive, cycles run and are killed, and states are published again in between."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from ingest.errors import Busy
from ingest.settings import PROJECT
from pipeline.cycle.cycle import exclusive_cycle
from pipeline.lake import Lake
from pipeline.releases.catalog import write_catalog
from pipeline.releases.release import catalog_key, manifest_key
from tests.engagement import play
from tests.home import copy_project, keep_domain
from tests.pipeline.api.serving import World, environment

TODAY = dt.datetime.now(dt.UTC).date()
LONGEST = 300.0
"""Seconds after which a cycle that nobody killed is a fault."""


def run(made: World, *command: str) -> None:
    """Run a command over a lake.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env=environment(made),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def small_lake(folder: Path, events: int, days: int) -> World:
    """A lake with the models of engagement, which take seconds, and a first release with its pages."""
    made = World(folder)
    copy_project(made.folder / "project")
    keep_domain(made.folder / "project", "engagement")
    shutil.copytree(PROJECT / "metrics", made.folder / "project" / "metrics")
    (made.folder / "project" / "dashboards").mkdir()
    shutil.copy(PROJECT / "dashboards" / "engagement.yaml", made.folder / "project" / "dashboards")
    (made.folder / "dotenv").touch()
    sample = ("sample", "--events", str(events), "--days", str(days), "--accounts", "0")
    run(made, "pipeline", *sample)
    put(made, "users", "soak.json", {"user_id": "u1", "country_code": "fr"})
    put(made, "activities", "soak.json", {"activity_id": "a1", "name": "Soak", "type": "game"})
    run(made, "pipeline", "ingest")
    plan = ("plan", "--auto-apply", "--no-prompts", "--skip-tests")
    run(made, "tests.worker", "--project", str(made.folder / "project"), "sqlmesh", *plan)
    run(made, "pipeline", "publish")
    return made


def put(made: World, feed: str, name: str, *records: dict[str, object]) -> None:
    """Write a landing object, all at once."""
    path = made.home / "landing" / f"raw-{feed}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = made.folder / f"{name}.draft"
    draft.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    draft.rename(path)


class Publisher(threading.Thread):
    """Moves the release until it is stopped.

    A cycle starts when the one before has ended, after a pause; a part of them is killed at a random moment. Cycles
    take longer than `every` where the machine is busy: between them the newest state is published under further
    numbers, as many as are missing. Both hold the cycle's lock, as every publisher does.

    Attributes:
        began, published: moments of the start and of each release, by the monotonic clock.
        killed, finished, again: number of cycles that were killed and that ended, and of states published again.
        faults: of cycles that nobody killed.
    """

    def __init__(self, made: World, every: float, dice: random.Random) -> None:
        super().__init__(daemon=True)
        self._made, self._every, self._dice = made, every, dice
        self._lake = Lake(made.options)
        self._stopped = threading.Event()
        self._cycle: subprocess.Popen[bytes] | None = None
        self._began = self._kill_at = self._last = 0.0
        self._usual = 10.0
        self._puts = 0
        self._newest = self._number()
        self.began = 0.0
        self.published: list[float] = []
        self.killed = self.finished = self.again = 0
        self.faults: list[str] = []

    def run(self) -> None:
        """Publish until `stop`."""
        self.began = time.monotonic()
        due = self.began + 4 * self._every
        while not self._stopped.wait(0.5):
            now = time.monotonic()
            self._look()
            if self._cycle is None and now >= due:
                self._start()
            elif self._cycle is not None and self._ends(now):
                due = time.monotonic() + 4 * self._every
            is_late = len(self.published) < (now - self.began) / self._every
            if self._cycle is None and is_late and now - self._last >= self._every / 2:
                self._again()
        if self._cycle is not None:
            self._kill()
        self._look()

    def stop(self) -> None:
        """End, and the cycle in progress with it."""
        self._stopped.set()
        self.join()

    def _start(self) -> None:
        self._puts += 1
        day = TODAY - dt.timedelta(days=self._dice.randint(1, 9))
        plays = [play(f"soak-{self._puts}-{place}", str(day)) for place in range(self._dice.randint(1, 5))]
        put(self._made, "events", f"soak-{self._puts}.json", *plays)
        with (self._made.folder / "cycles.log").open("ab") as log:
            command = [sys.executable, "-m", "pipeline", "run"]
            self._cycle = subprocess.Popen(
                command, env=environment(self._made), cwd=PROJECT, stdout=log, stderr=log, start_new_session=True
            )
        self._began = time.monotonic()
        is_killed = self._dice.random() < 0.5
        self._kill_at = self._began + self._dice.uniform(0.2, 1.1) * self._usual if is_killed else float("inf")

    def _ends(self, now: float) -> bool:
        """Whether the cycle has ended, or is ended now."""
        assert self._cycle is not None
        code = self._cycle.poll()
        if code is None and now < min(self._kill_at, self._began + LONGEST):
            return False
        if code is None:
            if now < self._kill_at:
                self.faults.append(f"a cycle took more than {LONGEST:g} s")
            self._kill()
            return True
        self.finished += 1
        self._usual = now - self._began
        if code:
            text = (self._made.folder / "cycles.log").read_text(errors="replace")
            self.faults.append(f"a cycle that nobody killed ended with {code}: {text[-1500:]}")
        self._cycle = None
        return True

    def _kill(self) -> None:
        assert self._cycle is not None
        os.killpg(self._cycle.pid, signal.SIGKILL)
        self._cycle.wait()
        self._cycle = None
        self.killed += 1

    def _again(self) -> None:
        """Publish the newest state under the next number: its own manifest and catalog over the same files."""
        releases = self._lake.releases
        try:
            with exclusive_cycle(self._lake, 0), tempfile.TemporaryDirectory() as folder:
                newest = releases.newest()
                assert newest is not None
                release = replace(newest, number=newest.number + 1, published_at=dt.datetime.now(dt.UTC), dates={})
                path = Path(folder) / "catalog.duckdb"
                write_catalog(releases, path, release)
                releases.store.put(catalog_key(release.number), path.read_bytes())
                assert releases.store.put_new(manifest_key(release.number), release.to_json())
                releases.point_to(release.number)
        except Busy:
            return
        self.again += 1
        self._last = time.monotonic()
        self._look()

    def _look(self) -> None:
        """Note the releases that are new."""
        found = self._number()
        self.published += [time.monotonic()] * (found - self._newest)
        self._newest = max(found, self._newest)

    def _number(self) -> int:
        return int(self._lake.releases.pointer()["state"])
