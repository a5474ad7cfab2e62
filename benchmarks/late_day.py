"""One day's cycle as history grows: it must cost what changed, whatever lies before it.

    python -m benchmarks.late_day --per-day 6700 --days 30 365 --rounds 3

For each length of history a lake with so many days is planned and published; then, in turn, `lake run` after 100 events
that are a month late, `lake run` with nothing new, and as the peer `lake rebuild`, which computes everything anew.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Cost, compare, measure, report, this_machine
from benchmarks.plays import write_plays

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
LATE_EVENTS = 100


def main() -> None:
    """Makes each history, measures the cycles on it and prints a table for each."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--per-day", type=int, default=6_700, help="events of a day")
    arguments.add_argument("--days", type=int, nargs="+", default=[30, 365])
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    for days in options.days:
        with tempfile.TemporaryDirectory() as folder:
            results = _costs(Path(folder), options.per_day * days, days, options.rounds)
        print(report(f"{options.per_day * days:,} events on {days} days ({this_machine()})", results))
        print()


def _costs(home: Path, events: int, days: int, rounds: int) -> dict[str, Cost]:
    today = dt.datetime.now(dt.UTC).date()
    environment = {"LAKE_HOME": str(home), "SQLMESH_DOTENV_PATH": "", "LAKE_START": str(today - dt.timedelta(days + 1))}
    lake = str(BIN / "lake")
    sample = [lake, "sample", "--events", str(events), "--days", str(days), "--events-per-file", "1000"]
    sample += ["--accounts", "0"]
    plan = [str(BIN / "sqlmesh"), "-p", str(PROJECT), "plan", "--auto-apply", "--no-prompts", "--skip-tests"]
    measure([sample, [lake, "ingest"], plan, [lake, "run"]], environment)
    late = today - dt.timedelta(days=min(days - 1, 29))
    numbers = iter(range(1_000_000))

    def a_month_late() -> Cost:
        write_plays(home / "landing", f"late-{next(numbers)}", late, LATE_EVENTS)
        return measure([[lake, "run"]], environment)

    return compare(
        {
            f"lake run, {LATE_EVENTS} events a month late": a_month_late,
            "lake run, nothing new": lambda: measure([[lake, "run"]], environment),
            "lake rebuild": lambda: measure([[lake, "rebuild", "--yes"]], environment),
        },
        rounds,
    )


if __name__ == "__main__":
    main()
