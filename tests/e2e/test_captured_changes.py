"""Histories equal those of a real PostgreSQL, captured by the real connector through a real broker.

Sessions work at random and wait for each other's rows while the connector is killed and loses its offsets. What it
writes arrives as objects, in random order, some of it twice, with a cycle in between and an ingest that dies; and
through `lake stream`, which is killed again and again, as the broker is once. TRANSACTIONS sets how many transactions
each session makes at least while the connector runs for the first time, SEED what they do.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT
from tests.captured_histories import Gap, Version, compared, envelope, hashable, history, kinds, objects
from tests.connect_server import Connect, Record, archives, serve_connect, wait
from tests.engagement import cycle
from tests.home import Home, copy_project, keep_histories, use_project
from tests.postgres_server import program, serve_postgres
from tests.shop_database import KEYS, MARKS, Shop

pytestmark = pytest.mark.timeout(1800)  # a busy machine needs several times as long

SEED = int(os.environ.get("SEED", "1"))
TRANSACTIONS = int(os.environ.get("TRANSACTIONS", "30"))
SESSIONS = 3
PLAIN = {"worker__key__converter__schemas__enable": "false", "worker__value__converter__schemas__enable": "false"}
"""Records without a schema part; so decimals must be text."""
EXPECTED = (
    *("r", "c", "u", "d", "t", "tombstone", "changed key", "unavailable", "again", "out of order"),
    *("first after a snapshot", "schema part", "no schema part"),
)
"""What the connector has to have written, see `kinds`."""
RENAMED = {
    "customers": {"name": "customer_name", "note": "service_note"},
    "orders": {"status": "order_status"},
    "order_items": {},
}


class Captured:
    """A run of the connector.

    Attributes:
        records: by table, in the order of each partition.
        gaps: when changes were not captured.
    """

    def __init__(self, shop: Shop, connect: Connect) -> None:
        self._shop, self._connect = shop, connect
        self.records: dict[str, list[Record]] = {}
        self.gaps: list[Gap] = []
        self._lost = dt.datetime.min

    def start(self, **options: str) -> None:
        """Start the connector without offsets, and wait for its snapshot."""
        read = {table: len(records) for table, records in self._connect.read().items()}
        self._connect.start(**options)

        def is_complete() -> bool:
            records = self._connect.read()
            return all(any(is_last_read(record) for record in records[table][read[table] :]) for table in KEYS)

        wait(is_complete, "a snapshot of every table")
        self.gaps.append(Gap(self._lost, now()))

    def kill_between_offsets(self) -> None:
        """Kill the connector while offsets of changes that it has written are not kept yet."""
        offsets = self._connect.offsets
        while True:
            kept = offsets.stat().st_mtime_ns if offsets.exists() else 0
            before = self._streamed()
            wait(lambda before=before: self._streamed() > before + 20, "changes")
            if kept and kept == offsets.stat().st_mtime_ns:
                self._connect.kill()
                return

    def lose_offsets(self) -> None:
        """Kill the connector once everything so far is captured, and lose its offsets."""
        self._lost = now()
        self.catch_up()
        self._connect.kill()
        self._connect.offsets.unlink()

    def catch_up(self) -> None:
        """Wait until everything that has been committed is in the topics."""
        read = {table: len(records) for table, records in self._connect.read().items()}
        mark = self._shop.mark()
        shown: dict[str, tuple[str, object]] = {"customers": ("name", mark), "orders": ("shipping_address", mark)}
        shown["order_items"] = "quantity", int(mark[5:])
        left = {(table, number) for table in KEYS for number in MARKS}

        def is_there() -> bool:
            for table, records in self._connect.read().items():
                name, value = shown[table]
                for record in records[read[table] :]:
                    event = envelope(record)
                    if event and event["op"] in "cu" and event["after"][name] == value:
                        left.discard((table, event["after"][KEYS[table][0]]))
                read[table] = len(records)
            return not left

        wait(is_there, f"{mark} in every row that has it")

    def _streamed(self) -> int:
        return sum(len(records) for records in self._connect.read().values())


def is_last_read(record: Record) -> bool:
    """Whether a record is the last one of a snapshot of its table."""
    event = envelope(record)
    return event is not None and event["op"] == "r" and event["source"]["snapshot"].startswith("last")


def short(item: tuple[Any, Version]) -> tuple[str, ...]:
    """A version in a failure: its long values are of little use, but all of them differ within 20 characters."""
    key, version = item
    return (
        str(key),
        str(version.start),
        str(version.end),
        str(version.is_deleted),
        *(str(v)[:20] for v in version.values),
    )


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


class Streaming:
    """`lake stream` of the tables' topics, killed at a random moment of a commit, or after a while, and started again.

    Attributes:
        home: with the lake.
        kills: how often it ended before it was asked to.
    """

    def __init__(self, home: Path, address: str) -> None:
        self.home, self.kills = home, 0
        self._environment = os.environ | {"LAKE_HOME": str(home), "KAFKA_BOOTSTRAP_SERVERS": address}
        self._dice, self._is_over = random.Random(SEED), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def finish(self) -> None:
        """Load what is left of the topics."""
        self._is_over.set()
        self._thread.join()
        done = self._command("-m", "pipeline", "ingest", *KEYS)
        out, err = done.communicate()
        assert done.returncode == 0, out + err

    def _run(self) -> None:
        while not self._is_over.is_set():
            moment = self._dice.choice(["write", "commit", "answer", "never"])
            passed = str(self._dice.randrange(1, 4))
            stream = self._command("-m", "tests.stream_worker", moment, passed, "stream", *KEYS, "--every", "200ms")
            end = time.monotonic() + self._dice.uniform(3, 8)
            while stream.poll() is None and time.monotonic() < end and not self._is_over.is_set():
                time.sleep(0.05)
            self.kills += 1
            stream.kill()
            stream.communicate()

    def _command(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=PROJECT, env=self._environment, stdout=pipe, stderr=pipe, text=True)


class Capture(NamedTuple):
    """What was captured.

    Attributes:
        records: that the connector wrote, by table.
        gaps: when the database was not captured.
        streamed: the home whose lake has what came through `lake stream`.
    """

    shop: Shop
    records: dict[str, list[Record]]
    gaps: list[Gap]
    streamed: Path


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Capture]:
    """The database, what the connector wrote of it, and when it was not captured."""
    folder = tmp_path_factory.mktemp("connect")
    try:
        archives()
    except FileNotFoundError as error:
        pytest.skip(f"Connector: {error}")
    if program("initdb") is None:
        pytest.skip("Connector: PostgreSQL is not installed: apt-get install postgresql")
    with serve_postgres(wal_level="logical", track_commit_timestamp="on", wal_sender_timeout="5s") as server:
        server.sql("postgres", "CREATE DATABASE shop")
        shop = Shop(server.variables, "shop", SEED)
        shop.create()
        names = {"hostname": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
        database = {name: server.variables[variable] for name, variable in names.items()} | {"dbname": "shop"}
        with serve_connect(folder, tuple(KEYS), database) as connect:
            with Streaming(folder / "streamed", connect.broker.address) as stream:
                records, gaps = capture(shop, connect)
                stream.finish()
            assert stream.kills > 3
        yield Capture(shop, records, gaps, stream.home)


def capture(shop: Shop, connect: Connect) -> tuple[dict[str, list[Record]], list[Gap]]:
    """Let sessions work while the connector runs, dies, goes on, dies, and starts without offsets."""
    run = Captured(shop, connect)
    with shop.at_work(2):
        run.start(decimal__handling__mode="string", **PLAIN)
        with shop.at_work(SESSIONS, TRANSACTIONS):
            shop.reload()
            shop.widen()
        run.kill_between_offsets()
        connect.start(decimal__handling__mode="precise")
        run.lose_offsets()
        shop.tell_whole()
        with shop.held(3):
            run.start(decimal__handling__mode="string", **PLAIN)
        with shop.at_work(SESSIONS, TRANSACTIONS // 2):
            connect.broker.kill()
            connect.broker.start()
    run.catch_up()
    connect.kill()
    return {table: list(records) for table, records in connect.read().items()}, run.gaps


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with the models of the shop alone."""
    folder = copy_project(tmp_path / "project")
    keep_histories(folder)
    return use_project(folder, monkeypatch)


