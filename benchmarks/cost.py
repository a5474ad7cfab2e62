"""What a small lab costs a month, and one of ten times its volume, from what their commands used.

    python -m benchmarks.cost --scales 1 10 --days 6

A lab of scale 1 has 10,000 plays, 10,000 clicks and 200 orders a day and 200 new customers a year, its landing, lake
and releases on a real S3 server (rclone), warehouse and state in files. On each lab: all but the last day are loaded,
planned and released; then, as `lake` keeps it in `usage.jsonl`, is read what was used by `lake run` with an hour's
objects of the last day, with the rest of it in the next morning, when all models of the day are due, and with nothing
new, and by `lake maintain` with all audits. A month is 30 mornings, 30 maintenances and 690 other hours, all of which
bring something. The prices are those of seeds/prices.csv. Stored is what lies there after the days that were loaded,
per day, for a year.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import measure, this_machine
from benchmarks.shop import FIRST, PLAN
from ingest.settings import Settings
from ingest.storage.store import Store
from pipeline.dev.local_s3 import project_buckets, serve
from sample.generate import batches
from sample.options import SampleOptions

PROJECT = Path(__file__).resolve().parents[1]
PLAYS, CLICKS, ORDERS, ACCOUNTS = 10_000, 10_000, 200, 200
CLICKS_PER_SESSION = 4
HOURS, DAYS_OF_MONTH, DAYS_OF_YEAR = 24, 30, 365
PUBLISHED = "published"
Used = Mapping[tuple[str, str, str], float]
"""Quantities by kind, item and price, see pipeline/cycle/usage.py."""


def main() -> None:
    """Make and measure each lab, and print what a month costs."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--scales", type=int, nargs="+", default=[1, 10])
    arguments.add_argument("--days", type=int, default=6)
    options = arguments.parse_args()
    for name in ("LANDING_URI", "WAREHOUSE_PATH", "STATE_PATH", "LAKE_URI", "LAKE_PROJECT", "PUBLISHED_URI"):
        os.environ.pop(name, None)
    print(f"### What a lab costs ({this_machine()})\n")
    for scale in options.scales:
        with tempfile.TemporaryDirectory() as folder:
            buckets = Path(folder) / "buckets"
            with serve(buckets, [*project_buckets(), PUBLISHED]) as variables:
                lab = _Lab(Path(folder), buckets, scale, options.days, variables)
                print(_report(lab, lab.measured()), flush=True)


