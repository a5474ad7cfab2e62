"""A hundred clients of `lake serve`, and of a plain FastAPI over the same file.

    python -m benchmarks.api --clients 100 --seconds 30

Both serve the current release of the settings. The plain one is what a morning's work gives: FastAPI, one DuckDB
connection with a cursor per request, rows fetched and encoded by FastAPI, in one process; no keys, limits, releases,
audit log or pages. Each client is a thread with a connection of its own that asks one question after the other: a page
of a table, plays by week and country, and a sum in SQL. With `--different` no two clients ask for the same page and
range; otherwise all do, as those of a dashboard. Requests that fail end the run.
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.settings import settings

TABLE = "gold.activity_engagement_metrics"
SQL = f"SELECT country_code, SUM(activities_played)::BIGINT AS plays FROM {TABLE} GROUP BY ALL ORDER BY 1"
JSON = {"Content-Type": "application/json"}
WARM_SECONDS = 8.0
"""Before anything is measured: workers have started, and files are in memory."""
Asked = tuple[str, str, bytes, Mapping[str, str]]
QUESTIONS: dict[str, tuple[Asked, ...]] = {
    "lake serve": (
        ("GET", f"/v1/tables/{TABLE}/rows?limit={{limit}}&order=-date", b"", {}),
        ("GET", "/v1/metrics/plays/values?by=week,country_code&since={since}", b"", {}),
        ("POST", "/v1/query", json.dumps({"sql": SQL}).encode(), JSON),
    ),
    "plain FastAPI": (
        ("GET", "/rows?limit={limit}", b"", {}),
        ("GET", "/weeks?since={since}", b"", {}),
        ("POST", "/query", json.dumps({"sql": SQL}).encode(), JSON),
    ),
}
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
class Result:
    """What a server did.

    Attributes:
        seconds: of each answered request.
        wall: seconds of the run.
        memory: proportional set size of all its processes after the run, bytes.
        cpu: user + system time of all its processes, seconds.
    """

    seconds: Sequence[float]
    wall: float
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


def ask(port: int, questions: Sequence[Asked], until: float, seconds: list[float], is_different: bool) -> None:
    """One client."""
    dice = random.Random(threading.get_ident())
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    place = threading.get_ident()
    while time.monotonic() < until:
        method, path, body, headers = questions[place % len(questions)]
        place += 1
        number = dice.randrange(5000) if is_different else 0
        since = dt.date(2010, 1, 1) + dt.timedelta(number)
        path = path.format(limit=100 + number % 100, since=since)
        start = time.monotonic()
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {data[:300]!r}")
        seconds.append(time.monotonic() - start)


def clients(
    port: int,
    questions: Sequence[Asked],
    count: int,
    duration: float,
    is_different: bool,
    out: multiprocessing.queues.SimpleQueue[list[float]],
) -> None:
    """All clients of a run, in a process of their own."""
    for span in (WARM_SECONDS, duration):
        seconds: list[float] = []
        asked = (port, questions, time.monotonic() + span, seconds, is_different)
        threads = [threading.Thread(target=ask, args=asked) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        out.put(seconds)


def family(pid: int) -> list[int]:
    """A process and its children."""
    found = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def cpu(pids: Sequence[int]) -> float:
    """User and system time of processes, seconds."""
    fields = [Path(f"/proc/{item}/stat").read_text().rpartition(")")[2].split() for item in pids]
    return sum(int(item[11]) + int(item[12]) for item in fields) / os.sysconf("SC_CLK_TCK")


def memory(pids: Sequence[int]) -> int:
    """Proportional set size of processes."""
    rolled = [Path(f"/proc/{item}/smaps_rollup").read_text() for item in pids]
    return sum(int(line.split()[1]) << 10 for text in rolled for line in text.splitlines() if line.startswith("Pss:"))


def run(name: str, command: Sequence[str], port: int, count: int, duration: float, is_different: bool) -> Result:
    """Measure one server."""
    out: multiprocessing.queues.SimpleQueue[list[float]] = multiprocessing.SimpleQueue()
    with serving(command, port) as pid:
        asked = (port, QUESTIONS[name], count, duration, is_different, out)
        process = multiprocessing.Process(target=clients, args=asked)
        process.start()
        out.get()
        pids, start = family(pid), time.monotonic()
        before = cpu(pids)
        found = out.get()
        wall, used = time.monotonic() - start, cpu(pids) - before
        process.join()
        return Result(found, wall, memory(pids), used)


def main() -> None:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--different", action="store_true")
    options = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(PLAIN)
        script.flush()
        catalog = f"{settings().published_uri}/current.duckdb"
        commands = {
            "lake serve": [sys.executable, "-m", "pipeline", "serve", "--port", "8391"],
            "plain FastAPI": [sys.executable, script.name, catalog, "8392"],
        }
        print(
            "| | requests/s | p50 ms | p95 ms | p99 ms | CPU ms a request | memory MB |\n|---|---|---|---|---|---|---|"
        )
        for name, command in commands.items():
            port = int(command[-1])
            found = run(name, command, port, options.clients, options.seconds, options.different)
            cut = statistics.quantiles(found.seconds, n=100)
            rate = len(found.seconds) / found.wall
            shown = " | ".join(f"{cut[place - 1] * 1000:,.0f}" for place in (50, 95, 99))
            each = found.cpu / len(found.seconds) * 1000
            print(f"| {name} | {rate:,.0f} | {shown} | {each:,.0f} | {found.memory / 1e6:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
