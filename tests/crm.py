"""A CRM with an API of pages, as that of docs/examples/crm expects it; it fails and is slow when a test wants it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

PAGE = 10
TOKEN = "a-token"
CURSORS = {"contacts": ("contact_id", "updated_at"), "calls": ("call_id", "started_at")}
"""Key and time of the records of each endpoint."""
Record = dict[str, Any]


class Crm:
    """What the CRM knows and was asked.

    Attributes:
        url: the address of the API.
        records: by endpoint and key; the API shows the latest content only.
        asked: endpoint and page of each request that was answered with records, in order.
        before: is called with endpoint and page before an answer; a status that it returns is answered instead.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.records: dict[str, dict[str, Record]] = {name: {} for name in CURSORS}
        self.asked: list[tuple[str, int]] = []
        self.before: Callable[[str, int], int | None] = lambda endpoint, page: None

    def put(self, endpoint: str, *records: Record) -> None:
        """Create or change records."""
        for record in records:
            self.records[endpoint][record[CURSORS[endpoint][0]]] = record

    def page(self, endpoint: str, since: str, number: int) -> Record:
        """The records since a time, that time included, oldest first, and the address of the next page."""
        time = CURSORS[endpoint][1]
        found = sorted(
            (record for record in self.records[endpoint].values() if record[time] >= since),
            key=lambda record: str(record[time]),
        )
        following = f"{self.url}{endpoint}?{urlencode({'since': since, 'page': number + 1})}"
        items = found[(number - 1) * PAGE : number * PAGE]
        return {"items": items, "next": following if number * PAGE < len(found) else None}


@contextmanager
def serve_crm() -> Iterator[Crm]:
    """Run such a server while the body runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            endpoint, asked = address.path.rpartition("/")[2], parse_qs(address.query)
            number = int(asked.get("page", ["1"])[0])
            status = crm.before(endpoint, number)
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                status = 401
            body = b""
            if status is None:
                crm.asked.append((endpoint, number))
                body = json.dumps(crm.page(endpoint, asked["since"][0], number)).encode()
            self.send_response(status or 200)
            if status == 503:
                self.send_header("Retry-After", "0")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Ignore a client that was killed."""

    with Server(("127.0.0.1", 0), Handler) as server:
        crm = Crm(f"http://127.0.0.1:{server.server_address[1]}/api/")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield crm
        finally:
            server.shutdown()
            thread.join()
