"""Fields of records that the contract does not know: kept, refused or proposed, and readable once declared."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.column import Column
from ingest.contracts.contract import CONTRACTS, contracts, load_contract
from ingest.contracts.draft import write_contract
from ingest.errors import ConfigError
from ingest.inference.field import Budget, Field
from ingest.steps import propose
from ingest.steps.propose import Survey, proposal, unknown_fields
from pipeline.cycle.propose import notes_on
from tests.envelopes import customers

Make = Callable[..., dict[str, Any]]


def seen(*values: Any) -> Field:
    field = Field("x")
    for value in values:
        field.observe(value, Budget(100))
    return field


@pytest.mark.parametrize(
    ("values", "shape", "repeated", "fits"),
    [
        ([1, None, 2], "integer", False, True),
        ([1, 2.5], "double", False, True),
        ([True], "boolean", False, True),
        ([1, True], "mixed", False, False),
        ([1, "a"], "mixed", False, False),
        ([1 << 63], "mixed", False, False),
        ([None], "", False, False),
        (["2026-01-02"], "date", False, True),
        (["2026-01-02", "2026-01-02T10:00:00+02:00"], "timestamp", False, True),
        (["2026-01-02T10:00:00Z"], "timestamp", False, True),
        (["2026-01-02", "soon"], "string", False, True),
        ([["a", "b"], []], "string", True, True),
        ([["a"], "b"], "mixed", True, False),
        ([[[1]]], "mixed", True, False),
        ([{"a": 1}, {"b": "x"}], "struct", False, True),
        ([{"userAgent": 1}], "struct", False, False),
    ],
)
def test_type_of_a_field_follows_from_all_its_values(values: list[Any], shape: str, repeated: bool, fits: bool) -> None:
    field = seen(*values)
    assert (field.shape, field.repeated, not field.obstacle) == (shape, repeated, fits)


@pytest.fixture
def contracts_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "contracts"
    (folder / "engagement").mkdir(parents=True)
    text = (CONTRACTS / "engagement" / "events.yaml").read_text()
    (folder / "engagement" / "events.yaml").write_text(text)
    return folder


def test_proposal_adds_columns_in_place_and_changes_nothing_else(
    lake: Any, event: Make, contracts_folder: Path
) -> None:
    data = {"activity_id": "a1", "hint": {"shown": 2}, "userAgent": "x"}
    lake.put("events", "a.json", event("e1", tags=["x"], score=1), event("e2", score=1.5, data=data), event("e3"))
    lake.ingest()

    fields = unknown_fields(lake.store, lake.ledger().state()).fields
    path, text, patch = proposal(lake.contracts["events"], fields, contracts_folder)

    assert [(field.path, field.records, field.obstacle) for field in fields] == [
        ("score", 2, ""),
        ("data.hint", 1, ""),
        ("data.userAgent", 1, "its name is not lower_snake_case"),
        ("tags", 1, ""),
    ]
    removed = [line for line in patch.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert removed == ["-version: 1"]
    before, after = load_contract(path), write_contract(path, text)
    assert after.version == 2
    assert {name for name, _ in after.walk()} - {name for name, _ in before.walk()} == {
        "score",
        "tags",
        "data.hint",
        "data.hint.shown",
    }
    assert after.leaf("tags").repeated


def test_no_unknown_fields_yield_no_proposal(lake: Any, event: Make, contracts_folder: Path) -> None:
    lake.put("events", "a.json", event())
    lake.ingest()
    survey = unknown_fields(lake.store, lake.ledger().state())
    assert survey.is_complete
    assert proposal(lake.contracts["events"], survey.fields, contracts_folder)[2] == ""


def test_invalid_proposal_leaves_the_contract_unchanged(contracts_folder: Path) -> None:
    path = contracts_folder / "engagement" / "events.yaml"
    before = path.read_text()
    with pytest.raises(ConfigError):
        write_contract(path, before.replace("kind: event", "kind: nonsense"))
    assert path.read_text() == before
    assert [item.name for item in path.parent.iterdir()] == ["events.yaml"]


def test_promoted_fields_show_the_values_of_earlier_rows(lake: Any, event: Make) -> None:
    old = {"activity_id": "a1", "duration": 1.5, "hint": {"shown": 2}, "seen_at": "2026-01-02T01:00:00+02:00"}
    lake.put("events", "old.json", event("old", score=7, tags=["x", "y"], data=old), event("odd", score=1.7, data=None))
    lake.ingest()
    columns = list(lake.contracts["events"].columns)
    place = next(number for number, column in enumerate(columns) if column.name == "data")
    added = (
        Column(
            name="hint", type="struct", description="d", fields=(Column(name="shown", type="integer", description="d"),)
        ),
        Column(name="seen_at", type="timestamp", description="d"),
    )
    columns[place] = columns[place].model_copy(update={"fields": (*columns[place].fields, *added)})
    columns += [
        Column(name="score", type="integer", description="d"),
        Column(name="tags", type="string", repeated=True, description="d"),
    ]
    lake.agree("events", columns=tuple(columns), version=2)
    new = {"activity_id": "a2", "hint": {"shown": 3}, "seen_at": "2026-01-01T23:00:00Z"}
    lake.put("events", "zew.json", event("new", score=8, tags=["z"], data=new))
    lake.ingest()

    rows = lake.bronze(columns="event_id, score, tags, data")

    assert [(row["event_id"], row["score"], row["tags"]) for row in rows] == [
        ("old", 7, ["x", "y"]),
        ("odd", None, None),
        ("new", 8, ["z"]),
    ]
    night = dt.datetime(2026, 1, 1, 23)
    assert [row["data"] and (row["data"]["hint"], row["data"]["seen_at"]) for row in rows] == [
        ({"shown": 2}, night),
        None,
        ({"shown": 3}, night),
    ]
    assert rows[0]["data"]["duration"] == 1.5


def test_dates_beside_times_are_read_as_midnight(lake: Any, event: Make, contracts_folder: Path) -> None:
    lake.put("events", "a.json", event("e1", seen_at="2026-01-02"), event("e2", seen_at="2026-01-02T10:00:00Z"))
    lake.ingest()
    fields = unknown_fields(lake.store, lake.ledger().state()).fields
    path, text, _ = proposal(lake.contracts["events"], fields, contracts_folder)
    lake.contracts["events"] = write_contract(path, text)
    assert [row["seen_at"] for row in lake.bronze()] == [dt.datetime(2026, 1, 2), dt.datetime(2026, 1, 2, 10)]


def test_proposal_for_a_change_feed_says_that_the_types_of_the_source_are_not_kept() -> None:
    survey = Survey([seen("49.90")], is_complete=True)
    assert [note.split(":")[0] for note in notes_on(customers(), survey)] == [
        "the connector's types are not kept with the values"
    ]
    assert notes_on(contracts()["events"], survey) == ()
    assert notes_on(customers(), Survey([], is_complete=True)) == ()


def test_widened_type_reads_old_and_new_rows_together(lake: Any, event: Make) -> None:
    lake.agree("events", columns=(*lake.contracts["events"].columns, Column(name="n", type="integer", description="d")))
    lake.put("events", "a.json", event("e1", n=2**53 - 1))
    lake.ingest()
    columns = lake.contracts["events"].columns
    lake.agree("events", columns=(*columns[:-1], Column(name="n", type="double", description="d")), version=2)
    lake.put("events", "b.json", event("e2", n=0.5))
    lake.ingest()
    assert [row["n"] for row in lake.bronze()] == [2.0**53 - 1, 0.5]


def test_frozen_contract_refuses_records_with_unknown_fields(lake: Any, event: Make) -> None:
    lake.agree("events", unknown_fields="freeze")
    lake.put("events", "a.json", event("good"), event("bad", data={"hint": 1}, extra=2), event("late", user_id=None))
    report = lake.ingest()
    assert [row["event_id"] for row in lake.bronze()] == ["good"]
    assert report.reasons == (("missing_required", 1), ("unknown_field", 1))
    found = {row["reason"]: (row["column"], row["detail"]) for row in lake.quarantine()}
    assert found["unknown_field"][1] == f"the contract does not know {found['unknown_field'][0]}, " + (
        "extra, and is frozen" if found["unknown_field"][0] == "data.hint" else "data.hint, and is frozen"
    )


def test_records_with_unknown_fields_are_counted(lake: Any, event: Make) -> None:
    lake.put("events", "a.json", event("e1", x=1), event("e2"), event("e3", data={"y": 1}))
    assert lake.ingest().rescued == 2


def test_number_of_proposed_columns_is_limited(
    lake: Any, event: Make, contracts_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propose, "MAX_SURVEYED", 1200)
    wide = {f"wide_{number}": number for number in range(propose.MAX_PROPOSED)}
    often = {f"often_{number}": 1 for number in range(60)}
    small = {"small": {f"m{number}": 1 for number in range(30)}}
    records = [event(f"e{number}", **often, **small, wide=wide) for number in range(3)]
    records += [event(f"r{record}", **{f"rare_{record}_{number}": 1 for number in range(500)}) for record in range(3)]
    lake.put("events", "a.json", *records)
    lake.ingest()

    survey = unknown_fields(lake.store, lake.ledger().state())
    path, text, _ = proposal(lake.contracts["events"], survey.fields, contracts_folder)

    assert not survey.is_complete
    assert {field.path: field.obstacle for field in survey.fields if field.obstacle} == {
        "wide": "it has more than 100 members"
    }
    before, after = load_contract(path), write_contract(path, text)
    added = [name for name, _ in after.walk() if name not in {name for name, _ in before.walk()}]
    assert len(added) == propose.MAX_PROPOSED
    assert {*often, "small", "small.m29"} <= set(added)


def test_struct_with_more_members_than_are_tracked_is_not_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(5)
    field = Field("x")
    for number in range(9):
        field.observe({f"m{number}": number}, budget)
    assert (field.obstacle, len(field.members or {})) == ("it has more than 100 members", 5)


def test_obstacle_deep_in_a_field_is_found_at_once() -> None:
    value: Any = 1
    for _ in range(60):
        value = {"camelCase": value}
    assert seen(value).obstacle.endswith("its name is not lower_snake_case")


@pytest.mark.parametrize("number", ["1.7976931348623159e308", "9" * 400, "9" * 5000, "1e151"])
def test_numbers_too_large_for_any_column_are_rescued_and_never_proposed(
    lake: Any, event: Make, contracts_folder: Path, number: str
) -> None:
    text = json.dumps(event("e1", fine=1))[:-1] + f', "large": {number}, "nested": {{"large": {number}}}}}'
    lake.put("events", "a.json", text.encode())
    assert lake.ingest().rows == 1
    survey = unknown_fields(lake.store, lake.ledger().state())
    patch = proposal(lake.contracts["events"], survey.fields, contracts_folder)[2]
    assert "+  - {name: fine" in patch
    assert "large" not in patch
    lake.agree("events", unknown_fields="freeze")
    lake.put("events", "b.json", text.encode())
    assert lake.ingest().reasons == (("unknown_field", 1),)


def test_promoted_number_beyond_the_limits_of_records_is_null(lake: Any, event: Make) -> None:
    huge = "9" * 400
    lists = f'"list": [1, {huge}, 1e200, -2.5], "rows": [{{"n": 1.7976931348623159e308, "m": "x"}}, {{"n": 2}}]'
    for name, number in (
        ("odd", huge),
        ("text", '"inf"'),
        ("odd_text", '"nan"'),
        ("large", "-1e200"),
        ("fine", "-1e150"),
    ):
        data = f'"data": {{"inner": {number}, "box": {{"n": {number}, "m": "x"}}}}'
        text = json.dumps(event(name) | {"data": None})[:-1] + f', "score": {number}, "price": 1.239, {lists}, {data}}}'
        lake.put("events", f"{name}.json", text.replace('"data": null, ', "").encode())
    assert lake.ingest().rows == 5

    def column(name: str, kind: str, **fields: Any) -> Column:
        return Column(name=name, type=kind, description="d", **fields)

    members = (column("n", "double"), column("m", "string"))
    columns = [
        item.model_copy(
            update={"fields": (*item.fields, column("inner", "double"), column("box", "struct", fields=members))}
        )
        if item.name == "data"
        else item
        for item in lake.contracts["events"].columns
    ]
    columns += [
        column("score", "double"),
        column("price", "decimal(5, 2)"),
        column("list", "double", repeated=True),
        column("rows", "struct", repeated=True, fields=members),
    ]
    lake.agree("events", columns=tuple(columns), version=2)

    found = lake.bronze(columns="event_id, score, price, list, rows, data.inner AS inner, data.box AS box")

    for row in found:
        number = -1e150 if row["event_id"] == "fine" else None
        assert (row["score"], row["inner"], row["box"]) == (number, number, {"n": number, "m": "x"}), row["event_id"]
        assert row["list"] == [1.0, None, None, -2.5]
        assert row["rows"] == [{"n": None, "m": "x"}, {"n": 2.0, "m": None}]
        assert row["price"] is None


def test_promoted_decimal_is_exact_or_null(lake: Any, event: Make) -> None:
    texts = ["1.23", "-999.99", "1.230", "1e2", "1.235", "1000", '"x"', "9" * 400]
    for number, text in enumerate(texts):
        record = json.dumps(event(f"e{number}"))[:-1] + f', "price": {text}}}'
        lake.put("events", f"{number}.json", record.encode())
    lake.ingest()
    price = Column(name="price", type="decimal(5, 2)", description="d")
    lake.agree("events", columns=(*lake.contracts["events"].columns, price), version=2)
    expected = [Decimal(text) for text in ("1.23", "-999.99", "1.23", "100.00")] + [None] * 4
    assert [row["price"] for row in lake.bronze(columns="price, _source_file, _source_line")] == expected
