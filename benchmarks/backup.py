"""`lake backup` of a lake on the local disk, beside copies of its tree by `cp -r` and by rclone.

    python -m benchmarks.backup --events 200000 --rounds 3
    python -m benchmarks.backup --home data                  # a lake that is there, with its releases and its state

The peers copy files in any order, so their copy of a lake in use is of no moment, and they compare no hashes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from benchmarks.measure import Cost, compare, measure, report, this_machine


def main() -> None:
    """Measure all in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--home", type=Path, help="an existing LAKE_HOME instead of sample data in a new one")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = chosen.home or Path(folder) / "home"
        environment = {"LAKE_HOME": str(home), "SQLMESH_DOTENV_PATH": os.devnull, "RCLONE_CONFIG": os.devnull}
        lake = [sys.executable, "-m", "pipeline"]
        if chosen.home is None:
            sample = [*lake, "sample", "--events", str(chosen.events), "--orders", "500"]
            measure([sample, [*lake, "ingest"]], environment)
        sources = [str(home / name) for name in ("lake", "published", "state.duckdb") if (home / name).exists()]
        paths = [path for source in map(Path, sources) for path in (source, *source.rglob("*"))]
        files = [path.stat().st_size for path in paths if path.is_file()]
        contenders = dict(_contenders(lake, home, sources, Path(folder), environment))
        results = compare(contenders, chosen.rounds)
        size = sum(files)
        print(report(f"{len(files):,} files, {size / 1e6:.0f} MB ({this_machine()})", results))
        print("\n| contender | MB/s |\n|---|---|")
        for name, cost in results.items():
            print(f"| {name} | {size / 1e6 / cost.wall:.1f} |")


def _contenders(
    lake: list[str], home: Path, sources: list[str], folder: Path, environment: dict[str, str]
) -> Iterator[tuple[str, Callable[[], Cost]]]:
    """Each copies to a new place, and then once more to the same one, where the program can."""
    names = {Path(source).name: "/**" * Path(source).is_dir() for source in sources}
    kept = [word for name, below in names.items() for word in ("--include", f"/{name}{below}")]
    commands: dict[str, Callable[[str], list[str]]] = {
        "`lake backup`": lambda place: [*lake, "backup", "--to", place],
        "rclone copy": lambda place: ["rclone", "copy", *kept, str(home), place],
        "cp -r": lambda place: ["cp", "-r", *sources, place],
    }
    last: dict[str, str] = {}
    numbers = count(1)

    def first(name: str) -> Cost:
        if name in last:
            shutil.rmtree(last[name])
        last[name] = str(folder / f"copy-{next(numbers)}")
        Path(last[name]).mkdir()
        return measure([commands[name](last[name])], environment)

    for name in commands:
        yield name, lambda name=name: first(name)  # type: ignore[misc]
        if name != "cp -r":
            yield f"{name}, nothing new", lambda name=name: measure([commands[name](last[name])], environment)  # type: ignore[misc]


if __name__ == "__main__":
    main()
