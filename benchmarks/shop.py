"""A shop with a million clicks a day to gold: everything, the next day, one late order, nothing new.

    python -m benchmarks.shop --days 30 90 --clicks 100000 --orders 1000 --rounds 1

Clicks and orders are per day. Each round, for each number of days, on an empty lake: `lake ingest` of all but the last
day and one order of ten days before, `sqlmesh plan` and a first release, as of the morning of the last day; then, as of
the next morning, `lake run` with that day, with the order and all that belongs to it, and with nothing new. The next
day must cost the same after 30 days as after 90. The peer in the same run: the sessions of the last day by one
statement of DuckDB over its landing, without versions, late clicks, bots or anything else.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Cost, compare, measure, report, this_machine
from sample.generate import batches
from sample.objects import BUCKETS, CLICKS, SHOP
from sample.options import SampleOptions

PROJECT = Path(__file__).resolve().parents[1]
PLAN = ("sqlmesh", "-p", str(PROJECT), "plan", "--auto-apply", "--no-prompts", "--skip-tests")
FIRST = dt.date(2026, 1, 1)
CLICKS_PER_SESSION = 4
_LATE_BY = dt.timedelta(days=10)
_OF_AN_ORDER = ("orders", "order-items", "payments", "shipments", "refunds")
_PEER = """
import sys
import duckdb
with duckdb.connect() as connection:
    connection.execute(f'''CREATE TABLE sessions AS
        WITH clicks AS (
            SELECT visitor_id, occurred_at::TIMESTAMP AS moment, event_type FROM read_json('{sys.argv[1]}')),
        marked AS (
            SELECT *, COALESCE(moment - LAG(moment) OVER visits >= INTERVAL 30 MINUTE, TRUE) AS is_first FROM clicks
            WINDOW visits AS (PARTITION BY visitor_id ORDER BY moment)),
        numbered AS (SELECT *, SUM(is_first::INT) OVER (PARTITION BY visitor_id ORDER BY moment) AS number FROM marked)
        SELECT visitor_id, number, MIN(moment), MAX(moment), COUNT(*), BOOL_OR(event_type = 'purchase') FROM numbered
        GROUP BY ALL''')
"""


def main() -> None:
    """Make each landing once, and measure on a new lake in each round."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--days", type=int, nargs="+", default=[30, 90])
    arguments.add_argument("--clicks", type=int, default=100_000, help="per day")
    arguments.add_argument("--orders", type=int, default=1_000, help="per day")
    arguments.add_argument("--rounds", type=int, default=1)
    options = arguments.parse_args()
    for name in ("LANDING_URI", "WAREHOUSE_PATH", "STATE_PATH", "LAKE_URI", "LAKE_PROJECT"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        steps = []
        for days in options.days:
            made = Path(folder) / f"made-{days}"
            size = write_shop(made, days, options.clicks, options.orders)
            print(f"{days} days: {size / 1e6:,.0f} MB", file=sys.stderr)
            shop = _Shop(Path(folder) / f"home-{days}", made, FIRST + dt.timedelta(days=days - 1))
            steps.append([(f"{days} days: {name}", run) for name, run in shop.steps().items()])
        results = compare(dict(step for together in zip(*steps, strict=True) for step in together), options.rounds)
    print(report(f"{options.clicks:,} clicks and {options.orders:,} orders a day ({this_machine()})", results))


def write_shop(folder: Path, days: int, clicks: int, orders: int) -> int:
    """Write the landing of a shop that opens on the first date; return the bytes written."""
    sample = SampleOptions(
        FIRST + dt.timedelta(days=days - 1),
        events=1,
        days=days,
        events_per_file=20_000,
        accounts=0,
        orders=orders * days,
        sessions_per_order=clicks / orders / CLICKS_PER_SESSION,
    )
    size = 0
    for batch in batches(sample):
        for item in batch.draw():
            path = folder / item.bucket / item.key
            path.parent.mkdir(parents=True, exist_ok=True)
            size += path.write_bytes(item.body)
    return size


class _Shop:
    """A lake with a shop, and the steps that are measured on it.

    Args:
        made: the landing; the last day and one order are withheld at first.
        last: the last date.
    """

    def __init__(self, home: Path, made: Path, last: dt.date) -> None:
        self._home, self._made, self._last = home, made, last
        self._environment = {
            "LAKE_HOME": str(home),
            "SQLMESH_DOTENV_PATH": "",
            "LAKE_START": str(FIRST),
            "PYTHONPATH": str(PROJECT),
        }

    def steps(self) -> dict[str, Callable[[], Cost]]:
        """The steps of a round, in order."""
        morning = self._last + dt.timedelta(days=1)
        clicks = self._home / "landing" / CLICKS / f"{self._last:%Y/%m/%d}" / "*.json"
        return {
            "lake ingest": self._all_but_a_day,
            "sqlmesh plan": lambda: self._at(self._last, *PLAN),
            "lake run, the first release": lambda: self._at(self._last, "lake", "run"),
            "lake run, the next day": lambda: self._more("day", morning),
            "lake run, one late order": lambda: self._more("order", morning),
            "lake run, nothing new": lambda: self._at(morning, "lake", "run"),
            "sessions of a day, one statement of DuckDB": lambda: measure(
                [[sys.executable, "-c", _PEER, str(clicks)]], self._environment
            ),
        }

    def _at(self, day: dt.date, *command: str) -> Cost:
        """Run a command in the morning of a day."""
        return measure([[sys.executable, "-P", "-m", "benchmarks.at", f"{day}T06:00", *command]], self._environment)

    def _all_but_a_day(self) -> Cost:
        shutil.rmtree(self._home, ignore_errors=True)
        shutil.copytree(self._made, self._home / "landing", copy_function=os.link)
        for bucket in BUCKETS:
            place = Path(bucket) / f"{self._last:%Y/%m/%d}"
            if (self._home / "landing" / place).is_dir():
                (self._home / "day" / place.parent).mkdir(parents=True, exist_ok=True)
                (self._home / "landing" / place).rename(self._home / "day" / place)
        self._withhold_an_order()
        return self._at(self._last, "lake", "ingest")

    def _withhold_an_order(self) -> None:
        """Take the records of an order out of all objects."""
        placed = self._home / "landing" / SHOP[2] / f"{self._last - _LATE_BY:%Y/%m/%d}"
        records = map(json.loads, sorted(placed.glob("*.json"))[0].read_text().splitlines())
        order = next(item["value"]["after"]["order_id"] for item in records if (item["value"] or {}).get("op") == "c")
        marks = f'"order_id":{order},', f'"order_id":{order}}}'
        found = 0
        for table in _OF_AN_ORDER:
            for path in sorted((self._home / "landing" / f"raw-shop-{table}").rglob("*.json")):
                lines = path.read_text().splitlines(keepends=True)
                its = [line for line in lines if any(mark in line for mark in marks)]
                if its:
                    path.unlink()  # a link to the landing as it was made
                    path.write_text("".join(line for line in lines if line not in its))
                    target = self._home / "order" / path.relative_to(self._home / "landing")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.with_stem(f"{target.stem}-late").write_text("".join(its))
                    found += len(its)
        if not found:
            sys.exit(f"no record of order {order} in {placed}; expected its row and items")

    def _more(self, what: str, day: dt.date) -> Cost:
        """Bring what was withheld into the landing."""
        shutil.copytree(self._home / what, self._home / "landing", dirs_exist_ok=True)
        return self._at(day, "lake", "run")


if __name__ == "__main__":
    main()
