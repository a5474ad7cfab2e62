"""`lake quarantine`: SQLMesh previews and recomputes exactly the dates of the replayed records."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from ingest.contracts.contract import contracts
from pipeline.cli import main
from pipeline.cycle import quarantine
from tests.home import Home

pytestmark = pytest.mark.usefixtures("engagement")


def test_replayed_records_reach_gold_through_their_dates(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"event_id": "e1", "name": "activity_exit", "occurred_at": "2026-01-02 10:00:00", "user_id": "u", "data": {}}
    home.put("events", "a.json", good, good | {"event_id": "e2", "user_id": None, "occurred_at": "2026-01-05 10:00:00"})
    home.ingest()
    home.plan()
    listed = CliRunner().invoke(main, ["quarantine", "list", "events", "--json"])
    assert json.loads(listed.stdout)["events"] == [
        {"reason": "missing_required", "column": "user_id", "records": 1, "objects": 1}
    ]
    assert "missing_required" in CliRunner().invoke(main, ["quarantine", "list"]).stdout

    events = contracts()["events"]
    columns = tuple(column.model_copy(update={"required": False}) for column in events.columns)
    changed = contracts() | {"events": events.model_copy(update={"columns": columns, "version": 2})}
    monkeypatch.setattr(quarantine, "select", lambda _: [changed["events"]])
    shown = CliRunner().invoke(main, ["quarantine", "replay", "events", "--json"])

    assert shown.exit_code == 0
    summary = json.loads(shown.stdout)
    assert (summary["feeds"]["events"], summary["dates"]["events"]) == ({"tried": 1, "replayed": 1}, ["2026-01-05"])
    assert home.missing()["silver.activity_events"] == ["2026-01-05 - 2026-01-05"]


def test_reason_without_records_replays_nothing(home: Home) -> None:
    home.put("events", "a.json", b"{")
    home.ingest()
    shown = CliRunner().invoke(main, ["quarantine", "replay", "--reason", "wrong_type"])
    assert shown.exit_code == 0
    counts = [line.split()[1:] for line in shown.stdout.splitlines()[1:]]
    assert counts == [["0", "0"]] * len(contracts())


def test_records_are_shown_and_discarded_with_a_reason(home: Home) -> None:
    run = CliRunner().invoke
    home.put("events", "a.json", b"{", b"[]", {"event_id": "e"})
    home.ingest()
    shown = run(main, ["quarantine", "show", "events", "--reason", "unparsable", "--raw"])
    assert "events raw-events/a.json line 1: unparsable: " in shown.stdout
    assert shown.stdout.splitlines()[1] == "  {"
    assert "missing_required" not in shown.stdout
    assert run(main, ["quarantine", "discard", "--because", "noise"]).exit_code == 2

    done = run(main, ["quarantine", "discard", "events", "--reason", "unparsable", "--because", "noise", "--json"])

    assert json.loads(done.stdout) == {"events": 2}
    assert json.loads(run(main, ["quarantine", "list", "events", "--json"]).stdout)["events"] == [
        {"reason": "missing_required", "column": "name", "records": 1, "objects": 1}
    ]
    kept = json.loads(run(main, ["quarantine", "show", "--discarded", "--raw", "--json"]).stdout)
    assert [(record["line"], record["raw"], record["discarded"]) for record in kept] == [
        (1, "{", "noise"),
        (2, "[]", "noise"),
    ]
    life = run(main, ["why", "raw-events/a.json", "--json"])
    assert [line["discarded"] for line in json.loads(life.stdout)["bad_lines"]] == ["noise", "noise", None]
    verified = run(main, ["verify", "--deep"])
    assert verified.exit_code == 0, verified.stdout
