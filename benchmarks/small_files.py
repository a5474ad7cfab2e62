"""Thousands of tiny JSON files to Parquet: `lake ingest` against handwritten scripts and other tools.

    python -m benchmarks.small_files --files 10000 --lines 20 --rounds 3   # in the environment of peers.txt

The peers keep no lineage, reject nothing, keep no state and are not safe against a crash.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import Cost, compare, measure, report, this_machine

JSON_LOADS = """
import json, pathlib, sys
import pyarrow as pa, pyarrow.parquet as pq
out = pathlib.Path(sys.argv[2]); out.mkdir()
for path in pathlib.Path(sys.argv[1]).rglob("*.json"):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    pq.write_table(pa.Table.from_pylist(rows), out / f"{path.stem}-{path.parent.name}.parquet")
"""
READ_JSON = """
import sys
import duckdb
duckdb.sql(f"COPY (SELECT *, filename FROM read_json('{sys.argv[1]}/**/*.json', format = 'newline_delimited', "
           f"filename = true)) TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION zstd)")
"""
POLARS = """
import pathlib, sys
import polars
files = sorted(pathlib.Path(sys.argv[1]).rglob("*.json"))
polars.scan_ndjson(files, include_file_paths="filename").sink_parquet(sys.argv[2], compression="zstd")
"""
# one page of files, big chunks, nested fields left as JSON, no log, no telemetry: the cheapest variant that was tried
DLT = """
import os, sys
os.environ |= {"DLT_DATA_DIR": sys.argv[2], "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
import dlt
from dlt.sources.filesystem import filesystem, read_jsonl
files = filesystem(bucket_url=sys.argv[1], file_glob="**/*.json", files_per_page=100_000)
events = (files | read_jsonl(chunksize=10_000)).with_name("events")
events.max_table_nesting = 0
target = dlt.destinations.filesystem(bucket_url=f"file://{sys.argv[2]}/out")
pipeline = dlt.pipeline("events", destination=target, dataset_name="bronze", pipelines_dir=sys.argv[2])
pipeline.run(events, loader_file_format="parquet")
"""
EMPTY = "import pipeline.cli, pipeline.cycle.ingest, pyarrow.json, duckdb"


def main() -> None:
    """Make the data, run the contenders in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--lines", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", metavar="WORKTREE", help="another version of Lakemesh, as one more contender")
    options = parser.parse_args()
    lake = str(Path(sys.executable).parent / "lake")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        events = options.files * options.lines
        sample = [lake, "sample", "--events", str(events), "--days", "10", "--events-per-file", str(options.lines)]
        sample += ["--accounts", "0"]
        environment = {"LAKE_HOME": folder, "SQLMESH_DOTENV_PATH": "/dev/null"}
        subprocess.run(sample, check=True, env=environment, stdout=subprocess.DEVNULL)
        raw = home / "landing" / "raw-events"
        files = [path for path in raw.rglob("*.json") if path.is_file()]
        size = sum(path.stat().st_size for path in files)

        def lakemesh(version: dict[str, str]) -> Cost:
            for name in ("lake", "state.duckdb"):
                shutil.rmtree(home / name, ignore_errors=True)
                (home / name).unlink(missing_ok=True)
            return measure([[lake, "ingest", "events"]], environment | version)

        def peer(script: str) -> Callable[[], Cost]:
            def run() -> Cost:
                out = home / "peer"
                shutil.rmtree(out, ignore_errors=True)
                out.unlink(missing_ok=True)
                return measure([[sys.executable, "-c", script, str(raw), str(out)]], {})

            return run

        contenders: dict[str, Callable[[], Cost]] = {
            "lake ingest": partial(lakemesh, {}),
            "json.loads + a Parquet file each": peer(JSON_LOADS),
            "DuckDB read_json": peer(READ_JSON),
            "polars scan_ndjson": peer(POLARS),
            "dlt": peer(DLT),
            "imports of lake ingest alone": peer(EMPTY),
        }
        if options.before:
            other = {"PYTHONPATH": options.before, "LAKE_PROJECT": options.before}
            contenders["lake ingest, the version before"] = partial(lakemesh, other)
        for name in ("polars", "dlt"):
            if find_spec(name) is None:
                contenders = {title: run for title, run in contenders.items() if not title.startswith(name)}
        results = compare(contenders, options.rounds)
        bronze = sum(path.stat().st_size for path in (home / "lake" / "bronze").rglob("*.parquet"))
    print(report(f"{len(files):,} files, {size / 1e6:.0f} MB ({this_machine()})", results))
    print(f"\nbronze: {bronze / 1e6:.1f} MB, {size / bronze:.1f} : 1")


if __name__ == "__main__":
    main()
