"""One day's cycle as history grows: its cost must depend on what changed, not on the history.

    python -m benchmarks.late_day --per-day 6700 --days 30 365 --rounds 3 --domains engagement revenue --before REVISION

For each length of history a lake of that many days is planned and published, as of some days ago, and has one more
day's cycle, which fills SQLMesh's caches. Then, in turn: the next day's cycle with that day's events, the same in a
project whose models recompute the last three days each time (SQLMesh's `lookback 3`, which is how pipelines without
invalidation handle late data, and which misses older data), a cycle with 100 events that are a month late, one with
nothing new, and `lake rebuild`. With a revision, the next day and nothing new of the project as it was then too; with
domains, the project without the others.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Cost, compare, measure, report, this_machine
from benchmarks.plays import write_plays
from benchmarks.revision import project_at
from tests.home import keep_domain

PROJECT = Path(__file__).resolve().parents[1]
LATE_EVENTS = 100
LOOKBACK_DAYS = 3
SAMPLE = ("--events-per-file", "1000", "--accounts", "0")


def main() -> None:
    """Make each history, measure the cycles on it and print a table for each."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--per-day", type=int, default=6_700, help="events per day")
    arguments.add_argument("--days", type=int, nargs="+", default=[30, 365])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--domains", nargs="+", help="remove the models of others; all by default")
    arguments.add_argument("--before", metavar="REVISION", help="a revision of this repository to compare with")
    options = arguments.parse_args()
    for days in options.days:
        with tempfile.TemporaryDirectory() as folder:
            projects = _projects(Path(folder), options.domains, options.before)
            results = _costs(Path(folder), projects, options.per_day, days, options.rounds)
        print(report(f"{options.per_day * days:,} events on {days} days ({this_machine()})", results))
        print()


class _Lake:
    """A lake with its project, on a day that advances by one with each next day's cycle.

    Args:
        today: the first day.
    """

    def __init__(self, home: Path, project: Path, today: dt.date, environment: dict[str, str]) -> None:
        self.home = home
        self.today = today
        self._environment = environment | {"LAKE_HOME": str(home), "PYTHONPATH": str(project)}
        self._project = project

    def at(self, *arguments: str) -> Cost:
        """Run a command of the project in the morning of the current day."""
        return measure([self._command(*arguments)], self._environment)

    def next_day(self, per_day: int) -> Cost:
        """Run the cycle of the next day, with the events of the day that has ended."""
        self.today += dt.timedelta(days=1)
        seed = str(self.today.toordinal())
        self.at("lake", "sample", "--events", str(per_day), "--days", "1", "--seed", seed, *SAMPLE)
        return self.at("lake", "run")

    def plan(self, per_day: int) -> None:
        """Publish a first release, and one of the next day, which renders what a plan does not."""
        for command in (["lake", "ingest"], ["sqlmesh", "plan", "--auto-apply", "--no-prompts", "--skip-tests"]):
            self.at(*command)
        self.at("lake", "run")
        self.next_day(per_day)

    def _command(self, name: str, *arguments: str) -> list[str]:
        paths = ["-p", str(self._project)] if name == "sqlmesh" else []
        return [sys.executable, "-P", "-m", "benchmarks.at", f"{self.today}T06:00", name, *paths, *arguments]


def _costs(folder: Path, projects: dict[str, Path], per_day: int, days: int, rounds: int) -> dict[str, Cost]:
    today = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=rounds + 1)
    environment = {"SQLMESH_DOTENV_PATH": "", "LAKE_START": str(today - dt.timedelta(days + 1))}
    lakes = {name: _Lake(folder / "homes" / name, path, today, environment) for name, path in projects.items()}
    lakemesh, peer, before = lakes["lakemesh"], lakes["lookback"], lakes.get("before")
    lakemesh.at("lake", "sample", "--events", str(per_day * days), "--days", str(days), *SAMPLE)
    for other in lakes.values():
        if other is not lakemesh:
            shutil.copytree(lakemesh.home / "landing", other.home / "landing", copy_function=os.link)
    lakemesh.at("lake", "ingest")
    shutil.copytree(lakemesh.home / "lake", peer.home / "lake", copy_function=os.link)
    lakemesh.plan(per_day)
    peer.plan(per_day)
    late = today - dt.timedelta(days=min(days - 1, 29))
    numbers = itertools.count()

    def a_month_late() -> Cost:
        write_plays(lakemesh.home / "landing", f"late-{next(numbers)}", late, LATE_EVENTS)
        return lakemesh.at("lake", "run")

    contenders: dict[str, Callable[[], Cost]] = {
        "lake run, the next day": lambda: lakemesh.next_day(per_day),
        f"the same with a lookback of {LOOKBACK_DAYS} days": lambda: peer.next_day(per_day),
        f"lake run, {LATE_EVENTS} events a month late": a_month_late,
        "lake run, nothing new": lambda: lakemesh.at("lake", "run"),
        "lake rebuild": lambda: lakemesh.at("lake", "rebuild", "--yes"),
        "import sqlmesh": lambda: measure([[sys.executable, "-c", "import sqlmesh"]], environment),
    }
    if before:
        before.plan(per_day)
        contenders["lake run, the next day, before"] = lambda: before.next_day(per_day)
        contenders["lake run, nothing new, before"] = lambda: before.at("lake", "run")
    return compare(contenders, rounds)


def _projects(folder: Path, domains: list[str] | None, before: str | None) -> dict[str, Path]:
    """The project, one with a lookback, and one as of a revision, by name."""
    project = PROJECT
    if domains:
        project = _copy(PROJECT, folder / "projects" / "lakemesh")
        keep_domain(project, "pipeline", *domains)
    found = {"lakemesh": project, "lookback": _with_lookback(project, folder / "projects" / "lookback")}
    if before:
        found["before"] = project_at(before, folder / "projects" / "before")
    return found


def _copy(project: Path, target: Path) -> Path:
    ignored = shutil.ignore_patterns(".*", "data", "logs", "build", "*.egg-info")
    return Path(shutil.copytree(project, target, ignore=ignored))


def _with_lookback(project: Path, target: Path) -> Path:
    """Copy the project, with incremental models that recompute some days before each new one."""
    _copy(project, target)
    changed = 0
    for path in sorted((target / "models").rglob("*.sql")):
        text, found = re.subn(r"(INCREMENTAL_BY_TIME_RANGE \()", rf"\1 lookback {LOOKBACK_DAYS},", path.read_text())
        path.write_text(text)
        changed += found
    if not changed:
        sys.exit(f"{target}/models: no incremental model was found")
    return target


if __name__ == "__main__":
    main()
