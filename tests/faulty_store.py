"""A bad network in front of a real S3 server: errors, throttling, resets, stalls, cut, lost and repeated messages."""

from __future__ import annotations

import http.client
import math
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = (
    "unavailable",
    "slow down",
    "reset before",
    "reset within",
    "cut body",
    "lost answer",
    "sent twice",
    "answered twice",
    "stall",
)
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class FaultyStore:
    """Pass requests on and break a random share of them.

    Attributes:
        seen: how often each fault occurred; the requests that passed unharmed are counted under "fine".
        rate: share of the requests to break; may be changed at any time.
        stall_seconds: how long a stalled request waits before it is passed on, whether or not the client still waits.
    """

    def __init__(self, upstream: str, rate: float, seed: int, stall_seconds: float) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.rate = rate
        self.stall_seconds = stall_seconds
        self.seen: Counter[str] = Counter()
        self._throttled_until = 0.0
        self._aimed: list[tuple[str, str, str]] = []
        self._dice, self._lock = random.Random(seed), threading.Lock()

    def aim(self, method: str, part: str, fault: str) -> None:
        """Break the next request of this method whose path contains this part, whatever the rate."""
        self._aimed.append((method, part, fault))

    def throttle(self, seconds: float) -> None:
        """Refuse every request for a while, and state in each answer when to retry."""
        self._throttled_until = time.monotonic() + seconds

    def retry_after(self) -> int:
        """Seconds until requests are accepted again."""
        return max(1, math.ceil(self._throttled_until - time.monotonic()))

    def next_fault(self, method: str, path: str) -> str:
        """The fault of the next request."""
        with self._lock:
            if time.monotonic() < self._throttled_until:
                self.seen["throttled"] += 1
                return "slow down"
            fault = self._dice.choice(FAULTS) if self._dice.random() < self.rate else "fine"
            for target in self._aimed:
                if method == target[0] and target[1] in path:
                    self._aimed.remove(target)
                    fault = target[2]
                    break
            self.seen[fault] += 1
            return fault


@contextmanager
def faulty(upstream: str, rate: float, seed: int = 1, stall_seconds: float = 1.0) -> Iterator[tuple[str, FaultyStore]]:
    """Run such a network while the body runs; yields its address and its state."""
    store = FaultyStore(upstream, rate, seed, stall_seconds)

    class Handler(_Handler):
        network = store

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", store
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    network: FaultyStore
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        body = self._body()
        fault = self.network.next_fault(self.command, self.path)
        if fault in ("unavailable", "slow down"):
            message = SLOW_DOWN if fault == "slow down" and self.command != "HEAD" else b""
            self.send_response(503)
            for name, value in (
                ("Retry-After", str(self.network.retry_after())),
                ("Content-Length", str(len(message))),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(message)
            return
        if fault == "reset before":
            self._reset()
            return
        if fault == "stall":
            time.sleep(self.network.stall_seconds)
        if fault == "sent twice":
            self._pass_on(body)
        status, headers, answer = self._pass_on(body)
        if fault == "lost answer":
            self._reset()
            return
        for _ in range(2 if fault == "answered twice" else 1):
            self._answer(status, headers, answer, fault)

    def _answer(self, status: int, headers: list[tuple[str, str]], answer: bytes, fault: str) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length", str(len(answer)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(answer)))
        if fault == "answered twice":  # on a connection that is kept, HTTP itself takes the second for the next answer
            self.send_header("Connection", "close")
        self.end_headers()
        if fault in ("reset within", "cut body") and answer:
            self.wfile.write(answer[: len(answer) // 2])
            self.wfile.flush()
            if fault == "reset within":
                self._reset()
            self.close_connection = True
            return
        self.wfile.write(answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815  the names that http.server calls

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Send the request as it came; Host is signed, so it stays that of this server."""
        upstream = http.client.HTTPConnection(self.network.upstream, timeout=30)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    upstream.putheader(name, value)
            upstream.putheader("Content-Length", str(len(body)))
            upstream.endheaders(body)
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            upstream.close()

    def _reset(self) -> None:
        """End the connection with a RST, as a broken network does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client went away
            super().handle()

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()
