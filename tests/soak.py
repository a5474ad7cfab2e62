"""`make soak`: a lake lives for weeks of a simulated clock, and everything happens to it that happens in a year.

    python -m tests.soak --days 24 --cycles 4 --before REVISION --seed 1 --folder FOLDER

Records of all domains arrive each night, some late, twice, broken or overwritten. Cycles run some times a day; some are
killed at a random moment, or fail at the store or the database, and the next one has to make good for it. Persons are
erased, maintenance runs each night, and in the middle the project is upgraded from an older revision. At the end every
record must be accounted for, the tables must be those of a rebuild, every undisturbed cycle must have succeeded, and
every alert must have a cause. How cost, memory and disk develop is printed; exit 1 names what does not hold.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.make_older_lake import COMMITS
from tests.receivers import serve_receiver
from tests.soak_lake import PROJECT, Soak


def project_at(revision: str, target: Path) -> Path:
    """Copy the project to a folder: at a revision, or as it is. SQLMesh keeps a cache there, which is for one lake."""
    if not revision:
        left_out = shutil.ignore_patterns(".*", "data", "logs", "build", "*.egg-info", "__pycache__")
        shutil.copytree(PROJECT, target, ignore=left_out)
        return target
    target.mkdir()
    archive = subprocess.run(["git", "-C", str(PROJECT), "archive", revision], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(target)], input=archive, check=True)
    return target


def live(soak: Soak, newest: Path, days: int, cycles: int) -> None:
    """Let the days pass."""
    for day in range(days):
        if day == days // 2 and soak.project != newest:
            soak.project = newest
            soak.plan()
        soak.arrive()
        if day == 0:
            soak._command("ingest")
            soak.plan()
        for _ in range(cycles):
            if day and soak.dice.random() < 0.3:
                soak.disturbed()
            soak.cycle()
            soak.now += dt.timedelta(hours=20 / cycles)
        if day % 6 == 5 and soak.project == newest:
            soak.erase()
        soak.maintain("killed" if soak.dice.random() < 0.1 else "")
        soak.weigh()
        soak.now = dt.datetime.combine(soak.now.date() + dt.timedelta(days=1), dt.time(1))
    soak.now -= dt.timedelta(hours=1)
    soak.cycle()


def prove(soak: Soak) -> None:
    """Check that nothing is lost, and that the tables are those of a rebuild."""
    landed, known = soak.lines(), soak.accounted()
    for feed, count in landed.items():
        soak.check(known.get(feed, 0) == count, f"{feed}: {count} lines landed, {known.get(feed, 0)} are accounted for")
    found, expected = soak.tables(soak.home), soak.rebuilt()
    for name in sorted(found.keys() | expected.keys()):
        same = found.get(name) == expected.get(name)
        soak.check(same, f"{name}: {found.get(name)}, by a rebuild {expected.get(name)}")
    rows = sum(item.rows for item in found.values())
    soak.check(rows > 0, "there are no rows")
    print(f"{sum(landed.values()):,} lines landed; {len(found)} tables with {rows:,} rows compared with a rebuild")


def summary(soak: Soak) -> str:
    """How cycles went and what they cost, per third of the days, as a table."""
    cycles = [item for item in soak.done if item.name == "run"]
    calm = [item for item in cycles if not item.cause]
    good = sum(item.succeeded for item in calm)
    causes = Counter(item.cause for item in soak.done if item.cause)
    lines = [
        f"{len(cycles)} cycles: {good} of {len(calm)} undisturbed ones succeeded ({good / len(calm):.2%}); "
        f"disturbed: {dict(causes)}",
        "",
        "| days | cycle, CPU s | first of a day | memory MB | warehouse MB | lake MB | releases MB |",
        "|---|---|---|---|---|---|---|",
    ]
    days = sorted({item.at.date() for item in calm})[: len(soak.disk)]
    third = max(len(days) // 3, 1)
    for start in range(0, len(days), third):
        part = days[start : start + third]
        own = [item for item in calm if item.at.date() in part]
        first = [next(item.cpu for item in own if item.at.date() == day) for day in part]
        disk = soak.disk[start + len(part) - 1]
        lines.append(
            f"| {part[0]:%m-%d} to {part[-1]:%m-%d} | {statistics.median(item.cpu for item in own):.1f} "
            f"| {statistics.median(first):.1f} | {max(item.memory for item in own) / 1e6:.0f} "
            f"| {disk['warehouse.duckdb'] / 1e6:.0f} | {disk['lake'] / 1e6:.1f} | {disk['published'] / 1e6:.1f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Live, prove, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=24)
    parser.add_argument("--cycles", type=int, default=4, help="per day")
    older = list(COMMITS.values())[-1]
    parser.add_argument(
        "--before", default=older, help="the revision that the first half of the days runs; '' for none"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to keep the lake; by default it is removed")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch, serve_receiver() as receiver:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        newest = project_at("", folder / "newest")
        project = project_at(options.before, folder / "before") if options.before else newest
        start = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=options.days)
        soak = Soak(folder, start, options.seed, project, receiver)
        soak.stock(options.days)
        live(soak, newest, options.days, options.cycles)
        prove(soak)
        print(summary(soak))
        if soak.wrong:
            sys.exit("\n".join([f"{len(soak.wrong)} things do not hold:", *soak.wrong]))


if __name__ == "__main__":
    main()
