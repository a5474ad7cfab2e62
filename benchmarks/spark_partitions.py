"""Registration of many dates of bronze in Spark: listed when read, and as partitions of the metastore.

    python -m benchmarks.spark_partitions --partitions 10000 --registered 1000    # needs the extra `spark` and Java 17

A feed with one small file on each date is registered and two of its dates are read; then one more date is added and
both are repeated: with all dates from one load, and with one load per date. Fewer dates are registered in the
metastore, one by one or by MSCK REPAIR TABLE: the cost grows with their number.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlmesh.core.config.connection import SparkConnectionConfig

from benchmarks.measure import this_machine
from ingest.contracts.contract import Contract, contracts
from ingest.contracts.schema import bronze_schema
from ingest.ledger.files import LakeFile
from ingest.settings import Settings
from ingest.steps.write import columns_json
from ingest.storage.store import Store
from pipeline.warehouse.damage import altered
from pipeline.warehouse.spark.bronze import parts_of, register_files
from pipeline.warehouse.spark.session import configure, spark_uri, text
from pipeline.warehouse.spark.views import create_view

FIRST, LOADED = dt.date(1999, 1, 1), dt.date(2026, 1, 1)


def main() -> None:
    """Measure all in one Spark session and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--registered", type=int, default=1_000)
    chosen = parser.parse_args()
    contract = contracts()["events"]
    with tempfile.TemporaryDirectory() as home:
        configure(Settings(lake_home=home))
        connection = SparkConnectionConfig(config={"spark.sql.legacy.createHiveTableByDefault": "false"})
        adapter = connection.create_engine_adapter()
        adapter.execute("CREATE SCHEMA measured")
        warm = Path(home) / "warm"
        _listed(adapter, contract, warm, "measured.warm_up", _files(contract, warm, 1, loads=1))
        rows, again = {}, []
        for loads in (1, chosen.partitions):
            lake, table = Path(home) / f"lake{loads}", f"measured.listed{loads}"
            files = _files(contract, lake, chosen.partitions + 1, loads)
            rows[f"{chosen.partitions:,} of {loads:,} loads, listed when read"] = [
                _seconds(partial(_listed, adapter, contract, lake, table, files[:-1])),
                _seconds(partial(_listed, adapter, contract, lake, table, files)),
            ]
            again.append(min(_seconds(partial(_read, adapter, table, files)) for _ in range(3)))
        fewer = Path(home) / "fewer"
        some = _files(contract, fewer, chosen.registered + 1, loads=1)
        for name, register in {"ADD PARTITION": _added, "MSCK REPAIR TABLE": _repaired}.items():
            table = f"measured.{name.split()[0].lower()}"
            _create(adapter, contract, fewer, table)
            rows[f"{chosen.registered:,}, {name}"] = [
                _seconds(partial(register, adapter, table, some[:-1])),
                _seconds(partial(register, adapter, table, some)),
            ]
        store = Store(str(lake))
        listing = _seconds(lambda: list(altered(files, store.list(f"bronze/{contract.feed}"))))
    print(f"### Dates of a feed on Spark ({this_machine()})\n")
    print("| dates | all, s | one more, s |\n|---|---|---|")
    for name, times in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in times)} |")
    print(
        f"\nLooking for each live file: {listing:.1f} s. Two dates read once more: {again[0]:.1f} s, {again[1]:.1f} s."
    )


def _listed(adapter: Any, contract: Contract, lake: Path, table: str, files: list[LakeFile]) -> None:
    """Register as the project does, and read two dates: that is when Spark lists."""
    register_files(adapter, table, contract, str(lake), json.loads(files[0].columns))
    parts = parts_of(contract, {table: files}, [file.path for file in files])
    create_view(adapter, f"{table}_seen", parts, f"{table}_part")
    _read(adapter, table, files)


def _read(adapter: Any, table: str, files: list[LakeFile]) -> None:
    first = files[-2:][0].event_date
    rows = adapter.fetchone(f"SELECT COUNT(*) FROM {table}_seen WHERE event_date >= DATE '{first}'")
    assert rows == (len(files[-2:]),), rows


def _create(adapter: Any, contract: Contract, lake: Path, table: str) -> None:
    """Create an external table whose partitions are those registered in the metastore."""
    adapter.execute(
        f"CREATE TABLE {table} (event_id STRING, ingest_date DATE, event_date DATE) USING PARQUET "
        f"PARTITIONED BY (ingest_date, event_date) LOCATION {text(f'{spark_uri(str(lake))}/bronze/{contract.feed}')}"
    )


def _added(adapter: Any, table: str, files: list[LakeFile]) -> None:
    known = {row[0] for row in adapter.fetchall(f"SHOW PARTITIONS {table}")}
    new = [file for file in files if f"ingest_date={LOADED}/event_date={file.event_date}" not in known]
    specs = " ".join(f"PARTITION (ingest_date = '{LOADED}', event_date = '{file.event_date}')" for file in new)
    adapter.execute(f"ALTER TABLE {table} ADD {specs}")


def _repaired(adapter: Any, table: str, files: list[LakeFile]) -> None:
    """Repair the table; the last file exists already, so its partition is dropped first to be found as new."""
    if adapter.fetchall(f"SHOW PARTITIONS {table}"):
        spec = f"ingest_date = '{LOADED}', event_date = '{files[-1].event_date}'"
        adapter.execute(f"ALTER TABLE {table} DROP PARTITION ({spec})")
    adapter.execute(f"MSCK REPAIR TABLE {table}")


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _files(contract: Contract, lake: Path, dates: int, loads: int) -> list[LakeFile]:
    """Create one file with one row per date, the last one from a separate load."""
    row = lake / "row.parquet"
    lake.mkdir()
    pq.write_table(pa.Table.from_pylist([{}], schema=bronze_schema(contract)), row)
    found = []
    for number in range(dates):
        load = f"20260101T000000-{number if number == dates - 1 else number % loads:012x}"
        day = FIRST + dt.timedelta(days=number)
        path = f"bronze/{contract.feed}/ingest_date={LOADED}/event_date={day}/{load}-{number}.parquet"
        (lake / path).parent.mkdir(parents=True)
        os.link(row, lake / path)
        found.append(LakeFile(path, 1, row.stat().st_size, LOADED, day, (load,), columns_json(contract)))
    return found


if __name__ == "__main__":
    main()
