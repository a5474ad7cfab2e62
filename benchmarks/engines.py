"""The whole project on DuckDB and on Spark: startup, the first plan, and the cycle of one more day.

    python -m benchmarks.engines --events 20000 --days 30 --rounds 3    # needs the extra `spark` and Java 17

Each engine has a lake with the same sample. In turn: a query, which measures startup; the first plan, on a new
warehouse each time; then, on a planned one, `lake run` after 100 plays of yesterday.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Cost, compare, measure, report, this_machine
from benchmarks.plays import write_plays

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
LAKE = str(BIN / "lake")
SQLMESH = [str(BIN / "sqlmesh"), "-p", str(PROJECT)]
PLAN = [*SQLMESH, "plan", "--auto-apply", "--no-prompts", "--skip-tests"]
TREE = [sys.executable, "-m", "benchmarks.tree"]
ENGINES = {"DuckDB": "local", "Spark": "spark"}
PLAYS = 100


def main() -> None:
    """Make the lakes, measure both engines in turn and print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=20_000)
    arguments.add_argument("--days", type=int, default=30)
    arguments.add_argument("--accounts", type=int, default=200)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    today = dt.datetime.now(dt.UTC).date()
    with tempfile.TemporaryDirectory() as folder:
        landed = Path(folder) / "landed"
        start = str(today - dt.timedelta(days=options.days + 1))
        sample = [LAKE, "sample", "--events", str(options.events), "--days", str(options.days)]
        sample += ["--accounts", str(options.accounts)]
        environments = {
            name: {"LAKE_GATEWAY": gateway, "SQLMESH_DOTENV_PATH": "", "LAKE_START": start}
            for name, gateway in ENGINES.items()
        }
        for command in (sample, [LAKE, "ingest"]):
            measure([command], environments["DuckDB"] | {"LAKE_HOME": str(landed)})
        homes = {name: Path(folder) / name for name in ENGINES}
        for name, home in homes.items():
            shutil.copytree(landed, home)
            (home / "state.duckdb").unlink(missing_ok=True)
            environments[name]["LAKE_HOME"] = str(home)
            measure([[LAKE, "ingest"]], environments[name])
        print(f"{options.events:,} events on {options.days} days, {options.accounts} customers ({this_machine()})\n")
        for title, contender in (
            ("A query", _query),
            ("The first plan", _plan),
            (f"A cycle with {PLAYS} plays of yesterday", _cycle),
        ):
            contenders = {name: contender(homes[name], environment) for name, environment in environments.items()}
            print(report(title, compare(contenders, options.rounds)), end="\n\n")


def _query(home: Path, environment: dict[str, str]) -> Callable[[], Cost]:
    return lambda: _measured([*SQLMESH, "fetchdf", "SELECT 1 AS one"], environment)


def _plan(home: Path, environment: dict[str, str]) -> Callable[[], Cost]:
    def first() -> Cost:
        for path in (home / "spark", *home.glob("*.duckdb*")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        measure([[LAKE, "ingest"]], environment)  # a new state
        return _measured(PLAN, environment)

    return first


def _cycle(home: Path, environment: dict[str, str]) -> Callable[[], Cost]:
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    numbers = iter(range(1_000_000))
    measure([[LAKE, "run"]], environment)

    def cycle() -> Cost:
        write_plays(home / "landing", f"new-{next(numbers)}", yesterday, PLAYS)
        return _measured([LAKE, "run"], environment)

    return cycle


def _measured(command: list[str], environment: dict[str, str]) -> Cost:
    return measure([[*TREE, *command]], environment)


if __name__ == "__main__":
    main()
