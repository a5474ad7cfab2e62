"""Whether a line is good never depends on its neighbours, and what is bad says why."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.contract import Column, Contract, contracts
from ingest.parse import Parser
from ingest.read import Piece

NOON = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
GOOD: dict[str, Any] = {
    "event_id": "e",
    "name": "activity_exit",
    "occurred_at": "2026-01-10 10:00:00.123",
    "user_id": "u",
    "data": {"activity_id": "a", "duration": 1},
}


def parse(*lines: bytes, contract: Contract | None = None, end: bytes = b"\n") -> Any:
    parser = Parser(contract or contracts()["events"], [NOON])
    return parser.parse([Piece(0, 1, b"".join(line + end for line in lines))])


def line(**fields: Any) -> bytes:
    return json.dumps(GOOD | fields).encode()


BAD = {
    "truncated": (line()[:-1], "unparsable", None),
    "no JSON": (b"hello", "unparsable", None),
    "array": (b"[1, 2]", "unparsable", None),
    "scalar": (b"1", "unparsable", None),
    "two objects": (line() + line(), "unparsable", None),
    "two objects with a blank": (line() + b" " + line(), "unparsable", None),
    "trailing comma": (line()[:-1] + b",}", "unparsable", None),
    "empty object": (b"{}", "missing_required", "event_id"),
    "missing key": (line(event_id=None), "missing_required", "event_id"),
    "missing time": (line(occurred_at=None), "missing_required", "occurred_at"),
    "number for text": (line(user_id=5), "wrong_type", "user_id"),
    "text for number": (line(data={"duration": "long"}), "wrong_type", "data.duration"),
    "text for boolean": (line(data={"completed": "yes"}), "wrong_type", "data.completed"),
    "scalar for struct": (line(data=5), "wrong_type", "data"),
    "list for struct": (line(data=[]), "wrong_type", "data"),
    "impossible date": (line(occurred_at="2026-13-01 00:00:00"), "wrong_type", "occurred_at"),
    "number for time": (line(occurred_at=1767225600), "wrong_type", "occurred_at"),
    "NaN": (line()[:-1] + b', "x": NaN}', "unparsable", None),
    "Infinity": (line(data={"duration": float("inf")}), "unparsable", None),
    "Inf": (line()[:-1] + b', "x": Inf}', "unparsable", None),
    "-Inf": (line()[:-1].replace(b'"duration": 1', b'"duration": -Inf') + b"}", "unparsable", None),
    "too large for a double": (line()[:-1] + b', "data": {"duration": 1e999}}', "duplicate_key", None),
    "duplicate key": (line()[:-1] + b', "event_id": "f"}', "duplicate_key", None),
    "invalid UTF-8": (line().replace(b'"u"', b'"\xff"'), "invalid_utf8", None),
    "lone surrogate": (line().replace(b'"u"', b'"\\ud800"'), "unparsable", None),
    "future": (line(occurred_at="2026-01-11 12:00:00.001"), "event_time_in_future", "occurred_at"),
    "future by its offset": (line(occurred_at="2026-01-11T11:30:00-01:00"), "event_time_in_future", "occurred_at"),
    "before the epoch": (line(occurred_at="2014-12-31 23:59:59"), "event_time_before_epoch", "occurred_at"),
}


@pytest.mark.parametrize(("text", "reason", "column"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_bad_line_is_rejected_with_its_reason_and_its_neighbours_stay(
    text: bytes, reason: str, column: str | None, end: bytes
) -> None:
    parsed = parse(line(event_id="before"), text, line(event_id="after"), end=end)

    assert parsed.rows.column("event_id").to_pylist() == ["before", "after"]
    assert [(reject.line, reject.reason, reject.column, reject.raw) for reject in parsed.rejects] == [
        (2, reason, column, text)
    ]


def test_all_kinds_of_bad_lines_together_cost_no_good_line() -> None:
    lines = [text for kind in BAD.values() for text in (kind[0], line(event_id="good"))]
    parsed = parse(*lines)

    assert parsed.rows.num_rows == len(BAD)
    assert parsed.rows.column("_source_line").to_pylist() == list(range(2, 2 * len(BAD) + 1, 2))
    assert len(parsed.rejects) == len(BAD)


def test_blank_lines_are_no_records_but_count_as_lines() -> None:
    parsed = parse(b"", line(), b"   ", b"\t", line())

    assert parsed.rows.column("_source_line").to_pylist() == [2, 5]
    assert parsed.rejects == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-10 10:00:00.123", dt.datetime(2026, 1, 10, 10, 0, 0, 123000)),
        ("2026-01-10T10:00:00Z", dt.datetime(2026, 1, 10, 10)),
        ("2026-01-10T01:00:00+05:30", dt.datetime(2026, 1, 9, 19, 30)),
        ("2026-01-09T20:00:00-0500", dt.datetime(2026, 1, 10, 1)),
        ("2026-01-10", dt.datetime(2026, 1, 10)),
    ],
)
def test_time_is_utc_and_offsets_are_honoured(text: str, expected: dt.datetime) -> None:
    assert parse(line(occurred_at=text)).rows.column("occurred_at").to_pylist() == [expected]


def test_event_at_the_last_allowed_moment_is_kept() -> None:
    assert parse(line(occurred_at="2026-01-11 12:00:00")).rows.num_rows == 1
    assert parse(line(occurred_at="2015-01-01 00:00:00")).rows.num_rows == 1


def test_unknown_fields_are_rescued_with_their_path_and_exact_text() -> None:
    text = (
        line()[:-1]
        + b', "new": {"deep": [1, 2.50]}, "context": {"os": {"name": "iOS", "kernel": 12345678901234567890123}}}'
    )
    parsed = parse(line(), text)

    rescued = parsed.rows.column("_rescued_data").to_pylist()
    assert rescued == [None, '{"new":{"deep": [1, 2.50]},"context.os.kernel":12345678901234567890123}']
    assert parsed.rejects == []


def test_unknown_fields_that_contradict_each_other_reject_no_line() -> None:
    parsed = parse(line(x=1), line(x="one"), line(x={"a": 1}), line(x=None), line())

    assert parsed.rows.column("_rescued_data").to_pylist() == [
        '{"x":1}',
        '{"x":"one"}',
        '{"x":{"a": 1}}',
        '{"x":null}',
        None,
    ]


def test_unknown_field_is_rescued_beside_a_bad_line() -> None:
    parsed = parse(line(x=1), b"{", line())

    assert parsed.rows.column("_rescued_data").to_pylist() == ['{"x":1}', None]


def test_number_too_large_for_its_type_is_rejected_and_never_wraps() -> None:
    contract = contracts()["users"].model_copy(
        update={
            "columns": (
                *contracts()["users"].columns,
                Column(name="age", type="integer", description="Age."),
                Column(name="price", type="decimal(5, 2)", description="Price."),
                Column(name="born", type="date", description="Birthday."),
            )
        }
    )
    good = b'{"user_id": "u", "age": 9223372036854775807, "price": 999.99, "born": "2024-02-29"}'
    bad = [
        b'{"user_id": "u", "age": 9223372036854775808}',
        b'{"user_id": "u", "age": 1.5}',
        b'{"user_id": "u", "price": 1000.00}',
        b'{"user_id": "u", "price": 1.234}',
        b'{"user_id": "u", "born": "2023-02-29"}',
    ]
    parsed = parse(bad[0], good, *bad[1:], contract=contract)

    assert parsed.rows.select(["age", "born"]).to_pylist() == [{"age": 2**63 - 1, "born": dt.date(2024, 2, 29)}]
    assert [reject.raw for reject in parsed.rejects] == bad
    assert {reject.reason for reject in parsed.rejects} == {"wrong_type"}


def test_required_member_of_a_struct_is_checked() -> None:
    contract = contracts()["users"].model_copy(
        update={
            "columns": (
                Column(name="user_id", type="string", required=True, description="Id."),
                Column(
                    name="place",
                    type="struct",
                    description="Place.",
                    fields=(Column(name="country", type="string", required=True, description="Country."),),
                ),
            )
        }
    )
    parsed = parse(b'{"user_id": "u", "place": {"country": "de"}}', b'{"user_id": "u", "place": {}}', contract=contract)

    assert parsed.rows.num_rows == 1
    assert [reject.column for reject in parsed.rejects] == ["place.country"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
records = st.dictionaries(st.sampled_from([*GOOD, "context", "other"]), json_values, max_size=5).map(
    lambda fields: json.dumps(GOOD | fields).encode()
)
noise = st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b""))


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(records | noise | st.just(line()), max_size=12))
def test_the_verdict_on_a_line_is_the_same_alone_and_among_others(lines: list[bytes]) -> None:
    together = parse(*lines)
    alone = [parse(text) for text in lines]

    assert together.rows.drop_columns("_source_line").to_pylist() == [
        row for item in alone for row in item.rows.drop_columns("_source_line").to_pylist()
    ]
    assert [reject.raw for reject in together.rejects] == [reject.raw for item in alone for reject in item.rejects]
    assert [reject.reason for reject in together.rejects] == [
        reject.reason for item in alone for reject in item.rejects
    ]
    blank = sum(not text.strip() for text in lines)
    assert together.rows.num_rows + len(together.rejects) == len(lines) - blank


@pytest.mark.parametrize("levels", [65, 5_000, 1_000_000])
@pytest.mark.parametrize("form", ['{"a":%s}', "[%s]"])
def test_nesting_is_bounded_and_costs_no_good_line(levels: int, form: str) -> None:
    before, after = form.split("%s")
    deep = line()[:-1] + b', "new": ' + (before * levels + "1" + after * levels).encode() + b"}"
    parsed = parse(line(), deep, line())
    assert [(reject.line, reject.reason) for reject in parsed.rejects] == [(2, "too_deep")]
    assert parsed.rows.num_rows == 2


def test_brackets_in_a_text_are_no_nesting() -> None:
    text = line()[:-1] + b', "new": "' + b'[{\\"' * 3000 + b'"}'
    assert parse(text).rejects == []


@pytest.mark.parametrize("zone", ["", "Z", "+00:00"])
def test_finer_times_are_cut_to_microseconds(zone: str) -> None:
    parsed = parse(line(occurred_at=f"2026-01-10 10:00:00.123456789{zone}"), line())
    assert parsed.rejects == []
    assert [at.microsecond for at in parsed.rows.column("occurred_at").to_pylist()] == [123456, 123000]


def test_list_of_nulls_in_an_unknown_field_is_rescued() -> None:
    text = line().replace(b'"data": {', b'"data": {"new": [null, null], ')
    assert text != line()
    parsed = parse(text)
    assert parsed.rejects == []
    assert parsed.rows.column("_rescued_data").to_pylist() == ['{"data.new":[null, null]}']


def test_carriage_return_between_tokens_does_not_make_a_text_a_number() -> None:
    parsed = parse(line(name="NaN and Inf")[:-1] + b',\r"x": 1}')
    assert (parsed.rows.num_rows, parsed.rejects) == (1, [])
