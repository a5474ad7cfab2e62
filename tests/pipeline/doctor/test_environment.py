"""Settings: misspelt, contradicting and exposed ones are named, with what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.settings import read_settings
from pipeline.doctor import environment
from pipeline.doctor.finding import Finding, Reporter, Status
from pipeline.lake import Lake

REPORT = Reporter("settings")


def checked(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, Finding]:
    """What the check says of each variable."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return {finding.object: finding for finding in environment.check(Lake(read_settings()))}


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("LAKE_HOM", "LAKE_HOME"),
        ("LANDING_URL", "LANDING_URI"),
        ("PUBLISHED_STATE", "PUBLISHED_STATES"),
        ("NOTIFY_WEBHOK_URL", "NOTIFY_WEBHOOK_URL"),
        ("SMTP_RECIPIENT", "SMTP_RECIPIENTS"),
        ("KAFKA_SASL_MECHANISN", "KAFKA_SASL_MECHANISM"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(
    clean_settings: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, meant: str
) -> None:
    found = checked(monkeypatch, **{wrong: "x"})[wrong]

    assert found.status is Status.WARN
    assert f"did you mean {meant}?" in found.next_step


def test_variables_of_other_programs_are_left_alone(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {
        "PGAPPNAME": "x",
        "AWS_ROLE_ARN": "x",
        "OPENLINEAGE_DISABLED": "true",
        "SMTPD_BANNER": "x",
        "KAFKA_HEAP_OPTS": "-Xmx1G",
        "KAFKA_PORT_9092_TCP": "tcp://10.0.0.1:9092",
        "LAKE_START": "2026-01-01",
    }
    assert [item.status for item in checked(monkeypatch, **others).values()] == [Status.OK]


def test_an_own_variable_without_a_likeness_is_named_too(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checked(monkeypatch, LAKE_XYZZY="1")["LAKE_XYZZY"]
    assert (found.status, found.next_step.startswith("docs/settings.md")) == (Status.WARN, True)


@pytest.mark.parametrize(
    ("variables", "about", "status", "step"),
    [
        ({"LAKE_URI": "s3://one", "PUBLISHED_URI": "s3://one/published"}, "PUBLISHED_URI", "fail", "of its own"),
        ({"LANDING_URI": "s3://lake/{bucket}", "LAKE_URI": "s3://lake"}, "LANDING_URI", "fail", "of its own"),
        ({"STATE_PATH": "/srv/a.duckdb", "WAREHOUSE_PATH": "/srv/a.duckdb"}, "STATE_PATH", "fail", "of its own"),
        ({"LAKE_GATEWAY": "postgres"}, "LAKE_GATEWAY", "fail", "set it to postgres_state"),
        ({"LAKE_URI": "s3://lake"}, "AWS_ACCESS_KEY_ID", "warn", "set both"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "AWS_ENDPOINT_URL", "warn", "set LAKE_URI"),
        ({"SMTP_HOST": "mail"}, "SMTP_HOST", "warn", "set SMTP_SENDER and SMTP_RECIPIENTS"),
        ({"SMTP_RECIPIENTS": "a@b"}, "SMTP_RECIPIENTS", "warn", "set SMTP_HOST and SMTP_SENDER"),
        ({"SMTP_USER": "a"}, "SMTP_USER", "warn", "set SMTP_"),
        ({"SERVING_ROLE": "readers"}, "SERVING_ROLE", "warn", "set SERVING_DSN"),
        ({"KAFKA_SASL_USERNAME": "a"}, "KAFKA_…", "warn", "set KAFKA_BOOTSTRAP_SERVERS"),
        ({"LAKE_JWT_ISSUER": "a"}, "LAKE_JWT_…", "warn", "set LAKE_JWT_KEY"),
        ({"PGDATABASE": "state"}, "PGDATABASE", "warn", "LAKE_GATEWAY=postgres_state"),
        ({"LAKE_ERASURE_KEY": "short"}, "LAKE_ERASURE_KEY", "warn", "a longer one"),
        ({"LAKE_API_KEYS": "k1"}, "LAKE_API_KEYS", "fail", "lake serve --new-key"),
    ],
)
def test_settings_that_cannot_all_be_meant(
    clean_settings: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    about: str,
    status: str,
    step: str,
) -> None:
    found = checked(monkeypatch, **variables)[about]
    assert found.status == status
    assert step in found.next_step


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SMTP_HOST": "mail", "SMTP_SENDER": "a@b", "SMTP_RECIPIENTS": "c@d"},
        {"LAKE_URI": "s3://lake", "PUBLISHED_URI": "s3://lake-published", "LANDING_URI": "s3://{bucket}"}
        | {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
    ],
)
def test_usual_settings_are_fine(
    clean_settings: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    assert {item.status for item in checked(monkeypatch, **variables).values()} == {Status.OK}


@pytest.mark.parametrize(("mode", "text", "is_exposed"), [
    (0o644, "SMTP_PASSWORD=hunter22\n", True),
    (0o640, "SERVING_DSN=postgresql://a:hunter22@b/c\n", True),
    (0o600, "SMTP_PASSWORD=hunter22\n", False),
    (0o644, "LAKE_START=2026-01-01\n", False),
])  # fmt: skip
def test_a_file_with_secrets_that_others_can_read(
    clean_settings: Path, monkeypatch: pytest.MonkeyPatch, mode: int, text: str, is_exposed: bool
) -> None:
    file = clean_settings.with_name("dotenv")
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    monkeypatch.setenv(text.split("=")[0], "")  # put back after the test: .env lands in the process environment
    read_settings()

    found = list(environment.exposed(REPORT))

    assert [item.next_step for item in found] == [f"chmod 600 {file}"] * is_exposed
    assert "hunter22" not in str(found)
