"""A lake on a simulated clock: what arrives, its commands with what disturbs them, and what must hold."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from ingest.contracts.contract import contracts
from pipeline.backup.compare import Fingerprint, fingerprint
from tests.receivers import Receiver

PROJECT = Path(__file__).resolve().parents[1]
TROUBLES = {"late": 0.03, "duplicates": 0.02, "malformed": 0.004, "unknown-fields": 0.01, "unknown-users": 0.002}
"""Shares of records."""
DELAYED, OVERWRITTEN = 0.1, 0.02
"""Shares of the objects of events that come days late, and of those that get new content each night."""
FIRST_DAYS = 7
"""Days of events that have landed when the soak begins; the shop and subscriptions have a year by then."""
FAULTS = {
    "store": ("ingest.storage.store:Store.put_new", "ingest.errors:RetriableError", ""),
    "publication": ("ingest.storage.store:Store.put", "ingest.errors:RetriableError", "data/"),
    "state": ("pipeline.state.duck:DuckState.execute", "duckdb:IOException", "DELETE"),
    "warehouse": ("sqlmesh.core.engine_adapter.duckdb:DuckDBEngineAdapter.fetchall", "duckdb:IOException", ""),
}
"""What fails in a disturbed cycle: (function, exception, word that its arguments contain)."""
_REJECTED = "max_quarantined_share"
"""What every complaint about a feed's share of rejected records names."""
DATED = re.compile(r"/(\d{4})/(\d\d)/(\d\d)/")


@dataclass(frozen=True, slots=True)
class Command:
    """One process of the project.

    Attributes:
        at: the simulated time, UTC.
        cause: what disturbed it; empty if nothing did.
        outcome: of a cycle, as in `lake run --json`.
        cpu: user and system time of the process, seconds.
        wall: seconds.
        memory: its peak resident set, bytes.
    """

    at: dt.datetime
    name: str
    cause: str
    exit_code: int
    outcome: str
    cpu: float
    wall: float
    memory: int
    output: str = field(repr=False, default="")

    @property
    def succeeded(self) -> bool:
        """Whether nothing was wrong but the records that were meant to be."""
        return self.exit_code == 0 or is_about_records(self.output)


