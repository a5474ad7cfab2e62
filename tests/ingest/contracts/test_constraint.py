"""Constraints are validated with their contract, and mean the same however they are written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from ingest.contracts.bounds import limits
from ingest.contracts.constraint import Constraint, Range
from ingest.contracts.contract import Contract
from ingest.contracts.schema import bronze_schema, external_models, sql_columns
from ingest.ledger.evolution import Record
from ingest.settings import PROJECT


def column(name: str, kind: str, **rules: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "description": "x", **rules}


COLUMNS = (
    column("id", "string", required=True),
    column("amount", "decimal(9, 2)"),
    column("ratio", "double"),
    column("number", "integer"),
    column("status", "string"),
    column("is_paid", "boolean"),
    column("born", "date"),
    column("ordered_at", "timestamp"),
    column("shipped_at", "timestamp"),
    column("tags", "string", repeated=True),
    column("place", "struct", fields=[column("code", "string")]),
    column("lines", "struct", repeated=True, fields=[column("sent_at", "timestamp"), column("seen_at", "timestamp")]),
    column("others", "struct", repeated=True, fields=[column("at", "timestamp")]),
)


def contract(*constraints: dict[str, Any], **fields: Any) -> Contract:
    whole: dict[str, Any] = {
        "feed": "orders",
        "domain": "shop",
        "version": 1,
        "kind": "entity",
        "owner": "me",
        "description": "Orders.",
        "source": {"bucket": "raw-orders"},
        "key": ["id"],
        "freshness_seconds": 60,
        "columns": COLUMNS,
        "constraints": constraints,
    }
    return Contract.model_validate(whole | fields)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown column": ({"column": "amout", "range": {"min": 0}}, "'amout_range': column 'amout' is not declared"),
    "unknown other column": ({"column": "shipped_at", "not_before": "x"}, "column 'x' is not declared"),
    "no rule": ({"column": "amount"}, "constraint of 'amount': expected exactly one of range, .*; none is"),
    "two rules": ({"column": "status", "pattern": "x", "length": {"max": 1}}, "; pattern and length are given"),
    "unknown rule": ({"column": "amount", "ranges": {"min": 0}}, "expected exactly one of range"),
    "unknown policy": ({"column": "amount", "range": {"min": 0}, "policy": "drop"}, "'quarantine' or 'warn'"),
    "bad name": ({"column": "amount", "range": {"min": 0}, "name": "Amount!"}, "expected lower_snake_case"),
    "range of text": (
        {"column": "status", "range": {"min": 0}},
        "column 'status' is string; range expects integer, double, decimal, date or timestamp",
    ),
    "range of a struct": ({"column": "place", "range": {"min": 0}}, "column 'place' is struct; range expects"),
    "values of a double": ({"column": "ratio", "accepted_values": [1]}, "expects string, integer or boolean"),
    "pattern of a number": ({"column": "number", "pattern": "1"}, "column 'number' is integer; pattern expects string"),
    "length of a number": ({"column": "number", "length": {"min": 1}}, "expects string, or a repeated column"),
    "order of numbers": ({"column": "number", "not_before": "ratio"}, "not_before expects date or timestamp"),
    "no limit": ({"column": "amount", "range": {}}, "no limit is given; expected min or above, max or below"),
    "two lower limits": ({"column": "amount", "range": {"min": 0, "above": 0}}, "expected one lower limit"),
    "two upper limits": ({"column": "amount", "range": {"max": 0, "below": 0}}, "expected one upper limit"),
    "unknown limit": ({"column": "amount", "range": {"minimum": 0}}, "Extra inputs are not permitted"),
    "date for a number": ({"column": "amount", "range": {"min": dt.date(2020, 1, 1)}}, "2020-01-01 is not a number"),
    "number for a date": ({"column": "born", "range": {"min": 2020}}, "2020 is not a date"),
    "time for a date": ({"column": "born", "range": {"min": "2020-01-01 10:00:00"}}, "10:00:00 is not a date"),
    "text for a number": ({"column": "amount", "range": {"min": "much"}}, "'much' is not a bound; expected a number"),
    "boolean bound": ({"column": "amount", "range": {"min": True}}, "True is not a bound"),
    "NaN": ({"column": "ratio", "range": {"min": float("nan")}}, "nan is not a bound"),
    "infinity": ({"column": "ratio", "range": {"max": float("inf")}}, "inf is not a bound"),
    "number that YAML rounded": ({"column": "amount", "range": {"max": 0.1234567890123456}}, "in quotes"),
    "empty range": (
        {"column": "number", "range": {"above": 3, "below": 4}},
        r"no integer is above 3 and below 4; expected limits with values between them",
    ),
    "swapped limits": ({"column": "amount", "range": {"min": 5, "max": 4}}, "no decimal.* is at least 5 and at most 4"),
    "beyond the type": ({"column": "amount", "range": {"min": 10**7}}, "no decimal.* is at least 10000000"),
    "no double between": ({"column": "ratio", "range": {"above": 1, "below": "1.0000000000000002"}}, "no double is"),
    "no values": ({"column": "status", "accepted_values": []}, "at least 1 item"),
    "one text as values": ({"column": "status", "accepted_values": "paid"}, "Input should be a valid tuple"),
    "boolean among texts": (
        {"column": "status", "accepted_values": ["no", False]},
        "False is not of the .* string.*quotes",
    ),
    "text among integers": (
        {"column": "number", "accepted_values": [1, "2"]},
        "'2' is not of the column's type integer",
    ),
    "boolean among integers": ({"column": "number", "accepted_values": [True]}, "True is not of the column's type"),
    "integer of 65 bits": ({"column": "number", "accepted_values": [1 << 63]}, "is not of the column's type integer"),
    "date among values": ({"column": "status", "accepted_values": [dt.date(2020, 1, 1)]}, "2020-01-01 is a date"),
    "number among values": ({"column": "status", "accepted_values": [1.5]}, "1.5 is a float; expected strings"),
    "NULL among values": ({"column": "status", "accepted_values": [None]}, "None is NULL; expected strings"),
    "broken pattern": (
        {"column": "status", "pattern": "("},
        r"'\(' is not a pattern: missing \).*; expected RE2 syntax",
    ),
    "look-ahead": ({"column": "status", "pattern": "(?=x)"}, "no look-around and no references"),
    "reference": ({"column": "status", "pattern": r"(a)\1"}, "is not a pattern: invalid escape sequence"),
    "unbalanced but whole when anchored": ({"column": "status", "pattern": "a)(b"}, "is not a pattern: unexpected"),
    "open quote": ({"column": "status", "pattern": r"\Qab"}, "is not a pattern"),
    "no length limit": ({"column": "status", "length": {}}, "no limit is given; expected min, max or both"),
    "swapped lengths": (
        {"column": "status", "length": {"min": 2, "max": 1}},
        "nothing is at least 2 and at most 1 long",
    ),
    "negative length": ({"column": "status", "length": {"min": -1}}, "greater than or equal to 0"),
    "itself": ({"column": "born", "not_before": "born"}, "compared with itself"),
    "another type": (
        {"column": "shipped_at", "not_before": "born"},
        "column 'born' is date and 'shipped_at' timestamp; expected the same type",
    ),
    "elements of a record": (
        {"column": "shipped_at", "not_after": "lines.sent_at"},
        "'lines.sent_at' has several values for one of 'shipped_at', by the list 'lines'",
    ),
    "elements of another list": ({"column": "lines.sent_at", "not_after": "others.at"}, "by the list 'others'"),
}


@pytest.mark.parametrize(("constraint", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_contradictory_constraint_is_refused_with_what_was_expected(constraint: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        contract(constraint)


def test_names_are_derived_and_must_differ() -> None:
    found = contract(
        {"column": "amount", "range": {"min": 0}},
        {"column": "place.code", "length": {"min": 2, "max": 2}},
        {"column": "amount", "range": {"max": 100}, "policy": "warn", "name": "amount_is_small"},
    )
    assert [item.name for item in found.constraints] == ["amount_range", "place_code_length", "amount_is_small"]
    with pytest.raises(ValidationError, match=r"declared twice: \['amount_range'\]; give each a `name` of its own"):
        contract({"column": "amount", "range": {"min": 0}}, {"column": "amount", "range": {"max": 9}})


WORDS: list[tuple[dict[str, Any], str]] = [
    ({"column": "amount", "range": {"min": 0, "max": 100_000}}, "at least 0 and at most 100000"),
    ({"column": "amount", "range": {"above": "0.50"}}, "above 0.5"),
    ({"column": "shipped_at", "range": {"below": dt.date(2030, 1, 1)}}, "below 2030-01-01"),
    ({"column": "status", "accepted_values": ["a", "b"]}, "one of a, b"),
    ({"column": "number", "accepted_values": list(range(12))}, "one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"),
    ({"column": "is_paid", "accepted_values": [True]}, "one of true"),
    ({"column": "status", "pattern": "[a-z]+"}, "a text that matches [a-z]+"),
    ({"column": "status", "length": {"min": 2, "max": 3}}, "a length of at least 2 and at most 3"),
    ({"column": "tags", "length": {"min": 2, "max": 2}}, "a length of exactly 2"),
    ({"column": "shipped_at", "not_before": "ordered_at"}, "not before ordered_at"),
    ({"column": "lines.sent_at", "not_after": "lines.seen_at"}, "not after lines.seen_at"),
    ({"column": "lines.sent_at", "not_before": "ordered_at"}, "not before ordered_at"),
]


@pytest.mark.parametrize(("constraint", "words"), WORDS, ids=[words for _, words in WORDS])
def test_a_constraint_says_what_it_expects_and_is_what_its_text_says(constraint: dict[str, Any], words: str) -> None:
    (item,) = contract(constraint).constraints
    assert item.expected == words
    assert Constraint.parse(item.name, item.text()) == item


SAME = [
    (0, "0"),
    (0, 0.0),
    (0, "-0.00"),
    (1.5, "1.50"),
    (1e16, "10000000000000000"),
    (1000, "1e3"),
    (dt.date(2020, 1, 2), "2020-01-02"),
    (dt.datetime(2020, 1, 2, 3, tzinfo=dt.UTC), "2020-01-02T03:00:00Z"),
    ("2020-01-02T03:00:00+02:00", "2020-01-02 01:00:00"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_bound_is_the_same_however_it_is_written(one: Any, other: Any) -> None:
    assert Range.model_validate({"min": one}) == Range.model_validate({"min": other})


LIMITS: list[tuple[dict[str, Any], str, tuple[float, float]]] = [
    ({"min": "-0.5", "max": "0.5"}, "integer", (0, 0)),
    ({"above": -1, "below": 1}, "integer", (0, 0)),
    ({"min": 0}, "integer", (0, 2**63 - 1)),
    ({"above": "0.005", "below": "1"}, "decimal(9, 2)", (1, 99)),
    ({"min": "0.001", "max": 10**30}, "decimal(9,2)", (1, 999_999_999)),
    ({"above": 0}, "double", (5e-324, float("inf"))),
    ({"min": "1970-01-01", "below": "1970-01-03"}, "date", (0, 1)),
    ({"above": "1970-01-01", "max": "1970-01-01T00:00:00.000002+00:00"}, "timestamp", (1, 2)),
    ({"max": "1969-12-31 23:59:59.999999"}, "timestamp", (-719_162 * 86_400_000_000, -1)),
]


@pytest.mark.parametrize(("rule", "kind", "expected"), LIMITS)
def test_limits_are_exact_in_units_of_the_type(rule: dict[str, Any], kind: str, expected: tuple[Any, Any]) -> None:
    assert limits(Range.model_validate(rule), kind) == expected


def test_only_feeds_with_warnings_have_the_column_between_the_contract_and_the_lineage() -> None:
    strict = contract({"column": "amount", "range": {"min": 0}})
    warned = contract({"column": "amount", "range": {"min": 0}, "policy": "warn"})
    assert bronze_schema(strict) == bronze_schema(contract())
    names = bronze_schema(warned).names
    assert names[names.index("others") + 1 : names.index("_source_file")] == ["_warnings"]
    assert names == [name for name, _, _ in sql_columns(warned)][:-1]
    (model,) = yaml.safe_load(external_models([warned]))
    assert model["columns"]["_warnings"] == "TEXT[]"


def test_a_contract_without_constraints_has_the_record_that_it_always_had() -> None:
    text = Record.of(contract()).text()
    assert "constraints" not in text
    assert Record.parse(text).constraints == {}


AMOUNT, TAGS = {"column": "amount", "range": {"min": 0}}, {"column": "tags", "length": {"max": 3}}
EQUAL: list[Callable[[], Contract]] = [
    lambda: contract(AMOUNT, TAGS),
    lambda: contract(TAGS, AMOUNT),
    lambda: contract(AMOUNT | {"name": "amount_range", "policy": "quarantine"}, TAGS),
    lambda: contract({"column": "amount", "range": {"min": 0.0}}, TAGS),
]


@pytest.mark.parametrize("make", EQUAL)
def test_order_and_spelling_of_constraints_need_no_version(make: Callable[[], Contract]) -> None:
    assert Record.of(make()).text() == Record.of(EQUAL[0]()).text()
    assert Record.parse(Record.of(make()).text()).text() == Record.of(make()).text()


def test_the_constraints_of_the_documentation_are_valid() -> None:
    text = (PROJECT / "docs" / "contracts.md").read_text(encoding="utf-8")
    (block,) = [block.split("```")[0] for block in text.split("```yaml\n")[1:] if block.startswith("constraints:")]
    more = [column("weight", "double"), column("email", "string"), column("code", "string")]
    found = contract(*yaml.safe_load(block)["constraints"], columns=[*COLUMNS, *more]).constraints
    assert [item.name for item in found] == [
        "amount_range",
        "weight_range",
        "status_accepted_values",
        "email_pattern",
        "code_length",
        "shipped_after_order",
    ]
