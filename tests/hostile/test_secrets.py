"""No secret of the settings is shown, logged, sent or stored, whichever part fails."""

from __future__ import annotations

import datetime as dt
import json
import logging
from pathlib import Path

import pytest

from ingest.settings import Settings, secrets
from pipeline.cycle.summary import RunSummary
from pipeline.process.redact import HIDDEN, RedactingFormatter, redact, redacted
from tests.hostile.conftest import Lake
from tests.receivers import MailServer, Receiver

TOKENS = {
    "webhook": "T0KEN-of-the-webhook-8842",
    "slack": "B00/xoxSlackTokenOfTheTeam77",
    "mail": 'p@ss w0rd/of\'the "mail"',
    "dsn": "pg:s3rv1ng&pass",
    "state": "hunter2!",
    "aws": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "session": "FwoGZXIvYXdzEBYaDNSessionTokenOfAnHour" * 4,
}


def disclosed(text: str) -> list[str]:
    """The secrets that a text contains, verbatim or as written in addresses, JSON and Python."""
    from json import dumps
    from urllib.parse import quote, quote_plus

    return [
        name
        for name, token in TOKENS.items()
        for form in {
            token,
            quote(token),
            quote(token, safe=""),
            quote_plus(token),
            dumps(token)[1:-1],
            repr(token)[1:-1],
        }
        if form in text or (len(form) > 24 and form[:16] in text)
    ]


@pytest.fixture
def settings_with_secrets(receiver: Receiver, mail: MailServer) -> dict[str, str]:
    """Settings under which every channel refuses, every server is down, and everything has a secret."""
    from urllib.parse import quote

    receiver.status = 404
    address = receiver.url.removesuffix("/hook")
    return mail.variables | {
        "NOTIFY_WEBHOOK_URL": f"{address}/hook/{TOKENS['webhook']}?signature={TOKENS['webhook']}",
        "SLACK_WEBHOOK_URL": f"{address}/services/T00/{TOKENS['slack']}",
        "SMTP_PASSWORD": TOKENS["mail"],
        "SERVING_DSN": f"postgresql://bi:{quote(TOKENS['dsn'], safe='')}@127.0.0.1:1/bi",
        "PGPASSWORD": TOKENS["state"],
        "AWS_SECRET_ACCESS_KEY": TOKENS["aws"],
        "AWS_SESSION_TOKEN": TOKENS["session"],
    }


def test_failing_channels_disclose_no_secret(
    lake: Lake, receiver: Receiver, settings_with_secrets: dict[str, str]
) -> None:
    """404 answers, a wrong password, a database that is down, and an exception that contains its connection string."""
    leak = "tests.worker:Leak"
    lake.faults = [
        ("pipeline.warehouse.project:Project.clean_up", leak, ""),
        ("pipeline.cycle.ingest:ingest_feed", leak, "(Contract(feed='users'"),
    ]
    for arguments in (["-v", "run", "--json"], ["-v", "run"]):
        done = lake(*arguments, **settings_with_secrets)
        assert done.returncode == 1
        assert disclosed(done.stdout) == []
        assert disclosed(done.stderr) == []
        if "--json" in arguments:
            assert done.stdout.count("could not be reported by ") == 3
            for channel in ("webhook", "slack", "mail"):
                assert f"could not be reported by {channel}: " in done.stdout
            assert "404 Client Error" in done.stdout
        assert f"http://127.0.0.1:{receiver.url.split(':')[2].split('/')[0]}/{HIDDEN}" in done.stdout
        assert "schema gold cannot be reached" in done.stderr
        assert "error: users: unexpected Leak: " in done.stderr
        assert "Traceback" in done.stderr
    home = lake.home.options_home
    kept = (home / "alerts.json").read_text() + str(lake.home.rows("SELECT * FROM operations.runs"))
    assert "users: unexpected Leak: " in kept
    assert HIDDEN in kept
    assert disclosed(kept) == []


