"""A bad network in front of a real S3 server: errors, resets, stalls, cut bodies, lost and doubled answers."""

from __future__ import annotations

import http.client
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

FAULTS = ("unavailable", "slow down", "reset before", "reset within", "cut body", "lost answer", "doubled", "stall")
STALL_SECONDS = 1.0


class FaultyStore:
    """Passes requests on, and spoils a random share of them.

    Attributes:
        seen: how often each fault struck, and how many requests passed unharmed under "fine".
        rate: share of the requests to spoil; may be changed at any time.
    """

    def __init__(self, upstream: str, rate: float, seed: int) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.rate = rate
        self.seen: Counter[str] = Counter()
        self._dice, self._lock = random.Random(seed), threading.Lock()

    def next_fault(self) -> str:
        """What happens to the next request."""
        with self._lock:
            fault = self._dice.choice(FAULTS) if self._dice.random() < self.rate else "fine"
            self.seen[fault] += 1
            return fault


@contextmanager
def faulty(upstream: str, rate: float, seed: int = 1) -> Iterator[tuple[str, FaultyStore]]:
    """Runs such a network while the body runs; yields its address and its state."""
    store = FaultyStore(upstream, rate, seed)

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
        fault = self.network.next_fault()
        if fault in ("unavailable", "slow down"):
            self.send_response(503)
            for name, value in (("Retry-After", "0"), ("Content-Length", "0")):
                self.send_header(name, value)
            self.end_headers()
            return
        if fault == "reset before":
            self._reset()
            return
        if fault == "stall":
            time.sleep(STALL_SECONDS)
        if fault == "doubled":
            self._pass_on(body)
        status, headers, answer = self._pass_on(body)
        if fault == "lost answer":
            self._reset()
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length", str(len(answer)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(answer)))
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
        """Sends the request as it came; Host is signed, so it stays that of this server."""
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
        """Ends the connection with a RST, as a broken network does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()
