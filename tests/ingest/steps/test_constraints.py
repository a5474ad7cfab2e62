"""Constraints reject or mark exactly the records that violate them, whatever their place, type and neighbours."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.contracts.constraint import HIDDEN_VALUE
from ingest.contracts.contract import Contract
from ingest.contracts.schema import WARNINGS
from ingest.records.parsed import Parsed
from ingest.records.parts import Piece
from ingest.steps.constraints import Constraints
from ingest.steps.parse import Parser

NOON = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
Record = dict[str, Any]


def column(name: str, kind: str, **rules: Any) -> Record:
    return {"name": name, "type": kind, "description": "x", **rules}


def contract(columns: list[Record], *constraints: Record) -> Contract:
    return Contract.model_validate(
        {
            "feed": "orders",
            "domain": "shop",
            "version": 1,
            "kind": "entity",
            "owner": "me",
            "description": "Orders.",
            "source": {"bucket": "raw-orders"},
            "key": ["id"],
            "freshness_seconds": 60,
            "columns": [column("id", "integer", required=True), *columns],
            "constraints": constraints,
        }
    )


def parse(agreed: Contract | Parser, records: list[Record]) -> Parsed:
    lines = [json.dumps({"id": number} | record).encode() for number, record in enumerate(records)]
    parser = agreed if isinstance(agreed, Parser) else Parser(agreed, [NOON])
    return parser.parse([Piece(0, 1, b"".join(line + b"\n" for line in lines))])


def loaded(parsed: Parsed) -> list[int]:
    return parsed.rows.column("id").to_pylist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Place:
    """Where the column `x` is.

    Attributes:
        path: of the column.
        columns: from the definition of `x`.
        record: from a value of `x`.
        in_list: whether `x` has several values in a record.
    """

    path: str
    columns: Callable[[Record], list[Record]]
    record: Callable[[Any], Record]
    is_repeated: bool = False


def struct(name: str, field: Record, **rules: Any) -> Record:
    return column(name, "struct", fields=[field], **rules)


PLACES = {
    "top": Place("x", lambda x: [x], lambda value: {"x": value}),
    "in a struct": Place("s.x", lambda x: [struct("s", x)], lambda value: {"s": {"x": value}}),
    "in elements": Place(
        "l.x",
        lambda x: [struct("l", x, repeated=True)],
        lambda value: {"l": [None, {}, {"x": None}, {"x": value}]},
    ),
    "in a struct of elements": Place(
        "l.s.x",
        lambda x: [struct("l", struct("s", x), repeated=True)],
        lambda value: {"l": [{"s": None}, {"s": {"x": value}}]},
    ),
    "an element": Place("x", lambda x: [x | {"repeated": True}], lambda value: {"x": [None, value]}, True),
    "an element of elements": Place(
        "l.x",
        lambda x: [struct("l", x | {"repeated": True}, repeated=True)],
        lambda value: {"l": [{"x": []}, None, {"x": [value, None]}, {"x": None}]},
        True,
    ),
}


@dataclass(frozen=True)
class Case:
    """A type, a rule for it, values that it accepts, and others with what a detail shows of them."""

    kind: str
    rule: Record
    good: tuple[Any, ...]
    bad: dict[Any, str]
    is_list: bool = False


LONG = Decimal("1234567890123456789012345678.0123456789")
CASES = {
    "integers": Case("integer", {"range": {"min": 0, "max": 10}}, (0, 10), {-1: "-1", 11: "11"}),
    "integers between": Case("integer", {"range": {"above": 0, "below": 10}}, (1, 9), {0: "0", 10: "10"}),
    "integers beyond doubles": Case(
        "integer", {"range": {"max": 2**53 + 1}}, (2**53 + 1, -(2**63)), {2**53 + 2: "9007199254740994"}
    ),
    "last integers": Case(
        "integer",
        {"range": {"min": -(2**63) + 1, "max": 2**63 - 2}},
        (-(2**63) + 1, 2**63 - 2),
        {-(2**63): "-9223372036854775808", 2**63 - 1: "9223372036854775807"},
    ),
    "doubles": Case(
        "double",
        {"range": {"min": 0.1, "max": 0.3}},
        (0.1, 0.3, 0.2),
        {0.09999999999999999: "0.09999999999999999", 0.30000000000000004: "0.30000000000000004", -1e149: "-1e+149"},
    ),
    "positive doubles": Case("double", {"range": {"above": 0}}, (5e-324, 1e150), {0.0: "0.0", -5e-324: "-5e-324"}),
    "decimals": Case(
        "decimal(9, 2)",
        {"range": {"min": 0, "max": 100_000}},
        ("0.00", "100000"),
        {"-0.01": "-0.01", "100000.01": "100000.01"},
    ),
    "decimals between": Case(
        "decimal(9, 2)", {"range": {"above": 0.005, "below": "1"}}, ("0.01", "0.99"), {"0.00": "0.00", "1": "1.00"}
    ),
    "long decimals": Case(
        "decimal(38, 10)",
        {"range": {"max": str(LONG)}},
        (str(LONG), str(-LONG)),
        {"1234567890123456789012345678.0123456790": "1234567890123456789012345678.0123456790"},
    ),
    "dates": Case(
        "date",
        {"range": {"min": dt.date(2020, 2, 29), "below": "2021-01-01"}},
        ("2020-02-29", "2020-12-31"),
        {"2020-02-28": "2020-02-28", "2021-01-01": "2021-01-01", "0001-01-01": "0001-01-01"},
    ),
    "timestamps": Case(
        "timestamp",
        {"range": {"above": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "max": "2026-01-02T02:00:00+02:00"}},
        ("2026-01-01T00:00:00.000001Z", "2026-01-02", "2026-01-02T01:00:00+01:00"),
        {
            "2026-01-01T00:00:00Z": "2026-01-01 00:00:00",
            "2026-01-02T00:00:00.000001Z": "2026-01-02 00:00:00.000001",
            "2026-01-01T01:00:00+02:00": "2025-12-31 23:00:00",
        },
    ),
    "texts": Case(
        "string",
        {"accepted_values": ["paid", "", "n\u00e9"]},
        ("paid", "", "n\u00e9"),
        {"Paid": "'Paid'", "paid ": "'paid '", "ne\u0301": "'ne\u0301'"},
    ),
    "accepted integers": Case(
        "integer", {"accepted_values": [1, 2**63 - 1]}, (1, 2**63 - 1), {2: "2", 2**63 - 2: str(2**63 - 2)}
    ),
    "accepted booleans": Case("boolean", {"accepted_values": [True]}, (True,), {False: "false"}),
    "pattern": Case(
        "string",
        {"pattern": "[^@ ]+@[^@ ]+|none"},
        ("a@b", "é@ü", "none"),
        {"a": "'a'", "a@b@c": "'a@b@c'", "none ": "'none '", "xnone": "'xnone'"},
    ),
    "pattern of one character": Case(
        "string", {"pattern": "."}, ("a", "é", "😀"), {"": "''", "ab": "'ab'", "\n": "'\n'", "a\n": "'a\n'"}
    ),
    "pattern without case": Case("string", {"pattern": "(?i)a"}, ("a", "A"), {"b": "'b'"}),
    "characters": Case(
        "string",
        {"length": {"min": 1, "max": 2}},
        ("é", "日本", "😀😀", "e\u0301", "\0"),
        {"": "''", "abc": "'abc'", "e\u0301x": "'e\u0301x'", "👨\u200d👩\u200d👧": "'👨\u200d👩\u200d👧'"},
    ),
    "at least so many characters": Case("string", {"length": {"min": 3}}, ("abc", "x" * 5000), {"ab": "'ab'"}),
    "no characters": Case("string", {"length": {"max": 0}}, ("",), {"x" * 101: f"'{'x' * 100}…' of 101 characters"}),
}
LISTS = {
    "elements": Case(
        "integer",
        {"length": {"min": 1, "max": 2}},
        ((1,), (None,), (1, 2)),
        {(): "0 elements", (1, 2, 3): "3 elements"},
        True,
    ),
    "texts in a list": Case("string", {"length": {"min": 2}}, (("long", "x"),), {("only one",): "1 elements"}, True),
}


def _agreed(case: Case, place: Place, **rules: Any) -> Contract:
    x = column("x", case.kind, **({"repeated": True} if case.is_list else {}))
    return contract(place.columns(x), {"column": place.path, "name": "rule"} | case.rule | rules)


@pytest.mark.parametrize(
    ("case", "place"),
    [
        pytest.param(case, place, id=f"{kind} {where}")
        for kind, case in (CASES | LISTS).items()
        for where, place in PLACES.items()
        if not (place.is_repeated and "length" in case.rule)  # of a repeated column it is the length of its list
    ],
)
def test_exactly_the_values_outside_a_rule_violate_it(case: Case, place: Place) -> None:
    values = [*case.good, *case.bad, None]
    records = [place.record(value) for value in values] + [{}]
    bad = range(len(case.good), len(case.good) + len(case.bad))

    # WHEN it quarantines
    agreed = _agreed(case, place)
    parsed = parse(agreed, records)
    # THEN the others are loaded, and the detail has the rule and the value
    assert loaded(parsed) == [number for number in range(len(records)) if number not in bad]
    expected = agreed.constraints[0].expected
    assert [(item.line - 1, item.reason, item.column, item.detail) for item in parsed.rejects] == [
        (number, "constraint_violated", place.path, f"rule: expected {expected}, found {shown}")
        for number, shown in zip(bad, case.bad.values(), strict=True)
    ]
    # WHEN it warns, THEN all are loaded, and rows are marked
    warned = parse(_agreed(case, place, policy="warn"), records)
    assert (loaded(warned), warned.rejects) == (list(range(len(records))), [])
    assert warned.rows.column(WARNINGS).to_pylist() == [
        ["rule"] if number in bad else None for number in range(len(records))
    ]


def test_of_several_elements_the_first_that_violates_is_named_and_the_record_rejected_once() -> None:
    agreed = contract([column("x", "integer", repeated=True)], {"column": "x", "range": {"max": 5}})
    parsed = parse(agreed, [{"x": [1, 7, 9]}, {"x": []}, {"x": [5]}])
    assert [(item.line, item.detail) for item in parsed.rejects] == [(1, "x_range: expected at most 5, found 7")]


SENT, SEEN = column("sent_at", "timestamp"), column("seen_at", "timestamp")
LINES = column("lines", "struct", repeated=True, fields=[SENT, SEEN, column("days", "date", repeated=True)])
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001Z"
ORDERS: list[tuple[list[Record], Record, list[Record], list[Record]]] = [
    (
        [SENT, SEEN],
        {"column": "seen_at", "not_before": "sent_at"},
        [
            {"sent_at": EARLY, "seen_at": EARLY},
            {"sent_at": EARLY, "seen_at": LATE},
            {"sent_at": LATE},
            {"seen_at": EARLY},
        ],
        [{"sent_at": LATE, "seen_at": EARLY}],
    ),
    (
        [SENT, SEEN],
        {"column": "sent_at", "not_after": "seen_at"},
        [{"sent_at": EARLY, "seen_at": EARLY}, {"sent_at": EARLY, "seen_at": LATE}, {"sent_at": LATE}, {}],
        [{"sent_at": LATE, "seen_at": EARLY}],
    ),
    (
        [column("a", "date"), column("b", "date")],
        {"column": "a", "not_before": "b"},
        [{"a": "2026-01-02", "b": "2026-01-01"}, {"a": "2026-01-01", "b": "2026-01-01"}],
        [{"a": "2026-01-01", "b": "2026-01-02"}],
    ),
    (  # within each element
        [LINES],
        {"column": "lines.seen_at", "not_before": "lines.sent_at"},
        [{"lines": [{"sent_at": LATE}, {"seen_at": EARLY}, None]}, {"lines": []}, {"lines": None}],
        [{"lines": [{"sent_at": EARLY, "seen_at": LATE}, {"sent_at": LATE, "seen_at": EARLY}]}],
    ),
    (  # each element against the record
        [SENT, LINES],
        {"column": "lines.seen_at", "not_before": "sent_at"},
        [
            {"sent_at": EARLY, "lines": [{"seen_at": LATE}, {"seen_at": EARLY}, {}, None]},
            {"lines": [{"seen_at": EARLY}]},
        ],
        [{"sent_at": LATE, "lines": [None, {"seen_at": LATE}, {"seen_at": EARLY}]}],
    ),
    (  # each element of a list in an element against the record
        [column("until", "date"), LINES],
        {"column": "lines.days", "not_after": "until"},
        [
            {
                "until": "2026-01-02",
                "lines": [{"days": ["2026-01-01"]}, {"days": []}, None, {"days": ["2026-01-02", None]}],
            }
        ],
        [{"until": "2026-01-02", "lines": [{"days": ["2026-01-01"]}, None, {"days": ["2026-01-02", "2026-01-03"]}]}],
    ),
]


@pytest.mark.parametrize(("columns", "constraint", "good", "bad"), ORDERS)
def test_times_are_compared_with_those_of_the_same_element_or_around_it(
    columns: list[Record], constraint: Record, good: list[Record], bad: list[Record]
) -> None:
    records = [*good, *bad, *good]
    parsed = parse(contract(columns, constraint), records)
    assert [item.line - 1 for item in parsed.rejects] == list(range(len(good), len(good) + len(bad)))
    (found,) = {item.detail for item in parsed.rejects}
    (item,) = contract(columns, constraint).constraints
    assert re.fullmatch(rf"{item.name}: expected {item.expected}, found 2026-\S+( \S+)? and 2026-\S+( \S+)?", found)
    warned = parse(contract(columns, constraint | {"policy": "warn"}), records).rows.column(WARNINGS).to_pylist()
    assert warned == [None] * len(good) + [[item.name]] * len(bad) + [None] * len(good)


@pytest.mark.parametrize("class_", ["direct", "quasi", "sensitive"])
def test_no_detail_has_a_personal_value(class_: str) -> None:
    owned = {"class": class_, "subject": "account"}
    born, at = column("born", "date", **owned), column("at", "date")
    person = column("person", "struct", fields=[column("email", "string")], **owned)
    agreed = contract(
        [born, at, person],
        {"column": "person.email", "pattern": "[^@]+@[^@]+"},
        {"column": "at", "not_before": "born"},
    )
    rejects = parse(agreed, [{"person": {"email": "secret"}}, {"born": "1999-01-01", "at": "1998-01-01"}]).rejects
    assert [item.detail for item in rejects] == [
        "person_email_pattern: expected a text that matches [^@]+@[^@]+; the value is not shown, because the column is "
        "personal",
        "at_not_before: expected not before born; the value is not shown, because the column is personal",
    ]


def test_a_long_rule_leaves_room_for_the_value_and_for_the_note_that_it_is_hidden() -> None:
    pattern = "|".join(f"{number:04}" for number in range(1000))
    owned = column("mail", "string", **{"class": "direct", "subject": "account"})
    agreed = contract(
        [column("code", "string"), owned],
        {"column": "code", "pattern": pattern},
        {"column": "mail", "pattern": pattern},
    )
    first, second = (item.detail for item in parse(agreed, [{"code": "x"}, {"mail": "x"}]).rejects)
    assert first.endswith("…, found 'x'")
    assert second.endswith("…" + HIDDEN_VALUE)


def test_a_pattern_takes_linear_time() -> None:
    agreed = contract([column("x", "string")], {"column": "x", "pattern": "(a+)+b|(a|aa)+c"})
    started = time.process_time()
    parsed = parse(agreed, [{"x": "a" * 1_000_000}, {"x": "a" * 1_000_000 + "b"}])
    assert time.process_time() - started < 5
    assert [item.line for item in parsed.rejects] == [1]
    assert len(parsed.rejects[0].detail) < 200


def test_other_faults_come_first_and_of_several_constraints_the_first() -> None:
    agreed = contract(
        [column("n", "integer"), column("must", "string", required=True), column("d", "decimal(3, 1)")],
        {"column": "n", "range": {"max": 5}},
        {"column": "n", "range": {"max": 7}, "name": "a_larger_one"},
        {"column": "d", "range": {"max": 5}, "policy": "warn"},
    )
    parsed = parse(agreed, [{"n": 9, "must": "x"}, {"n": 9}, {"d": "999", "must": "x"}, {"d": 6, "n": 0, "must": "x"}])
    assert [(item.reason, item.detail.partition(":")[0]) for item in parsed.rejects] == [
        ("constraint_violated", "n_range"),
        ("missing_required", "expected a value"),
        ("wrong_type", "999.0 is outside the range of decimal(3, 1)"),
    ]
    assert parsed.rows.column(WARNINGS).to_pylist() == [["d_range"]]


def test_rows_that_are_not_judged_violate_nothing() -> None:
    agreed = contract(
        [column("x", "integer", repeated=True), SENT, SEEN],
        {"column": "x", "range": {"max": 5}},
        {"column": "seen_at", "not_before": "sent_at"},
    )
    bad = {"x": [9], "sent_at": LATE, "seen_at": EARLY}
    rows = parse(contract([column("x", "integer", repeated=True), SENT, SEEN]), [bad, {}, bad]).rows
    judged = np.array([False, True, True])
    found = [item.rows.tolist() for item in Constraints(agreed).violations(rows, judged)]
    assert found == [[2], [2]]
    assert not list(Constraints(agreed).violations(rows, np.array([False, True, False])))


# A judge in plain Python, over the records rather than columns.
COLUMNS = [
    column("n", "integer"),
    column("f", "double"),
    column("d", "decimal(20, 2)"),
    column("t", "string"),
    column("b", "boolean"),
    column("day", "date"),
    column("at", "timestamp"),
    column("until", "timestamp"),
    column("s", "struct", fields=[column("t", "string"), column("ns", "integer", repeated=True)]),
    column("l", "struct", repeated=True, fields=[column("d", "decimal(20, 2)"), column("at", "timestamp")]),
]
RULES: list[Record] = [
    {"column": "n", "range": {"min": -3, "below": 4}},
    {"column": "f", "range": {"above": -1.5, "max": 1.5}},
    {"column": "d", "range": {"min": "-0.01", "max": "123456789012345678.99"}, "policy": "warn"},
    {"column": "t", "pattern": "a+|é?", "policy": "warn"},
    {"column": "t", "length": {"max": 2}},
    {"column": "t", "accepted_values": ["", "a", "aa", "é", "b"], "policy": "warn"},
    {"column": "b", "accepted_values": [True], "policy": "warn"},
    {"column": "day", "range": {"above": "2020-01-01"}},
    {"column": "at", "not_after": "until", "policy": "warn"},
    {"column": "s.t", "length": {"min": 1}, "policy": "warn"},
    {"column": "s.ns", "length": {"min": 1, "max": 2}},
    {"column": "s.ns", "accepted_values": [1, 2], "policy": "warn"},
    {"column": "l.d", "range": {"above": 0}, "policy": "warn"},
    {"column": "l.at", "not_before": "at"},
]
ALL = contract(COLUMNS, *RULES)


def _values(record: Record, parts: list[str], is_list: bool) -> Iterator[Any]:
    """The values at a path that are not NULL; the list itself with `is_list`."""
    value = record.get(parts[0])
    items = value if isinstance(value, list) and not (is_list and len(parts) == 1) else [value]
    for item in items:
        if item is not None:
            yield from _values(item, parts[1:], is_list) if len(parts) > 1 else [item]


def _number(value: Any, bound: Any) -> Any:
    if isinstance(value, float):
        return float(bound)
    if isinstance(value, str) and value[4:5] == "-":
        return bound
    return Decimal(str(bound))


def _as_number(value: Any) -> Any:
    return Decimal(value) if isinstance(value, str | int) and str(value)[4:5] != "-" else value


def _passes(rule: Record, value: Any, record: Record) -> bool:
    if limits := rule.get("range"):
        tests = {"min": "__ge__", "above": "__gt__", "max": "__le__", "below": "__lt__"}
        mine = _as_number(value)
        return all(getattr(mine, tests[name])(_number(value, bound)) for name, bound in limits.items())
    if "accepted_values" in rule:
        return value in rule["accepted_values"]
    if "pattern" in rule:
        return re.fullmatch(rule["pattern"], value) is not None
    if size := rule.get("length"):
        return size.get("min", 0) <= len(value) <= size.get("max", len(value))  # type: ignore[no-any-return]
    other = record.get(rule.get("not_before") or rule["not_after"])
    return other is None or (value >= other if "not_before" in rule else value <= other)  # type: ignore[no-any-return]


def plainly(record: Record) -> tuple[str | None, list[str] | None]:
    """The constraint that rejects a record, and those that warn."""
    violated = [
        item
        for item, rule in zip(ALL.constraints, RULES, strict=True)
        for values in [list(_values(record, rule["column"].split("."), rule["column"] == "s.ns" and "length" in rule))]
        if not all(_passes(rule, value, record) for value in values)
    ]
    rejecting = next((item.name for item in violated if item.policy == "quarantine"), None)
    return rejecting, sorted(item.name for item in violated if item.policy == "warn") or None


times = st.none() | st.sampled_from([f"2026-01-0{day}T00:00:00.00000{micros}Z" for day in (1, 2) for micros in (0, 1)])
decimals = st.sampled_from(["-0.02", "-0.01", "0.00", "0.01", "123456789012345678.99", "123456789012345679.00", None])
texts = st.none() | st.text(st.sampled_from("aébx\n"), max_size=3)
integers = st.none() | st.integers(-5, 5) | st.sampled_from([2**63 - 1, -(2**63)])
records = st.fixed_dictionaries(
    {},
    optional={
        "n": integers,
        "f": st.sampled_from([-1.5, -1.4999999999999998, 1.5, 1.5000000000000002, 0.0, 1e149, None]),
        "d": decimals,
        "t": texts,
        "b": st.none() | st.booleans(),
        "day": st.sampled_from(["2020-01-01", "2020-01-02", "9999-12-31", "0001-01-01", None]),
        "at": times,
        "until": times,
        "s": st.none()
        | st.fixed_dictionaries(
            {}, optional={"t": texts, "ns": st.none() | st.lists(st.none() | st.integers(0, 3), max_size=3)}
        ),
        "l": st.none()
        | st.lists(st.none() | st.fixed_dictionaries({}, optional={"d": decimals, "at": times}), max_size=3),
    },
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(records, min_size=1, max_size=12))
def test_any_records_are_judged_as_plain_python_judges_each_of_them(found: list[Record]) -> None:
    parser = Parser(ALL, [NOON])
    parsed = parse(parser, found)
    judged = dict(enumerate(map(plainly, found)))
    assert {item.line - 1: item.detail.partition(":")[0] for item in parsed.rejects} == {
        number: name for number, (name, _) in judged.items() if name
    }
    assert dict(zip(loaded(parsed), parsed.rows.column(WARNINGS).to_pylist(), strict=True)) == {
        number: names for number, (name, names) in judged.items() if not name
    }
    alone = [parse(parser, [record]) for record in found]
    assert [replace(item, line=1, raw=b"") for item in parsed.rejects] == [
        replace(item, raw=b"") for one in alone for item in one.rejects
    ]


def test_values_that_msgspec_judges_are_judged_by_constraints_too() -> None:
    """One line that Arrow refuses sends its chunk through the slow path."""
    agreed = contract(
        [column("n", "integer")],
        {"column": "n", "range": {"max": 5}},
        {"column": "n", "range": {"min": 1}, "name": "low", "policy": "warn"},
    )
    parsed = parse(agreed, [{"n": 9}, {"n": "x"}, {"n": 0, "unknown": 1}, {"n": 2}])
    assert [item.reason for item in parsed.rejects] == ["constraint_violated", "wrong_type"]
    assert parsed.rows.column(WARNINGS).to_pylist() == [["low"], None]
