"""Years of subscriptions to gold: from raw accounts, subscriptions and invoices to MRR, and one more day.

    python -m benchmarks.revenue --accounts 100000 --months 36 --rounds 1

Each round, on an empty lake: `lake ingest` of all but the last day, `sqlmesh plan` of all models, then `lake run` with
the last day, whose cost must depend on what changed, not on the history.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Cost, compare, measure, report, this_machine
from benchmarks.subscribers import write_subscribers
from sample.days import months_after
from sample.objects import REVENUE

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PLAN = [str(BIN / "sqlmesh"), "-p", str(PROJECT), "plan", "--auto-apply", "--no-prompts", "--skip-tests"]


def main() -> None:
    """Make the landing once, and measure on a new lake in each round."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--accounts", type=int, default=100_000)
    arguments.add_argument("--months", type=int, default=36)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--landing-only", type=Path, help="write the landing below this folder and stop")
    options = arguments.parse_args()
    last = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    first = _months_before(last, options.months)
    if options.landing_only:
        print(_make(options.landing_only, options.accounts, first, last))
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        title = _make(home / "landing", options.accounts, first, last)
        print(title, file=sys.stderr)
        results = _costs(home, first, last, options.rounds)
    print(report(f"{title} ({this_machine()})", results))


def _make(landing: Path, accounts: int, first: dt.date, last: dt.date) -> str:
    """Write the landing; return a summary."""
    started = time.perf_counter()
    counts = write_subscribers(landing, accounts, first, last)
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in landing.rglob("*.json"))
    content = ", ".join(f"{count:,} {feed}" for feed, count in counts.items())
    return f"{first} to {last}: {content}, {size / 1e6:,.0f} MB, written in {seconds:.0f} s"


def _costs(home: Path, first: dt.date, last: dt.date, rounds: int) -> dict[str, Cost]:
    environment = {"LAKE_HOME": str(home), "SQLMESH_DOTENV_PATH": "", "LAKE_START": str(first)}
    for name in ("LANDING_URI", "WAREHOUSE_PATH", "STATE_PATH", "LAKE_URI"):
        os.environ.pop(name, None)
    ingest, run = [str(BIN / "lake"), "ingest"], [str(BIN / "lake"), "run"]

    def all_but_a_day() -> Cost:
        for path in home.iterdir():
            if path.name not in ("landing", "withheld"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        _move(home / "landing", home / "withheld", last)
        return measure([ingest], environment)

    def one_more_day() -> Cost:
        _move(home / "withheld", home / "landing", last)
        return measure([run], environment)

    contenders: dict[str, Callable[[], Cost]] = {
        "lake ingest": all_but_a_day,
        "sqlmesh plan": lambda: measure([PLAN], environment),
        "lake run, one more day": one_more_day,
        "lake run, nothing new": lambda: measure([run], environment),
    }
    return compare(contenders, rounds)


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
