"""The server of live numbers: JSON, server-sent events and the portal, on this machine alone.

A thread per client, at most MOST_CLIENTS; one more is refused at once. Each thread reads the newest state by itself, so
a slow client delays nobody; one that takes nothing for PATIENCE_SECONDS is let go.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from ingest.errors import ConfigError
from pipeline.live.hub import Hub
from pipeline.live.pages import Page, Pages

LOG = logging.getLogger(__name__)
HOST = "127.0.0.1"
MOST_CLIENTS = 64
PATIENCE_SECONDS = 10.0
HEARTBEAT_SECONDS = 5.0
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: text/plain\r\n\r\ntoo many clients\n"


class LiveServer(ThreadingHTTPServer):
    """Serves a hub and pages.

    Args:
        port: 0 for any that is free.

    Raises:
        ConfigError: the port is taken, or this user may not have it.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, hub: Hub, pages: Pages, most_clients: int = MOST_CLIENTS) -> None:
        self.hub, self.pages = hub, pages
        self._free = threading.BoundedSemaphore(most_clients)
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            reason = {errno.EADDRINUSE: "another program has it", errno.EACCES: "it is reserved for the system"}
            raise ConfigError(
                f"port {port} of {HOST} cannot be used: {reason.get(error.errno or 0, error.strerror)}; "
                "choose another one with --port"
            ) from None

    @property
    def address(self) -> str:
        """Where it is, as a URL."""
        return f"http://{HOST}:{self.server_port}/"

    def start(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self.serve_forever, name="live-server", daemon=True).start()

    def stop(self) -> None:
        """Let all clients go."""
        self.hub.close()
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a client, or refuse it."""
        if not self._free.acquire(blocking=False):
            request.settimeout(1)
            try:
                request.sendall(_BUSY)
            except OSError:
                pass
            finally:
                self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a client."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with a client; one that left is no error."""
        LOG.info("event=live_client_failed client=%s", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """Answers one client."""

    server: LiveServer
    timeout = PATIENCE_SECONDS
    server_version, sys_version = "lakemesh", ""

    def do_HEAD(self) -> None:
        """Answer without content."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer."""
        try:
            self._answer()
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True

    def _answer(self) -> None:
        if not self._is_for_this_machine():
            self.send_error(HTTPStatus.FORBIDDEN, "only for this machine")
            return
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        if path == "":
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", "/index.html#/live")
            self.end_headers()
        elif path == "live/events":
            self._events()
        elif path == "live/state.json":
            self._send(Page("application/json", self.server.hub.newest()))
        elif page := self.server.pages.get(path):
            self._send(page)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _is_for_this_machine(self) -> bool:
        """Whether the address names this machine: a page elsewhere whose name leads here reads nothing."""
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        return host in (HOST, "localhost")

    def _send(self, page: Page) -> None:
        self.send_response(HTTPStatus.OK)
        self._common(page.kind, "public, max-age=31536000, immutable" if page.is_fixed else "no-store")
        self.send_header("Content-Length", str(len(page.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.content)

    def _events(self) -> None:
        """Send each newest state as an event, until the client leaves or takes nothing for too long."""
        self.send_response(HTTPStatus.OK)
        self._common("text/event-stream", "no-store")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = 0
        while not self.server.hub.is_closed:
            number, data = self.server.hub.wait(number, HEARTBEAT_SECONDS)
            self.wfile.write(b": still here\n\n" if data is None else b"data: " + data + b"\n\n")

    def _common(self, kind: str, cache: str) -> None:
        for name, value in {"Content-Type": kind, "Cache-Control": cache, **_HEADERS}.items():
            self.send_header(name, value)

    def log_message(self, format: str, *args: Any) -> None:
        """Log requests only when asked for."""
        LOG.debug(format, *args)