class Soak:
    """A lake and its simulated clock.

    Attributes:
        now: the simulated time, UTC; it only moves on.
        done: the commands so far.
        disk: bytes below the lake's home after each day, by part.
        wrong: what does not hold.
    """

    def __init__(self, folder: Path, start: dt.date, seed: int, project: Path, receiver: Receiver) -> None:
        self.folder, self.home, self.project = folder, folder / "home", project
        self.dice = random.Random(seed)
        self.now = dt.datetime.combine(start, dt.time(1))
        self.done: list[Command] = []
        self.disk: list[Counter[str]] = []
        self.wrong: list[str] = []
        self._receiver, self._seen, self._seed = receiver, 0, seed
        self._seconds = 20.0
        self._stock: dict[Path, dt.date] = {}
        self._variables = {
            "LAKE_HOME": str(self.home),
            "LAKE_START": str(start - dt.timedelta(days=FIRST_DAYS)),
            "LAKE_ERASURE_KEY": "a secret of many characters",
            "NOTIFY_WEBHOOK_URL": receiver.url,
            "SQLMESH_DOTENV_PATH": "",
        }

    def stock(self, days: int) -> None:
        """Make the records of all days in a place from where they arrive."""
        sizes = {"days": days + FIRST_DAYS, "events": 400 * (days + FIRST_DAYS), "orders": 10 * days, "accounts": 60}
        options = [f"--{name}={value}" for name, value in {**sizes, **TROUBLES}.items()]
        end = (self.now + dt.timedelta(days=days - 1)).date()
        command = [sys.executable, "-P", "-m", "pipeline", "sample", *options, f"--seed={self._seed}", f"--end={end}"]
        made = self.folder / "stock"
        done = subprocess.run(command, env=self._environment(PROJECT, made), capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"lake sample failed:\n{done.stdout}\n{done.stderr}")
        events = contracts()["events"].source.bucket
        for path in sorted((made / "landing").rglob("*")):
            if path.is_file():
                name = path.relative_to(made / "landing")
                found = DATED.search(name.as_posix())
                day = dt.date(*map(int, found.groups())) if found else dt.date.min
                late = name.parts[0] == events and self.dice.random() < DELAYED
                self._stock[name] = day + dt.timedelta(days=self.dice.randint(1, 4) if late else 0)

    def arrive(self) -> None:
        """What was written until yesterday lands, and some objects get new content."""
        written = (self.now - dt.timedelta(minutes=5)).replace(tzinfo=dt.UTC).timestamp()
        landed = [name for name, day in self._stock.items() if day < self.now.date()]
        for name in landed:
            del self._stock[name]
            target = self.home / "landing" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(self.folder / "stock" / "landing" / name, target)
            os.utime(target, (written, written))
        events = sorted((self.home / "landing" / contracts()["events"].source.bucket).rglob("*.json"))
        for path in self.dice.sample(events, int(len(events) * OVERWRITTEN)):
            lines = path.read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join([*lines, self.dice.choice(lines)]))
            os.utime(path, (written, written))

    def cycle(self, cause: str = "") -> Command:
        """`lake run`, disturbed or not."""
        return self._command("run", "--json", cause=cause)

    def maintain(self, cause: str = "") -> Command:
        """`lake maintain`."""
        return self._command("maintain", cause=cause)

    def plan(self) -> Command:
        """`sqlmesh plan`, as after an upgrade."""
        return self._command("plan", "--auto-apply", "--no-prompts", "--skip-tests", program="sqlmesh")

    def erase(self) -> Command | None:
        """Forget somebody who has landed."""
        customers = sorted({record["user_id"] for record in self._records("users") if record.get("user_id")})
        if not customers:
            return None
        subject = f"user_id={self.dice.choice(customers)}"
        return self._command("erase", "--subject", subject, "--because", "a letter", "--yes")

    def disturbed(self) -> Command:
        """A cycle that is killed, or at which something fails."""
        return self.cycle(self.dice.choice(["killed", "killed", *FAULTS]))

    def weigh(self) -> None:
        """Note what the lake takes on the disk."""
        sizes: Counter[str] = Counter()
        for path in self.home.rglob("*"):
            if path.is_file():
                sizes[path.relative_to(self.home).parts[0]] += path.stat().st_size
        self.disk.append(sizes)

    def check(self, holds: bool, what: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.wrong.append(what)
            print(f"WRONG: {what}", file=sys.stderr, flush=True)

    def lines(self) -> dict[str, int]:
        """Lines that are not blank in the landing, by feed."""
        found = dict.fromkeys(contracts(), 0)
        for feed, contract in contracts().items():
            for path in (self.home / "landing" / contract.source.bucket).rglob("*"):
                if path.suffix in (".json", ".jsonl", ".csv") and not path.name.startswith(("_", ".")):
                    rows = sum(1 for line in path.read_bytes().splitlines() if line.strip())
                    found[feed] += rows - (path.suffix == ".csv")
        return found

    def accounted(self) -> dict[str, int]:
        """Records that the ledger accounts for, by feed."""
        done = self._command("verify", "--json")
        self.check(done.succeeded, f"lake verify: {done.output[-2000:]}")
        return {item["feed"]: item["records"] for item in json.loads(done.output)}

    def tables(self, home: Path) -> dict[str, Fingerprint]:
        """The content of every table of silver and gold."""
        with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as warehouse:
            query = "SELECT schema, name FROM (SHOW ALL TABLES) WHERE schema IN ('silver', 'gold') ORDER BY ALL"
            names = [f"{schema}.{name}" for schema, name in warehouse.execute(query).fetchall()]
            return {name: fingerprint(warehouse, name) for name in names}

    def rebuilt(self) -> dict[str, Fingerprint]:
        """The same in a copy of the lake whose tables were computed again from bronze."""
        copy = self.folder / "rebuilt"
        shutil.copytree(self.home, copy)
        done = self._command("rebuild", "--yes", home=copy)
        self.check(done.succeeded, f"lake rebuild: {done.output[-2000:]}")
        return self.tables(copy)

    def _records(self, feed: str) -> Iterator[dict[str, Any]]:
        for path in sorted((self.home / "landing" / contracts()[feed].source.bucket).rglob("*.json")):
            for line in path.read_bytes().splitlines():
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict):
                    yield record

    def _at(self, project: Path) -> list[str]:
        return [sys.executable, "-P", str(project / "benchmarks" / "at.py"), f"{self.now:%Y-%m-%dT%H:%M}"]

    def _environment(self, project: Path, home: Path | None = None) -> dict[str, str]:
        own = {"PYTHONPATH": str(project), "LAKE_PROJECT": str(project), "LAKE_HOME": str(home or self.home)}
        return os.environ | self._variables | own

    def _command(self, *arguments: str, cause: str = "", program: str = "lake", home: Path | None = None) -> Command:
        """Run a command of the project to its end, or to its kill, and keep its cost."""
        command = [*self._at(self.project), program, *(["-p", str(self.project)] if program == "sqlmesh" else ())]
        if cause in FAULTS:
            ahead = (self.now.replace(tzinfo=dt.UTC) - dt.datetime.now(dt.UTC)).total_seconds()
            worker = [sys.executable, "-P", "-m", "tests.worker", "--fail", *FAULTS[cause], "--ahead", f"{ahead:.0f}"]
            command = [*worker, "--project", str(self.project), program]
        started = time.monotonic()
        with (
            tempfile.TemporaryFile() as shown,
            subprocess.Popen(
                [*command, *arguments],
                env=self._environment(self.project, home),
                stdout=shown,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            killer = threading.Timer(self.dice.uniform(0.05, 1.0) * self._seconds, process.kill)
            if cause == "killed":
                killer.start()
            _, status, usage = os.wait4(process.pid, 0)
            killer.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
            shown.seek(0)
            output = shown.read().decode(errors="replace")
        wall = time.monotonic() - started
        self._date_files(home or self.home)
        if arguments[0] == "run" and not cause:
            self._seconds = wall
        done = Command(
            self.now, arguments[0], cause, process.returncode, outcome_in(output),
            usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024, output,
        )  # fmt: skip
        self._note(done)
        return done

    def _date_files(self, home: Path) -> None:
        """Let files be of the simulated time: maintenance and erasures delete superseded ones by their age."""
        written = self.now.replace(tzinfo=dt.UTC).timestamp()
        for path in home.rglob("*"):
            if path.is_file() and path.stat().st_mtime > written:
                os.utime(path, (written, written))

    def _is_late(self, alert: str) -> bool:
        """Whether an alert says of a feed that it is late, and nothing of it has landed for that long."""
        feed = alert.removeprefix("freshness/")
        if feed not in contracts():
            return False
        landed = (self.home / "landing" / contracts()[feed].source.bucket).rglob("*")
        newest = max((path.stat().st_mtime for path in landed if path.is_file()), default=0.0)
        return self.now.replace(tzinfo=dt.UTC).timestamp() - newest > contracts()[feed].freshness_seconds

    def _note(self, done: Command) -> None:
        """Keep what a command did, and ask each of its alerts for its cause."""
        self.done.append(done)
        alerts, self._seen = self._receiver.got[self._seen :], len(self._receiver.got)
        named = [f"{alert.get('event')} {alert.get('name')}" for alert in alerts]
        print(
            f"{done.at:%m-%d %H:%M} {done.name:9} {done.cause or '-':12} {done.outcome or done.exit_code!s:14} "
            f"{done.cpu:6.1f} CPU s {done.memory / 1e6:5.0f} MB  {', '.join(named)}",
            flush=True,
        )
        disturbed = done.cause or any(item.cause for item in self.done[-3:])
        for alert in alerts:
            name, message = str(alert.get("name")), str(alert.get("message"))
            explained = disturbed or alert.get("event") == "recovery" or self._is_late(name) or _REJECTED in message
            self.check(explained, f"{done.at:%m-%d %H:%M}: an alert without a cause: {message}")
        if not done.cause:
            self.check(
                done.succeeded, f"{done.at:%m-%d %H:%M} {done.name}: exit {done.exit_code}: {reason(done.output)}"
            )


def outcome_in(output: str) -> str:
    """The outcome that a cycle printed; empty if it printed none."""
    for line in output.splitlines():
        if line.startswith("{"):
            try:
                return str(json.loads(line).get("outcome", ""))
            except ValueError:
                continue
    return ""


def is_about_records(output: str) -> bool:
    """Whether all that a command complains about is a feed's share of rejected records: the sample has broken lines."""
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    return bool(errors) and all(_REJECTED in line for line in errors)


def reason(output: str) -> str:
    """The lines of an output that say what was wrong."""
    lines = [line for line in output.splitlines() if not line.startswith("{")]
    return "\n".join([line for line in lines if "rror" in line] or lines)[-1500:]
