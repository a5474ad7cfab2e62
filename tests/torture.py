"""Kill ingest, replay and maintenance at random moments, repeatedly, and check that every record is there exactly once.

    python -m tests.torture --kills 1000 --ingesters 3 --seed 1        (make torture)

Each round changes the landing (new objects under hostile names, overwritten ones, bad lines, lines that only a fixed
contract accepts), starts the ingesters at the same moment, often with a replay of the quarantine or `lake maintain`
alongside, and ends each with SIGKILL or SIGTERM at a random time. Some have already forked and leave children. A reader
checks continuously: each object must show one whole version, and never an older one than before.

From time to time objects leave the landing, and then the ledger is lost: all of it, the log of the feed, its last
entries, the identity of the lake; sometimes the state, too. The operator's steps follow in random order, some of them
killed. Writers must refuse and `lake verify` must report differences until the ledger is rebuilt; then everything is
there as before.

At the end one clean run must leave each non-blank line of each object's current version exactly once, in bronze or in
quarantine, as judged by `lake verify --deep`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import yaml

from ingest.contracts.contract import CONTRACTS, load_contracts
from ingest.ledger.identity import PLACES
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT, Settings
from ingest.storage.store import Store
from pipeline.warehouse.bronze import bronze_query
from pipeline.warehouse.duck import connect, parquet
from tests.handle import verify_feed
from tests.hostile.names import LOADABLE

FEED = "events"
INGEST = (["ingest", FEED], ["ingest", FEED], ["ingest"])
REPLAY = ["quarantine", "replay", FEED]
MAINTAIN = ["maintain", FEED, "--grace-hours"]
CARE = (REPLAY, [*MAINTAIN, "0.01"])
MENDED = {"epoch": dt.date(2010, 1, 1), "clock_skew_seconds": 30 * 86_400}
UNHARMED = 10
"""Every so many rounds no process is killed, which measures how long the work takes."""
LOSE_EVERY = 5
"""After every so many rounds the ledger is lost."""
CYCLE = ["run"]
"""A cycle of a project without models: it takes the lock, ingests, opens the project, and finds no production."""
REBUILD = ["ledger", "rebuild", "--yes"]
STEPS = (["ingest"], ["ingest", FEED], REBUILD, [*REBUILD, FEED], [*MAINTAIN, "0"], REPLAY, ["verify"])
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
IN_ORDER = b"nothing half done is visible, run it again"
"""The message of a command that SIGTERM has ended in order."""
Record = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run.

    Attributes:
        killed: processes that were ended by a signal.
        finished: processes that ended by themselves.
        looks: how often the reader checked.
        cut: loads that were killed between their first file and their commit.
        entries: ledger entries at the end.
        records: non-blank lines at the end.
        lost: how often the ledger was lost.
        faults: every violation found.
    """

    killed: int
    finished: int
    looks: int
    cut: int
    entries: int
    records: int
    lost: int
    faults: tuple[str, ...]