def silver(home: Home, table: str) -> dict[tuple[Any, ...], list[Version]]:
    """The versions of each key, in order."""
    contract = contracts()[table]
    columns = [RENAMED[table].get(column.name, column.name) for column in contract.columns]
    place = {name: number for number, name in enumerate(columns)}
    found: dict[tuple[Any, ...], list[Version]] = {}
    for *values, start, end, is_deleted in home.rows(
        f"SELECT {', '.join(columns)}, valid_from, valid_to, is_deleted FROM silver.{table} ORDER BY valid_from"
    ):
        key = tuple(values[place[name]] for name in contract.key)
        found.setdefault(key, []).append(Version(start, end, is_deleted, tuple(values)))
    return found


def equals_the_database(home: Home, captured: Capture) -> None:
    """Current rows are those of the database, and histories those that its triggers wrote."""
    for table, contract in ((table, contracts()[table]) for table in KEYS):
        found = silver(home, table)
        names = [column.name for column in contract.columns]
        rows = {key: hashable(row[name] for name in names) for key, row in captured.shop.rows(table).items()}
        current = {key: hashable(versions[-1].values) for key, versions in found.items() if not versions[-1].is_deleted}
        assert current.items() - rows.items() == set()
        assert rows.items() - current.items() == set()
        assert len(rows) > 50

        before = history(contract, captured.shop.history(table))
        expected, actual, unseen = compared(contract, before, found, captured.gaps)
        assert list(map(short, sorted(actual - expected, key=str))) == list(
            map(short, sorted(expected - actual, key=str))
        )
        assert len(expected) > 100, f"of {table}; {unseen} keys came and went unseen"
        assert any(version.is_deleted for _, version in expected)


