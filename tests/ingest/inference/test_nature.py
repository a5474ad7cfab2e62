"""What a feed is and by which columns, as its records show it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ingest.inference.draft import Draft, draft_of
from ingest.inference.nature import singular
from ingest.inference.observation import Observation

Records = list[dict[str, Any]]


def drafted(feed: str, records: Records) -> Draft:
    observation = Observation()
    for record in records:
        observation.observe(json.dumps(record).encode(), "json")
    return draft_of(feed, observation, ())


def times(count: int, make: Callable[[int], dict[str, Any]]) -> Records:
    return [make(number) for number in range(count)]


def at(number: int) -> str:
    return f"2026-01-{1 + number // 1440 % 28:02}T{number // 60 % 24:02}:{number % 60:02}:00Z"


FEEDS: dict[str, tuple[str, Records, tuple[str, tuple[str, ...], str | None, tuple[str, ...]]]] = {
    "facts with an id": (
        "clicks",
        times(200, lambda n: {"page": "a", "click_id": f"c{n}", "occurred_at": at(n)}),
        ("event", ("click_id",), "occurred_at", ()),
    ),
    "facts of things, by thing and time": (
        "readings",
        times(200, lambda n: {"sensor_id": n % 7, "measured_at": at(n // 7), "value": n / 3}),
        ("event", ("sensor_id", "measured_at"), "measured_at", ()),
    ),
    "facts dated when they were created": (
        "orders",
        times(200, lambda n: {"id": n, "created_at": at(n)}),
        ("event", ("id",), "created_at", ()),
    ),
    "facts of which a few are corrected": (
        "plays",
        times(200, lambda n: {"play_id": n % 197, "occurred_at": at(n), "seconds": n}),
        ("event", ("play_id",), "occurred_at", ()),
    ),
    "versions with the time of the change": (
        "orders",
        times(200, lambda n: {"order_id": n % 50, "created_at": at(0), "updated_at": at(n), "n": n}),
        ("entity", ("order_id",), None, ("updated_at",)),
    ),
    "versions, each key once so far": (
        "orders",
        times(200, lambda n: {"order_id": n, "last_modified": at(n)}),
        ("entity", ("order_id",), None, ("last_modified",)),
    ),
    "versions with a number": (
        "prices",
        times(200, lambda n: {"sku_code": f"s{n % 40}", "price_id": n % 40, "version": n // 40, "price": n}),
        ("entity", ("price_id",), None, ("version",)),
    ),
    "versions without an order": (
        "users",
        times(200, lambda n: {"user_id": n % 50, "registration_at": at(n % 50), "plan": n}),
        ("entity", ("user_id",), None, ()),
    ),
    "things without a time": (
        "countries",
        times(100, lambda n: {"code": f"c{n}", "name": "x"}),
        ("entity", ("code",), None, ()),
    ),
    "states that an own timestamp orders": (
        "tickets",
        times(200, lambda n: {"ticket_id": n % 20, "timestamp": at(n), "state": n}),
        ("entity", ("ticket_id",), None, ("timestamp",)),
    ),
    "an id that is not the first unique column": (
        "items",
        times(200, lambda n: {"serial": n, "item_id": f"i{n}", "occurred_at": at(n)}),
        ("event", ("item_id",), "occurred_at", ()),
    ),
}


@pytest.mark.parametrize("name", FEEDS)
def test_kind_key_and_times_follow_from_the_records(name: str) -> None:
    feed, records, expected = FEEDS[name]
    nature = drafted(feed, records).nature
    assert (nature.kind, nature.key, nature.event_time, nature.latest_by) == expected


def test_record_that_is_sent_twice_does_not_make_a_key_repeat() -> None:
    records = times(200, lambda n: {"click_id": n, "occurred_at": at(n)})
    found = drafted("clicks", [*records, *records[:50]])
    assert found.nature.key == ("click_id",)
    assert found.notes == ["50 records were sent more than once, byte for byte"]


def test_corrected_facts_are_a_doubt_about_the_key() -> None:
    _, records, _ = FEEDS["facts of which a few are corrected"]
    doubts = drafted("plays", records).nature.doubts["key"]
    assert doubts[0] == "3 of 200 records have the key of another one with other content"


def test_few_faulty_records_do_not_decide() -> None:
    records = times(400, lambda n: {"click_id": n, "occurred_at": at(n), "size": n})
    records[7]["occurred_at"] = "soon"
    records[8]["size"] = "large"
    del records[9]["click_id"]
    found = drafted("clicks", records)
    assert (found.nature.kind, found.nature.key, found.nature.event_time) == ("event", ("click_id",), "occurred_at")
    columns = {column.name: column for column in found.columns}
    assert {name: column.type for name, column in columns.items()} == {
        "click_id": "integer",
        "occurred_at": "timestamp",
        "size": "integer",
    }
    assert columns["click_id"].comments == ["1 of 400 records lack it, and would be quarantined"]
    assert columns["size"].comments == ['of another type, and would be quarantined: string 1, as "large"']


def test_identifiers_of_csv_that_look_like_numbers_but_for_a_few_stay_text() -> None:
    observation = Observation()
    for number in range(400):
        text = "K1A" if number == 7 else str(10_000 + number)
        observation.observe(json.dumps({"shop_id": text}).encode(), "csv")
    assert draft_of("shops", observation, ()).columns[0].type == "string"


def test_alternatives_to_the_key_are_named() -> None:
    records = times(200, lambda n: {"click_id": n, "request_id": f"r{n}", "occurred_at": at(n)})
    assert "also unique over the samples: request_id" in drafted("clicks", records).nature.doubts["key"]


def test_no_unique_column_makes_the_key_a_guess() -> None:
    records = times(200, lambda n: {"colour": ["red", "blue"][n % 2], "size": [1, 2, 3][n % 3], "weight": n})
    for record in records:
        record["weight"] = record["weight"] / 2.0 + 0.25  # no key
    found = drafted("paints", records).nature
    assert found.key == ("colour",)
    assert found.doubts["key"] == ["a guess: no column and no pair of columns is unique over the samples"]


def test_required_is_what_a_hundred_records_have() -> None:
    few = drafted("clicks", times(99, lambda n: {"click_id": n, "occurred_at": at(n), "page": "a"}))
    many = drafted("clicks", times(100, lambda n: {"click_id": n, "occurred_at": at(n), "page": "a"}))
    one_lacks = times(200, lambda n: {"click_id": n, "occurred_at": at(n), "page": None if n == 7 else "a"})
    assert {column.name: column.required for column in few.columns} == {
        "click_id": True,
        "occurred_at": True,
        "page": False,
    }
    assert all(column.required for column in many.columns)
    assert not drafted("clicks", one_lacks).columns[2].required
    assert few.notes[0].startswith("only 99 records were read, fewer than 100: nothing but the key is required")


@pytest.mark.parametrize(
    ("feed", "one"),
    [("activities", "activity"), ("addresses", "address"), ("boxes", "box"), ("news", "new"), ("stock", "stock")],
)
def test_one_record_has_a_name(feed: str, one: str) -> None:
    assert singular(feed) == one
