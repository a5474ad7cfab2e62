"""A request over a limit is refused, and one beside it is unharmed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.api.answers import Answers
from pipeline.api.problems import Kind, Problem
from pipeline.api.rates import Rates
from pipeline.api.tasks import Outcome, Task
from tests.pipeline.api.serving import Client, Server, World, entries, serving

FEES = "/v1/tables/gold.fees/rows"
ENDLESS = "SELECT COUNT(*) FROM range(1000000) a, range(1000000) b, range(1000000) c"


@pytest.fixture(scope="module")
def limited(shared: World) -> Iterator[Server]:
    limits = {"ROWS": "500", "BYTES": "300000", "SECONDS": "8", "MEMORY": str(96 << 20), "WORKERS": "2"}
    with serving(shared, **{f"LAKE_API_{name}": value for name, value in limits.items()}) as server:
        server.get(FEES)  # starts a worker
        yield server


@pytest.mark.parametrize(
    ("sql", "kind", "said"),
    [
        ("FROM gold.plays_daily", "too-many-rows", "LAKE_API_ROWS"),
        ("SELECT repeat('x', 400000) AS x", "too-many-bytes", "LAKE_API_BYTES"),
        ("SELECT repeat(chr(1), 60000) AS x", "too-many-bytes", "LAKE_API_BYTES"),  # larger once it is JSON
        (ENDLESS, "too-slow", "LAKE_API_SECONDS"),
        ("SELECT lpad('a', 900000000, 'b')", "", ""),  # a function that cannot be interrupted
        ("SELECT LENGTH(repeat('a', 2000000000))", "too-much-memory", "aggregate"),
        ("SELECT LEN(range(300000000))", "", ""),
        ("SELECT COUNT(DISTINCT a.range * 1000003 + b.range) FROM range(100000) a, range(1000) b", "", ""),
    ],
)
def test_a_statement_over_a_limit_is_refused_beside_others_unharmed(
    limited: Server, sql: str, kind: str, said: str
) -> None:
    with ThreadPoolExecutor(1) as pool:
        heavy = pool.submit(limited.sql, sql)
        waits = []
        while True:
            start = time.monotonic()
            beside = limited.get(FEES, limit=10 + len(waits) % 400)  # others each time, which are computed
            waits.append(time.monotonic() - start)
            assert beside.status == 200, beside.body
            if heavy.done():
                break
        reply = heavy.result()
    assert reply.status == 422
    assert reply.kind in ([kind] if kind else ["too-much-memory", "too-slow", "too-many-bytes"])
    assert said in reply.json["detail"]
    assert sorted(waits)[len(waits) // 2] < 3
    assert limited.sql("SELECT 1 AS one").json["rows"] == [{"one": 1}]


def test_a_page_is_never_longer_than_the_limit(limited: Server) -> None:
    reply = limited.get("/v1/tables/gold.plays_daily/rows", limit=100_000)
    assert (reply.status, len(reply.json["rows"])) == (200, 500)
    assert reply.json["next"]


def test_a_large_body_is_refused(limited: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(limited.sql, "SELECT '" + "x" * 100_000 + "'")
        assert limited.sql("SELECT '" + "x" * 10_000 + "' AS x").status == 200
    assert (large.result().status, large.result().kind) == (413, "body-too-large")


def busy(pid: int) -> float:
    """CPU seconds of a process and its children that live."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = path.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = rest.split()
        if int(head.split()[0]) == pid or int(fields[1]) == pid:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def test_a_client_that_leaves_ends_its_statement(shared: World) -> None:
    # GIVEN a server with one worker for statements and much time
    with serving(shared, LAKE_API_SECONDS="60", LAKE_API_WORKERS="1") as server:
        server.get(FEES)
        host, port = server.address.removeprefix("http://").split(":")
        body = json.dumps({"sql": ENDLESS}).encode()
        head = (
            f"POST /v1/query HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + b"\r\n\r\n" + body)
            time.sleep(1)
        # WHEN its client leaves THEN the worker is free at once, and idle
        start = time.monotonic()
        assert server.get(FEES).status == 200
        assert time.monotonic() - start < 5
        before = busy(server.pid)
        time.sleep(1)
        assert busy(server.pid) - before < 0.5


def test_clients_that_leave_cost_no_worker(shared: World) -> None:
    # GIVEN two workers, one of them for statements, which are asked for more than they can do
    with serving(shared, LAKE_API_SECONDS="60") as server:
        server.get(FEES)
        host, port = server.address.removeprefix("http://").split(":")
        body = json.dumps({"sql": ENDLESS}).encode()
        head = f"POST /v1/query HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        # WHEN clients leave while they wait for a worker, before it has begun, and while it is at work
        for seconds in (0.0, 0.0, 0.0, 0.02, 0.05, 0.5):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                time.sleep(seconds)
        # THEN the worker that is interrupted answers the next one; a busy machine may need another
        assert server.sql("SELECT 1 AS one").json["rows"] == [{"one": 1}]
        assert server.get("/healthz").json["workers_ended"] <= 2


def test_statements_wait_for_each_other_and_not_for_long_beside_tables_unharmed(shared: World) -> None:
    # GIVEN two workers, of which statements may take one
    with serving(shared, LAKE_API_SECONDS="3") as server, ThreadPoolExecutor(8) as pool:
        while server.get("/healthz").json["workers"] < 2:  # the second one is started when the first is busy
            list(pool.map(lambda place: server.get(FEES, limit=1 + place), range(8)))
            server.sql("SELECT COUNT(*) FROM range(30000000)")
        # WHEN more of them are sent than can be computed in time
        heavy = [pool.submit(server.sql, ENDLESS) for _ in range(4)]
        waits = []
        while not all(item.done() for item in heavy):
            start = time.monotonic()
            beside = server.get(FEES, limit=100 + len(waits) % 400)
            waits.append(time.monotonic() - start)
            assert beside.status == 200, beside.body
        # THEN one is ended, those that found no worker in time may come back, and tables were answered at once
        replies = [item.result() for item in heavy]
        found = Counter((reply.status, reply.kind) for reply in replies)
        assert found.keys() == {(422, "too-slow"), (503, "busy")}
        assert all(int(reply.headers["retry-after"]) > 0 for reply in replies if reply.status == 503)
        assert sorted(waits)[len(waits) // 2] < 3


def test_one_caller_calls_so_often_and_no_more(shared: World) -> None:
    with serving(shared, LAKE_API_KEYS=entries(), LAKE_API_RATE="5") as server:
        ada = server.named("ada")
        replies = [ada.get("/v1/tables") for _ in range(7)]
        assert [reply.status for reply in replies[:5]] == [200] * 5
        assert replies[-1].status == 429
        assert 0 < int(replies[-1].headers["retry-after"]) <= 12
        assert server.named("fin").get("/v1/tables").status == 200
        assert Client(server.address).get("/healthz").status == 200


def test_requests_are_allowed_evenly() -> None:
    rates = Rates(60)
    for _ in range(60):
        rates.take("a", 0.0)
    with pytest.raises(Problem, match="come back in 1 s"):
        rates.take("a", 0.0)
    rates.take("a", 1.0)
    with pytest.raises(Problem):
        rates.take("a", 1.5)
    rates.take("b", 1.5)
    for _ in range(60):
        rates.take("a", 1000.0)
    with pytest.raises(Problem):
        rates.take("a", 1000.0)


def test_many_at_once_are_all_answered(limited: Server) -> None:
    with ThreadPoolExecutor(30) as pool:
        replies = list(pool.map(lambda place: limited.get(FEES, limit=1 + place % 20), range(60)))
    assert {reply.status for reply in replies} == {200}
    assert threading.active_count() < 40


def test_the_same_question_is_computed_once_and_failures_are_not_kept() -> None:
    calls: list[str] = []

    def task(kind: str = "table", release: int = 1) -> Task:
        return Task(kind=kind, role="", release=release, digest="x", rows=1, bytes=1)

    async def compute(fails: bool = False) -> Outcome:
        calls.append("x")
        await asyncio.sleep(0.05)
        if fails:
            raise Problem(Kind.SECONDS, "slow", {"Retry-After": "5"})
        return Outcome(body=b"12345678")

    async def leaves() -> Outcome:
        calls.append("x")
        await asyncio.sleep(0.05)
        raise Problem(Kind.LEFT, "the client has left")

    async def run() -> None:
        answers = Answers(150)
        found = await asyncio.gather(*(answers.get(task(), compute) for _ in range(5)))
        assert len(calls) == 1
        assert {item.body for item in found} == {b"12345678"}
        await answers.get(task("sql"), compute)
        await answers.get(task("sql"), compute)
        assert len(calls) == 3
        with pytest.raises(Problem):
            await answers.get(task(release=2), lambda: compute(fails=True))
        await answers.get(task(release=2), compute)
        assert len(calls) == 5
        await answers.get(task(), compute)  # the older one made place
        assert len(calls) == 6
        # a failure is that of all who wait for it
        failing = (answers.get(task(release=3), lambda: compute(fails=True)) for _ in range(5))
        problems = await asyncio.gather(*failing, return_exceptions=True)
        kinds = {(type(item), item.kind, str(item), item.headers["Retry-After"]) for item in problems}
        assert kinds == {(Problem, Kind.SECONDS, "slow", "5")}
        assert len(calls) == 7
        # a client that leaves is not: one of the others computes
        left = asyncio.create_task(answers.get(task(release=4), leaves))
        await asyncio.sleep(0)
        found = await asyncio.gather(*(answers.get(task(release=4), compute) for _ in range(5)))
        assert {item.body for item in found} == {b"12345678"}
        assert len(calls) == 9
        with pytest.raises(Problem, match="left"):
            await left
        # what is too large to be kept is not computed by each of those who wait
        small = Answers(1)
        await asyncio.gather(*(small.get(task(), compute) for _ in range(5)))
        assert len(calls) == 10

    asyncio.run(run())