def test_histories_equal_those_of_the_database(captured: Capture, project: Path, home: Home) -> None:
    # GIVEN what the connector wrote, in objects that arrive in random order, some twice
    shop, records = captured.shop, captured.records
    dice = random.Random(SEED)
    waiting = [(table, body) for table in KEYS for body in objects(records[table], dice)]
    dice.shuffle(waiting)

    def arrive(count: int) -> None:
        for number in range(count):
            table, body = waiting.pop()
            home.put(table, f"{table}-{len(waiting)}-{number}.json", *body.splitlines())

    # WHEN a part is loaded by an ingest that dies first, then a cycle runs, and the rest is loaded
    arrive(len(waiting) // 2)
    command = ["-m", "tests.worker", "--at", "before:ingest.ledger.ledger:Ledger.commit", "kill", "lake", "ingest"]
    killed = subprocess.run([sys.executable, *command], cwd=PROJECT, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    home.ingest()
    home.plan()
    arrive(len(waiting))
    summary = cycle(home)
    assert summary.errors == []

    # THEN everything is as in the database
    equals_the_database(home, captured)

    # AND everything that this is about has happened
    happened = sum((kinds(records[table]) for table in KEYS), Counter[str]())
    lacking = [kind for kind in EXPECTED if not happened[kind]]
    assert lacking == [], happened
    assert all(shop.done[kind] for kind in ("rollback", "savepoint rolled back", "came back")), shop.done
    held = [version.values for key, versions in silver(home, "orders").items() for version in versions]
    assert any("held" in values for values in held)
    wide, rescued = home.rows(
        f"SELECT MAX(quantity) > {2**31} FROM silver.order_items UNION ALL "
        "SELECT COUNT(*) > 0 FROM bronze.orders WHERE _rescued_data LIKE '%channel%'"
    )
    assert (wide, rescued) == ((True,), (True,))
    assert home.rows("SELECT COUNT(*) FROM operations.quarantine") == [(0,)]


def test_what_came_through_a_killed_stream_equals_the_database_too(
    captured: Capture, project: Path, home: Home
) -> None:
    shutil.copytree(captured.streamed / "lake", home.options.lake_uri)
    home.plan()
    equals_the_database(home, captured)
    assert home.rows("SELECT COUNT(*) FROM operations.quarantine") == [(0,)]
