"""Raw files to gold: Lakemesh against a handwritten script, on the same files in the same run.

    python -m benchmarks.raw_to_gold --events 1000000 --files 10000 --rounds 3

The peer merges the files into one with plain Python and computes the same gold with one DuckDB script. It keeps no
lineage, validates nothing, keeps no state and starts from zero each time; its gold must equal Lakemesh's row by row.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

from benchmarks.measure import Cost, compare, measure, report, this_machine

PROJECT = Path(__file__).resolve().parents[1]
COLUMNS = (
    "date, country_code, os_name, os_version, app_version, subscription_status, activity_type, collection_id, "
    "activities_played, ROUND(total_time_spent, 6), completion_rate"
)


def main() -> None:
    """Make the data, run both in turn and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=1_000_000)
    arguments.add_argument("--files", type=int, default=10_000)
    arguments.add_argument("--days", type=int, default=30)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    bin_folder = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        per_file = max(1, options.events // options.files)
        sample = [str(bin_folder / "lake"), "sample", "--events", str(options.events), "--days", str(options.days)]
        sample += ["--accounts", "0"]
        subprocess.run(
            [*sample, "--events-per-file", str(per_file), "--duplicates", "0.01", "--unknown-users", "0.002"],
            check=True,
            env={"PATH": str(bin_folder), "LAKE_HOME": folder},
            stdout=subprocess.DEVNULL,
        )
        files = sum(1 for path in (home / "landing").rglob("*.json") if path.is_file())
        environment = {"LAKE_HOME": folder, "SQLMESH_DOTENV_PATH": "", "PWD": str(PROJECT)}

        def lakemesh() -> Cost:
            for name in ("lake", "warehouse.duckdb", "state.duckdb"):
                shutil.rmtree(home / name, ignore_errors=True)
                (home / name).unlink(missing_ok=True)
            plan = ["sqlmesh", "-p", str(PROJECT), "plan", "--auto-apply", "--no-prompts", "--skip-tests"]
            return measure([[str(bin_folder / "lake"), "ingest"], [str(bin_folder / plan[0]), *plan[1:]]], environment)

        def by_hand() -> Cost:
            return measure([[sys.executable, str(PROJECT / "benchmarks" / "by_hand.py"), folder]], {})

        results = compare({"Lakemesh": lakemesh, "plain merge + one DuckDB script": by_hand}, options.rounds)
        _must_be_equal(home)
    print(report(f"{options.events:,} events in {files:,} files to gold ({this_machine()})", results))


def _must_be_equal(home: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{home}/warehouse.duckdb' AS warehouse (READ_ONLY)")
        connection.execute(f"ATTACH '{home}/by_hand.duckdb' AS peer (READ_ONLY)")
        lakemesh = f"SELECT {COLUMNS} FROM warehouse.gold.activity_engagement_metrics"
        peer = f"SELECT {COLUMNS} FROM peer.gold"
        found = connection.execute(
            f"SELECT (SELECT COUNT(*) FROM ({lakemesh})), COUNT(*) FROM (({lakemesh} EXCEPT {peer}) UNION ALL "
            f"({peer} EXCEPT {lakemesh}))"
        ).fetchone()
    assert found is not None
    rows, different = found
    if different or not rows:
        sys.exit(f"the contenders disagree: {different} of {rows} gold rows differ")
    print(f"gold is equal: {rows:,} rows", file=sys.stderr)


if __name__ == "__main__":
    main()
