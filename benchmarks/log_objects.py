"""What a cycle reads of logs with thousands of entries: the objects of all of them, for several models.

    python -m benchmarks.log_objects --entries 1000 8760 --objects 3

The log of one feed has an entry for each hour. A cycle after one more entry registers the objects and asks for them
five times, as the models of ops do; the peer asks a view over all entries, as it was until 2026-11-30.
"""

from __future__ import annotations

import argparse
import datetime as dt
import resource
import statistics
import tempfile
import time
from collections.abc import Callable

import duckdb
from sqlmesh.core.config.connection import DuckDBConnectionConfig

from benchmarks.measure import this_machine
from ingest.ledger.entry import Entry
from ingest.ledger.ledger import Ledger
from ingest.ledger.sources import LoadedObject
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store
from pipeline.warehouse import logged_objects

FEED, FIRST, QUESTIONS = "events", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 5
QUESTION = "SELECT feed, load_id, COUNT(DISTINCT source_file), SUM(records), MAX(modified_at) FROM {} GROUP BY ALL"


def main() -> None:
    """Make each log, measure the cycle on it and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--entries", type=int, nargs="+", default=[1000, 8760])
    arguments.add_argument("--objects", type=int, default=3, help="per entry")
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    print(f"### A cycle's questions about the objects of a log ({this_machine()}), CPU s and wall s\n")
    print("| entries | read once | wall | the first time | a view over all entries | wall |\n|---|---|---|---|---|---|")
    for entries in options.entries:
        with tempfile.TemporaryDirectory() as folder:
            print(_row(Store(folder), entries, options.objects, options.rounds), flush=True)


def _row(store: Store, entries: int, objects: int, rounds: int) -> str:
    log, state = Ledger(store, FEED), LedgerState()
    for number in range(entries):
        _append(log, state, number, objects)
    adapter = DuckDBConnectionConfig(connector_config={"TimeZone": "UTC"}).create_engine_adapter()
    adapter.execute("CREATE SCHEMA operations")

    def read_once() -> None:
        for statement in logged_objects.registration(adapter, store, {FEED: state}):
            adapter.execute(statement)
        for _ in range(QUESTIONS):
            adapter.fetchall(QUESTION.format(f"({logged_objects.query({FEED: state})})"))

    def view() -> None:
        with duckdb.connect() as connection:
            entries = f"READ_PARQUET('{store.uri}/{log.prefix}/[0-9]*.parquet')"
            for _ in range(QUESTIONS):
                connection.execute(
                    QUESTION.format(f"(SELECT '{FEED}' AS feed, * FROM {entries} WHERE action = 'object')")
                ).fetchall()

    first, _ = _cost(read_once)
    found: list[tuple[float, ...]] = []
    for number in range(rounds):
        _append(log, state, entries + number, objects)
        found.append((*_cost(read_once), *_cost(view)))
    adapter.close()
    once, once_wall, peer, peer_wall = (statistics.median(values) for values in zip(*found, strict=True))
    return f"| {entries:,} | {once:.2f} | {once_wall:.2f} | {first:.2f} | {peer:.2f} | {peer_wall:.2f} |"


def _append(log: Ledger, state: LedgerState, number: int, objects: int) -> None:
    at = FIRST + dt.timedelta(hours=number)
    load = f"{at:%Y%m%dT%H%M%S}-{number:012x}"
    items = [
        LoadedObject(
            f"raw-events/{at:%Y/%m/%d/%H}/{place}.json", "1", "0" * 64, 1, at, 100, 100, 0, ((at.date(), 100),), 1, load
        )
        for place in range(objects)
    ]
    entry = Entry(load, at, tuple(items))
    state.apply(log.commit(entry, state.position), entry)
    log.checkpoint(state)


def _cost(work: Callable[[], None]) -> tuple[float, float]:
    """CPU and wall seconds of a call."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - started


if __name__ == "__main__":
    main()
