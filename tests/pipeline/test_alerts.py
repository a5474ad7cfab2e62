"""What is wrong is told once, again after a day, and when it is well: to real receivers of HTTP and of mail."""

from __future__ import annotations

import datetime as dt
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from ingest.contract import contracts
from ingest.errors import ConfigError
from ingest.settings import settings
from pipeline import completeness
from pipeline.alerts import broken_promises, tell, webhook
from pipeline.run import publish_only, run_cycle
from pipeline.summary import RunSummary
from tests.home import Home, free_port

pytestmark = pytest.mark.usefixtures("engagement")

NOW = dt.datetime(2026, 2, 4, 12, tzinfo=dt.UTC)


class Receiver:
    """An HTTP server that keeps what it is sent; it answers with `status`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.got: list[dict[str, Any]] = []

    def names(self) -> list[tuple[str, str]]:
        return [(item["event"], item["name"]) for item in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found.status == 200:
                found.got.append(body)
            self.send_response(found.status)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def cycle(home: Home, at: dt.datetime = NOW) -> RunSummary:
    settings.cache_clear()
    return run_cycle((), settings(), lambda _: lambda objects, size: None, now=lambda: at)


def test_a_problem_is_told_once_then_daily_then_its_end(home: Home, receiver: Receiver) -> None:
    def settle(hours: float, **problems: str) -> list[str]:
        return tell(problems, [webhook(receiver.url)], home.options, NOW + dt.timedelta(hours=hours))

    assert settle(0, cycle="broken") == settle(1, cycle="still broken") == settle(2, cycle="broken", other="too") == []
    assert receiver.names() == [("problem", "cycle"), ("problem", "other")]
    settle(25, cycle="broken", other="too")
    assert receiver.names()[2:] == [("problem", "cycle")], "a day after it was told, not before"
    settle(26, other="too")
    settle(27)
    assert receiver.names()[3:] == [("recovery", "cycle"), ("problem", "other"), ("recovery", "other")]
    assert receiver.got[3] == {
        "project": "lakemesh",
        "name": "cycle",
        "event": "recovery",
        "message": "cycle is well again",
        "since": NOW.isoformat(),
        "at": (NOW + dt.timedelta(hours=26)).isoformat(),
    }


def test_a_receiver_that_is_down_is_told_later(home: Home, receiver: Receiver) -> None:
    receiver.status = 500
    (fault,) = tell({"cycle": "broken"}, [webhook(receiver.url)], home.options, NOW)
    assert fault.startswith("cycle could not be told: ")
    receiver.status = 200
    assert tell({"cycle": "broken"}, [webhook(receiver.url)], home.options, NOW) == []
    assert receiver.names() == [("problem", "cycle")]


def test_damaged_memory_is_no_obstacle(home: Home, receiver: Receiver) -> None:
    home.options_home.mkdir(parents=True)
    (home.options_home / "alerts.json").write_text("{")
    tell({"cycle": "broken"}, [webhook(receiver.url)], home.options, NOW)
    assert receiver.names() == [("problem", "cycle")]


def test_late_and_incomplete_feeds_are_broken_promises(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completeness, "utc_now", lambda: NOW)
    events = [contracts()["events"]]
    assert "freshness/events" not in broken_promises(events, home.options, NOW), "a new feed is not late at once"
    assert "freshness/events" not in broken_promises(events, home.options, NOW + dt.timedelta(hours=26))
    overdue = NOW + dt.timedelta(hours=26, seconds=1)
    promised = "the contract promises 26.0 hours; ask engagement"
    assert broken_promises(events, home.options, overdue)["freshness/events"] == (
        f"events is late: no object of it is loaded yet, and none waits, {promised}"
    )
    home.put("events", "a.json", {"event_id": "e"})
    assert broken_promises(events, home.options, overdue)["freshness/events"] == (
        f"events is late: no object of it is loaded yet, and one waits, {promised}"
    )
    home.ingest("events")
    written = home.landing("events").find("a.json")
    assert written
    at = written.modified_at
    assert "freshness/events" not in broken_promises(events, home.options, at + dt.timedelta(hours=25))
    late = broken_promises(events, home.options, at + dt.timedelta(hours=30))["freshness/events"]
    assert late.startswith("events is late: its newest object is 30.0 hours old")

    afterwards = at + dt.timedelta(days=2, hours=6)  # the deadline lies six hours after the end of a day
    monkeypatch.setattr(completeness, "utc_now", lambda: afterwards)
    found = broken_promises(events, home.options, afterwards)["completeness/events"]
    assert f"{(at + dt.timedelta(days=1)).date()} passed the deadline of 21,600 s" in found


@pytest.fixture
def running(home: Home, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A planned project whose promises are kept, and whose webhook is the receiver."""
    for feed in contracts():
        agreed = contracts()[feed].model_copy(update={"freshness_seconds": 10**9, "completeness": None})
        monkeypatch.setitem(contracts(), feed, agreed)
        home.landing(feed).put("_SUCCESS", b"")
    monkeypatch.setenv("NOTIFY_WEBHOOK_URL", receiver.url)
    home.put("users", "u.json", {"user_id": "u1", "country_code": "fr"})
    home.ingest()
    home.plan()
    return home


