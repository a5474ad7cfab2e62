"""Years of subscriptions to gold: from raw accounts, subscriptions and invoices to MRR, one more day, one changed one.

    python -m benchmarks.revenue --accounts 100000 --months 36 --rounds 1 --before REVISION

Each round, on an empty lake: `lake ingest` of all but the last day, `sqlmesh plan` of all models and a first release,
all of it as of the morning of the last day; then, as of the next morning, `lake run` with that day, with one changed
subscription, with nothing new, and `sqlmesh plan` with nothing to do. The cost of these must depend on what changed,
not on the history. With a revision, the same with the project as it was then, in turn.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Cost, compare, measure, report, this_machine
from benchmarks.revision import project_at
from benchmarks.subscribers import write_subscribers
from sample.days import months_after
from sample.objects import REVENUE

PROJECT = Path(__file__).resolve().parents[1]
PLAN = ("sqlmesh", "plan", "--auto-apply", "--no-prompts")


def main() -> None:
    """Make the landing once, and measure on a new lake in each round."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--accounts", type=int, default=100_000)
    arguments.add_argument("--months", type=int, default=36)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--before", help="a revision of this repository to compare with")
    arguments.add_argument("--landing-only", type=Path, help="write the landing below this folder and stop")
    options = arguments.parse_args()
    last = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    first = _months_before(last, options.months)
    if options.landing_only:
        print(_make(options.landing_only, options.accounts, first, last))
        return
    for name in ("LANDING_URI", "WAREHOUSE_PATH", "STATE_PATH", "LAKE_URI", "LAKE_PROJECT"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        landing = Path(folder) / "made"
        title = _make(landing, options.accounts, first, last)
        print(title, file=sys.stderr)
        projects = {"": PROJECT}
        if options.before:
            projects[f", {options.before}"] = project_at(options.before, Path(folder) / "before")
        steps = []
        for number, (suffix, project) in enumerate(projects.items()):
            business = _Business(Path(folder) / f"home-{number}", landing, project, first, last)
            steps.append([(f"{name}{suffix}", run) for name, run in business.steps().items()])
        interleaved = dict(step for together in zip(*steps, strict=True) for step in together)
        results = compare(interleaved, options.rounds)
    print(report(f"{title} ({this_machine()})", results))


def _make(landing: Path, accounts: int, first: dt.date, last: dt.date) -> str:
    """Write the landing; return a summary."""
    started = time.perf_counter()
    counts = write_subscribers(landing, accounts, first, last)
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in landing.rglob("*.json"))
    content = ", ".join(f"{count:,} {feed}" for feed, count in counts.items())
    return f"{first} to {last}: {content}, {size / 1e6:,.0f} MB, written in {seconds:.0f} s"


class _Business:
    """A lake of a project, and the steps that are measured on it.

    Args:
        made: the landing; the objects of the last day are withheld at first.
        first, last: first and last day of the records.
    """

    def __init__(self, home: Path, made: Path, project: Path, first: dt.date, last: dt.date) -> None:
        self._home, self._made, self._project, self._last = home, made, project, last
        self._environment = {
            "LAKE_HOME": str(home),
            "SQLMESH_DOTENV_PATH": "",
            "LAKE_START": str(first),
            "PYTHONPATH": str(project),
        }
        self._changes = 0

    def steps(self) -> dict[str, Callable[[], Cost]]:
        """The steps of a round, in order."""
        next_day = self._last + dt.timedelta(days=1)
        return {
            "lake ingest": self._all_but_a_day,
            "sqlmesh plan": lambda: self._at(self._last, *PLAN, "--skip-tests"),
            "lake run, the first release": lambda: self._at(self._last, "lake", "run"),
            "lake run, one more day": lambda: self._one_more_day(next_day),
            "lake run, one changed subscription": lambda: self._one_changed_subscription(next_day),
            "lake run, nothing new": lambda: self._at(next_day, "lake", "run"),
            "sqlmesh plan, nothing to do": lambda: self._at(next_day, *PLAN),
            "import sqlmesh": lambda: measure([[sys.executable, "-c", "import sqlmesh"]], self._environment),
        }

    def _at(self, day: dt.date, name: str, *arguments: str) -> Cost:
        """Run a command of the project in the morning of a day."""
        paths = ["-p", str(self._project)] if name == "sqlmesh" else []
        command = [sys.executable, "-P", "-m", "benchmarks.at", f"{day}T06:00", name, *paths, *arguments]
        return measure([command], self._environment)

    def _all_but_a_day(self) -> Cost:
        shutil.rmtree(self._home, ignore_errors=True)
        shutil.copytree(self._made, self._home / "landing", copy_function=os.link)
        _move(self._home / "landing", self._home / "withheld", self._last)
        return self._at(self._last, "lake", "ingest")

    def _one_more_day(self, day: dt.date) -> Cost:
        _move(self._home / "withheld", self._home / "landing", self._last)
        return self._at(day, "lake", "run")

    def _one_changed_subscription(self, day: dt.date) -> Cost:
        """A subscription of the last day gets another seat."""
        self._changes += 1
        folder = self._home / "landing" / "raw-subscriptions" / f"{self._last:%Y/%m/%d}"
        record = json.loads(next(path for path in sorted(folder.glob("*.json"))).read_text().splitlines()[0])
        record |= {
            "version": record["version"] + self._changes,
            "quantity": record["quantity"] + self._changes,
            "updated_at": f"{self._last}T23:{self._changes:02d}:00Z",
        }
        (folder / f"changed-{self._changes}.json").write_text(json.dumps(record) + "\n")
        return self._at(day, "lake", "run")


def _move(source: Path, target: Path, day: dt.date) -> None:
    """Move the objects of one date."""
    for bucket in REVENUE:
        place = Path(bucket) / f"{day:%Y/%m/%d}"
        if (source / place).is_dir():
            (target / place.parent).mkdir(parents=True, exist_ok=True)
            (source / place).rename(target / place)


def _months_before(day: dt.date, count: int) -> dt.date:
    """First day of the first of `count` months, the last of which has the date."""
    origin = dt.date(1970, 1, 1)
    month = months_after((day.replace(day=1) - origin).days * 86_400_000, 1 - count)
    return origin + dt.timedelta(milliseconds=month)


if __name__ == "__main__":
    main()
