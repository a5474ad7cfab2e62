"""Servers that settings name are connected to; no secret of an address is shown, and nothing is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.settings import settings
from pipeline.doctor import connections
from pipeline.doctor.finding import Finding, Status
from pipeline.lake import Lake
from tests.home import PostgresHome, free_port
from tests.receivers import MailServer, Receiver


def checked(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[Finding]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return list(connections.check(Lake(settings())))


def test_receivers_that_answer_get_nothing(
    clean_settings: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver, mail: MailServer
) -> None:
    found = checked(monkeypatch, NOTIFY_WEBHOOK_URL=f"{receiver.url}/token-5f2a", **mail.variables)

    assert {item.object.split(" ")[0]: item.status for item in found} == {"NOTIFY_WEBHOOK_URL": "ok", "SMTP_HOST": "ok"}
    assert "5f2a" not in str(found)
    assert (receiver.got, mail.texts) == ([], [])


def test_servers_that_are_away(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("confluent_kafka", reason="Kafka: its client is not installed")
    pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed")
    closed = free_port()
    found = checked(
        monkeypatch,
        SLACK_WEBHOOK_URL=f"http://127.0.0.1:{closed}/services/T0/B0/x1y2z3",
        OPENLINEAGE_URL="http://lineage.invalid",
        SMTP_HOST="127.0.0.1",
        SMTP_PORT=str(closed),
        KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{closed}",
        KAFKA_SCHEMA_REGISTRY_URL=f"http://127.0.0.1:{closed}",
        SERVING_DSN=f"postgresql://bi:geheim12@127.0.0.1:{closed}/bi",
    )

    assert {item.object.split(" ")[0]: item.status for item in found} == {
        "SLACK_WEBHOOK_URL": Status.WARN,
        "OPENLINEAGE_URL": Status.WARN,
        "SMTP_HOST": Status.WARN,
        "KAFKA_SCHEMA_REGISTRY_URL": Status.FAIL,
        "SERVING_DSN": Status.FAIL,
        "KAFKA_BOOTSTRAP_SERVERS": Status.FAIL,
    }
    assert all(item.next_step and item.expected for item in found)
    assert not any(secret in str(found) for secret in ("x1y2z3", "geheim12"))


def test_a_serving_database_refuses_or_accepts_the_login(
    postgres_home: PostgresHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = postgres_home.server.variables
    right = f"host={server['PGHOST']} port={server['PGPORT']} dbname={postgres_home.database}"
    assert [item.status for item in checked(monkeypatch, SERVING_DSN=right)] == [Status.OK]
    (found,) = checked(monkeypatch, SERVING_DSN=f"{right} user=nobody password=wrong")
    assert (found.status, "authentication failed" in found.found) == (Status.FAIL, True)


def test_no_server_is_no_warning(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [item.status for item in checked(monkeypatch)] == [Status.OK]
