"""Credentials as ECS gives them to a task: by HTTP, temporary, renewed before they expire."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def serve_keys(keys: Mapping[str, Mapping[str, str]], folder: Path, seconds: int = 6 * 3600) -> Iterator[Any]:
    """Serve credentials by name while the body runs.

    Args:
        keys: `AccessKeyId`, `SecretAccessKey` and `Token` by name; looked up at each request.
        folder: for the file of the token that requests have to carry.
        seconds: after which those that are given now expire.

    Yields:
        A function that returns the variables of a task for a name.
    """

    class Giver(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            expires = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
            body = json.dumps({**keys[self.path.removeprefix("/")], "Expiration": expires}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    token = folder / "token"
    token.write_text("token")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Giver)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def variables(name: str) -> dict[str, str]:
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.server_port}/{name}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
            "NO_PROXY": "127.0.0.1",
        }

    try:
        yield variables
    finally:
        server.shutdown()
        server.server_close()