@dataclass(frozen=True, slots=True)
class _Lab:
    """A lab on an S3 server.

    Attributes:
        buckets: the folder that the server shows.
        days: dates of data, the last of which comes while it is measured.
        server: the variables that point to the server.
    """

    folder: Path
    buckets: Path
    scale: int
    days: int
    server: Mapping[str, str]

    @property
    def last(self) -> dt.date:
        """The last date."""
        return FIRST + dt.timedelta(days=self.days - 1)

    def measured(self) -> dict[str, Used]:
        """What each command used."""
        hours = self._write_landing()
        before, next_day = dt.datetime.combine(self.last, dt.time(0, 30)), self.last + dt.timedelta(days=1)
        morning = dt.datetime.combine(next_day, dt.time(0, 30))
        self._at(before, "lake", "ingest")
        self._at(before, *PLAN)
        self._at(before, "lake", "run")
        self._arrive(hours[0])
        found = {"an hour": self._at(before.replace(hour=12), "lake", "run")}
        self._arrive([path for hour in hours[1:] for path in hour])
        found["the morning"] = self._at(morning, "lake", "run")
        found["nothing new"] = self._at(morning.replace(hour=2), "lake", "run")
        found["lake maintain"] = self._at(morning.replace(hour=3), "lake", "maintain")
        return found

    def _at(self, moment: dt.datetime, *command: str) -> Used:
        """Run a command at a time, and return what it has left."""
        home = self.folder / "home"
        environment = {
            **self.server,
            "PUBLISHED_URI": f"s3://{PUBLISHED}",
            "LAKE_HOME": str(home),
            "SQLMESH_DOTENV_PATH": "",
            "LAKE_START": str(FIRST),
            "PYTHONPATH": str(PROJECT),
            "FULL_AUDIT_HOURS": "1",
        }
        path, used = home / "usage.jsonl", Counter[tuple[str, str, str]]()
        known = _entries(path)
        measure([[sys.executable, "-P", "-m", "benchmarks.at", f"{moment:%Y-%m-%dT%H:%M}", *command]], environment)
        for run_id, rows in _entries(path).items():
            if run_id not in known:
                used.update({(kind, item, price): quantity for kind, item, price, quantity in rows})
        return used

    def _write_landing(self) -> list[list[Path]]:
        """Write the landing but for the last date, and return that date's objects by hour, beside it."""
        sample = SampleOptions(
            self.last,
            events=PLAYS * self.scale * self.days,
            days=self.days,
            events_per_file=1_000,
            accounts=ACCOUNTS * self.scale,
            orders=ORDERS * self.scale * self.days,
            sessions_per_order=CLICKS / ORDERS / CLICKS_PER_SESSION,
        )
        late: dict[str, list[Path]] = defaultdict(list)
        for batch in batches(sample):
            for item in batch.draw():
                is_last = f"{self.last:%Y/%m/%d}" in item.key or f"{self.last}" in item.key
                path = (self.folder / "late" if is_last else self.buckets) / item.bucket / item.key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(item.body)
                if is_last:
                    late[item.bucket].append(path)
        hours: list[list[Path]] = [[] for _ in range(HOURS)]
        for paths in late.values():
            for number, path in enumerate(sorted(paths)):
                hours[number * HOURS // len(paths)].append(path)
        return hours

    def _arrive(self, paths: list[Path]) -> None:
        """Write withheld objects through the server, which does not look at its folder each time."""
        options = Settings.model_validate(dict(self.server))
        for path in paths:
            bucket, key = str(path.relative_to(self.folder / "late")).split("/", 1)
            Store(f"s3://{bucket}", options).put(key, path.read_bytes())


def _entries(path: Path) -> dict[str, list[tuple[str, str, str, float]]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {entry[0]: [tuple(row) for row in entry[2]] for entry in map(json.loads, filter(None, lines))}


def _prices() -> dict[str, float]:
    """US dollars per unit, by name: the newest price."""
    with (PROJECT / "seeds/prices.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["valid_from"])
    return {row["name"]: float(row["price_usd"]) / int(row["units"]) for row in rows}


def _report(lab: _Lab, measured: Mapping[str, Used]) -> str:
    """Tables of what each command used, and what a month costs."""
    prices = _prices()
    operations = ("list", "put", "get")

    def cost(used: Used, *kinds: str) -> float:
        return sum(number * prices[price] for (kind, _, price), number in used.items() if kind in kinds)

    def total(used: Used, kind: str, *ends: str) -> float:
        return sum(
            number for (own, item, _), number in used.items() if own == kind and (not ends or item.endswith(ends))
        )

    title = (
        f"Scale {lab.scale}: {PLAYS * lab.scale:,} plays, {CLICKS * lab.scale:,} clicks, {ORDERS * lab.scale:,} orders"
    )
    lines = [
        f"{title} a day, {lab.days} days",
        "",
        "| | CPU s | GB s of memory | LIST | PUT | GET | of these DuckDB's | GB moved | US cents |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, used in measured.items():
        requests = " | ".join(f"{total(used, 'request', operation):,.0f}" for operation in operations)
        own = sum(n for (kind, item, _), n in used.items() if kind == "request" and item.startswith("duckdb"))
        lines.append(
            f"| {name} | {total(used, 'cpu'):.1f} | {total(used, 'memory'):.1f} | {requests} | {own:,.0f} | "
            f"{total(used, 'moved'):.3f} | {100 * cost(used, 'cpu', 'memory', 'request', 'moved'):.3f} |"
        )
    times = {"an hour": DAYS_OF_MONTH * (HOURS - 1), "the morning": DAYS_OF_MONTH, "lake maintain": DAYS_OF_MONTH}
    month = {
        kind: sum(count * cost(measured[name], kind) for name, count in times.items())
        for kind in ("cpu", "memory", "request", "moved")
    }
    stored: dict[str, float] = {}
    for used in measured.values():  # the newest sample of each item
        for (kind, item, price), number in used.items():
            if kind == "stored":
                stored[f"{item}|{price}"] = number
    places: dict[str, float] = defaultdict(float)
    dollars = 0.0
    for key, number in stored.items():
        item, price = key.split("|")
        place = item.split()[0] if not item.startswith("lake ") else " ".join(item.split()[:2])
        places[place] += number
        dollars += number / lab.days * DAYS_OF_YEAR * prices[price]
    lines += ["", "| stored after the days, MB | |", "|---|---|"]
    lines += [f"| {place} | {number * 1000:,.1f} |" for place, number in sorted(places.items())]
    lines += ["", "| a month | US dollars |", "|---|---|"]
    lines += [f"| {kind} | {amount:.2f} |" for kind, amount in month.items()]
    lines += [f"| stored, after a year | {dollars:.2f} |", f"| all | {sum(month.values()) + dollars:.2f} |", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
