"""A long history of a database table, then a hundred changes: the cost of these must follow from their number.

    python -m benchmarks.histories --changes 10000000 --keys 1000000 --rounds 1

Each round, on an empty lake: `lake ingest` of all changes of a table of products, `sqlmesh plan`, and a first release;
then `lake run` with a hundred more changes, and with as many as there are keys, in percent. Peers in the same run: the
history computed by one statement of DuckDB over the same bronze, as a whole, which is what anything costs that is
computed from scratch after each load.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import Cost, compare, measure, report, this_machine
from sample.draw import Ints

PROJECT = Path(__file__).resolve().parents[1]
PER_FILE = 50_000
FEW = 100
_LANDING = Path("landing") / "raw-shop-products"
_STARTED = dt.datetime(2026, 1, 1)
_AGAIN = """
import sys
import duckdb
from ingest.contracts.contract import contracts
from ingest.ledger.ledger import Ledger
from ingest.settings import settings
from ingest.storage.store import Store
from pipeline.warehouse.bronze import bronze_query
from pipeline.warehouse.changes import marks_query, versions_query
options, contract = settings(), contracts()["products"]
lake = Store(options.lake_uri, options)
with duckdb.connect() as connection:
    connection.execute("CREATE SCHEMA bronze")
    files = Ledger(lake, "products").live().bronze_files()
    connection.execute(f"CREATE VIEW bronze.products AS {bronze_query(contract, lake.uri, files)}")
    connection.execute(f"CREATE TABLE marks AS {marks_query(['products'])}")
    connection.execute(f"CREATE TABLE versions AS {versions_query(contract, 'marks')}")
"""


def main() -> None:
    """Make the landing once, and measure on a new lake in each round."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--changes", type=int, default=10_000_000)
    arguments.add_argument("--keys", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=1)
    options = arguments.parse_args()
    for name in ("LANDING_URI", "WAREHOUSE_PATH", "STATE_PATH", "LAKE_URI", "LAKE_PROJECT"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        size = write_changes(made, options.changes, options.keys)
        title = f"{options.changes:,} changes of {options.keys:,} keys, {size / 1e6:,.0f} MB ({this_machine()})"
        print(title, file=sys.stderr)
        table = _Table(Path(folder) / "home", made, options.changes, options.keys)
        results = compare(table.steps(), options.rounds)
    print(report(title, results))


class _Table:
    """A lake with the changes of a table, and the steps that are measured on it."""

    def __init__(self, home: Path, made: Path, changes: int, keys: int) -> None:
        self._home, self._made, self._changes, self._keys = home, made, changes, keys
        self._told = changes
        self._environment = {"LAKE_HOME": str(home), "SQLMESH_DOTENV_PATH": "", "PYTHONPATH": str(PROJECT)}

    def steps(self) -> dict[str, Callable[[], Cost]]:
        """The steps of a round, in order."""
        plan = ("sqlmesh", "-p", str(PROJECT), "plan", "--auto-apply", "--no-prompts", "--skip-tests")
        return {
            "lake ingest, all changes": self._all,
            "sqlmesh plan": lambda: self._run(*plan),
            "lake run, the first release": lambda: self._run("lake", "run"),
            f"lake run, {FEW} more changes": lambda: self._more(FEW),
            "lake run, as many as a hundredth of the keys": lambda: self._more(self._keys // 100),
            "lake run, nothing new": lambda: self._run("lake", "run"),
            "the whole history again, one statement of DuckDB": lambda: measure(
                [[sys.executable, "-c", _AGAIN]], self._environment
            ),
        }

    def _run(self, *command: str) -> Cost:
        return measure([command], self._environment)

    def _all(self) -> Cost:
        shutil.rmtree(self._home, ignore_errors=True)
        shutil.copytree(self._made, self._home / _LANDING, copy_function=os.link)
        self._told = self._changes
        return self._run("lake", "ingest")

    def _more(self, count: int) -> Cost:
        keys = np.random.default_rng(count).integers(0, self._keys, count)
        lines = b"".join(_lines(np.arange(self._told, self._told + count), keys, self._keys))
        (self._home / _LANDING / f"more-{self._told}.json").write_bytes(lines)
        self._told += count
        return self._run("lake", "run")


def write_changes(folder: Path, changes: int, keys: int) -> int:
    """Write a snapshot of all keys and updates of random ones, some deletions, in order; return the bytes written."""
    folder.mkdir(parents=True)
    dice, size = np.random.default_rng(1), 0
    for start in range(0, changes, PER_FILE):
        numbers = np.arange(start, min(changes, start + PER_FILE))
        chosen = np.where(numbers < keys, numbers, dice.integers(0, keys, len(numbers)))
        size += (folder / f"{start:012d}.json").write_bytes(b"".join(_lines(numbers, chosen, keys)))
    return size


def _lines(numbers: Ints, chosen: Ints, keys: int) -> Iterator[bytes]:
    """The envelopes of numbered changes, the first of which are a snapshot's."""
    started = (_STARTED - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    for number, key in zip(numbers.tolist(), chosen.tolist(), strict=True):
        is_read = number < keys
        position = 1000 if is_read else 2000 + number * 8
        flag = ("last" if number == keys - 1 else "true") if is_read else "false"
        operation = "r" if is_read else "d" if number % 50 == 0 else "u"
        row = {
            "product_id": key,
            "sku": f"SKU-{key:07d}",
            "name": f"Thing {key}",
            "category": f"category {key % 20}",
            "subcategory": f"subcategory {key % 100}",
            "price": f"{number % 9000 / 100:.2f}",
            "cost": f"{key % 5000 / 100:.2f}",
            "currency": "EUR",
            "is_active": True,
            "description": f"What thing {key} is for.",
            "created_at": "2025-01-01T00:00:00Z",
        }
        source = {
            "connector": "postgresql",
            "ts_us": started if is_read else started + number * 1000,
            "snapshot": flag,
            "sequence": json.dumps([None if is_read else str(position - 4), str(position)]),
            "table": "products",
            "txId": number,
            "lsn": position,
        }
        gone = {"product_id": key} if operation == "d" else None
        envelope = {"before": gone, "after": None if gone else row, "source": source, "op": operation}
        yield json.dumps(envelope, separators=(",", ":")).encode() + b"\n"


if __name__ == "__main__":
    main()