class Torture:
    """One run in its own home.

    Args:
        home: a folder that does not exist yet; its `rounds.log` records what was started and killed when.
        seed: decides everything except the kernel's timing.
        ingesters: how many start at the same moment.
        cycles: whether some of them are whole cycles, which load SQLMesh and take several seconds longer.
    """

    def __init__(self, home: Path, seed: int, ingesters: int, cycles: bool = False) -> None:
        self._home, self._dice, self._ingesters, self._cycles = home, random.Random(seed), ingesters, cycles
        self._contracts = home / "contracts"
        shutil.copytree(CONTRACTS, self._contracts)
        path = self._contracts / "engagement" / f"{FEED}.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | MENDED))
        self._fixed_contract = load_contracts(self._contracts)[FEED]
        variables = {
            "lake_home": str(home),
            "landing_uri": f"{home}/landing/{{bucket}}",
            "lake_uri": f"{home}/lake",
            "warehouse_path": f"{home}/warehouse.duckdb",
            "state_path": f"{home}/state.duckdb",
        }
        self._options = Settings.model_validate(variables)
        self._landing = Store(self._options.landing(self._fixed_contract.source.bucket))
        (home / "dotenv").touch()
        (home / "project").mkdir()
        gateway = {
            "connection": {"type": "duckdb", "database": variables["warehouse_path"]},
            "state_connection": {"type": "duckdb", "database": variables["state_path"]},
        }
        config = {"gateways": {"local": gateway}, "model_defaults": {"dialect": "duckdb"}}
        (home / "project" / "config.yaml").write_text(yaml.safe_dump(config))
        self._environment = os.environ | {name.upper(): value for name, value in variables.items()}
        self._environment["SQLMESH_DOTENV_PATH"] = str(home / "dotenv")
        self._environment["TORTURE_PROJECT"] = str(home / "project")
        self._versions: dict[str, list[list[Record]]] = defaultdict(list)
        self._seen: dict[str, int] = {}
        self._number = self._looks = self._killed = self._finished = self._lost = 0
        self._gone: set[str] = set()
        self._calm = threading.Lock()
        """Held during each check, and while the visible state may be incomplete."""
        self._seconds = 0.0
        self._faults: list[str] = []
        self._over = threading.Event()

    def run(self, kills: int) -> Outcome:
        """Run until a number of processes were killed, or a violation is found."""
        reader = threading.Thread(target=self._watch)
        reader.start()
        rounds = 0
        try:
            while (self._killed < kills or not self._lost) and not self._faults:
                self._round(rounds)
                rounds += 1
                if rounds % LOSE_EVERY == 0:
                    self._lose_and_recover()
        finally:
            self._over.set()
            reader.join()
        for command in (["ingest"], REPLAY):
            self._clean_run(command)
        self._check_end()
        for _ in range(2):  # the second run deletes what the first one joined
            self._clean_run([*MAINTAIN, "0"])
        self._check_end(orphans=0)
        self._clean_run(["verify", "--deep"])
        records = sum(len(versions[-1]) for versions in self._versions.values())
        entries = [entry for _, entry in Ledger(Store(self._options.lake_uri), FEED).entries(0)]
        cut = {load for entry in entries for load in entry.abandoned} - {entry.load_id for entry in entries}
        counts = (self._killed, self._finished, self._looks, len(cut), len(entries), records, self._lost)
        return Outcome(*counts, tuple(self._faults))

    def _round(self, number: int) -> None:
        unharmed = number % UNHARMED == 0
        self._change_landing()
        commands = [self._dice.choice(INGEST) for _ in range(self._ingesters)]
        if self._cycles and self._dice.random() < 0.3:
            commands[0] = CYCLE  # one at a time: a cycle that finds another one in progress finds a dead one
        commands += [self._dice.choice(CARE)] if self._dice.random() < 0.6 else []
        workers = [self._start(command, self._dice.random() < 0.3, self._dice.random() < 0.3) for command in commands]
        moments = [self._dice.uniform(0, 1.1) * self._seconds for _ in workers]
        for worker in workers:
            os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        started = time.monotonic()
        for worker in workers:
            worker.send_signal(signal.SIGCONT)
        if self._dice.random() < 0.3:
            self._change_landing()
        for moment, worker in sorted(zip(moments, workers, strict=True), key=lambda pair: pair[0]):
            try:
                worker.wait(300 if unharmed else max(0.0, started + moment - time.monotonic()))
            except subprocess.TimeoutExpired:
                if unharmed:
                    self._faults.append(f"round {number}: a worker hangs")
                worker.send_signal(self._dice.choice(SIGNALS))
        if unharmed:
            self._seconds = time.monotonic() - started
        codes = [self._end_of(worker) for worker in workers]
        with (self._home / "rounds.log").open("a") as log:
            described = zip(commands, moments, codes, strict=True)
            log.write(
                f"{number}: " + ", ".join(f"{' '.join(c)} {m:.3f} s -> {code}" for c, m, code in described) + "\n"
            )

    def _start(self, command: list[str], is_fixed: bool, forks: bool = False) -> subprocess.Popen[bytes]:
        """A worker that waits; the replay always has the fixed contract, the others rarely."""
        contracts = self._contracts if is_fixed or command == REPLAY else CONTRACTS
        return subprocess.Popen(
            [sys.executable, "-m", "tests.torture_worker", contracts, *["--fork"] * forks, *command],
            cwd=PROJECT,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _end_of(self, worker: subprocess.Popen[bytes], may_refuse: bool = False) -> int:
        _, errors = worker.communicate()
        code = -signal.SIGTERM if worker.returncode == 1 and IN_ORDER in errors else worker.returncode
        killed = -code in SIGNALS
        self._killed += killed
        self._finished += not killed
        is_expected = b"Traceback" not in errors if may_refuse else _is_expected(errors)
        if code and not killed and not is_expected:
            self._faults.append(f"{worker.args} ended with {code}: {errors.decode()[-800:]}")
        return code

    def _alone(self, command: list[str], forks: bool = False) -> subprocess.Popen[bytes]:
        """A worker that has started, without others alongside."""
        worker = self._start(command, is_fixed=True, forks=forks)
        os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        worker.send_signal(signal.SIGCONT)
        return worker

    def _clean_run(self, command: list[str]) -> None:
        """Run a command undisturbed; exit code 1 of an ingest is that of bad lines, which are always there."""
        code = self._end_of(self._alone(command))
        if code > (command[0] == "ingest"):
            self._faults.append(f"`lake {' '.join(command)}` ended with {code}")

    def _lose_and_recover(self) -> None:
        """Let objects leave the landing, lose the ledger, and let the operator recover it."""
        with self._calm:
            self._lost += 1
            self._clean_run(["ingest"])
            self._remove_objects()
            loss = self._dice.choice(LOSSES)
            loss(self._dice, Path(self._options.lake_uri))
            knows = self._dice.random() < 0.7 or loss is lose_end  # otherwise only the files show that there was a log
            if not knows:
                Path(self._options.state_path).unlink()
            steps = self._dice.choices(STEPS, k=self._dice.randrange(1, 4))
            with (self._home / "rounds.log").open("a") as log:
                described = "; ".join(map(" ".join, steps))
                log.write(f"{loss.__name__}, {'with' if knows else 'without'} the state: {described}\n")
            is_rebuilt = False
            for step in steps:
                is_rebuilt = is_rebuilt or step[:2] == REBUILD[:2]
                worker = self._alone(step, forks=self._dice.random() < 0.3)
                if self._dice.random() < 0.4:
                    time.sleep(self._dice.uniform(0, 0.5))
                    worker.send_signal(self._dice.choice(SIGNALS))
                code = self._end_of(worker, may_refuse=True)
                refused = 1 if step == ["verify"] else 2
                if knows and not is_rebuilt and -code not in SIGNALS and code != refused:
                    self._faults.append(f"{loss.__name__}: `lake {' '.join(step)}` ended with {code}, not {refused}")
            for step in (REBUILD, ["ingest"], ["verify"]):
                self._clean_run(step)
            self._check_visible(f"after {loss.__name__}")

    def _remove_objects(self) -> None:
        """Remove some objects whose newest version is loaded from the landing."""
        visible = self._visible()
        loaded = [name for name, versions in self._versions.items() if visible.get(name) == versions[-1]]
        for name in self._dice.sample(sorted(loaded), k=min(3, len(loaded))):
            self._landing.delete([name])
            self._gone.add(name)

    def _change_landing(self) -> None:
        """Write a few new objects, and new content to a few existing ones."""
        kinds = self._dice.choices(LOADABLE, k=3)
        names = [f"{self._dice.randrange(10):02d}/{kind.format(self._dice.randrange(10**6))}.json" for kind in kinds]
        if self._versions:
            names += self._dice.choices(sorted(self._versions), k=self._dice.randrange(3))
        for name in names:
            lines = [self._line() for _ in range(self._dice.randrange(1, 8))]
            self._versions[name].append([(number, _id(line)) for number, line in enumerate(lines, 1) if line])
            self._landing.put(name, b"\n".join(lines) + b"\n")
            self._gone.discard(name)

    def _line(self) -> bytes:
        """A good line, or one that is broken, blank, too old or too far ahead."""
        self._number += 1
        kind = self._dice.choices(("good", "broken", "blank", "old", "ahead"), (75, 10, 5, 5, 5))[0]
        if kind == "blank":
            return b""
        ahead = dt.datetime.now() + dt.timedelta(days=3)
        days = {"old": "2014-06-01", "ahead": f"{ahead:%Y-%m-%d}"}
        day = days.get(kind, f"2026-01-{self._dice.randrange(1, 4):02d}")
        record = {"event_id": f"e{self._number}", "name": "activity_exit", "user_id": "u"}
        line = json.dumps(record | {"occurred_at": f"{day} 10:00:00", "data": {}}).encode()
        return line[:-3] if kind == "broken" else line

    def _watch(self) -> None:
        """Read continuously; the visible state must be complete at any moment."""
        while not self._over.is_set():
            try:
                with self._calm:
                    self._check()
            except Exception as error:  # a reader that fails is a fault, and the next check is worth as much
                self._faults.append(f"the reader failed: {error!r}")
            self._looks += 1
            self._over.wait(0.1)

    def _check(self) -> None:
        verdict = verify_feed(self._fixed_contract, self._options)
        self._faults += [f"seen meanwhile: {line}" for line in verdict.differences]
        visible = self._visible()
        for name in sorted(visible.keys() | self._seen.keys()):
            records, versions, seen = visible.get(name, []), self._versions[name], self._seen.get(name, 0)
            if records in versions[seen:]:
                self._seen[name] = versions.index(records, seen)
            else:
                self._faults.append(f"{name} shows {records}, expected one of {versions[seen:]}")

    def _visible(self) -> dict[str, list[Record]]:
        """(line, event id) of every visible record by object, bronze and quarantine together."""
        state = Ledger(Store(self._options.lake_uri), FEED).state()
        bronze = bronze_query(self._fixed_contract, self._options.lake_uri, state.bronze_files())
        query = f"SELECT _source_file, _source_line, event_id FROM ({bronze})"
        if paths := [path for path in state.files if path.startswith("quarantine/")]:
            bad = parquet(self._options.lake_uri, paths)
            query += f" UNION ALL SELECT _source_file, _source_line, DECODE(raw) FROM {bad}"
        found: dict[str, list[Record]] = defaultdict(list)
        with connect(self._options) as connection:
            for name, line, text in connection.execute(f"{query} ORDER BY ALL").fetchall():
                found[name.removeprefix(f"{self._fixed_contract.source.bucket}/")].append((line, _id(text.encode())))
        return found

    def _check_end(self, orphans: int | None = None) -> None:
        """Check that everything is there in its current version, judged by the fixed contract."""
        verdict = verify_feed(self._fixed_contract, self._options, deep=True)
        self._faults += [f"at the end: {line}" for line in verdict.differences]
        if verdict.gone != len(self._gone):
            self._faults.append(f"at the end {verdict.gone} objects are gone, expected {len(self._gone)}")
        if verdict.waiting:
            self._faults.append(f"at the end {verdict.waiting} objects still wait")
        if orphans is not None and verdict.orphans != orphans:
            self._faults.append(f"at the end {verdict.orphans} files that nobody sees, expected {orphans}")
        self._check_visible("at the end")

    def _check_visible(self, when: str) -> None:
        """Check that each object shows its newest version, even after it has left the landing."""
        found = self._visible()
        for name, versions in self._versions.items():
            if found.get(name, []) != versions[-1]:
                self._faults.append(f"{when} {name!r} shows {found.get(name)}, expected {versions[-1]}")
        if unknown := found.keys() - self._versions.keys():
            self._faults.append(f"{when} there are objects that nobody wrote: {sorted(unknown)[:5]}")


def _id(text: bytes) -> str:
    """The id in a line, however broken, or in an id itself; each id is used once."""
    found = re.search(rb"\be\d+\b", text)
    return found[0].decode() if found else ""


def lose_folder(_: random.Random, lake: Path) -> None:
    """Delete the whole ledger."""
    shutil.rmtree(lake / "ledger")


def lose_folder_and_identity(dice: random.Random, lake: Path) -> None:
    """Delete the whole ledger and the other copy of the identity."""
    lose_folder(dice, lake)
    (lake / "_lake_id").unlink()


def lose_log(_: random.Random, lake: Path) -> None:
    """Delete the whole folder of one feed."""
    shutil.rmtree(lake / "ledger" / FEED)


def lose_entries(_: random.Random, lake: Path) -> None:
    """Delete the entries of one feed; checkpoints and the note of the last sweep stay."""
    for path in (lake / "ledger" / FEED).glob("0*.parquet"):
        path.unlink()


def lose_end(dice: random.Random, lake: Path) -> None:
    """Delete the last entries of one feed."""
    entries = sorted((lake / "ledger" / FEED).glob("0*.parquet"))
    for path in entries[-dice.randrange(1, len(entries) + 1) :]:
        path.unlink()


def lose_identity(_: random.Random, lake: Path) -> None:
    """Delete the identity of the lake alone."""
    for place in PLACES:
        (lake / place).unlink()


LOSSES = (lose_folder, lose_folder_and_identity, lose_log, lose_entries, lose_end, lose_identity)
ALLOWED = (
    *(b"are quarantined", b"locked by another process", b"in use by another process"),
    *(b"keep changing the quarantined objects", b"there is no production yet"),
)
"""Errors that this run provokes: bad lines, and processes that wait for each other."""


def _is_expected(errors: bytes) -> bool:
    """Whether every error is an expected one."""
    lines = [line for line in errors.splitlines() if line.startswith(b"error: ")]
    return bool(lines) and all(any(text in line for text in ALLOWED) for line in lines)


def main() -> None:
    """The command line; exit 1 after any violation, and then the folder is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--ingesters", type=int, default=3, choices=(1, 3))
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="by default a new one each time")
    chosen = parser.parse_args()
    again = f"python -m tests.torture --kills {chosen.kills} --ingesters {chosen.ingesters} --seed {chosen.seed}"
    print(again, flush=True)
    home = Path(tempfile.mkdtemp(prefix="lakemesh-torture-")) / "home"
    outcome = Torture(home, chosen.seed, chosen.ingesters, cycles=True).run(chosen.kills)
    print(
        f"{outcome.killed} killed, {outcome.cut} of them between first file and commit, {outcome.finished} finished, "
        f"{outcome.entries} ledger entries, the ledger lost {outcome.lost} times, "
        f"{outcome.looks} looks of the reader, {outcome.records} records at the end, {len(outcome.faults)} faults"
    )
    for fault in outcome.faults:
        print(f"fault: {fault}")
    if outcome.faults:
        print(f"again: {again}\nlanding, lake and rounds.log are kept in {home}")
        sys.exit(1)
    shutil.rmtree(home.parent)


if __name__ == "__main__":
    main()
