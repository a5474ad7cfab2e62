"""Real receivers of alerts: an HTTP server for webhooks and Slack, and a mail server over TLS."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from tests.home import free_port

MAIL_PASSWORD = 'it\'s "secret"'


class Receiver:
    """An HTTP server that keeps what it receives and answers with `status`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.got: list[dict[str, Any]] = []

    def names(self) -> list[tuple[str, str]]:
        return [(item["event"], item["name"]) for item in self.got]


@contextmanager
def serve_receiver() -> Iterator[Receiver]:
    """Run such a server while the body runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found.status == 200:
                found.got.append(body)
            self.send_response(found.status)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@dataclass
class MailServer:
    """A mail server on this host.

    Attributes:
        texts: the received mails: `sender -> recipients`, then the message.
    """

    port: int
    texts: list[str] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """The settings that point to it."""
        return {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.port),
            "SMTP_USER": "lake",
            "SMTP_PASSWORD": MAIL_PASSWORD,
            "SMTP_SENDER": "lake@example.org",
            "SMTP_RECIPIENTS": "data@example.org, finance@example.org",
        }


@contextmanager
def serve_mail(folder: Path) -> Iterator[MailServer]:
    """Run a mail server over TLS that requires MAIL_PASSWORD while the body runs."""
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
                *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
            ],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed, so no certificate can be made")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    found = MailServer(free_port())

    class Keep:
        async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
            found.texts.append(f"{envelope.mail_from} -> {','.join(envelope.rcpt_tos)}\n{envelope.content.decode()}")
            return "250 kept"

    def authenticate(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"lake", MAIL_PASSWORD.encode()))

    controller = Controller(
        Keep(),
        hostname="127.0.0.1",
        port=found.port,
        ssl_context=context,
        authenticator=authenticate,
        auth_require_tls=False,  # the whole connection is in TLS
    )
    controller.start()
    yield found
    controller.stop()
