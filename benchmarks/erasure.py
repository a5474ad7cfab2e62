"""Erasures against rewriting everything: one person of many events, and a thousand persons of one request.

    python -m benchmarks.erasure --events 1000000 --days 365 --rounds 3

A lake of that many events is planned and published. Then, in turn and on a copy each: what a person has is found and
taken out of bronze; the same for a thousand persons in one pass; and, the peer, every live file of bronze is read and
written again as an erasure writes files. Last, one whole `lake erase` with its cycle, purge and proof, and the bytes
that it adds to lake and releases.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.measure import Cost, compare, measure, report, this_machine
from ingest.contracts.contract import contracts
from ingest.ledger.tombstones import Request, write_tombstones
from ingest.settings import read_settings
from ingest.steps.erase import erase
from ingest.steps.matchers import Named
from ingest.storage.parquet import parquet_file
from pipeline.cycle.erase_target import find
from pipeline.lake import Lake
from pipeline.warehouse.bronze import bronze_query

MANY = 1_000
KEY = "a secret of the benchmark"


def main() -> None:
    """Make the lake, measure, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=1_000_000)
    arguments.add_argument("--days", type=int, default=365)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        _run(Path(folder), options.events, options.days, options.rounds)


def _run(folder: Path, events: int, days: int, rounds: int) -> None:
    home = folder / "home"
    today = dt.datetime.now(dt.UTC).date()
    environment = {"SQLMESH_DOTENV_PATH": "", "LAKE_HOME": str(home), "LAKE_ERASURE_KEY": KEY}
    environment["LAKE_START"] = str(today - dt.timedelta(days + 1))
    os.environ.update(environment)
    sample = ("--events", str(events), "--days", str(days), "--events-per-file", "1000", "--accounts", "0")
    for command in (
        ["lake", "sample", *sample],
        ["lake", "ingest"],
        ["sqlmesh", "plan", "--auto-apply", "--no-prompts", "--skip-tests"],
        ["lake", "publish"],
    ):
        measure([command], environment)
    persons = _persons(home)
    before = folder / "before"
    shutil.copytree(home / "lake", before, copy_function=os.link)
    written: dict[str, int] = {}

    def fresh() -> Lake:
        shutil.rmtree(home / "lake")
        shutil.copytree(before, home / "lake", copy_function=os.link)
        return Lake(read_settings())

    contenders: dict[str, Callable[[], Cost]] = {
        "every file of bronze written again": lambda: _cost(
            lambda: _rewrite(fresh(), folder / "again"), written, "all"
        ),
        "one person": lambda: _cost(lambda: _erase(fresh(), persons[:1]), written, "one"),
        f"{len(persons):,} persons": lambda: _cost(lambda: _erase(fresh(), persons), written, "many"),
    }
    results = compare(contenders, rounds)
    fresh()
    releases = _size(home / "published")
    command = ["lake", "erase", "--subject", f"user_id={persons[0]}", "--because", "a benchmark", "--yes"]
    results["lake erase of one person, whole"] = measure([command], environment)
    print(report(f"{events:,} events on {days} days ({this_machine()})", results))
    print()
    print(
        f"Bytes of bronze written: everything {written['all']:,}, one person {written['one']:,} "
        f"({written['one'] / written['all']:.1%}), {len(persons):,} persons {written['many']:,} "
        f"({written['many'] / written['all']:.0%}); releases {releases:,} before, {_size(home / 'published'):,} after"
    )


def _persons(home: Path) -> list[str]:
    """Users, those with about 20 events first."""
    lake = Lake(read_settings())
    query = bronze_query(contracts()["events"], lake.options.lake_uri, lake.ledger("events").live_files())
    with lake.connect() as reader:
        rows = reader.execute(
            f"SELECT user_id FROM ({query}) GROUP BY user_id ORDER BY ABS(COUNT(*) - 20), user_id LIMIT {MANY}"
        ).fetchall()
    if not rows:
        sys.exit(f"{home}: no events")
    return [user for (user,) in rows]


def _erase(lake: Lake, users: list[str]) -> int:
    """Take persons out of bronze; return the bytes written."""
    subject, _ = find(lake, [{"user_id": frozenset({user})} for user in users])
    request = Request("benchmark", dt.datetime.now(dt.UTC), "a benchmark")
    tombstones = write_tombstones(lake.store, KEY, request, subject.values)
    matcher = Named(dict(subject.values), frozenset({tombstones}))
    return sum(
        erase(contract, lake.store, lake.ledger(feed), lake.tombstones, request.at, matcher).bytes
        for feed, contract in contracts().items()
    )


def _rewrite(lake: Lake, folder: Path) -> int:
    """Read and write every live file; return the bytes written."""
    folder.mkdir(exist_ok=True)
    size = 0
    for feed in contracts():
        for file in lake.ledger(feed).live_files():
            target = folder / "file.parquet"
            with lake.store.open(file.path) as source:
                parquet = pq.ParquetFile(source)
                with parquet_file(target, parquet.schema_arrow, compression="zstd", compression_level=1) as writer:
                    for group in range(parquet.num_row_groups):
                        writer.write_table(parquet.read_row_group(group))
            size += target.stat().st_size
    return size


def _cost(run: Callable[[], int], written: dict[str, int], name: str) -> Cost:
    """What a function costs in this process."""
    cpu, wall = time.process_time(), time.perf_counter()
    written[name] = run()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Cost(time.process_time() - cpu, time.perf_counter() - wall, memory)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
