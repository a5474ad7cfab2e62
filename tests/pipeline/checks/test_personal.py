"""`lake pii scan` and the check of contracts: what looks personal and is not classed so, and never a value of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydantic import ValidationError

from ingest.contracts.column import Column
from ingest.contracts.contract import contracts
from ingest.settings import settings
from pipeline.checks.personal import by_name
from pipeline.cli import main
from tests.home import Home

EVENT = {
    "event_id": "e1",
    "name": "activity_exit",
    "occurred_at": "2026-03-01 10:00:00",
    "user_id": "u1",
    "child_id": "c",
    "data": {"activity_id": "a1", "duration": 60, "completed": True, "collection_id": "", "source": "home"},
    "context": {"os": {"name": "iOS", "version": "1"}, "app": {"version": "1"}},
}


def scan(*feeds: str) -> Result:
    settings.cache_clear()
    return CliRunner().invoke(main, ["pii", "scan", *feeds, "--json"])


@pytest.fixture
def home(clean_settings: Path) -> Home:
    return Home()


def test_values_in_a_column_of_another_meaning_are_found(home: Home) -> None:
    records = [
        EVENT | {"event_id": f"e{number}", "data": {**EVENT["data"], "source": f"ada.{number}@example.com"}}  # type: ignore[dict-item]
        for number in range(20)
    ]
    home.put("events", "a.json", *records)
    home.ingest("events")
    result = scan("events")
    (found,) = json.loads(result.stdout)
    assert (found["place"], found["column"], found["declared"]) == ("bronze", "data.source", "none")
    assert (found["finding"]["label"], found["finding"]["class_"]) == ("e-mail address", "direct")
    assert (found["values"], found["distinct"]) == (20, 1.0)
    assert result.exit_code == 1
    assert "ada." not in result.stdout + CliRunner().invoke(main, ["pii", "scan"]).stdout


def test_newest_rows_are_looked_at_whatever_lies_before_them(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.checks.personal.MOST_ROWS", 30)
    home.put("events", "a.json", *(EVENT | {"event_id": f"a{number}"} for number in range(40)))
    home.ingest("events")
    data = [{**EVENT["data"], "source": f"ada.{number}@example.com"} for number in range(20)]  # type: ignore[dict-item]
    home.put(
        "events", "b.json", *(EVENT | {"event_id": f"b{number}", "data": item} for number, item in enumerate(data))
    )
    home.ingest("events")
    (found,) = json.loads(scan("events").stdout)
    assert (found["column"], found["finding"]["label"]) == ("data.source", "e-mail address")


def test_fields_that_no_contract_knows_and_rejected_records_are_looked_at(home: Home) -> None:
    unknown = EVENT | {"contact": {"phone": "+49 30 1234567"}}
    rejected = EVENT | {"event_id": "e2", "occurred_at": "never", "iban": "DE89370400440532013000"}
    home.put("events", "a.json", EVENT | {"event_id": "e3"}, unknown, rejected)
    home.ingest("events")
    found = {(item["place"], item["column"], item["finding"]["label"]) for item in json.loads(scan("events").stdout)}
    assert found == {
        ("_rescued_data", "contact.phone", "telephone number"),
        ("quarantine", "iban", "IBAN"),
    }


def test_name_of_a_field_that_is_a_value_is_not_shown(home: Home) -> None:
    people = {f"ada.{number}@example.com": {"phone": f"+49 30 123456{number}"} for number in range(6)}
    home.put("events", "a.json", EVENT | {"people": people}, EVENT | {"event_id": "e2", "people": {"+49 30 1": "x"}})
    home.ingest("events")
    result = scan("events")
    (found,) = json.loads(result.stdout)
    assert (found["column"], found["finding"]["label"], found["values"]) == ("people.*.phone", "telephone number", 6)
    assert "ada" not in result.stdout


def test_long_texts_are_looked_at_in_part(home: Home) -> None:
    long = "x" * 200_000
    records = [
        EVENT
        | {
            "event_id": f"e{number}",
            "data": {**EVENT["data"], "source": f"ada.{number}@example.com {long}"},  # type: ignore[dict-item]
            "more": long,
        }
        for number in range(6)
    ]
    home.put("events", "a.json", *records, long.encode())
    home.ingest("events")
    labels = {(item["column"], item["finding"]["label"]) for item in json.loads(scan("events").stdout)}
    assert labels == {("data.source", "text with e-mail addresses")}


def test_change_events_are_looked_at_by_column(home: Home) -> None:
    row = {"customer_id": 1, "email": "ada@example.com", "skype": "ada@example.org", "created_at": "never"}
    home.put("customers", "a.json", {"op": "c", "after": row, "source": {"lsn": 1, "name": "shop"}})
    home.ingest("customers")
    found = {(item["place"], item["column"]) for item in json.loads(scan("customers").stdout)}
    assert found == {("quarantine", "skype")}


def test_a_lake_without_anything_of_that_kind(home: Home) -> None:
    home.put("events", "a.json", EVENT)
    home.ingest("events")
    result = scan()
    assert (json.loads(result.stdout), result.exit_code) == ([], 0)


def test_names_in_contracts_need_a_class_or_a_reason() -> None:
    contract = contracts()["orders"]
    assert by_name(contract) == []
    column = Column.model_validate({"name": "contact_email", "type": "string", "description": "Where to write."})
    (suspect,) = by_name(contract.model_copy(update={"columns": (*contract.columns, column)}))
    assert (suspect.column, suspect.finding.label) == ("contact_email", "e-mail address")
    reviewed = column.model_copy(update={"not_personal": "The shop's own address, the same on each order."})
    assert by_name(contract.model_copy(update={"columns": (*contract.columns, reviewed)})) == []
    flag = column.model_copy(update={"type": "boolean"})
    assert by_name(contract.model_copy(update={"columns": (*contract.columns, flag)})) == []


def test_reason_and_class_contradict() -> None:
    given = {"name": "email", "type": "string", "description": "x", "class": "direct", "subject": "customer"}
    with pytest.raises(ValidationError, match="class direct and not_personal contradict; expected one of them"):
        Column.model_validate(given | {"not_personal": "why"})
