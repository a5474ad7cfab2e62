"""The audit log: nothing is lost between processes, and no entry can be changed, taken out or put in unnoticed."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.ledger.quarantine import Selection
from ingest.settings import Settings, settings
from ingest.storage.store import Store
from pipeline.access.audit_log import AuditLog, note_definitions
from pipeline.cli import main
from pipeline.cycle.drop import drop_all
from pipeline.cycle.publication import log_head
from pipeline.cycle.quarantine import discard_all
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from tests.home import Home

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(Store(str(tmp_path / "lake"), Settings(lake_home=str(tmp_path))))


def paths(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "lake" / "audit_log").glob("*.json"))


def test_entries_follow_one_another(log: AuditLog) -> None:
    assert (log.head, log.newest(), log.faults({"release 1": ""})) == ("", None, [])
    first = log.append("records_discarded", {"feed": "events", "records": 3}, NOW)
    second = log.append("objects_dropped", {"feed": "events", "objects": 1}, NOW)
    assert [event.number for event in log.events()] == [1, 2]
    assert (first.before, second.before, log.head) == ("", first.hash, second.head)
    assert log.last("records_discarded") == first
    assert log.last("role_changed") is None
    assert log.faults({"release 1": "", "release 2": first.head, "release 3": second.head}) == []


def test_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    def append(number: int) -> None:
        own = AuditLog(Store(str(tmp_path / "lake"), Settings(lake_home=str(tmp_path))))
        for _ in range(10):
            own.append("records_discarded", {"number": number}, NOW)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(4)))
    log = AuditLog(Store(str(tmp_path / "lake"), Settings(lake_home=str(tmp_path))))
    assert sorted(event.about["number"] for event in log.events()) == sorted([*range(4)] * 10)
    assert log.faults({}) == []


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_changed_entry_is_noticed(log: AuditLog, tmp_path: Path, number: int) -> None:
    for records in range(3):
        log.append("records_discarded", {"records": records}, NOW)
    head = log.head
    path = paths(tmp_path)[number]
    path.write_text(path.read_text().replace(f'"records": {number}', '"records": 99'))
    assert log.faults({"release 1": head}) != []


def test_a_missing_entry_is_noticed(log: AuditLog, tmp_path: Path) -> None:
    for records in range(3):
        log.append("records_discarded", {"records": records}, NOW)
    head = log.head
    newest = paths(tmp_path)[2]
    kept = newest.read_bytes()
    newest.unlink()
    assert log.faults({"release 1": head}) == [f"release 1 knows entry {head}, which is not in the log"]
    newest.write_bytes(kept)
    paths(tmp_path)[1].unlink()
    assert log.faults({}) == ["entry 2 is missing"]


def test_definitions_are_noted_once_they_differ(log: AuditLog) -> None:
    assert note_definitions(log, {"contract events": "a", "roles": "x"}, NOW) == ["contract events", "roles"]
    assert note_definitions(log, {"contract events": "a", "roles": "x"}, NOW) == []
    assert note_definitions(log, {"contract events": "b", "contract users": "c"}, NOW) == [
        *("contract events", "contract users", "roles")
    ]
    assert len(list(log.events())) == 2


def test_discarded_records_and_dropped_objects_are_in_the_log(clean_settings: Path) -> None:
    home = Home()
    home.put("events", "a.json", {"event_id": "e1"}, b"{")
    home.put("users", "a.json", {"user_id": "u1"})
    home.ingest()
    lake = Lake(settings())
    assert discard_all(lake, ("events",), "a test", Selection())[0] == {"events": 2}
    assert discard_all(lake, ("events",), "a test", Selection())[0] == {"events": 0}
    assert drop_all(lake, ["raw-users/a.json"], "wrong").errors == []
    result = CliRunner().invoke(main, ["access", "--log", "--json"])
    assert result.exit_code == 0
    events = json.loads(result.stdout)["events"]
    assert [(event["what"], event["about"]) for event in events] == [
        ("records_discarded", {"feed": "events", "records": 2, "because": "a test"}),
        ("objects_dropped", {"feed": "users", "objects": 1, "because": "wrong"}),
    ]
    (first, _) = sorted(Path(lake.options.lake_uri).glob("audit_log/*.json"))
    first.write_text(first.read_text().replace("a test", "another"))
    result = CliRunner().invoke(main, ["access", "--log"])
    assert result.exit_code == 1
    assert "was changed: entry 2 follows another entry 1 than that in the log" in result.stderr


def test_a_damaged_log_stops_nothing_that_does_not_depend_on_it(clean_settings: Path) -> None:
    home = Home()
    home.put("events", "a.json", b"{")
    home.put("users", "a.json", {"user_id": "u1"})
    home.ingest()
    lake = Lake(settings())
    lake.store.put("audit_log/00000000000000000001.json", b"{")
    counts, errors = discard_all(lake, ("events",), "a test", Selection())
    assert counts == {"events": 1}
    assert len(errors) == 1
    dropped = drop_all(lake, ["raw-users/a.json"], "wrong")
    assert [len(item.objects) for item in dropped.feeds] == [1]
    assert len(dropped.errors) == 1
    assert lake.ledger("users").state().objects.lookup(["raw-users/a.json"])["raw-users/a.json"].dropped == 1
    summary = RunSummary(NOW)
    assert log_head(lake, clean_settings, summary, NOW) == ""
    assert ["00001.json is damaged; restore it" in error for error in summary.errors] == [True]
    assert len(lake.audit_log.faults({})) == 1
