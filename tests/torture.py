"""Kills ingest and maintenance at random moments, again and again, and then asks whether every record is there once.

    python -m tests.torture --kills 1000 --seed 1        (make torture)

Each round changes the landing (new objects, overwritten ones, bad lines), starts one to three processes and kills them
with SIGKILL after a random time. A reader checks all the while that what it sees is whole. At the end one clean ingest
must leave each non-blank line of each object's current version exactly once, in bronze or in quarantine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from ingest.contract import contracts
from ingest.ledger import Ledger
from ingest.settings import PROJECT, Settings
from ingest.store import Store
from pipeline.bronze import bronze_query
from pipeline.duck import connect
from pipeline.verify import quarantine_query, verify_feed

FEED = "events"
# Few entries to a checkpoint and few files to a compaction, so that a short run meets them too.
WORKER = "import ingest.ledger, ingest.compact; ingest.ledger.CHECKPOINT_ENTRIES = 4; ingest.compact.MIN_FILES = 2; "
WORKER += "from pipeline.cli import main; main()"
COMMANDS = (["ingest", FEED], ["ingest", FEED], ["ingest"], ["maintain", FEED, "--grace-hours", "0.02"])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened.

    Attributes:
        killed: processes that were ended by SIGKILL.
        finished: processes that ended by themselves.
        looks: how often the reader looked.
        entries: ledger entries at the end.
        records: non-blank lines in the landing at the end.
        faults: everything that was not as it must be.
    """

    killed: int
    finished: int
    looks: int
    entries: int
    records: int
    faults: tuple[str, ...]


class Torture:
    """One run in a home of its own."""

    def __init__(self, home: Path, seed: int) -> None:
        self._dice = random.Random(seed)
        self._options = Settings(lake_home=str(home))
        self._landing = Store(self._options.landing("raw-events"), self._options)
        (home / "dotenv").parent.mkdir(parents=True, exist_ok=True)
        (home / "dotenv").touch()
        self._environment = os.environ | {"LAKE_HOME": str(home), "SQLMESH_DOTENV_PATH": str(home / "dotenv")}
        self._lines: dict[str, list[bytes]] = {}
        self._number = 0
        self._faults: list[str] = []
        self._looks = 0
        self._over = threading.Event()

    def run(self, kills: int) -> Outcome:
        """Goes on until so many processes were killed."""
        reader = threading.Thread(target=self._watch)
        reader.start()
        killed = finished = 0
        try:
            while killed < kills:
                self._change_landing()
                workers = [self._start() for _ in range(self._dice.choice((1, 1, 3)))]
                time.sleep(self._dice.uniform(0.4, 1.8))
                for worker in workers:
                    if worker.poll() is None:
                        worker.send_signal(signal.SIGKILL)
                    _, errors = worker.communicate()
                    killed += worker.returncode == -signal.SIGKILL
                    finished += worker.returncode != -signal.SIGKILL
                    if worker.returncode not in (0, -signal.SIGKILL) and not _is_expected(errors):
                        self._faults.append(f"a worker ended with {worker.returncode}: {errors.decode()[-500:]}")
        finally:
            self._over.set()
            reader.join()
        worker = self._start(["ingest"])
        _, errors = worker.communicate()
        if worker.returncode and not _is_expected(errors):
            self._faults.append(f"the clean run ended with {worker.returncode}: {errors.decode()[-500:]}")
        self._check_end()
        records = sum(len(lines) for lines in self._lines.values())
        entries = Ledger(Store(self._options.lake_uri), FEED).position()
        return Outcome(killed, finished, self._looks, entries, records, tuple(self._faults))

    def _start(self, command: list[str] | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, *(command or self._dice.choice(COMMANDS))],
            cwd=PROJECT,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _change_landing(self) -> None:
        """A few new objects, and a few existing ones with new content."""
        names = [f"{self._dice.randrange(10):02d}/{self._dice.randrange(10**6)}.json" for _ in range(3)]
        if self._lines:
            names += self._dice.choices(sorted(self._lines), k=self._dice.randrange(3))
        for name in names:
            self._lines[name] = [self._line() for _ in range(self._dice.randrange(1, 8))]
            self._landing.put(name, b"\n".join(self._lines[name]) + b"\n")

    def _line(self) -> bytes:
        self._number += 1
        if self._dice.random() < 0.1:
            return b'{"event_id": "broken %d"' % self._number
        day = self._dice.randrange(1, 4)
        record = {"event_id": f"e{self._number}", "name": "activity_exit", "user_id": "u"}
        return json.dumps(record | {"occurred_at": f"2026-01-{day:02d} 10:00:00", "data": {}}).encode()

    def _watch(self) -> None:
        """Reads all the while; what is visible must be whole at any moment."""
        while not self._over.is_set():
            verdict = verify_feed(contracts()[FEED], self._options)
            self._faults += [f"seen meanwhile: {line}" for line in verdict.differences]
            self._looks += 1
            self._over.wait(0.1)

    def _check_end(self) -> None:
        """Compares bronze and quarantine with the landing, line by line."""
        verdict = verify_feed(contracts()[FEED], self._options, deep=True)
        self._faults += [f"at the end: {line}" for line in verdict.differences]
        if verdict.waiting:
            self._faults.append(f"at the end {verdict.waiting} objects still wait")
        state = Ledger(Store(self._options.lake_uri), FEED).state()
        with connect(self._options) as connection:
            rows = connection.execute(
                "SELECT _source_file, _source_line, event_id FROM "
                f"({bronze_query(contracts()[FEED], self._options.lake_uri, state.bronze_files())}) UNION ALL "
                "SELECT _source_file, _source_line, NULL FROM "
                f"({'SELECT * FROM ' + quarantine_query(self._options.lake_uri, state)})"
            ).fetchall()
        found = sorted((name.removeprefix("raw-events/"), line, event_id or "") for name, line, event_id in rows)
        expected = sorted(
            (name, number, "" if b"broken" in line else json.loads(line)["event_id"])
            for name, lines in self._lines.items()
            for number, line in enumerate(lines, 1)
        )
        if found != expected:
            lost, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
            self._faults.append(f"{len(found)} records for {len(expected)}; lost {lost[:5]}, too many {more[:5]}")


def _is_expected(errors: bytes) -> bool:
    """Whether all that went wrong is what this run provokes: bad lines, and processes that wait for each other."""
    lines = [line for line in errors.splitlines() if line.startswith(b"error: ")]
    return bool(lines) and all(b"are quarantined" in line or b"locked by another process" in line for line in lines)


def main() -> None:
    """The command line; exit 1 when anything was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakemesh-torture-") as folder:
        outcome = Torture(Path(folder), chosen.seed).run(chosen.kills)
    print(
        f"{outcome.killed} killed, {outcome.finished} finished, {outcome.entries} ledger entries, "
        f"{outcome.looks} looks of the reader, {outcome.records} records at the end, {len(outcome.faults)} faults"
    )
    for fault in outcome.faults:
        print(f"fault: {fault}")
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
