"""Which records are a person's: all of them, whatever identifier they have, and none of anybody else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.column import Column
from ingest.contracts.contract import contracts
from ingest.errors import ConfigError
from ingest.ledger.quarantine import Selection
from ingest.settings import settings
from pipeline.access.subjects import Subject, known_identifiers, named_identifiers
from pipeline.checks.subject import MOST_OF_OTHERS, MOST_VALUES, SubjectSearch
from pipeline.cycle.quarantine import discard_all
from pipeline.lake import Lake
from tests.envelopes import envelope, source
from tests.home import Home

EVENT = {"name": "activity_exit", "occurred_at": "2026-03-01 10:00:00", "data": {"activity_id": "a1"}}
CLICK = {"event_type": "view", "occurred_at": "2026-03-01T10:00:00Z"}
TIMES = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}


def event(key: str, user: str, child: str = "k1", **more: Any) -> dict[str, Any]:
    return EVENT | {"event_id": key, "user_id": user, "child_id": child} | more


def click(key: str, visitor: str, customer: int | None = None) -> dict[str, Any]:
    return CLICK | {"event_id": key, "visitor_id": visitor, "customer_id": customer}


def change(row: dict[str, Any], number: int) -> dict[str, Any]:
    return envelope(before=None, after=row, source=source(lsn=number))


@pytest.fixture
def home(clean_settings: Path) -> Home:
    return Home()


@pytest.fixture
def search(home: Home) -> Iterator[SubjectSearch]:
    lake = Lake(settings())
    with lake.connect() as connection:
        yield SubjectSearch(lake.store, contracts(), connection)


def person(search: SubjectSearch, *named: str) -> Subject:
    return search.closure(named_identifiers(named, contracts().values()))


def keys(search: SubjectSearch, feed: str, subject: Subject, column: str = "event_id") -> list[Any]:
    return [record.values[column] for record in search.records_of(feed, subject) if not record.is_of_another]


def test_identifiers_of_one_person_lead_to_one_another(home: Home, search: SubjectSearch) -> None:
    accounts = [
        {"account_id": "a1", "user_id": "u1", **TIMES},
        {"account_id": "a1", "user_id": "u2", **TIMES, "updated_at": "2026-02-01T00:00:00Z"},
        {"account_id": "a2", "user_id": "u2", **TIMES},
        {"account_id": "a3", "user_id": "", **TIMES},
        {"account_id": "a4", "user_id": "", **TIMES},
        {"account_id": "a5", "user_id": "u5", **TIMES},
    ]
    home.put("accounts", "a.json", *accounts)
    home.ingest("accounts")
    found = person(search, "user_id=u1")
    assert found.values == {"user_id": {"u1", "u2"}, "account_id": {"a1", "a2"}}
    assert set(found.found_in) == {("account_id", "a1"), ("user_id", "u2"), ("account_id", "a2")}
    assert person(search, "account_id=a3").values == {"account_id": {"a3"}}
    assert search.found("accounts", found).rows == 3
    assert len(search.found("accounts", found).files) == 1


def test_a_shared_identifier_is_led_to_and_leads_nowhere(home: Home, search: SubjectSearch) -> None:
    clicks = [click("e1", "v1", 7), click("e2", "v1"), click("e3", "v1", 8), click("e4", "v2", 8), click("e5", "v3")]
    home.put("clickstream", "a.json", *clicks)
    home.ingest("clickstream")
    seven, eight = person(search, "customer_id=7"), person(search, "customer_id=08")
    assert seven.values == {"customer_id": {"7"}, "visitor_id": {"v1"}}
    assert eight.values == {"customer_id": {"8"}, "visitor_id": {"v1", "v2"}}
    assert keys(search, "clickstream", seven) == ["e1", "e2"]
    assert keys(search, "clickstream", eight) == ["e2", "e3", "e4"]
    visitor = person(search, "visitor_id=v1")
    assert visitor.values == {"visitor_id": {"v1"}}
    assert keys(search, "clickstream", visitor) == ["e2"]
    (first, second) = search.records_of("clickstream", seven)
    assert (first.by, second.by) == (("visitor_id", "customer_id"), ("visitor_id",))


def test_a_placeholder_is_no_identifier_of_one_person(home: Home, search: SubjectSearch) -> None:
    home.put(
        "accounts", "a.json", *({"account_id": f"a{n}", "user_id": "none", **TIMES} for n in range(MOST_VALUES + 1))
    )
    home.ingest("accounts")
    with pytest.raises(ConfigError, match=f"more than {MOST_VALUES} of account_id, so one of the identifiers is none"):
        person(search, "account_id=a1")


def test_many_persons_are_searched_together(home: Home, search: SubjectSearch) -> None:
    """What relates them may be more than one person has, and a placeholder among them still is found."""
    many = range(2 * MOST_VALUES)
    home.put("accounts", "a.json", *({"account_id": f"a{n}", "user_id": f"u{n}", **TIMES} for n in many))
    home.ingest("accounts")
    named = {"user_id": frozenset(f"u{n}" for n in many)}
    assert search.closure(named, len(many)).values["account_id"] == {f"a{n}" for n in many}
    with pytest.raises(ConfigError, match=f"from one person to more than {MOST_VALUES} of account_id"):
        search.closure(named)
    lots = ({"account_id": f"b{n}", "user_id": "none", **TIMES} for n in range(MOST_VALUES + MOST_OF_OTHERS + 1))
    home.put("accounts", "b.json", *lots)
    home.ingest("accounts")
    again = SubjectSearch(Lake(settings()).store, contracts(), Lake(settings()).connect())
    with pytest.raises(ConfigError, match=f"from 2 persons to more than {MOST_VALUES + MOST_OF_OTHERS} of account_id"):
        again.closure({"user_id": frozenset({"none", "u1"})}, 2)


def test_rows_have_their_source(home: Home, search: SubjectSearch) -> None:
    home.put("events", "a.json", event("e1", "u1"), event("e2", "u2"), event("e3", "u1", mood="fine"))
    home.put("users", "a.json", {"user_id": "u9", "children_ids": ["k1", "k2"]}, {"user_id": "u1", "children_ids": []})
    home.ingest("events", "users")
    first, third = search.records_of("events", person(search, "user_id=u1"))
    assert (first.source.object, first.source.line, third.source.line) == ("raw-events/a.json", 1, 3)
    assert third.rescued is not None
    assert json.loads(third.rescued) == {"mood": "fine"}
    assert third.source.modified_at <= third.source.ingested_at
    assert third.values["data"]["activity_id"] == "a1"
    (user,) = search.records_of("users", person(search, "child_id=k2"))
    assert (user.values["user_id"], user.by) == ("u9", ("children_ids",))


def test_what_belongs_to_a_record_of_the_person_is_found(home: Home, search: SubjectSearch) -> None:
    customers = {1: 7, 2: 7, 3: 8, 4: None}
    orders = [{"order_id": n, "customer_id": customer, "total_amount": "9.50"} for n, customer in customers.items()]
    home.put("orders", "a.json", *(change(row, row["order_id"]) for row in orders))
    home.put("order_items", "a.json", *(change({"order_id": n, "line_number": n}, n) for n in customers))
    home.ingest("orders", "order_items")
    found = person(search, "customer_id=7")
    assert keys(search, "orders", found, "order_id") == [1, 2]
    items = list(search.records_of("order_items", found))
    assert [(item.values["line_number"], item.by) for item in items] == [(n, ("orders.order_id",)) for n in (1, 2)]
    assert list(search.records_of("products", found)) == []


def test_rescued_fields_are_the_persons_or_somebody_elses(home: Home, search: SubjectSearch) -> None:
    home.put("events", "a.json", event("e1", "u2", invited="user-1"), event("e2", "u2", invited="user-11"))
    home.put(
        "activities", "a.json", {"activity_id": "a1", "author": "user-1"}, {"activity_id": "a2", "author": "x-user-1"}
    )
    home.ingest("events", "activities")
    found = person(search, "user_id=user-1")
    (mention,) = search.records_of("events", found)
    assert (mention.values["event_id"], mention.is_of_another) == ("e1", True)
    (author,) = search.records_of("activities", found)
    assert (author.values["activity_id"], author.by, author.is_of_another) == ("a1", ("_rescued_data",), False)


def test_rejected_records_are_found_however_they_are_broken(home: Home, search: SubjectSearch) -> None:
    never = {"occurred_at": "never"}
    home.put(
        "events",
        "a.json",
        event("e1", "user-1", **never),
        b'{"event_id": "e2", "user_id": "user-1", "occurred_at": "2026',
        event("e3", "user-2", **never),
        event("e4", "user-2", **never, friend="user-1"),
        event("e5", "user-10", **never),
        b'{"event_id": "e6", "user_id": "us\\u0065r-1", "occurred_at": 1}',
        b"\xff user-1 \xff",
    )
    home.put("orders", "a.json", change({"order_id": 1, "customer_id": 7, "created_at": "never"}, 1))
    home.put("orders", "b.json", change({"order_id": 7, "customer_id": 8, "created_at": "never"}, 1))
    home.ingest("events", "orders")
    found = person(search, "user_id=user-1")
    assert [(item.source.line, item.is_sure) for item in search.rejected_of("events", found)] == [
        *((1, True), (2, True), (4, False), (6, True), (7, True))
    ]
    customer = person(search, "customer_id=7")
    rejected = {item.source.object: item.is_sure for item in search.rejected_of("orders", customer)}
    assert rejected == {"raw-shop-orders/a.json": True, "raw-shop-orders/b.json": False}


def test_discarded_records_are_found_with_their_reason(home: Home, search: SubjectSearch) -> None:
    home.put("events", "a.json", event("e1", "u1", occurred_at="never"))
    home.ingest("events")
    discard_all(Lake(settings()), ("events",), "wrong clock", Selection())
    (rejected,) = search.rejected_of("events", person(search, "user_id=u1"))
    assert (rejected.discarded, rejected.by, rejected.is_sure) == ("wrong clock", ("user_id",), True)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (("user=secret-1",), r"no contract has an identifier user; expected IDENTIFIER=VALUE with one of account_id, "),
        (("secret-1",), r"no contract has an identifier; expected IDENTIFIER=VALUE with one of account_id, "),
        (("user_id=",), "user_id has no value; expected user_id=VALUE"),
        (("customer_id=secret-1",), "customer_id is an integer of 64 bits, and the given value is none"),
        (("customer_id=9223372036854775808",), "customer_id is an integer of 64 bits, and the given value is none"),
        ((), "no person is named; expected IDENTIFIER=VALUE with one of account_id, "),
    ],
)
def test_what_names_nobody_is_refused_without_its_value(named: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        named_identifiers(named, contracts().values())
    assert "secret-1" not in str(refused.value)


def test_an_identifier_has_one_type() -> None:
    column = {"name": "user_id", "class": "direct", "subject": "account", "identifies": "user_id", "description": "x"}
    users = contracts()["users"]
    other = contracts()["orders"].model_copy(update={"columns": (Column.model_validate(column | {"type": "integer"}),)})
    with pytest.raises(
        ConfigError, match="user_id identifies user_id as integer, but users as string; expected one type"
    ):
        known_identifiers([users, other])


def test_values_are_data(home: Home, search: SubjectSearch) -> None:
    name = "u'1 OR 1=1 --\"|.*"
    home.put("events", "a.json", event("e1", name), event("e2", "u2"), event("e3", "u2", friend=name))
    home.put("events", "b.json", event("e4", name, occurred_at="never"))
    home.ingest("events")
    found = person(search, f"user_id={name}")
    assert keys(search, "events", found) == ["e1"]
    assert [record.is_of_another for record in search.records_of("events", found)] == [False, True]
    assert [item.is_sure for item in search.rejected_of("events", found)] == [True]


def test_a_refused_contract_hides_nobody(home: Home, search: SubjectSearch) -> None:
    """Readers then see the feed by the recorded contract, which has to identify persons as well."""
    home.put("clickstream", "a.json", click("e1", "v1", 7), click("e2", "v1"))
    home.ingest("clickstream")
    contract = contracts()["clickstream"]
    columns = tuple(
        column.model_copy(update={"type": "string"}) if column.name == "quantity" else column
        for column in contract.columns
    )
    refused = contract.model_copy(update={"columns": columns, "version": contract.version})
    lake = Lake(settings())
    with lake.connect() as connection:
        later = SubjectSearch(lake.store, contracts() | {"clickstream": refused}, connection)
        found = person(later, "customer_id=7")
        assert found.values == {"customer_id": {"7"}, "visitor_id": {"v1"}}
        assert keys(later, "clickstream", found) == ["e1", "e2"]


def test_persons_are_found_on_s3(s3_home: Home) -> None:
    s3_home.put("events", "a.json", event("e1", "u1"), event("e2", "u2"), event("e3", "u1", occurred_at="never"))
    s3_home.ingest("events")
    lake = Lake(settings())
    with lake.connect() as connection:
        search = SubjectSearch(lake.store, contracts(), connection)
        found = person(search, "user_id=u1")
        assert search.found("events", found).rows == 1
        assert keys(search, "events", found) == ["e1"]
        assert [item.source.line for item in search.rejected_of("events", found)] == [3]


def test_an_empty_lake_has_nobody(search: SubjectSearch) -> None:
    found = person(search, "user_id=u1", "customer_id=7")
    assert found.values == {"user_id": {"u1"}, "customer_id": {"7"}}
    for feed in contracts():
        assert list(search.records_of(feed, found)) == []
        assert list(search.rejected_of(feed, found)) == []
        assert search.found(feed, found).rows == 0
