"""Objects through `lake ingest`, and their results compared with the account."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from ingest.contracts.contract import load_contract
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT
from ingest.steps.load import ingest_feed
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from tests.fuzz.account import Account, Bad, decode
from tests.fuzz.objects import CONTRACTS, MODIFIED_AT, Landed, account_of, draw_objects

MEGABYTES, SECONDS = 600.0, 60.0
"""The limits of one ingest: the documented memory, and CPU time."""

SHOWN = 5
"""How many of a batch's objects with faults are shown."""
_ZEROS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.0+)")


@dataclass(slots=True)
class Outcome:
    """The result of one or several ingests.

    Attributes:
        faults: each difference between lake and account, with the object's number.
        memory, seconds: peak memory in MB and CPU time of `lake ingest`.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    memory: float = 0.0
    seconds: float = 0.0


def write_home(home: Path, items: Sequence[Landed]) -> None:
    """Write contracts, and a landing with the objects, all of one age."""
    (home / "contracts" / "fuzz").mkdir(parents=True)
    for name, contract in CONTRACTS.items():
        text = yaml.safe_dump(contract | {"max_quarantined_share": 1, "references": []}, allow_unicode=True)
        (home / "contracts" / "fuzz" / f"{name}.yaml").write_text(text, encoding="utf-8")
        (home / "landing" / contract["source"]["bucket"]).mkdir(parents=True)
    for item in items:
        path = home / "landing" / CONTRACTS[item.feed]["source"]["bucket"] / item.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(item.body)
        os.utime(path, ns=(MODIFIED_AT * 1000, MODIFIED_AT * 1000))


def lake(home: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], float, float]:
    """Run `lake` as a process: its output, its memory in MB and its CPU time in seconds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAKE_", "AWS_", "LANDING_"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.lake", str(home / "contracts"), *arguments],
        cwd=PROJECT,
        env=kept | {"LAKE_HOME": str(home), "SQLMESH_DOTENV_PATH": os.devnull},
        capture_output=True,
        text=True,
        timeout=600,
    )
    done.stderr, _, measured = done.stderr.rstrip("\n").rpartition("\n")
    memory, seconds = map(float, measured.split())
    return done, memory, seconds


def check(items: Sequence[Landed], home: Path) -> Outcome:
    """Load the objects with `lake ingest`, compare with the account, run `lake verify`, and load again."""
    write_home(home, items)
    done, memory, seconds = lake(home, "ingest", "--json")
    outcome = compare(items, home)
    outcome.memory, outcome.seconds = memory, seconds
    if memory > MEGABYTES or seconds > SECONDS:
        outcome.faults.append(f"-: ingest took {memory:.0f} MB and {seconds:.1f} s")
    again, _, _ = lake(home, "ingest", "--json")
    if '"objects": 0' not in again.stdout or any(feed["objects"] for feed in json.loads(again.stdout)["feeds"]):
        outcome.faults.append(f"-: a second ingest is not without work: {again.stdout[-400:]}")
    verified, _, _ = lake(home, "verify", "--deep", "--json")
    for name, ended in (("ingest", done), ("verify", verified)):
        if ended.returncode != (outcome.counts["unnameable"] > 0):  # which fails until an operator acts
            outcome.faults.append(
                f"-: {name} ended with {ended.returncode}: {ended.stdout[-400:]} {ended.stderr[-400:]}"
            )
    status, _, _ = lake(home, "status", "--json")
    for kind, name in (("ignored", "ignored"), ("unnameable", "unloadable")):
        said = sum(reason["objects"] for feed in json.loads(status.stdout) for reason in feed[name])
        if said != outcome.counts[kind]:
            outcome.faults.append(f"-: `lake status` says that {said} objects are {name}, not {outcome.counts[kind]}")
    return outcome


def check_here(items: Sequence[Landed]) -> Outcome:
    """Compare after an ingest within this process, which takes milliseconds: for shrinking."""
    with tempfile.TemporaryDirectory(prefix="lakemesh-fuzz-") as folder:
        home = Path(folder)
        write_home(home, items)
        for path in sorted((home / "contracts" / "fuzz").glob("*.yaml")):
            contract = load_contract(path)
            landing = Landing(str(home / "landing" / contract.source.bucket))
            ingest_feed(contract, landing, Store(str(home / "lake")), contract.epoch)
        return compare(items, home)


def compare(items: Sequence[Landed], home: Path) -> Outcome:
    """Compare the lake with the account of each object."""
    outcome = Outcome()
    for feed, contract in CONTRACTS.items():
        mine = {f"{contract['source']['bucket']}/{item.key}": n for n, item in enumerate(items) if item.feed == feed}
        state = Ledger(Store(str(home / "lake")), feed).state()
        rows, bad = _records(home, [path for path in state.files if path.startswith(("bronze/", "quarantine/"))])
        names = {name for table in state.objects.tables() for name in table.column("source_file").to_pylist()}
        outcome.faults += [f"-: {name!r} was loaded, and is no object" for name in names - mine.keys()]
        loaded = state.objects.lookup(names)
        for name, number in mine.items():
            account = account_of(items[number])
            outcome.counts.update(["objects", account.fate, items[number].format])
            outcome.counts.update(good=len(account.good), bad=len(account.bad))
            found = _differences(account, loaded.get(name), rows[name], bad[name])
            outcome.faults += [f"{number}: {fault}" for fault in found]
    return outcome


