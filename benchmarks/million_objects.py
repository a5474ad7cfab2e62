"""Ten new objects among a million known ones: the cost of finding them on top of the unavoidable listing.

    python -m benchmarks.million_objects --objects 1000000 --entries 5000 --rounds 5

The landing is real: a million empty files. So is the ledger: its entries and checkpoints are written as by any
ingest. Each contender is a separate process, so that the kernel accounts its peak memory.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Cost, compare, measure, report, this_machine
from ingest.contracts.contract import contracts
from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.ledger.sources import LoadedObject
from ingest.steps.discover import discover
from ingest.storage.landing import Landing
from ingest.storage.store import Store

FEED = "events"
NEW = 10
FOLDER_FILES = 1000
DAY = dt.date(2026, 1, 10)
NOW = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)


def imports(home: Path) -> None:
    """Do nothing: measure the imports alone."""


def listing(home: Path) -> None:
    """List the landing as columns, like `discover`."""
    table = Landing(str(home / "landing")).listing()
    print(table.num_rows)


def finding(home: Path) -> None:
    """Compare the ledger's state with the listing."""
    state = Ledger(Store(str(home / "lake")), FEED).state()
    print(len(discover(contracts()[FEED], Landing(str(home / "landing")), state)))


def files(home: Path) -> None:
    """Read the live files, as every model that reads bronze does."""
    print(len(Ledger(Store(str(home / "lake")), FEED).live_files()))


def files_again(home: Path) -> None:
    """Do the same eleven times in one process."""
    for _ in range(11):
        files(home)


CONTENDERS: dict[str, Callable[[Path], None]] = {
    "listing": listing,
    "listing + ledger + comparison": finding,
    "live files": files,
    "live files, eleven times": files_again,
    "imports alone": imports,
}


def make(home: Path, objects: int, entries: int) -> None:
    """Make a landing of empty files, a ledger that knows them all, and ten more files."""
    landing, lake = Landing(str(home / "landing")), Store(str(home / "lake"))
    _touch(home / "landing", 0, objects)
    versions = list(landing.list())
    log = Ledger(lake, FEED)
    state = log.state()
    share = -(-objects // entries)
    for number in range(entries):
        load = f"20260110T120000-{number:012x}"
        loaded = tuple(
            LoadedObject(
                f"{contracts()[FEED].source.bucket}/{version.key}",
                version.etag,
                f"{place:064x}",
                version.size,
                version.modified_at,
                20,
                20,
                0,
                ((DAY, 20),),
                1,
                load,
            )
            for place, version in enumerate(versions[number * share : (number + 1) * share])
        )
        key = f"bronze/{FEED}/ingest_date={DAY}/event_date={DAY}/{load}-0.parquet"
        entry = Entry(load, NOW, loaded, (LakeFile(key, 20 * share, 1 << 20, DAY, DAY, (load,), "{}"),))
        state.apply(log.commit(entry, state.position), entry)
        if log.checkpoint(state):
            state = log.state()
    _touch(home / "landing", objects, objects + NEW)


def _touch(folder: Path, start: int, stop: int) -> None:
    for number in range(start, stop):
        path = folder / f"{number // FOLDER_FILES:06d}" / f"{number:09d}.json"
        if number == start or number % FOLDER_FILES == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def main() -> None:
    """Make landing and ledger, run the contenders in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--entries", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", nargs=2, metavar=("CONTENDER", "HOME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    module = [sys.executable, "-m", "benchmarks.million_objects"]
    if options.run:
        name, home = options.run[0], Path(options.run[1])
        CONTENDERS[name](home) if name in CONTENDERS else make(home, options.objects, options.entries)
        return
    with tempfile.TemporaryDirectory() as folder:
        # in a separate process: a child's peak memory starts at that of its parent
        size = ["--objects", str(options.objects), "--entries", str(options.entries)]
        measure([[*module, *size, "--run", "make", folder]], {})

        def contender(name: str) -> Callable[[], Cost]:
            return lambda: measure([[*module, "--run", name, folder]], {})

        results = compare({name: contender(name) for name in CONTENDERS}, options.rounds)
    title = f"{options.objects:,} known objects, {NEW} new, {options.entries:,} entries ({this_machine()})"
    print(report(title, results))
    cpu = {name: cost.cpu - results["imports alone"].cpu for name, cost in results.items()}
    print(
        f"\nwithout imports: listing {cpu['listing']:.2f} CPU s, finding {cpu['listing + ledger + comparison']:.2f} "
        f"({cpu['listing + ledger + comparison'] / cpu['listing'] - 1:+.0%}); live files {cpu['live files']:.3f}, "
        f"again {(cpu['live files, eleven times'] - cpu['live files']) / 10:.3f}"
    )


if __name__ == "__main__":
    main()
