"""A hundred clients of `lake serve`, of a plain FastAPI over the same file, and of the same release in Postgres.

    python -m benchmarks.api --clients 100 --seconds 10 --rounds 3

All have the current release of the settings. The plain one is what a morning's work gives: FastAPI, one DuckDB
connection with a cursor per request, rows fetched and encoded by FastAPI, in one process; no keys, limits, releases,
audit log or pages. Postgres is a temporary cluster that `lake publish --to postgres` filled; clients share a pool of 20
connections, and get rows without HTTP or JSON. Each client is a thread that asks one question after the other: a page
of a table, plays by week and country, and a sum in SQL. With `--different` no two clients ask for the same page and
range; otherwise all do, as those of a dashboard. All are asked in turn, and medians of the rounds are printed. Requests
that fail end the run.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import http.client
import json
import multiprocessing
import multiprocessing.queues
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from ingest.settings import settings
from pipeline.releases.release import Releases
from pipeline.serving.serve import serve
from tests.home import free_port
from tests.postgres_server import serve_postgres

TABLE = "gold.activity_engagement_metrics"
SQL = f"SELECT country_code, SUM(activities_played)::BIGINT AS plays FROM {TABLE} GROUP BY ALL ORDER BY 1"
JSON = {"Content-Type": "application/json"}
WARM_SECONDS = 8.0
"""Before anything is measured: workers have started, and files are in memory."""
POOL = 20
"""Connections to Postgres that clients share."""
Ask = Callable[[int, int, dt.date], None]
"""Asks the question of a place, for a number of rows or since a date, and reads the answer."""
Asked = tuple[str, str, bytes, Mapping[str, str]]
LAKE: tuple[Asked, ...] = (
    ("GET", f"/v1/tables/{TABLE}/rows?limit={{limit}}&order=-date", b"", {}),
    ("GET", "/v1/metrics/plays/values?by=week,country_code&since={since}", b"", {}),
    ("POST", "/v1/query", json.dumps({"sql": SQL}).encode(), JSON),
)
ROUTES: tuple[Asked, ...] = (
    ("GET", "/rows?limit={limit}", b"", {}),
    ("GET", "/weeks?since={since}", b"", {}),
    ("POST", "/query", json.dumps({"sql": SQL}).encode(), JSON),
)
POSTGRES = (
    f"SELECT * FROM {TABLE} ORDER BY date DESC LIMIT %(limit)s",
    "SELECT DATE_TRUNC('week', date) AS week, country_code, SUM(activities_played)::BIGINT AS plays "
    f"FROM {TABLE} WHERE date >= %(since)s GROUP BY 1, 2 ORDER BY 1, 2",
    SQL.replace("GROUP BY ALL", "GROUP BY 1"),
)
PLAIN = f"""
import duckdb, sys, uvicorn
from fastapi import Body, FastAPI
app, lake = FastAPI(), duckdb.connect(sys.argv[1], read_only=True)

def fetched(sql, *values):
    found = lake.cursor().execute(sql, values)
    names = [item[0] for item in found.description]
    return [dict(zip(names, row)) for row in found.fetchall()]

@app.get("/rows")
def rows(limit: int):
    return fetched("FROM {TABLE} ORDER BY date DESC LIMIT ?", limit)

@app.get("/weeks")
def weeks(since: str):
    return fetched("SELECT DATE_TRUNC('week', date) AS week, country_code, SUM(activities_played)::BIGINT AS plays "
                   "FROM {TABLE} WHERE date >= ?::DATE GROUP BY ALL ORDER BY ALL", since)

@app.post("/query")
def query(sql: str = Body(embed=True)):
    return fetched(sql)

uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs.

    Attributes:
        pid: of its first process.
        client: makes what asks it, once per client, in the process of the clients.
    """

    name: str
    pid: int
    client: Callable[[], Ask]


@dataclass(frozen=True, slots=True)
class Result:
    """What a server did in a round.

    Attributes:
        rate: answers a second.
        cuts: percentiles 1 to 99 of the wall time of an answer, seconds.
        memory: proportional set size of all its processes after the round, bytes.
        cpu: user + system time of all its processes for an answer, seconds.
    """

    rate: float
    cuts: Sequence[float]
    memory: int
    cpu: float


@contextlib.contextmanager
def serving(command: Sequence[str], port: int) -> Iterator[int]:
    """A server, until the body ends; yields its process id."""
    limits = {"LAKE_API_RATE": "100000000", "LAKE_HOME": settings().lake_home}
    with subprocess.Popen(command, env={**os.environ, **limits}) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield process.pid
        finally:
            process.terminate()


def over_http(port: int, questions: Sequence[Asked]) -> Callable[[], Ask]:
    """Clients of an HTTP server, each with a connection of its own."""

    def client() -> Ask:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

        def ask(place: int, limit: int, since: dt.date) -> None:
            method, path, body, headers = questions[place]
            path = path.format(limit=limit, since=since)
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            data = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status} {data[:300]!r}")

        return ask

    return client


@contextlib.contextmanager
def postgres() -> Iterator[Server]:
    """A cluster with the current release, until the body ends."""
    import psycopg2.pool

    with serve_postgres() as cluster:
        given = {name.removeprefix("PG").lower(): value for name, value in cluster.variables.items()}
        dsn = psycopg2.extensions.make_dsn(**given, dbname="postgres")
        served = serve(settings().model_copy(update={"serving_dsn": dsn}), Releases())
        print(f"release {served.state} in Postgres", file=sys.stderr, flush=True)
        free = threading.Semaphore(POOL)
        pools: list[Any] = []

        def client() -> Ask:
            if not pools:  # clients are made one after the other, in their process
                pools.append(psycopg2.pool.ThreadedConnectionPool(POOL, POOL, dsn))

            def ask(place: int, limit: int, since: dt.date) -> None:
                with free:
                    session = pools[0].getconn()
                    with session.cursor() as cursor:
                        cursor.execute(POSTGRES[place], {"limit": limit, "since": since})
                        cursor.fetchall()
                    session.commit()
                    pools[0].putconn(session)

            return ask

        yield Server("Postgres", cluster.pid, client)


def ask_on(ask: Ask, until: float, seconds: list[float], is_different: bool) -> None:
    """One client."""
    dice = random.Random(threading.get_ident())
    place = threading.get_ident()
    while time.monotonic() < until:
        place += 1
        number = dice.randrange(5000) if is_different else 0
        start = time.monotonic()
        ask(place % 3, 100 + number % 100, dt.date(2010, 1, 1) + dt.timedelta(number))
        seconds.append(time.monotonic() - start)


def clients(
    server: Server,
    count: int,
    spans: Sequence[float],
    is_different: bool,
    out: multiprocessing.queues.SimpleQueue[list[float]],
    is_measured: Event,
) -> None:
    """All clients of a round, in a process of their own; of each span the seconds of all answers are put out.

    Connections stay until the server is measured, since a process of Postgres ends with its connection.
    """
    threading.excepthook = _end
    for span in spans:
        asks = [server.client() for _ in range(count)]  # servers close connections that were idle
        seconds: list[float] = []
        until = time.monotonic() + span
        threads = [threading.Thread(target=ask_on, args=(ask, until, seconds, is_different)) for ask in asks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        out.put(seconds)
    is_measured.wait()


def _end(failure: threading.ExceptHookArgs) -> None:
    """End the clients of a round at the first failure."""
    print(f"{failure.exc_type.__name__}: {failure.exc_value}", file=sys.stderr, flush=True)
    os._exit(1)


def _next(out: multiprocessing.queues.SimpleQueue[list[float]], process: BaseProcess) -> list[float]:
    """What the clients put out."""
    while out.empty():
        if not process.is_alive():
            raise SystemExit("a request failed")
        time.sleep(0.01)
    return out.get()


def family(pid: int) -> list[int]:
    """A process and its children."""
    found = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def times(pid: int) -> dict[int, float]:
    """User and system time of a process and of its children, seconds."""
    found = {}
    for item in family(pid):
        with contextlib.suppress(OSError):  # it has just ended
            fields = Path(f"/proc/{item}/stat").read_text().rpartition(")")[2].split()
            found[item] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def memory(pids: Sequence[int]) -> int:
    """Proportional set size of processes, without those that have just ended, bytes."""
    size = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            rolled = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            size += sum(int(line.split()[1]) << 10 for line in rolled if line.startswith("Pss:"))
    return size


def measured(server: Server, count: int, duration: float, is_different: bool) -> Result:
    """One round of one server; before it is measured, its workers start and its files are read."""
    out: multiprocessing.queues.SimpleQueue[list[float]] = multiprocessing.SimpleQueue()
    context = multiprocessing.get_context("fork")  # what makes clients cannot be sent to a process
    is_measured = context.Event()
    asked = (server, count, (WARM_SECONDS, duration), is_different, out, is_measured)
    process = context.Process(target=clients, args=asked)
    process.start()
    _next(out, process)
    before, start = times(server.pid), time.monotonic()
    seconds = _next(out, process)
    wall, after = time.monotonic() - start, times(server.pid)
    used = sum(after[pid] - before.get(pid, 0.0) for pid in after)
    size = memory(list(after))
    is_measured.set()
    process.join()
    return Result(len(seconds) / wall, statistics.quantiles(seconds, n=100), size, used / len(seconds))


def main() -> None:
    """Measure all in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--different", action="store_true")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        script = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".py"))
        script.write(PLAIN)
        script.flush()
        catalog = f"{settings().published_uri}/current.duckdb"
        ports = [free_port(), free_port()]
        lake = [sys.executable, "-m", "pipeline", "serve", "--port", str(ports[0])]
        plain = [sys.executable, script.name, catalog, str(ports[1])]
        servers = [
            Server("lake serve", stack.enter_context(serving(lake, ports[0])), over_http(ports[0], LAKE)),
            Server("plain FastAPI", stack.enter_context(serving(plain, ports[1])), over_http(ports[1], ROUTES)),
            stack.enter_context(postgres()),
        ]
        found: dict[str, list[Result]] = {server.name: [] for server in servers}
        for _ in range(options.rounds):
            for server in servers:
                found[server.name].append(measured(server, options.clients, options.seconds, options.different))
    print("| | requests/s | p50 ms | p95 ms | p99 ms | CPU ms a request | memory MB |\n|---|---|---|---|---|---|---|")
    for name, results in found.items():
        values = [statistics.median(item.rate for item in results)]
        values += [statistics.median(item.cuts[place - 1] for item in results) * 1000 for place in (50, 95, 99)]
        values += [statistics.median(item.cpu for item in results) * 1000]
        values += [statistics.median(item.memory for item in results) / 1e6]
        print(f"| {name} | {' | '.join(f'{value:,.0f}' for value in values)} |", flush=True)


if __name__ == "__main__":
    main()
