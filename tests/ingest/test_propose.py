"""What records bring and the contract does not know: kept, refused or proposed, and readable once it is declared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest import propose
from ingest.contract import CONTRACTS, Column, load_contract
from ingest.errors import ConfigError
from ingest.propose import Field, proposal, unknown_fields

Make = Callable[..., dict[str, Any]]


def seen(*values: Any) -> Field:
    field = Field("x")
    for value in values:
        field.see(value)
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
        (["2026-01-02", "2026-01-02T10:00:00+02:00"], "string", False, True),
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


def test_proposal_adds_columns_where_they_belong_and_touches_nothing_else(
    lake: Any, event: Make, contracts_folder: Path
) -> None:
    data = {"activity_id": "a1", "hint": {"shown": 2}, "userAgent": "x"}
    lake.put("events", "a.json", event("e1", tags=["x"], score=1), event("e2", score=1.5, data=data), event("e3"))
    lake.ingest()

    fields = unknown_fields(lake.store, lake.ledger().state())
    path, text, patch = proposal(lake.contracts["events"], fields, contracts_folder)

    assert [(field.path, field.records, field.obstacle) for field in fields] == [
        ("score", 2, ""),
        ("data.hint", 1, ""),
        ("data.userAgent", 1, "its name is no lower_snake_case"),
        ("tags", 1, ""),
    ]
    removed = [line for line in patch.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert removed == ["-version: 1"]
    before, after = load_contract(path), propose.write(path, text)
    assert after.version == 2
    assert {name for name, _ in after.walk()} - {name for name, _ in before.walk()} == {
        "score",
        "tags",
        "data.hint",
        "data.hint.shown",
    }
    assert after.leaf("tags").repeated


def test_nothing_unknown_is_no_proposal(lake: Any, event: Make, contracts_folder: Path) -> None:
    lake.put("events", "a.json", event())
    lake.ingest()
    assert (
        proposal(lake.contracts["events"], unknown_fields(lake.store, lake.ledger().state()), contracts_folder)[2] == ""
    )


def test_invalid_proposal_leaves_the_contract_alone(contracts_folder: Path) -> None:
    path = contracts_folder / "engagement" / "events.yaml"
    before = path.read_text()
    with pytest.raises(ConfigError):
        propose.write(path, before.replace("kind: event", "kind: nonsense"))
    assert path.read_text() == before
    assert [item.name for item in path.parent.iterdir()] == ["events.yaml"]


def test_promoted_fields_show_the_values_of_rows_that_were_loaded_before(lake: Any, event: Make) -> None:
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