def test_a_cycle_tells_of_failure_and_recovery(running: Home, receiver: Receiver) -> None:
    late = {name for _, name in receiver.names()}
    assert late == set()
    cycle(running)
    first = [item for item in receiver.names() if not item[1].startswith("freshness/")]
    assert first == []

    for number in (1, 2):
        running.put("activities", f"bad{number}.json", b"no record")
        assert cycle(running).exit_code == 1
    assert cycle(running).exit_code == 0

    told = [item for item in receiver.got if item["name"] == "cycle"]
    assert [item["event"] for item in told] == ["problem", "recovery"]
    assert "activities: 1 of 1 records are quarantined" in told[0]["message"]


def test_an_error_that_ends_the_cycle_is_told(home: Home, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_WEBHOOK_URL", receiver.url)
    with pytest.raises(ConfigError):
        cycle(home)
    (told,) = (item for item in receiver.got if item["name"] == "cycle")
    assert told["message"].startswith("there is no production yet")


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[tuple[Controller, list[str]]]:
    """A mail server over TLS, and the texts that it received."""
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
                *("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")),
            ],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed, so no certificate can be made")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    texts: list[str] = []

    class Keep:
        async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
            texts.append(f"{envelope.mail_from} -> {','.join(envelope.rcpt_tos)}\n{envelope.content.decode()}")
            return "250 kept"

    def authenticate(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"lake", b'it\'s "secret"'))

    controller = Controller(
        Keep(),
        hostname="127.0.0.1",
        port=free_port(),
        ssl_context=context,
        authenticator=authenticate,
        auth_require_tls=False,  # the whole connection is in TLS
    )
    controller.start()
    yield controller, texts
    controller.stop()


def test_slack_and_mail_are_told_by_sqlmeshs_own_targets(
    running: Home, receiver: Receiver, mail: tuple[Controller, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, texts = mail
    variables = {
        "NOTIFY_WEBHOOK_URL": "",
        "SLACK_WEBHOOK_URL": receiver.url,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(controller.port),
        "SMTP_USER": "lake",
        "SMTP_PASSWORD": 'it\'s "secret"',
        "SMTP_SENDER": "lake@example.org",
        "SMTP_RECIPIENTS": "data@example.org, finance@example.org",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    agreed = contracts()["events"].model_copy(update={"freshness_seconds": 60})
    monkeypatch.setitem(contracts(), "events", agreed)
    settings.cache_clear()

    for _ in range(2):
        publish_only(settings(), NOW)

    (text,) = (text for text in texts if "events is late" in text)
    sender, recipients = text.split("\n", 1)[0].split(" -> ")
    assert (sender, sorted(recipients.split(","))) == ("lake@example.org", ["data@example.org", "finance@example.org"])
    assert "Subject: Lakemesh" in text
    (slack,) = (item for item in receiver.got if "events is late" in json.dumps(item))
    assert slack["attachments"] or slack["blocks"]


def test_each_sender_gets_each_alert(home: Home) -> None:
    got: list[str] = []
    senders: list[Callable[..., None]] = [lambda alert: got.append(f"1 {alert.name}")] * 2
    tell({"cycle": "broken"}, senders, home.options, NOW)
    assert got == ["1 cycle", "1 cycle"]
