"""The server: JSON, events and pages for many clients, none of which delays another."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import ConfigError
from ingest.settings import settings
from pipeline.live.hub import Hub
from pipeline.live.pages import Pages
from pipeline.live.server import HOST, PATIENCE_SECONDS, LiveServer
from pipeline.portal.keys import CURRENT
from pipeline.portal.script import data_file, read_data_file
from pipeline.portal.write import FORMAT
from pipeline.releases.release import Releases
from tests.pipeline.live.clicks import own_home  # noqa: F401  a fixture

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def server(own_home: Path) -> Iterator[LiveServer]:  # noqa: F811
    made = LiveServer(0, Hub(), Pages(Releases(settings())), most_clients=8)
    made.start()
    yield made
    made.stop()


def get(server: LiveServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection(HOST, server.server_port, timeout=5)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def events(server: LiveServer) -> socket.socket:
    """A client of the events that has sent its request."""
    client = socket.create_connection((HOST, server.server_port), timeout=5)
    client.sendall(f"GET /live/events HTTP/1.0\r\nHost: {HOST}:{server.server_port}\r\n\r\n".encode())
    return client


def next_event(client: socket.socket, buffer: bytearray) -> Any:
    while True:
        if b"\n\n" in buffer:
            line, _, rest = bytes(buffer).partition(b"\n\n")
            buffer[:] = rest
            if b"data: " in line:
                return json.loads(line.split(b"data: ")[1])
            continue
        found = client.recv(65536)
        assert found, "the server closed the connection"
        buffer += found


def test_the_newest_state_is_there_as_json_and_as_events(server: LiveServer) -> None:
    server.hub.publish(b'{"number": 1}')
    assert json.loads(get(server, "/live/state.json")[2]) == {"number": 1}
    with closing(events(server)) as client:
        buffer = bytearray()
        assert next_event(client, buffer) == {"number": 1}
        server.hub.publish(b'{"number": 2}')
        assert next_event(client, buffer) == {"number": 2}
    status, headers, content = get(server, "/live/events", "HEAD")
    assert (status, headers["content-type"], content) == (200, "text/event-stream", b"")


def test_a_client_that_reads_nothing_delays_nobody(server: LiveServer) -> None:
    with closing(events(server)) as slow, closing(events(server)) as quick:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        buffer = bytearray()
        began = time.monotonic()
        for number in range(20):
            server.hub.publish(json.dumps({"number": number, "padding": "x" * 500_000}).encode())
            assert next_event(quick, buffer)["number"] == number
        assert time.monotonic() - began < PATIENCE_SECONDS, "it would have waited for the slow one"
        assert get(server, "/live/state.json")[0] == 200


def test_more_clients_than_allowed_are_refused_at_once_and_places_come_free(server: LiveServer) -> None:
    server.hub.publish(b"{}")
    clients = [events(server) for _ in range(8)]
    for client in clients:
        next_event(client, bytearray())
    status, headers, _ = get(server, "/live/state.json")
    assert (status, headers["retry-after"]) == (503, "5")
    for client in clients:
        client.close()
    deadline = time.monotonic() + 10
    while get(server, "/live/state.json")[0] != 200:
        assert time.monotonic() < deadline
        server.hub.publish(b"{}")
        time.sleep(0.05)


def test_a_taken_port_is_named(server: LiveServer) -> None:
    with pytest.raises(ConfigError, match=f"port {server.server_port} of 127.0.0.1 cannot be used: another program"):
        LiveServer(server.server_port, Hub(), server.pages)


def test_it_answers_on_this_machine_alone(server: LiveServer) -> None:
    assert server.server_address[0] == HOST
    assert get(server, "/live/state.json", Host="shop.example.com")[0] == 403
    assert get(server, "/live/state.json", Host="localhost:1")[0] == 200
    assert get(server, "/live/state.json", "POST")[0] == 501


def test_pages_are_those_of_this_version_before_anything_is_released(server: LiveServer) -> None:
    status, headers, _ = get(server, "/")
    assert (status, headers["location"]) == (302, "/index.html#/live")
    _, headers, page = get(server, "/index.html")
    assert b"connect-src 'self'" in page
    assert b'data-live="live/"' in page
    assert headers["x-content-type-options"] == "nosniff"
    release = read_data_file(get(server, "/current.js")[2])
    assert (release["number"], release["pages"]) == (0, [])
    for key in release["app"].values():
        status, headers, _ = get(server, f"/{key}")
        assert (status, "immutable" in headers["cache-control"]) == (200, True)


def test_a_release_keeps_its_pages_and_gets_this_versions_application(server: LiveServer) -> None:
    releases = Releases(settings())
    small = {"format": FORMAT, "number": 3, "app": {"script": "app/app-old.js", "vega": "app/vega-1.js"}, "pages": []}
    releases.store.put(CURRENT, data_file("release", small))
    releases.store.put("portal/app/vega-1.js", b"vega")
    release = read_data_file(get(server, "/current.js")[2])
    assert release["number"] == 3
    assert release["app"]["vega"] == "app/vega-1.js"
    assert release["app"]["script"] != "app/app-old.js"
    assert get(server, "/app/vega-1.js")[2] == b"vega"


@pytest.mark.parametrize(
    "path",
    ["/current.json", "/app/../current.json", "/app/%2e%2e/current.js", "/data/x.parquet", "/states/1", "/app/none.js"],
)
def test_nothing_but_pages_is_served(server: LiveServer, path: str) -> None:
    Releases(settings()).store.put("current.json", b"{}")
    assert get(server, path)[0] == 404