def _records(home: Path, paths: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of bronze and the bad records, by object and number; times and dates as integers."""
    found: tuple[dict[str, Any], dict[str, Any]] = (defaultdict(dict), defaultdict(dict))
    for path in paths:
        table = pq.ParquetFile(home / "lake" / path).read()
        for row in table.cast(pa.schema([(item.name, _plain(item.type)) for item in table.schema])).to_pylist():
            of_object = found[path.startswith("quarantine/")][row["_source_file"]]
            number = row["_source_line"]
            of_object[number if number not in of_object else f"{number} twice"] = row
    return found


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([(item.name, _plain(item.type)) for item in kind])
    if pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.int64() if pa.types.is_timestamp(kind) else pa.int32() if pa.types.is_date(kind) else kind


def _differences(account: Account, loaded: Any, rows: dict[Any, Any], bad: dict[Any, Any]) -> list[str]:
    if account.fate != "loaded" or loaded is None:
        return [f"{account.fate} by its name, and {'loaded' if loaded else 'not'}"] * (
            (account.fate == "loaded") != bool(loaded)
        )
    found = []
    counts = (loaded.records, loaded.rows, loaded.quarantined)
    if counts != (len(account.good) + len(account.bad), len(account.good), len(account.bad)):
        found.append(f"the ledger counts {counts}; good are {len(account.good)}, bad {len(account.bad)}")
    for kind, expected, there in (("good", account.good, rows), ("bad", account.bad, bad)):
        if wrong := [line for line in expected if line not in there]:
            why = [(bad[line]["reason"], bad[line]["detail"]) for line in wrong if line in bad]
            found.append(f"records {wrong[:5]} are {kind}, and the lake says otherwise {why[:2]}")
    if wrong := [line for line in [*rows, *bad] if line not in account.good.keys() | account.bad.keys()]:
        found.append(f"records {wrong[:5]} are not in the object")
    for line in account.good.keys() & rows.keys():
        row = rows[line]
        try:
            row["_rescued_data"] = row["_rescued_data"] and decode(row["_rescued_data"].encode())
        except Bad as reason:
            row["_rescued_data"] = str(reason)
        expected = account.good[line].items()
        if other := {name: (row[name], value) for name, value in expected if _trimmed(row[name]) != _trimmed(value)}:
            found.append(f"record {line} has other values (lake, source): {other!r:.300}")
    for line, kept in account.bad.items():
        if kept is not None and line in bad and bad[line]["reason"] != "line_too_long" and bad[line]["raw"] != kept:
            found.append(f"record {line} is quarantined as {bad[line]['raw']!r:.100}, expected {kept!r:.100}")
    return found


def _trimmed(value: Any) -> Any:
    """The value; in times as text, which unknown Parquet columns become, trailing zeros have no meaning."""
    if isinstance(value, dict):
        return {name: _trimmed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_trimmed(item) for item in value]
    return value[: -len(found[1])] if isinstance(value, str) and (found := _ZEROS.fullmatch(value)) else value


def run(objects: int, seed: int, batch: int, report: Callable[[str], None]) -> Outcome:
    """Load batches of objects up to a total; report the worst by memory and by time, each loaded alone."""
    total = Outcome()
    worst: dict[str, tuple[float, int, list[Landed]]] = {}
    for number in range(-(-objects // batch)):
        name = seed * 10_000 + number
        items = draw_objects(name, min(batch, objects - number * batch))
        with tempfile.TemporaryDirectory(prefix="lakemesh-fuzz-") as folder:
            outcome = check(items, Path(folder))
        total.counts += outcome.counts
        total.faults += [f"{name}/{fault}" for fault in outcome.faults]
        for number in list(dict.fromkeys(fault.partition(":")[0] for fault in outcome.faults if fault[0] != "-"))[
            :SHOWN
        ]:
            report(f"object {name}/{number}: {items[int(number)]!r:.1000}")
        for what in ("memory", "seconds"):
            worst[what] = max(
                worst.get(what, (0.0, 0, [])), (getattr(outcome, what), name, items), key=lambda one: one[0]
            )
        cost = f"{outcome.memory:.0f} MB, {outcome.seconds:.1f} s"
        report(f"batch {name}: {len(items)} objects, {cost}, {len(outcome.faults)} faults")
    for what, (value, name, items) in worst.items():
        number, memory, seconds = heaviest(items, what)
        alone = f"{memory:.0f} MB and {seconds:.1f} s alone"
        report(f"most {what}: {value:.1f}, in batch {name}, whose heaviest is {name}/{number} with {alone}")
        setattr(total, what, value)
    return total


def heaviest(items: Sequence[Landed], what: str) -> tuple[int, float, float]:
    """The most expensive object, found by bisection: its number, and MB and CPU seconds of its ingest alone."""
    left = list(range(len(items)))
    while True:
        costs = []
        for half in (left[: len(left) // 2], left[len(left) // 2 :]):
            with tempfile.TemporaryDirectory(prefix="lakemesh-fuzz-") as folder:
                write_home(Path(folder), [items[number] for number in half])
                costs.append((half, *lake(Path(folder), "ingest")[1:]))
        left, memory, seconds = max(costs, key=lambda one: one[1 if what == "memory" else 2])
        if len(left) < 2:
            return left[0], memory, seconds