def test_json_lines_disclose_no_secret(lake: Lake, settings_with_secrets: dict[str, str]) -> None:
    leak = "tests.worker:Leak"
    lake.faults = [
        ("pipeline.warehouse.project:Project.clean_up", leak, ""),
        ("pipeline.cycle.ingest:ingest_feed", leak, "(Contract(feed='users'"),
    ]
    auth = {"type": "api_key", "apiKey": TOKENS["webhook"]}
    lineage = {
        "OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": f"http://lineage:{TOKENS['state']}@127.0.0.1:1"}),
        "OPENLINEAGE__TRANSPORT__AUTH": json.dumps(auth),
    }
    done = lake("-v", "run", LAKE_LOG="json", **settings_with_secrets, **lineage)
    assert done.returncode == 1
    assert disclosed(done.stdout + done.stderr) == []
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"ts", "level", "logger"} <= line.keys() for line in lines)
    assert any("error: users: unexpected Leak: " in line.get("message", "") for line in lines)
    assert any("Traceback" in line.get("traceback", "") for line in lines)


def test_unreachable_addresses_disclose_no_secret(empty_lake: Lake, settings_with_secrets: dict[str, str]) -> None:
    """Urllib3 shows only the path, and repeats it in each attempt."""
    nowhere = {name: value.replace("127.0.0.1:", "127.0.0.1:1/") for name, value in settings_with_secrets.items()}
    nowhere |= {"SMTP_PORT": "1", "LAKE_GATEWAY": "postgres_state", "PGHOST": "127.0.0.1", "PGPORT": "1"}
    nowhere |= {"LAKE_URI": "s3://lake", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "AKIA"}
    for arguments in (["-v", "run", "--json"], ["-v", "publish"], ["-v", "status"], ["-v", "ingest"]):
        done = empty_lake(*arguments, **nowhere)
        assert done.returncode != 0
        assert disclosed(done.stdout + done.stderr) == []


def test_an_alert_discloses_no_secret(lake: Lake, receiver: Receiver, settings_with_secrets: dict[str, str]) -> None:
    lake.faults = [("pipeline.cycle.cycle:ingest_all", "tests.worker:Leak", "")]
    variables = {name: value for name, value in settings_with_secrets.items() if not name.startswith("SMTP")}
    receiver.status = 200
    lake.run(**variables)
    (alert,) = (item for item in receiver.got if item.get("name") == "cycle")
    assert "ingest: unexpected Leak: " in alert["message"]
    assert HIDDEN in alert["message"]
    assert disclosed(str(receiver.got)) == []


@pytest.mark.parametrize("name", [name.upper() for name, field in Settings.model_fields.items() if not field.repr])
def test_every_secret_setting_is_redacted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {
        "SERVING_DSN": "host=db password='it\\'s s3cret' user=x",
        "NOTIFY_WEBHOOK_URL": "https://u:it's%20s3cret@example.org/hook",
        "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/it's s3cret",
    }.get(name, "it's s3cret")
    monkeypatch.setenv(name, value)
    assert name in secrets()
    for text in ("it's s3cret", "a (it's s3cret)", 'x "it\'s s3cret" y', "it%27s%20s3cret", "it''s s3cret"):
        assert "s3cret" not in redact(text)
    summary = RunSummary(dt.datetime.now(dt.UTC), errors=["x it's s3cret"], held={"a": ["it's s3cret"]})
    assert "s3cret" not in repr(redacted(summary))
    record = logging.LogRecord("a", logging.ERROR, "f", 1, "of %s", ("it's s3cret",), None)
    assert RedactingFormatter("%(message)s").format(record) == f"of {HIDDEN}"


def test_truncated_secrets_are_redacted_and_words_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKENS["session"])
    monkeypatch.setenv("PGPASSWORD", "lake")
    monkeypatch.setenv("SMTP_PASSWORD", "events1")
    monkeypatch.setenv("NOTIFY_WEBHOOK_URL", "https://example.org/hook")
    assert redact(f"cut {TOKENS['session'][:30]} off") == f"cut {HIDDEN} off"
    assert redact("run `lake ingest` of events and events10") == "run `lake ingest` of events and events10"
    assert (
        redact("password=lake of postgresql://lake:lake@db/lake")
        == f"password={HIDDEN} of postgresql://lake:{HIDDEN}@db/lake"
    )
    assert redact("events1, at https://example.org/hook") == f"{HIDDEN}, at https://example.org/hook"


def test_invalid_settings_disclose_no_secret(clean_settings: Path, empty_lake: Lake) -> None:
    secret = {"AWS_SECRET_ACCESS_KEY": TOKENS["aws"], "LAKE_URI": f"https://ana:{TOKENS['state']}@example.org"}
    done = empty_lake("run", "--json", **secret)
    assert done.returncode == 2
    assert "has the scheme 'https'" in done.stderr
    assert disclosed(done.stdout + done.stderr) == []
