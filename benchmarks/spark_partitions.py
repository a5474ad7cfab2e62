"""Bronze of many dates made known to Spark: the partitions that the ledger names, against MSCK REPAIR TABLE.

    python -m benchmarks.spark_partitions --partitions 10000    # needs the extra `spark` and Java 17

A feed with one small file on each of so many dates is registered; then one more date comes, and is registered again.
Beside it, what the view over so many names costs whoever reads two dates of it, and what listing the live files costs,
which registration does so that none can be missing unseen.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlmesh.core.config.connection import SparkConnectionConfig

from benchmarks.measure import this_machine
from ingest.contract import Contract, contracts
from ingest.entry import LakeFile
from ingest.schema import bronze_schema
from ingest.settings import Settings
from ingest.store import Store
from ingest.write import columns_json
from pipeline.damage import altered
from pipeline.spark import configure, spark_uri, text
from pipeline.spark_bronze import feed_view, register_files

FIRST, LOADED = dt.date(1999, 1, 1), dt.date(2026, 1, 1)


def main() -> None:
    """Measures both in one Spark and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=10_000)
    chosen = parser.parse_args()
    contract = contracts()["events"]
    with tempfile.TemporaryDirectory() as home:
        configure(Settings(lake_home=home))
        warehouse = SparkConnectionConfig(config={"spark.sql.legacy.createHiveTableByDefault": "false"})
        adapter = warehouse.create_engine_adapter()
        lake = Path(home) / "lake"
        files = [_file(contract, lake, number) for number in range(chosen.partitions + 1)]
        some = files[:-1]
        adapter.execute("CREATE SCHEMA measured")
        register_files(adapter, "measured.warm_up", contract, str(lake), some[:1])
        spent = {
            "the ledger's partitions": [
                _seconds(lambda: register_files(adapter, "measured.explicit", contract, str(lake), some)),
                _seconds(lambda: register_files(adapter, "measured.explicit", contract, str(lake), files)),
            ]
        }
        _create_like(adapter, contract, lake, "measured.repaired")
        found = _seconds(lambda: adapter.execute("MSCK REPAIR TABLE measured.repaired"))
        for file in (files[-1],):  # MSCK has found it already: it is to come a second time
            adapter.execute(
                f"ALTER TABLE measured.repaired DROP PARTITION (ingest_date='{LOADED}', event_date='{file.event_date}')"
            )
        again = _seconds(lambda: adapter.execute("MSCK REPAIR TABLE measured.repaired"))
        spent["MSCK REPAIR TABLE"] = [found, again]
        tables = {"measured.explicit": files}
        view = _seconds(
            lambda: adapter.execute(f"CREATE OR REPLACE VIEW measured.seen AS {feed_view(contract, tables)}")
        )
        query = f"SELECT COUNT(*) FROM measured.seen WHERE event_date >= DATE '{files[-2].event_date}'"
        counted: list[Any] = []
        read = min(_seconds(lambda: counted.append(adapter.fetchone(query))) for _ in range(3))
        assert counted[-1] == (2,), counted
        listed = _seconds(lambda: list(altered(Store(str(lake)), contract.feed, files)))
    print(f"### {chosen.partitions:,} partitions ({this_machine()})\n")
    print("| | all, s | one more, s |\n|---|---|---|")
    for name, times in spent.items():
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in times)} |")
    print(f"\nThe view: {view:.1f} s. Two dates of it: {read:.1f} s. The listing: {listed:.1f} s.", flush=True)
    sys.stdout.flush()


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _file(contract: Contract, lake: Path, number: int) -> LakeFile:
    """A file with one row on a date of its own."""
    day = FIRST + dt.timedelta(days=number)
    path = f"bronze/{contract.feed}/ingest_date={LOADED}/event_date={day}/{number}.parquet"
    target, first = lake / path, lake / "row.parquet"
    target.parent.mkdir(parents=True)
    if not first.exists():
        pq.write_table(pa.Table.from_pylist([{}], schema=bronze_schema(contract)), first)
    os.link(first, target)
    return LakeFile(path, 1, first.stat().st_size, LOADED, day, ("load",), columns_json(contract))


def _create_like(adapter: Any, contract: Contract, lake: Path, table: str) -> None:
    """An external table over the same folders that knows no partition yet."""
    adapter.execute(
        f"CREATE TABLE {table} LIKE measured.warm_up LOCATION {text(f'{spark_uri(str(lake))}/bronze/{contract.feed}')}"
    )


if __name__ == "__main__":
    main()
