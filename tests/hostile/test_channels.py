"""A cycle that fails, however early, is reported once, by each configured channel alone."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.hostile.conftest import Lake
from tests.hostile.test_truth_of_summaries import NOWHERE
from tests.receivers import MailServer, Receiver

EARLY = {
    # failures before the SQLMesh project is loaded: faults, variables, reported text
    "the store is down": ([], {"LAKE_URI": "s3://lake"} | NOWHERE, "s3://lake ("),
    "a contract is broken": (
        [("ingest.contracts.contract:load_contracts", "ingest.errors:ConfigError", "")],
        {},
        "injected",
    ),
    "the lock cannot be made": (
        [("pipeline.cycle.cycle:exclusive_cycle", "OSError", "")],
        {},
        "the cycle: unexpected OSError",
    ),
    "the project cannot be loaded": (
        [("pipeline.warehouse.project:Context", "KeyError", "")],
        {},
        "the project: unexpected",
    ),
}


@pytest.mark.parametrize("case", EARLY)
@pytest.mark.parametrize("channel", ["mail", "slack"])
def test_each_channel_alone_reports_a_cycle_that_cannot_start(
    case: str, channel: str, empty_lake: Lake, receiver: Receiver, mail: MailServer
) -> None:
    faults, variables, reported = EARLY[case]
    empty_lake.faults = list(faults)
    to = mail.variables if channel == "mail" else {"SLACK_WEBHOOK_URL": receiver.url}

    for _ in range(2):
        summary, done = empty_lake.run(**variables, **to)
        assert done.returncode != 0
        assert summary["warnings"] == []

    texts = mail.texts if channel == "mail" else [json.dumps(item) for item in receiver.got]
    (text,) = (text for text in texts if "Lakemesh problem" in text and reported in text)
    assert not any("recovery" in text for text in texts)
    if channel == "mail":
        assert text.splitlines()[0] == "lake@example.org -> data@example.org,finance@example.org"
        assert "Subject: Lakemesh problem: cycle" in text
    else:
        assert receiver.got[0]["blocks"][0]["text"]["text"].startswith("Lakemesh problem: ")


def test_every_channel_reports_once_a_cycle_that_fails_in_the_project(
    lake: Lake, receiver: Receiver, mail: MailServer, late_play: Callable[[str], None]
) -> None:
    """SQLMesh's configuration names Slack and mail as well, but SQLMesh itself sends nothing in a cycle."""
    late_play("late")
    fault = "sqlmesh.core.engine_adapter.duckdb:DuckDBEngineAdapter.insert_overwrite_by_time_partition"
    lake.faults = [(fault, "KeyError", "activity_popularity_daily")]
    summary, _ = lake.run(NOTIFY_WEBHOOK_URL=receiver.url, SLACK_WEBHOOK_URL=receiver.url, **mail.variables)
    assert summary["errors"] == ["gold.activity_popularity_daily: KeyError: 'injected'"]
    failures = [item for item in receiver.got if "activity_popularity_daily" in json.dumps(item)]
    assert sorted(failure.get("name", "slack") for failure in failures) == ["cycle", "slack"]
    assert sum("activity_popularity_daily" in text for text in mail.texts) == 1


def test_mail_without_recipients_is_a_warning(empty_lake: Lake, receiver: Receiver) -> None:
    summary, _ = empty_lake.run(SMTP_HOST="127.0.0.1", NOTIFY_WEBHOOK_URL=receiver.url)
    assert summary["warnings"] == ["SMTP_HOST is set without SMTP_SENDER and SMTP_RECIPIENTS: no mail is sent"]
    assert ("problem", "cycle") in receiver.names()
