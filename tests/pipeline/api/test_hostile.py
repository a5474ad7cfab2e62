"""Hostile requests get 4xx, change nothing but the audit log, and leave the server up. `make hostile` sends 10,000."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from tests.pipeline.api.hostile import Attack, attacks
from tests.pipeline.api.serving import KEYS, SECRET, Server, World, entries, serving, tree

COUNT = int(os.environ.get("HOSTILE", "300"))
SEED = int(os.environ.get("SEED", "1"))


def sent(server: Server, attack: Attack) -> tuple[int, str]:
    """The status of an attack, as it was written: urllib would correct its path and headers."""
    address = urlsplit(server.address)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    try:
        connection.putrequest(attack.method, attack.path, skip_host="Host" in attack.headers, skip_accept_encoding=True)
        headers = {"Authorization": f"Bearer {KEYS['boss'][0]}", **attack.headers}
        body = attack.body or b""
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        kind = answer.headers.get("Content-Type", "")
        answer.read()
        return answer.status, kind
    finally:
        connection.close()


def raw(server: Server, data: bytes) -> bytes:
    """What a server answers to bytes that may be no HTTP."""
    address = urlsplit(server.address)
    with socket.create_connection((str(address.hostname), address.port or 80), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while part := connection.recv(4096):
            found += part
    return found


def test_hostile_requests_are_refused_and_change_nothing(own_world: World) -> None:
    before = tree(own_world.folder)
    statuses: Counter[int] = Counter()
    wrong = []
    with serving(own_world, LAKE_API_KEYS=entries(), LAKE_JWT_KEY=SECRET, LAKE_API_SECONDS="10") as server:
        for attack in attacks(SEED, COUNT):
            status, kind = sent(server, attack)
            statuses[status] += 1
            is_problem = kind.startswith(("application/problem+json", "application/json")) or attack.path == "/mcp"
            if not (400 <= status < 500 and is_problem):
                wrong.append((status, kind, attack))
        assert server.named("ada").get("/v1/tables").status == 200
        ended = server.get("/healthz").json["workers_ended"]
    assert wrong == []
    assert tree(own_world.folder) == before
    assert list(Path(own_world.folder).rglob("*.csv")) == []
    print(f"{COUNT} requests, seed {SEED}: {dict(sorted(statuses.items()))}, {ended} workers ended")


def test_what_is_no_http_is_refused(keyed: Server) -> None:
    for data in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/tables HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /v1/tables HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /\r\n\r\n",
    ):
        answer = raw(keyed, data)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), (data[:40], answer[:80])
    assert keyed.get("/healthz").status == 200


def test_requests_made_from_the_description_find_no_fault(own_world: World) -> None:
    """Schemathesis makes requests from the OpenAPI document, right and wrong ones."""
    examples = max(8, COUNT // 20)
    with serving(own_world, LAKE_API_KEYS=entries(), LAKE_API_SECONDS="10") as server:
        checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.address}/openapi.json"]
        command += ["--checks", checks, "--max-examples", str(examples), "--seed", str(SEED), "--workers", "1"]
        command += ["-H", f"Authorization: Bearer {KEYS['boss'][0]}", "--phases", "examples,coverage,fuzzing"]
        command += ["--exclude-path", "/mcp", "--exclude-path-regex", "^/live"]
        found = subprocess.run(command, cwd=own_world.folder, capture_output=True, text=True, timeout=1200)
        assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-500:]
        print(found.stdout[-2500:])
        assert server.get("/healthz").status == 200
