"""Years of subscriptions to gold: from raw accounts, subscriptions and invoices to MRR, and one day more.

    python -m benchmarks.revenue --accounts 100000 --months 36 --rounds 1

Each round, on an empty lake: `lake ingest` of everything but the last day, `sqlmesh plan` of all models, then `lake
run` with the last day, which must cost what changed, whatever lies before it.
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
    """Makes the landing once, and measures on a fresh lake in each round."""
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
    """Writes the landing; says what is in it."""
    started = time.perf_counter()
    counts = write_subscribers(landing, accounts, first, last)
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in landing.rglob("*.json"))
    held = ", ".join(f"{count:,} {feed}" for feed, count in counts.items())
    return f"{first} to {last}: {held}, {size / 1e6:,.0f} MB, written in {seconds:.0f} s"


def _costs(home: Path, first: dt.date, last: dt.date, rounds: int) -> dict[str, Cost]:
    environment = {"LAKE_HOME": str(home), "SQLMESH_DOTENV_PATH": "", "LAKE_START": str(first)}
    for name in ("LANDING_URI", "WAREHOUSE_PATH", "STATE_PATH", "LAKE_URI"):
        os.environ.pop(name, None)
    ingest, run = [str(BIN / "lake"), "ingest"], [str(BIN / "lake"), "run"]

    def everything_but_a_day() -> Cost:
        for path in home.iterdir():
            if path.name not in ("landing", "held"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        _move(home / "landing", home / "held", last)
        return measure([ingest], environment)

    def one_day_more() -> Cost:
        _move(home / "held", home / "landing", last)
        return measure([run], environment)

    contenders: dict[str, Callable[[], Cost]] = {
        "lake ingest": everything_but_a_day,
        "sqlmesh plan": lambda: measure([PLAN], environment),
        "lake run, one day more": one_day_more,
        "lake run, nothing new": lambda: measure([run], environment),
    }
    return compare(contenders, rounds)


def _move(source: Path, target: Path, day: dt.date) -> None:
    """Moves the objects of one date."""
    for bucket in REVENUE:
        place = Path(bucket) / f"{day:%Y/%m/%d}"
        if (source / place).is_dir():
            (target / place.parent).mkdir(parents=True, exist_ok=True)
            (source / place).rename(target / place)


def _months_before(day: dt.date, count: int) -> dt.date:
    """The first of the month so many months before the one after a date."""
    origin = dt.date(1970, 1, 1)
    month = months_after((day.replace(day=1) - origin).days * 86_400_000, 1 - count)
    return origin + dt.timedelta(milliseconds=month)


if __name__ == "__main__":
    main()
