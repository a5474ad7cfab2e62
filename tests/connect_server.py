"""A real broker and a real connector for the tests: Kafka, and Debezium's PostgreSQL connector in Kafka Connect.

Their Java archives, pinned in tests/connect/pom.xml, are downloaded once by Maven into the user's cache. Processes are
killed rather than stopped: nothing of them is kept but their topics, which the tests read while they run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.home import free_port

POM = Path(__file__).parent / "connect" / "pom.xml"
PREFIX = "shop"
"""Of the topics: shop.public.TABLE."""
PARTITIONS = 2
JAVA = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
LOG = """<Configuration status="WARN"><Appenders>
<Console name="err" target="SYSTEM_ERR"><PatternLayout pattern="%d{ABSOLUTE} %p %c{1} %m%n"/>
</Console></Appenders><Loggers><Root level="WARN"><AppenderRef ref="err"/></Root></Loggers></Configuration>"""
Record = dict[str, Any]


def archives() -> Path:
    """Return the folder of the Java archives, which Maven fills once per machine and version of the POM.

    Raises:
        FileNotFoundError: Java or Maven are not installed.
        RuntimeError: Maven failed.
    """
    for program, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            raise FileNotFoundError(f"{program} is not installed: apt-get install {package}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lakemesh-tests"
    folder = cache / f"connect-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        new = folder.with_suffix(f".{os.getpid()}")
        copy = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={new}"]
        done = subprocess.run(["mvn", "-q", "-B", "-f", str(POM), *copy], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"Maven cannot copy what {POM} names: {done.stdout}{done.stderr}")
        try:
            new.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(new)
    return folder


def wait(until: Callable[[], Any], what: str, seconds: float = 240) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it did not in that time.
    """
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)


@dataclass(slots=True)
class Java:
    """Starts Java programs, with logs of their own, and ends those that still run.

    Attributes:
        folder: for files and logs.
    """

    folder: Path
    _archives: Path
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, program: str, *arguments: str, megabytes: int) -> subprocess.Popen[bytes]:
        """Start a program; its output is at `FOLDER/NAME.out`."""
        with (self.folder / f"{name}.out").open("ab") as out, (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self._command(program, arguments, megabytes), cwd=self.folder, stdout=out, stderr=log
            )
        self._running.append(process)
        return process

    def run(self, program: str, *arguments: str) -> None:
        """Run a program to its end.

        Raises:
            RuntimeError: it failed.
        """
        command = self._command(program, arguments, 64)
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def end(self) -> None:
        """Kill what still runs."""
        for process in reversed(self._running):
            process.kill()
            process.wait()

    def _command(self, program: str, arguments: Sequence[str], megabytes: int) -> list[str]:
        (self.folder / "log4j2.xml").write_text(LOG)
        options = [*JAVA, f"-Xmx{megabytes}m", "-Dlog4j2.configurationFile=log4j2.xml"]
        return ["java", *options, "-cp", f"{self._archives}/*", program, *arguments]


@dataclass(slots=True)
class Broker:
    """A broker of Kafka, which is its own controller. Killed and started again it goes on with the topics it had.

    Attributes:
        properties: of its configuration beside those that it needs.
    """

    java: Java
    properties: Mapping[str, object] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _controller: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Its `bootstrap.servers`."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the broker and wait until it answers.

        Raises:
            RuntimeError: it ended.
        """
        folder = self.java.folder
        properties = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self._controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": folder / "topics",
            "num.partitions": PARTITIONS,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            "broker.session.timeout.ms": 1000,
            "broker.heartbeat.interval.ms": 200,
            "log.cleaner.dedupe.buffer.size": 4194304,
            **self.properties,
        }
        (folder / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        if not (folder / "topics").is_dir():
            identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            self.java.run("kafka.tools.StorageTool", "format", f"--cluster-id={identity}", "-c", "server.properties")
        process = self._process = self.java.start("broker", "kafka.Kafka", "server.properties", megabytes=160)
        wait(lambda: _answers(self.port) or process.poll() is not None, "the broker")
        if process.poll() is not None:
            raise RuntimeError(f"the broker ended: {(folder / 'broker.log').read_text()[-4000:]}")

    def kill(self) -> None:
        """End the broker with SIGKILL, as a lost machine would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@dataclass(slots=True)
