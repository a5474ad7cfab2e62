"""Peak memory of `ingest_feed` as the volume grows: it must not grow with it.

    python -m benchmarks.flat_memory --gigabytes 0.5 2 10 --lines 2000

The landing is some 60 MB of sample events, hard-linked under new names until the volume is reached, so each object is a
real file that is read, hashed, parsed and written, while the disk stores its content once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import measure, this_machine

EVENTS = 100_000
FEED = "events"


def ingest() -> None:
    """Run the measured part, in a separate process."""
    from ingest.contracts.contract import contracts
    from ingest.settings import settings
    from ingest.steps.load import ingest_feed
    from ingest.storage.landing import Landing
    from ingest.storage.store import Store

    options, contract = settings(), contracts()[FEED]
    landing = Landing(options.landing(contract.source.bucket), options)
    print(ingest_feed(contract, landing, Store(options.lake_uri, options), options.lake_start).rows)


def link(originals: list[Path], landing: Path, size: int) -> tuple[int, int]:
    """Fill the landing up to a size in bytes; return its objects and bytes."""
    objects = total = copy = 0
    while total < size:
        folder = landing / f"copy-{copy:05d}"
        folder.mkdir(parents=True)
        for number, path in enumerate(originals):
            if total >= size:
                break
            os.link(path, folder / f"{number:06d}.json")
            objects += 1
            total += path.stat().st_size
        copy += 1
    return objects, total


def main() -> None:
    """Fill, measure and print one line of the table per volume."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.5, 2, 10])
    parser.add_argument("--lines", type=int, default=2000, help="lines per object")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        ingest()
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = {"LAKE_HOME": str(home / "sample"), "SQLMESH_DOTENV_PATH": "/dev/null"}
        count = ["--events", str(EVENTS), "--days", "10", "--events-per-file", str(options.lines)]
        sample = [str(Path(sys.executable).parent / "lake"), "sample", *count, "--accounts", "0"]
        subprocess.run(sample, check=True, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
        originals = sorted(path for path in (home / "sample/landing/raw-events").rglob("*.json") if path.is_file())
        print(f"### Objects of {options.lines:,} lines ({this_machine()})\n")
        print("| GB | objects | CPU s | wall s | MB by CPU s | peak MB |\n|---|---|---|---|---|---|")
        for gigabytes in options.gigabytes:
            lake = home / "measured"
            objects, size = link(originals, lake / "landing/raw-events", int(gigabytes * 1e9))
            command = [sys.executable, "-m", "benchmarks.flat_memory", "--run"]
            cost = measure([command], environment | {"LAKE_HOME": str(lake)})
            print(
                f"| {size / 1e9:.1f} | {objects:,} | {cost.cpu:.1f} | {cost.wall:.1f} | {size / 1e6 / cost.cpu:.0f} "
                f"| {cost.memory / 1e6:.0f} |",
                flush=True,
            )
            shutil.rmtree(lake)


if __name__ == "__main__":
    main()
