"""The commit alone: a thousand rows and their metadata, one commit after the other, on the local disk.

    python -m benchmarks.commit --commits 100   # in the environment of peers.txt

Every contender writes the same rows as one Parquet file per commit. Lakemesh also writes the ledger entry with one
source object, which answers "was this object loaded?"; the peers record no source objects.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.ledger.sources import LoadedObject
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store

NOW = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 10)
ROWS = pa.table({"event_id": [f"event-{number:08d}" for number in range(1000)], "value": list(range(1000))})


def ledger(folder: Path) -> Callable[[int], None]:
    """Lakemesh's own ledger."""
    store = Store(str(folder))
    log, state = Ledger(store, "events"), LedgerState()

    def commit(number: int) -> None:
        key = f"bronze/events/ingest_date={DAY}/L{number}-0.parquet"
        path = store.stage(key)
        pq.write_table(ROWS, path, compression="zstd")
        store.publish({key: path})
        item = LoadedObject(f"raw/{number}.json", "1", "0" * 64, 1, NOW, 1000, 1000, 0, ((DAY, 1000),), 1, f"L{number}")
        file = LakeFile(key, 1000, path.stat().st_size, DAY, DAY, (f"L{number}",), "{}")
        entry = Entry(f"L{number}", NOW, (item,), (file,))
        state.apply(log.commit(entry, state.position), entry)
        log.checkpoint(state)

    return commit


def delta(folder: Path) -> Callable[[int], None]:
    """Delta Lake."""
    from deltalake import write_deltalake

    return lambda _: write_deltalake(str(folder / "table"), ROWS, mode="append")


def iceberg(folder: Path) -> Callable[[int], None]:
    """Iceberg with a SQLite catalog."""
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("local", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
    catalog.create_namespace("bronze")
    table = catalog.create_table("bronze.events", schema=ROWS.schema)
    return lambda _: table.append(ROWS)


def ducklake(folder: Path) -> Callable[[int], None]:
    """DuckLake with a DuckDB catalog."""
    import duckdb
    import duckdb_extension_ducklake

    found = Path(duckdb_extension_ducklake.__file__).parent.rglob("ducklake.duckdb_extension")
    connection = duckdb.connect()
    connection.execute(f"LOAD '{next(found)}'")
    connection.execute(f"ATTACH 'ducklake:{folder}/catalog.ducklake' AS lake (DATA_PATH '{folder}/data')")
    connection.register("fresh", ROWS)
    connection.execute("CREATE TABLE lake.events AS SELECT * FROM fresh LIMIT 0")

    def commit(_: int) -> None:
        connection.execute("INSERT INTO lake.events SELECT * FROM fresh")

    return commit


def main() -> None:
    """Run the contenders in turn, in blocks of ten commits, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=100)
    chosen = parser.parse_args()
    spent: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as home:
        commits = {}
        for name, make in (("ledger", ledger), ("Delta Lake", delta), ("DuckLake", ducklake), ("Iceberg", iceberg)):
            folder = Path(home) / name.replace(" ", "")
            folder.mkdir()
            commits[name] = make(folder)
            spent[name] = []
        for start in range(0, chosen.commits, 10):
            for name, commit in commits.items():
                for number in range(start, start + 10):
                    cpu, wall = time.process_time(), time.perf_counter()
                    commit(number)
                    spent[name].append((time.process_time() - cpu, time.perf_counter() - wall))
        sizes = {
            name: sum(path.stat().st_size for path in (Path(home) / name.replace(" ", "")).rglob("*") if path.is_file())
            for name in commits
        }
        shutil.rmtree(home, ignore_errors=True)
        Path(home).mkdir()
    print(f"### {chosen.commits} commits of 1,000 rows (Python {sys.version.split()[0]})\n")
    print("| contender | CPU ms | wall ms | wall ms, last ten | MB on disk |\n|---|---|---|---|---|")
    for name, times in spent.items():
        cpu, wall, last = (
            statistics.median(values) * 1000
            for values in ([c for c, _ in times], [w for _, w in times], [w for _, w in times[-10:]])
        )
        print(f"| {name} | {cpu:.1f} | {wall:.1f} | {last:.1f} | {sizes[name] / 1e6:.1f} |")


if __name__ == "__main__":
    main()