class Topic:
    """The records of a table's topic, read as they arrive.

    Attributes:
        records: {topic, partition, offset, key, value} in the order in which they were read.
    """

    table: str
    records: list[Record]
    _path: Path
    _read: int = 0

    def update(self) -> list[Record]:
        """Read what has arrived, and return all records."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        for line in whole.split(b"\n") if newline else ():
            partition, offset, key, value = line.split(b"\t")
            place = {"partition": int(partition.split(b":")[1]), "offset": int(offset.split(b":")[1])}
            name = f"{PREFIX}.public.{self.table}"
            self.records.append({"topic": name, **place, "key": json.loads(key), "value": json.loads(value)})
        return self.records


@dataclass(slots=True)
class Connect:
    """A broker, a connector, and the topics that it writes.

    Attributes:
        topics: by table.
        broker: that has them.
    """

    topics: dict[str, Topic]
    _java: Java
    broker: Broker
    _database: Mapping[str, str]
    _process: subprocess.Popen[bytes] | None = None

    @property
    def offsets(self) -> Path:
        """The file in which the connector keeps its offsets."""
        return self._java.folder / "connect.offsets"

    def start(self, **options: str) -> None:
        """Start the connector.

        Args:
            options: configuration of the worker if it begins with `worker__`, else of the connector; dots are `_`
                doubled.
        """
        own = {name.replace("__", "."): value for name, value in options.items()}
        worker = {
            "bootstrap.servers": self.broker.address,
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "offset.storage.file.filename": self.offsets,
            "offset.flush.interval.ms": 2000,
            "listeners": f"http://127.0.0.1:{free_port()}",
            "plugin.discovery": "service_load",
        }
        connector = {
            "name": "shop",
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "tasks.max": 1,
            "topic.prefix": PREFIX,
            "plugin.name": "pgoutput",
            "slot.name": "lake",
            "publication.name": "lake",
            "publication.autocreate.mode": "disabled",
            "table.include.list": ",".join(f"public.{table}" for table in self.topics),
            "snapshot.mode": "initial",
            "skipped.operations": "none",
            "provide.transaction.metadata": "true",
            "poll.interval.ms": 50,
            "slot.retry.delay.ms": 500,
            "slot.max.retries": 60,
            "status.update.interval.ms": 500,
        }
        connector |= {f"database.{name}": value for name, value in self._database.items()}
        worker |= {name.removeprefix("worker."): value for name, value in own.items() if name.startswith("worker.")}
        connector |= {name: value for name, value in own.items() if not name.startswith("worker.")}
        for name, properties in (("worker", worker), ("connector", connector)):
            path = self._java.folder / f"{name}.properties"
            path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        program = "org.apache.kafka.connect.cli.ConnectStandalone"
        self._process = self._java.start("connect", program, "worker.properties", "connector.properties", megabytes=256)

    def kill(self) -> None:
        """End the connector with SIGKILL, as a lost machine would.

        Raises:
            RuntimeError: it had ended by itself.
        """
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the connector ended: {(self._java.folder / 'connect.log').read_text()[-4000:]}")
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def read(self) -> dict[str, list[Record]]:
        """The records of each table so far."""
        return {table: topic.update() for table, topic in self.topics.items()}


@contextmanager
def serve_connect(folder: Path, tables: Sequence[str], database: Mapping[str, str]) -> Iterator[Connect]:
    """Run a broker and readers of the tables' topics while the body runs; it starts the connector.

    Args:
        database: the connector's `database.*`: hostname, port, user, password, dbname.

    Raises:
        FileNotFoundError: Java or Maven are not installed.
    """
    java = Java(folder, archives())
    broker = Broker(java)
    try:
        broker.start()
        port = broker.port
        for table in tables:
            shown = [
                item
                for name in ("key", "partition", "offset")
                for item in ("--formatter-property", f"print.{name}=true")
            ]
            topic = ["--bootstrap-server", f"127.0.0.1:{port}", "--topic", f"{PREFIX}.public.{table}"]
            program = "org.apache.kafka.tools.consumer.ConsoleConsumer"
            java.start(table, program, *topic, "--from-beginning", *shown, megabytes=48)
        yield Connect({table: Topic(table, [], folder / f"{table}.out") for table in tables}, java, broker, database)
    finally:
        java.end()


@contextmanager
def serve_broker(folder: Path, **properties: object) -> Iterator[Broker]:
    """Run a broker while the body runs.

    Args:
        properties: more of its configuration, with `__` for dots.

    Raises:
        FileNotFoundError: Java or Maven are not installed.
    """
    java = Java(folder, archives())
    broker = Broker(java, {name.replace("__", "."): value for name, value in properties.items()})
    try:
        broker.start()
        yield broker
    finally:
        java.end()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
