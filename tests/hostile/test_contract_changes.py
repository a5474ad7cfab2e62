"""A changed contract reads earlier loads exactly, or is refused with the column, the rule and the remedy."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.contracts.contract import Contract, load_contracts
from ingest.errors import ConflictError, ContractRefused
from ingest.ledger.agreement import Record
from ingest.ledger.entry import Entry
from ingest.ledger.ledger import Ledger
from ingest.settings import Settings
from ingest.steps.load import ingest_feed
from ingest.steps.propose import unknown_fields
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from pipeline.invalidation.changed_dates import feed_changes
from pipeline.warehouse.bronze import bronze_query, readable
from tests.handle import verify_feed
from tests.hostile.checkout import COLUMNS, Checkout, column

START = dt.date(2021, 1, 1)
AT = "2026-01-02T10:00:00Z"
LINES = column("sku", "string")


def struct(name: str, *fields: dict[str, Any], **rules: Any) -> dict[str, Any]:
    return column(name, "struct", fields=list(fields), **rules)


@dataclass(frozen=True)
class Change:
    """A change of the columns other than id and at.

    Attributes:
        loaded: records before it.
        then: a record after it.
        read: column `x` of all records, when the change is allowed.
        fault: a part of the message otherwise.
    """

    before: tuple[dict[str, Any], ...]
    loaded: tuple[dict[str, Any], ...]
    after: tuple[dict[str, Any], ...]
    then: dict[str, Any]
    read: tuple[Any, ...] = ()
    fault: str = ""


def x(kind: str, **rules: Any) -> tuple[dict[str, Any], ...]:
    return (column("x", kind, **rules),)


def values(*found: Any) -> tuple[dict[str, Any], ...]:
    return tuple({"x": item} for item in found)


ALLOWED = {
    "integer_double": Change(
        x("integer"), values(12, -(2**53), None), x("double"), {"x": 0.5}, (12.0, -(2.0**53), None, 0.5)
    ),
    "integers_doubles": Change(
        x("integer", repeated=True),
        values([1, 2], []),
        x("double", repeated=True),
        {"x": [0.5]},
        ([1.0, 2.0], [], [0.5]),
    ),
    "integer_decimal": Change(
        x("integer"),
        values(2**63 - 1, -(2**63)),
        x("decimal(21, 2)"),
        {"x": "0.25"},
        (Decimal(2**63 - 1), Decimal(-(2**63)), Decimal("0.25")),
    ),
    "decimal_wider": Change(
        x("decimal(5,2)"),
        values("999.99", "-0.01"),
        x("decimal(9, 4)"),
        {"x": "12345.6789"},
        (Decimal("999.99"), Decimal("-0.01"), Decimal("12345.6789")),
    ),
    "date_timestamp": Change(
        x("date"),
        values("2026-01-02", None),
        x("timestamp"),
        {"x": "2026-01-03T04:05:06Z"},
        (dt.datetime(2026, 1, 2), None, dt.datetime(2026, 1, 3, 4, 5, 6)),
    ),
    "optional_again": Change(x("string", required=True), values("a", None), x("string"), {"x": None}, ("a", None)),
    "new_column": Change((), values("a", None), x("string"), {"x": "b"}, ("a", None, "b")),
    "new_struct": Change(
        (),
        values({"a": 1, "b": [{"c": "2026-01-02"}]}, None),
        (struct("x", column("a", "integer"), struct("b", column("c", "date"), repeated=True)),),
        {"x": {"a": 2}},
        ({"a": 1, "b": [{"c": dt.date(2026, 1, 2)}]}, None, {"a": 2, "b": None}),
    ),
    "new_member": Change(
        (struct("x", column("a", "integer")),),
        values({"a": 1, "b": 0.5}, {"a": 2}, None),
        (struct("x", column("b", "double"), column("a", "integer")),),
        {"x": {"b": 1.5}},
        ({"b": 0.5, "a": 1}, {"b": None, "a": 2}, None, {"b": 1.5, "a": None}),
    ),
    "new_member_of_a_list": Change(
        (struct("x", column("a", "integer"), struct("in", column("c", "integer"), repeated=True), repeated=True),),
        values([{"a": 1, "b": 7}, {"a": 2, "in": [{"c": 1}, {"c": 2, "to": "z"}]}], [], None),
        (
            struct(
                "x",
                column("a", "double"),
                column("b", "integer"),
                struct("in", column("to", "string"), column("c", "integer"), repeated=True),
                repeated=True,
            ),
        ),
        {"x": [{"b": 9}]},
        (
            [
                {"a": 1.0, "b": 7, "in": None},
                {"a": 2.0, "b": None, "in": [{"to": None, "c": 1}, {"to": "z", "c": 2}]},
            ],
            [],
            None,
            [{"a": None, "b": 9, "in": None}],
        ),
    ),
    "declared_wrongly": Change(x("integer"), values("a", None), x("string"), {"x": "b"}, (None, "b")),
    "other_order": Change(
        (column("x", "integer"), column("y", "integer")),
        values(1),
        (column("y", "integer"), column("x", "integer")),
        {"x": 2},
        (1, 2),
    ),
    "nothing_to_lose": Change(
        (column("x", "integer"), column("y", "integer")), values(1), x("integer"), {"x": 2}, (1, 2)
    ),
}
INEXACT = "which does not read the values loaded before exactly"
REFUSED = {
    "double_integer": Change(x("double"), values(12.5), x("integer"), {"x": 3}, fault="from double to integer"),
    "string_struct": Change(
        x("string"), values("a"), (struct("x", column("id", "string")),), {"x": {}}, fault="from string to struct"
    ),
    "string_integer": Change(x("string"), values("a"), x("integer"), {"x": 3}, fault="from string to integer"),
    "string_list": Change(
        x("string"), values("a"), x("integer", repeated=True), {"x": [3]}, fault="from string to integer[]"
    ),
    "integer_string": Change(x("integer"), values(12), x("string"), {"x": "a"}, fault=INEXACT),
    "great_integer_double": Change(
        x("integer"), values(1, 2**53 + 1), x("double"), {"x": 0.5}, fault="9007199254740993 was loaded"
    ),
    "integer_decimal": Change(x("integer"), values(1), x("decimal(20, 2)"), {"x": 1}, fault=INEXACT),
    "decimal_fewer_digits": Change(x("decimal(5, 2)"), values("1"), x("decimal(6, 4)"), {"x": 1}, fault=INEXACT),
    "decimal_double": Change(x("decimal(5, 2)"), values("1"), x("double"), {"x": 1}, fault=INEXACT),
    "timestamp_date": Change(x("timestamp"), values(AT), x("date"), {"x": "2026-01-02"}, fault=INEXACT),
    "boolean_integer": Change(x("boolean"), values(True), x("integer"), {"x": 1}, fault=INEXACT),
    "one_becomes_many": Change(x("string"), values("a"), x("string", repeated=True), {"x": ["b"]}, fault=INEXACT),
    "many_become_one": Change(x("string", repeated=True), values(["a"]), x("string"), {"x": "b"}, fault=INEXACT),
    "empty_lists": Change(x("string", repeated=True), values([]), x("integer", repeated=True), {}, fault=INEXACT),
    "struct_string": Change(
        (struct("x", column("a", "string")),), values({"a": "b"}), x("string"), {"x": "c"}, fault=INEXACT
    ),
    "member": Change(
        (struct("x", column("a", "string")),),
        values({"a": "b"}),
        (struct("x", column("a", "date")),),
        {},
        fault="column 'x.a' changes from string to date",
    ),
    "member_of_a_list": Change(
        (struct("x", column("a", "double"), repeated=True),),
        values([{"a": 0.5}]),
        (struct("x", column("a", "integer"), repeated=True),),
        {},
        fault="column 'x.a' changes from double to integer",
    ),
    "removed": Change(x("string"), values("a"), (), {}, fault="column 'x' (string) is removed"),
    "renamed": Change(x("string"), values("a"), (column("y", "string"),), {"y": "b"}, fault="'x' (string) is removed"),
    "member_removed": Change(
        (struct("x", column("a", "string"), column("b", "string")),),
        values({"a": "b"}),
        (struct("x", column("b", "string")),),
        {},
        fault="column 'x.a' (string) is removed",
    ),
    "required_now": Change(
        x("string"), values("a"), x("string", required=True), {"x": "b"}, fault="column 'x' becomes required"
    ),
    "required_new": Change((), values("a"), x("string", required=True), {"x": "b"}, fault="'x' is new and required"),
}  # fmt: skip


def agree(checkout: Checkout, changes: dict[str, Change], version: int, **fields: Any) -> None:
    for feed, change in changes.items():
        checkout.agree(
            *(change.before if version == 1 else change.after), feed=feed, version=version,
            max_quarantined_share=1, **fields,
        )  # fmt: skip


def bronze(checkout: Checkout, feed: str, columns: str = "x") -> list[Any]:
    """A column of bronze as shown by the views."""
    contract = load_contracts(checkout.folder / "ingest/contracts")[feed]
    lake = Store(str(checkout.home / "lake"))
    state = Ledger(lake, feed).state()
    query = bronze_query(readable(contract, lake, state), lake.uri, state.bronze_files())
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT {columns} FROM ({query}) ORDER BY _source_file, _source_line").fetchall()
    return [row[0] if len(row) == 1 else row for row in rows]


def test_allowed_changes_read_old_and_new_rows_together(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    agree(checkout, ALLOWED, 1)
    for feed, change in ALLOWED.items():
        checkout.put("a.json", *change.loaded, feed=feed)
    checkout.lake("contracts", "--write")
    checkout.lake("ingest")

    agree(checkout, ALLOWED, 2)
    for feed, change in ALLOWED.items():
        checkout.put("b.json", change.then, feed=feed)
    checkout.lake("contracts", "--write")
    checkout.lake("ingest")

    assert {feed: bronze(checkout, feed) for feed in ALLOWED} == {
        feed: list(change.read) for feed, change in ALLOWED.items()
    }
    verdicts = json.loads(checkout.lake("verify", "--deep", "--json").stdout)
    assert {item["feed"]: item["rejudged"] for item in verdicts if item["rejudged"]} == {
        "optional_again": 1,
        "declared_wrongly": 1,
    }
    replayed = json.loads(checkout.lake("quarantine", "replay", "--json").stdout)["feeds"]
    assert {feed: done["replayed"] for feed, done in replayed.items() if done["replayed"]} == {
        "optional_again": 1,
        "declared_wrongly": 1,
    }
    assert bronze(checkout, "declared_wrongly") == ["a", None, "b"]
    verdicts = json.loads(checkout.lake("verify", "--deep", "--json").stdout)
    assert [item["rejudged"] for item in verdicts] == [0] * len(ALLOWED)


def test_other_changes_are_refused_and_stop_their_feed_alone(tmp_path: Path) -> None:
    # GIVEN
    checkout = Checkout(tmp_path)
    agree(checkout, REFUSED, 1)
    checkout.agree(feed="plain")
    for feed, change in REFUSED.items():
        checkout.put("a.json", *change.loaded, feed=feed)
    checkout.lake("contracts", "--write")
    checkout.lake("ingest")
    before = {feed: bronze(checkout, feed) for feed in REFUSED if feed != "required_new"}

    # WHEN
    agree(checkout, REFUSED, 2)
    for feed, change in REFUSED.items():
        checkout.put("b.json", change.then, feed=feed)
    checkout.put("b.json", {}, feed="plain")

    # THEN
    checked = checkout.lake("contracts", "--write", code=2)
    loaded = checkout.lake("ingest", "--json", code=2)
    for shown in (checked, loaded):
        errors = {line.split(": ")[1]: line for line in shown.stderr.splitlines() if line.startswith("error: ")}
        assert errors.keys() == REFUSED.keys()
        for feed, change in REFUSED.items():
            assert change.fault in errors[feed]
    assert {feed["feed"]: feed["rows"] for feed in json.loads(loaded.stdout)["feeds"]} == {"plain": 1}
    assert {feed: bronze(checkout, feed) for feed in before} == before
    assert "new column" not in loaded.stdout
    verified = json.loads(checkout.lake("verify", "--deep", "--json", code=1).stdout)
    for item in verified:
        assert [line.startswith("contract: ") for line in item["differences"]] == [True] * (item["feed"] != "plain")
    assert checkout.lake("contracts", "--offline", "--write").stdout.startswith(f"{len(REFUSED) + 1} contracts")
    checkout.lake("quarantine", "replay", "double_integer", code=2)

    # AND one remedy is to load the landing again by the new contract, where the landing still has everything
    checkout.lake("ledger", "rebuild", "struct_string", "string_list", "--force", "--yes")
    checkout.lake("ingest", "struct_string", "string_list")
    assert bronze(checkout, "struct_string") == ["c"]
    assert bronze(checkout, "string_list") == [[3]]

    # AND the other is the previous contract
    agree(checkout, {feed: change for feed, change in REFUSED.items() if not feed.startswith("str")}, 1)
    checkout.lake("contracts", "--offline", "--write")
    feeds = [feed for feed in REFUSED if not feed.startswith("str")]
    checkout.lake("ingest", *feeds, code=0)


def test_key_kind_and_event_time_of_a_feed_cannot_change(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    other = column("other", "timestamp", required=True)
    name = column("name", "string", required=True)
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "keyed": ({"key": ["name"]}, "key changes from id to name"),
        "wider": ({"key": ["id", "name"]}, "key changes from id to id, name"),
        "timed": ({"event_time": "other"}, "event_time changes from at to other"),
        "kept": ({"kind": "entity", "event_time": None}, "kind changes from event to entity"),
    }
    for feed in changes:
        checkout.agree(other, name, feed=feed)
        checkout.put("a.json", {"other": AT, "name": "n"}, feed=feed)
    checkout.lake("contracts", "--write")
    checkout.lake("ingest")
    for feed, (fields, _) in changes.items():
        checkout.agree(other, name, feed=feed, version=2, **fields)
    shown = checkout.lake("contracts", code=2)
    errors = {line.split(": ")[1]: line for line in shown.stderr.splitlines()}
    for feed, (_, fault) in changes.items():
        assert fault in errors[feed]
        assert "make it a new feed" in errors[feed]


def test_version_is_raised_with_each_change(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.agree(column("x", "integer"), version=3)
    checkout.lake("contracts", "--write")  # no lake yet
    checkout.put("a.json", {"x": 1})
    checkout.lake("ingest")

    checkout.agree(column("x", "integer"), column("y", "string"), version=3)
    refused = checkout.lake("ingest", code=2).stderr
    assert "version 3 is recorded with other columns: 'y' was absent and is string; raise `version`" in refused
    checkout.agree(column("x", "double"), version=3)
    assert "'x' was integer and is double; raise `version`" in checkout.lake("contracts", code=2).stderr
    checkout.agree(column("x", "integer"), version=2)
    assert "version 2 is older than version 3" in checkout.lake("contracts", code=2).stderr

    # descriptions and classes are no columns, and a version may be raised without a change
    checkout.agree(
        column("x", "integer", **{"class": "direct", "subject": "account"}) | {"description": "y"},
        version=3,
        personal={"purpose": "Tests.", "legal_basis": "consent", "on_erasure": "delete"},
    )
    checkout.lake("contracts", "--write")
    checkout.agree(column("x", "integer"), version=5)
    checkout.put("b.json", {"x": 2})
    checkout.lake("ingest")
    checkout.agree(column("x", "integer"), version=4)
    assert "version 4 is older than version 5" in checkout.lake("ingest", code=2).stderr


class Feed:
    """One feed in this process."""

    def __init__(self, folder: Path) -> None:
        self.landing, self.lake = Landing(f"{folder}/landing/raw-clicks"), Store(f"{folder}/lake")
        self.ledger = Ledger(self.lake, "clicks")
        self.options = Settings(lake_home=str(folder))

    def contract(self, *columns: dict[str, Any], version: int = 1) -> Contract:
        return Contract.model_validate(
            {
                "feed": "clicks",
                "domain": "web",
                "version": version,
                "kind": "event",
                "owner": "tests",
                "description": "x",
                "source": {"bucket": "raw-clicks"},
                "key": ["id"],
                "event_time": "at",
                "freshness_seconds": 60,
                "columns": [*COLUMNS, *columns],
            }
        )

    def load(self, contract: Contract, key: str, **values: Any) -> None:
        self.landing.put(key, json.dumps({"id": key, "at": AT} | values).encode() + b"\n")
        ingest_feed(contract, self.landing, self.lake, START)


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    return Feed(tmp_path)


def test_contract_is_kept_once_for_each_change_and_in_checkpoints(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = feed.contract(*x("integer")), feed.contract(*x("double"), version=2)
    feed.load(first, "a", x=1)
    feed.load(first, "b", x=2)
    monkeypatch.setattr("ingest.ledger.ledger.CHECKPOINT_ENTRIES", 1)
    feed.load(second, "c", x=0.5)
    feed.load(second, "d", x=0.5)
    entries = [entry.contract for _, entry in feed.ledger.entries(0)]
    assert entries == [Record.of(first).text(), "", Record.of(second).text(), ""]
    assert feed.ledger.state().contract == feed.ledger.live().contract == Record.of(second).text()
    assert feed.ledger.state(2).contract == Record.of(first).text()


def test_concurrent_loads_by_two_contracts_are_planned_again(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    older, newer = feed.contract(*x("integer")), feed.contract(*x("double"), version=2)
    feed.load(older, "a", x=1)
    real: Callable[..., int] = Ledger.commit

    def meanwhile(self: Ledger, entry: Entry, seen: int) -> int:
        monkeypatch.setattr(Ledger, "commit", real)
        feed.load(older, "late", x=2**53 + 1)
        return real(self, entry, seen)

    monkeypatch.setattr(Ledger, "commit", meanwhile)
    with pytest.raises(ContractRefused, match="9007199254740993 was loaded"):
        feed.load(newer, "b", x=0.5)
    monkeypatch.setattr(Ledger, "commit", real)

    def widened(self: Ledger, entry: Entry, seen: int) -> int:
        monkeypatch.setattr(Ledger, "commit", real)
        feed.load(feed.contract(*x("integer"), *(column("y", "string"),), version=2), "c", x=1)
        return real(self, entry, seen)

    monkeypatch.setattr(Ledger, "commit", widened)
    with pytest.raises(ContractRefused, match="version 1 is older than version 2"):
        feed.load(older, "d", x=1)
    one, two = (Entry("a", dt.datetime.now(dt.UTC), contract=text) for text in ("x", "y"))
    assert not one.conflicts_with(two)  # neither loads anything
    assert issubclass(ConflictError, Exception)


def test_ledger_without_recorded_contracts_is_compared_by_its_files(feed: Feed) -> None:
    feed.load(feed.contract(*x("string")), "a", x="1")
    key = feed.ledger._key(1)
    entry = Entry.from_bytes(feed.lake.get(key), key)
    feed.lake.put(key, Entry(entry.load_id, entry.committed_at, entry.objects, entry.added).to_bytes())
    assert feed.ledger.state().contract == ""
    with pytest.raises(ContractRefused, match="'x' changes from string to integer"):
        feed.load(feed.contract(*x("integer")), "b", x=2)
    state = feed.ledger.state()
    assert readable(feed.contract(*x("integer")), feed.lake, state).leaf("x").type == "string"
    feed.load(feed.contract(*x("string")), "b", x="2")
    assert feed.ledger.state().contract == Record.of(feed.contract(*x("string"))).text()


def test_refused_contract_does_not_alter_changed_dates(feed: Feed) -> None:
    feed.load(feed.contract(*x("string")), "a", x="1")
    with duckdb.connect() as connection:
        (change,) = feed_changes(feed.lake, {"clicks": feed.contract(*x("integer"), version=2)}, {}, connection)
    assert change.dates == {dt.date(2026, 1, 2)}


def test_bronze_that_cannot_be_read_is_a_difference(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = feed.contract(*x("string"))
    feed.load(contract, "a", x="1")
    monkeypatch.setattr(
        "pipeline.checks.verify.bronze_query", lambda *_: "SELECT _source_file, CAST('a' AS INT) FROM nowhere"
    )
    verdict = verify_feed(contract, feed.options, deep=True)
    assert [line.split(":")[0] for line in verdict.differences] == ["bronze cannot be read"]


def test_a_dot_in_a_name_does_not_make_a_member(feed: Feed) -> None:
    before = feed.contract(struct("x", column("a", "integer")))
    feed.landing.put("a", f'{{"id":"1","at":"{AT}","x":{{"a":1}},"x.b":2}}'.encode())
    ingest_feed(before, feed.landing, feed.lake, START)
    after = feed.contract(struct("x", column("a", "integer"), column("b", "integer")), version=2)
    query = bronze_query(after, feed.lake.uri, feed.ledger.live_files())
    rows = duckdb.sql(f"SELECT x, _rescued_data FROM ({query})").fetchall()
    assert rows == [({"a": 1, "b": None}, r'{"x\\.b":2}')]
    assert [item.obstacle for item in unknown_fields(feed.lake, feed.ledger.state()).fields] == [
        "its name is not lower_snake_case"
    ]


@pytest.mark.parametrize(
    ("kind", "rescued", "shown"),
    [
        ("integer", ["1.0", "1e2", '"7"', '" 7"', "9223372036854775808", "-3"], [None, None, 7, None, None, -3]),
        (
            "double",
            ['"inf"', '"nan"', "1e151", "0.5", '"x"', "-1e10"],
            [None, None, None, 0.5, None, -1e10],
        ),
        (
            "decimal(4, 2)",
            ["1.005", "1.50", "1.500", "123", "99.99", "1e1"],
            [None, Decimal("1.50"), Decimal("1.50"), None, Decimal("99.99"), Decimal(10)],
        ),
        ("date", ['"2026-01-02T10:00:00Z"', '"2026-01-02"', '"2026-13-01"'], [None, dt.date(2026, 1, 2), None]),
        ("boolean", ["1", '"yes"', "true", "false"], [None, None, True, False]),
        ("timestamp", ['"2026-01-02T01:00:00+02:00"', '"x"'], [dt.datetime(2026, 1, 1, 23), None]),
    ],
)
def test_promoted_values_are_never_cut_rounded_or_guessed(
    feed: Feed, kind: str, rescued: list[str], shown: list[Any]
) -> None:
    lines = [f'{{"id":"{n}","at":"{AT}","x":{text}}}' for n, text in enumerate(rescued)]
    feed.landing.put("a", "\n".join(lines).encode())
    ingest_feed(feed.contract(), feed.landing, feed.lake, START)
    query = bronze_query(feed.contract(*x(kind), version=2), feed.lake.uri, feed.ledger.live_files())
    assert duckdb.sql(f"SELECT x FROM ({query}) ORDER BY _source_line").fetchall() == [(item,) for item in shown]
    nested = feed.contract(struct("y", column("x", kind, repeated=True)), version=2)
    feed.landing.put("b", "\n".join(line.replace('"x":', '"y":{"x":[').replace("}", "]}}") for line in lines).encode())
    ingest_feed(feed.contract(), feed.landing, feed.lake, START)
    query = bronze_query(nested, feed.lake.uri, feed.ledger.live_files())
    rows = duckdb.sql(f"SELECT y FROM ({query}) WHERE y IS NOT NULL ORDER BY _source_line").fetchall()
    assert [row[0]["x"] for row in rows] == [[item] for item in shown]
