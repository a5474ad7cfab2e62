"""Checkpoints of a ledger that knows ten million names: what they cost, and what reading from them costs.

    git worktree add ../before COMMIT
    python -m benchmarks.checkpoints --names 10000000 --before ../before --rounds 3

The peer is a version that rewrites every name, from a worktree; without one it is this version with all levels merged.
Both begin with the same names. The log is real, but its entries name no objects: reading those is no part of this.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

from benchmarks.measure import Cost, compare, measure, report, this_machine
from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.storage.store import Store

FEED = "events"
BATCH = 100_000
FILES = 5_000
DAY = dt.date(2026, 1, 10)
NOW = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)

COMMON = f"""
import datetime as dt, sys
from hashlib import sha256
import pyarrow as pa
from ingest.ledger.entry import Entry
from ingest.ledger.ledger import Ledger
from ingest.ledger.sources import LoadedObject
from ingest.storage.store import Store
DAY, NOW = dt.date(2026, 1, 10), dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
def name(n):  # neither sorted nor by date: no level can be skipped by its names
    return f"raw-events/{{n * 2654435761 % 2**32:08x}}-{{n:012d}}.json"
def batch(start):
    return [
        LoadedObject(name(n), f"{{n:032x}}", sha256(b"%d" % n).hexdigest(), 12_000, NOW, 20, 20, 0,
                     ((DAY, 20),), 1, f"20260110T120000-{{start:012x}}")
        for n in range(start, start + {BATCH})
    ]
ledger = Ledger(Store(sys.argv[1]), "{FEED}")
known, steps = int(sys.argv[2]), int(sys.argv[3])
"""
"""What both versions run: arguments are the lake, the names that it knows, and how many batches come."""
OPEN = "state = ledger.state()\n"
GROW = """
for step in range(steps):
    state = ledger.state()
    state.objects.update(batch(known + step * {batch}))
    state.position = ledger.commit(Entry(f"N{{step}}", NOW), state.position)
    {checkpoint}
"""
CONTENDERS = {
    "checkpoints": GROW.format(batch=BATCH, checkpoint="assert ledger.checkpoint(state)"),
    "the same without writing them": GROW.format(batch=BATCH, checkpoint=""),
    "compare a million listed keys": OPEN
    + """
keys = pa.chunked_array([[name(n).removeprefix("raw-events/") for n in range(known - 1_000_000, known)]])
print((state.objects.status("raw-events", keys, pa.chunked_array([[""] * 1_000_000])) == 2).all())
""",
    "look up ten names": OPEN
    + "assert len(state.objects.lookup([name(n) for n in range(0, known, known // 10)])) == 10",
    "sum the records": OPEN + "assert state.objects.sums('records') == {'records': known * 20}",
    "live files": "print(len(ledger.live_files()))",
    "imports alone": "",
}


def make(home: Path, names: int) -> None:
    """Make a ledger of that many names, batch by batch, and the same in one level; record what each checkpoint cost."""
    space: dict[str, object] = {}
    with patch.object(sys, "argv", ["", str(home / "levels"), "0", "0"]):
        exec(COMMON, space)
    batch: Callable[[int], list[object]] = space["batch"]  # type: ignore[assignment]  # defined by COMMON
    ledger = Ledger(Store(str(home / "levels")), FEED)
    files = tuple(LakeFile(f"bronze/{FEED}/{n:032x}.parquet", 1, 1, DAY, DAY, ("L",), "{}") for n in range(FILES))
    costs = []
    for start in range(0, names, BATCH):
        state = ledger.state()
        state.objects.update(batch(start))  # type: ignore[arg-type]  # LoadedObjects
        entry = Entry(f"L{start}", NOW, added=() if start else files)
        state.apply(ledger.commit(entry, state.position), entry)
        before, cpu = written(home / "levels"), time.process_time()
        ledger.checkpoint(state)
        costs.append((time.process_time() - cpu, sum(size for _, size in written(home / "levels") - before)))
    (home / "costs.json").write_text(json.dumps(costs))
    shutil.copytree(home / "levels", home / "whole")
    shutil.rmtree(home / "whole" / "ledger" / FEED / "_checkpoints")
    state = ledger.state()
    folder = home / "whole" / "ledger" / FEED / "_checkpoints"
    folder.mkdir()
    state.objects.write(str(folder / f"{state.position:020d}.objects.parquet"))
    table = next((home / "levels" / "ledger" / FEED / "_checkpoints").glob(f"{state.position:020d}.checkpoint.parquet"))
    shutil.copy(table, folder / f"{state.position:020d}.files.parquet")


def written(lake: Path) -> set[tuple[str, int]]:
    """Return names and sizes of the checkpoints' files."""
    folder = lake / "ledger" / FEED / "_checkpoints"
    return {(path.name, path.stat().st_size) for path in folder.iterdir()} if folder.is_dir() else set()


def contenders(
    home: Path, names: int, steps: int, before: str | None, sizes: dict[str, int]
) -> Iterator[tuple[str, Callable[[], Cost]]]:
    """Yield the contenders of both versions in turn; `sizes` receives the bytes that checkpoints wrote."""

    def contender(title: str, version: str) -> Callable[[], Cost]:
        merged = "" if before or version == "levels" else "import ingest.ledger.levels as l; l.RATIO = 1e18\n"
        environment = {"PYTHONPATH": before} if before and version == "whole" else {}
        code = [sys.executable, "-P", "-c", merged + COMMON + CONTENDERS[title]]

        def run() -> Cost:
            copy = home / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(home / version, copy)
            there = written(copy)
            cost = measure([[*code, str(copy), str(names), str(steps)]], environment)
            if title == "checkpoints":
                sizes[version] = sum(size for _, size in written(copy) - there)
            return cost

        return run

    for title in CONTENDERS:
        for version in ("levels", "whole"):
            yield f"{title}, {version}", contender(title, version)


def main() -> None:
    """Make the ledgers, run the contenders in turn and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=10_000_000)
    parser.add_argument("--checkpoints", type=int, default=4)
    parser.add_argument("--before", metavar="WORKTREE", help="a version that rewrites every name")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--make", metavar="HOME", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(Path(options.make), options.names)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        size = ["--names", str(options.names)]
        measure([[sys.executable, "-m", "benchmarks.checkpoints", *size, "--make", folder]], {})
        costs = json.loads((home / "costs.json").read_text())
        sizes: dict[str, int] = {}
        chosen = dict(contenders(home, options.names, options.checkpoints, options.before, sizes))
        results = compare(chosen, options.rounds)
    title = f"{options.names:,} known names, {options.checkpoints} checkpoints of {BATCH:,} more ({this_machine()})"
    print(report(title, results))
    for version in ("levels", "whole"):
        cpu = results[f"checkpoints, {version}"].cpu - results[f"the same without writing them, {version}"].cpu
        each = sizes[version] / options.checkpoints
        print(f"\n{version}: {cpu / options.checkpoints:.2f} CPU s and {each / 1e6:.1f} MB for a checkpoint")
    total, name_bytes = sum(size for _, size in costs), sizes["whole"] / options.checkpoints / options.names
    everything = name_bytes * BATCH * math.comb(len(costs) + 1, 2)
    cpu, largest = sum(cpu for cpu, _ in costs), max(cpu for cpu, _ in costs)
    print(
        f"\nall {len(costs)} checkpoints from the first name on, in levels: {cpu:.0f} CPU s, {total / 1e9:.2f} GB, the "
        f"largest {largest:.1f} CPU s; rewriting everything, calculated: {everything / 1e9:.1f} GB"
    )


if __name__ == "__main__":
    main()
