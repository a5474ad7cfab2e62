"""Whether a line is good never depends on its neighbours, and each bad line has its reason."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.contracts.column import Column
from ingest.contracts.contract import Contract, contracts
from ingest.formats.fields import MAX_FIELDS
from ingest.formats.tokens import BLANK
from ingest.records.parsed import RESCUED
from ingest.records.parts import Piece
from ingest.steps.parse import Parser

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


OUT_OF_RANGE = ("number_out_of_range", "data.duration")
SOURCE_TWICE = ("duplicate_key", "data.source")
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
    "too large for a double": (line()[:-1] + b', "data": {"duration": 1e999}}', "duplicate_key", "data"),
    "duplicate key": (line()[:-1] + b', "event_id": "f"}', "duplicate_key", "event_id"),
    "invalid UTF-8": (line().replace(b'"u"', b'"\xff"'), "invalid_utf8", None),
    "lone surrogate": (line().replace(b'"u"', b'"\\ud800"'), "unparsable", None),
    "integer of 400 digits": (line(data={"duration": 10**400}), "number_out_of_range", "data.duration"),
    "rounds to infinity": (line(data={"duration": 1}).replace(b": 1}", b": 1.7976931348623159e308}"), *OUT_OF_RANGE),
    "too large to be added up": (line(data={"duration": -1e151}), "number_out_of_range", "data.duration"),
    "exponent beyond doubles": (line(data={"duration": 1}).replace(b": 1}", b": 1e400}"), *OUT_OF_RANGE),
    "unknown field twice": (line()[:-1] + b', "x": 1, "x": 2}', "duplicate_key", "x"),
    "unknown field twice, once escaped": (line()[:-1] + b', "a": 1, "\\u0061": 2}', "duplicate_key", "a"),
    "unknown member twice": (
        line(data=1).replace(b'"data": 1', b'"data": {"x": 1, "x": 1}'),
        "duplicate_key",
        "data.x",
    ),
    "known member twice": (line(data=1).replace(b'"data": 1', b'"data":{"source":"","source":""}'), *SOURCE_TWICE),
    "too many fields": (line(**{f"f{number}": 1 for number in range(MAX_FIELDS + 1)}), "too_many_fields", None),
    "too many members": (line(x=[{f"f{number}": {"y": 1}} for number in range(MAX_FIELDS)]), "too_many_fields", None),
    "year 10000 by its offset": (line(occurred_at="9999-12-31T23:59:59-01:00"), "wrong_type", "occurred_at"),
    "year 0": (line(occurred_at="0000-12-31"), "wrong_type", "occurred_at"),
    "malformed after a wrong type": (b'{"user_id": 5, "name" "x"}', "unparsable", None),
    "wrong type beside a time that msgspec refuses": (
        line(occurred_at="2026-01-10", user_id=5),
        "wrong_type",
        "user_id",
    ),
    "future": (line(occurred_at="2026-01-11 12:00:00.001"), "event_time_in_future", "occurred_at"),
    "future by its offset": (line(occurred_at="2026-01-11T11:30:00-01:00"), "event_time_in_future", "occurred_at"),
    "before the epoch": (line(occurred_at="2014-12-31 23:59:59"), "event_time_before_epoch", "occurred_at"),
}


def test_dot_in_a_name_does_not_make_a_member() -> None:
    parsed = parse(line(**{"data.x": 1, "data": {"x": 2}}))
    assert [json.loads(text) for text in parsed.rows.column(RESCUED).to_pylist()] == [{"data\\.x": 1, "data.x": 2}]


@pytest.mark.parametrize(("text", "reason", "column"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_bad_line_is_rejected_with_its_reason_and_its_neighbours_are_kept(
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
        ("2026-01-10T10:00:00z", dt.datetime(2026, 1, 10, 10)),
        ("2026-01-10t10:00:00.1234567z", dt.datetime(2026, 1, 10, 10, 0, 0, 123456)),
    ],
)
def test_time_is_utc_and_offsets_are_applied(text: str, expected: dt.datetime) -> None:
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


def test_unknown_fields_of_conflicting_types_reject_no_line() -> None:
    parsed = parse(line(x=1), line(x="one"), line(x={"a": 1}), line(x=None), line())

    assert parsed.rows.column("_rescued_data").to_pylist() == [
        '{"x":1}',
        '{"x":"one"}',
        '{"x":{"a": 1}}',
        '{"x":null}',
        None,
    ]


def test_unknown_field_is_rescued_next_to_a_bad_line() -> None:
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
    assert [(reject.reason, reject.column) for reject in parsed.rejects] == [
        ("wrong_type", column) for column in ("age", "age", "price", "price", "born")
    ]


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


def column(name: str, kind: str, **fields: Any) -> Column:
    return Column(name=name, type=kind, description="d", **fields)


RICH = contracts()["events"].model_copy(
    update={
        "columns": (
            *contracts()["events"].columns,
            column("age", "integer"),
            column("price", "decimal(5, 2)"),
            column("prices", "decimal(5, 2)", repeated=True),
            column("born", "date"),
            column("weights", "double", repeated=True),
            column("seen_at", "timestamp", repeated=True),
            column(
                "lines",
                "struct",
                repeated=True,
                fields=(
                    column("weight", "double"),
                    column("count", "integer"),
                    column("code", "string", required=True),
                ),
            ),
        )
    }
)


@pytest.mark.parametrize(
    ("fields", "reason", "path"),
    [
        ('"weights": [1, null, 1e150, 1e151]', "number_out_of_range", "weights"),
        ('"weights": [%s]' % ("9" * 5000), "number_out_of_range", "weights"),
        ('"lines": [null, {"code": "a"}, {"code": "b", "weight": 1e200}]', "number_out_of_range", "lines.weight"),
        ('"lines": [{"code": "a"}, {"code": "b", "weight": 1e400}]', "number_out_of_range", "lines.weight"),
        ('"lines": [{"code": "a"}, {"code": "b", "count": 9223372036854775808}]', "wrong_type", "lines.count"),
        ('"lines": [{"code": "a"}, {"code": "b", "code": "c"}]', "duplicate_key", "lines.code"),
        ('"lines": [{"code": "a", "x": 1, "x": 2}]', "duplicate_key", "lines[0].x"),
        ('"lines": [{"code": "a"}, {"weight": 1}]', "missing_required", "lines.code"),
        ('"age": %s' % ("9" * 5000), "wrong_type", "age"),
        ('"price": 99999', "wrong_type", "price"),
        ('"price": -1000.0', "wrong_type", "price"),
        ('"price": 1e99999999999999999999', "wrong_type", "price"),
        ('"price": "dear"', "wrong_type", "price"),
        ('"price": true', "wrong_type", "price"),
        ('"price": "1.50", "weights": ["heavy"]', "wrong_type", "weights"),
        ('"prices": [1.5, 2], "born": "soon"', "wrong_type", "born"),
        ('"prices": [1, 1.234]', "wrong_type", "prices"),
        ('"prices": [1, 1000]', "wrong_type", "prices"),
        ('"seen_at": ["2026-01-10T10:00:00Z", "2026-01-10T10:00:61Z"]', "wrong_type", "seen_at"),
        ('"born": "0000-01-01"', "wrong_type", "born"),
    ],
)
def test_value_beyond_its_type_names_its_column_at_any_depth(fields: str, reason: str, path: str) -> None:
    text = line()[:-1] + b", " + fields.encode() + b"}"
    for lines in ((text,), (line(event_id="before"), b"{", text, line(event_id="after"))):
        parsed = parse(*lines, contract=RICH)
        assert [(item.reason, item.column) for item in parsed.rejects if item.raw == text] == [(reason, path)]
        assert parsed.rows.num_rows == len(lines) - len(parsed.rejects) == 2 * (len(lines) > 1)


def test_values_at_the_limits_of_their_types_are_rows() -> None:
    fields = (
        b', "weights": [1e150, -1e150, 0.0, -0.0, 5e-324, 1e-400, null], "price": 999.99, "prices": [-999.99, null],'
        b' "age": -9223372036854775808, "born": "9999-12-31", "lines": [], "seen_at": ["2026-01-10t10:00:00.5z", null]}'
    )
    parsed = parse(line()[:-1] + fields, contract=RICH)
    assert parsed.rejects == []
    (row,) = parsed.rows.select(["weights", "prices", "seen_at"]).to_pylist()
    assert row["weights"] == [1e150, -1e150, 0.0, 0.0, 5e-324, 0.0, None]
    assert row["seen_at"] == [dt.datetime(2026, 1, 10, 10, 0, 0, 500000), None]


def test_equal_keys_within_an_unknown_value_are_kept_unchanged() -> None:
    parsed = parse(line()[:-1] + b', "x": {"y": 1, "y": 2}}', line())
    assert parsed.rejects == []
    assert parsed.rows.column("_rescued_data").to_pylist() == ['{"x":{"y": 1, "y": 2}}', None]


def test_the_maximum_of_unknown_fields_is_kept() -> None:
    fields = {f"f{number}": {"x": 1} for number in range(MAX_FIELDS // 2)}
    parsed = parse(line(**fields), line(x=[{"y": {"z": 1}}] * MAX_FIELDS))
    assert parsed.rejects == []
    assert list(json.loads(parsed.rows.column("_rescued_data")[0].as_py())) == list(fields)


def test_text_that_only_looks_like_a_time_column_is_unchanged() -> None:
    contract = RICH.model_copy(
        update={"columns": (*RICH.columns, column("meta", "struct", fields=(column("occurred_at", "string"),)))}
    )
    odd = "2026-01-10t10:00:00.123456789z"
    parsed = parse(line(), line(meta={"occurred_at": odd}, seen_at=[odd], occurred_at=odd), contract=contract)
    assert parsed.rejects == []
    row = parsed.rows.to_pylist()[1]
    assert row["meta"] == {"occurred_at": odd}
    assert [row["occurred_at"]] == row["seen_at"] == [dt.datetime(2026, 1, 10, 10, 0, 0, 123456)]


@pytest.mark.parametrize("levels", [300, 990])
def test_deep_line_with_a_literal_of_no_number_in_a_text_is_too_deep(levels: int) -> None:
    text = b'{"x": "NaN", "y": ' + b"[" * levels + b"]" * levels + b"}"
    assert [reject.reason for reject in parse(text, line()).rejects] == ["too_deep"]


def test_detail_is_bounded() -> None:
    (reject,) = parse(line(user_id=5, data="x" * 100_000), line()).rejects
    assert len(reject.detail) <= 1000
    parsed = parse(line(data={"duration": 1}).replace(b": 1}", b": " + b"9" * 9000 + b"}"), contract=RICH)
    assert len(parsed.rejects[0].detail) <= 1000


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
    blank = sum(not text.strip(BLANK) for text in lines)
    assert together.rows.num_rows + len(together.rejects) == len(lines) - blank


odd_values = st.sampled_from(
    [
        *"1 0e400 1e400 -1e200 1.7976931348623159e308 9223372036854775808 1000.0 1e2 1.234 99999 true null".split(),
        *'"x" "1.5" [] {} [1] [{}] [null] {"x":1,"x":2} {"duration":1,"duration":1} {"duration":1e151}'.split(),
        *'"2026-01-10T10:00:00z" "2026-01-10t10:00:60Z" "2026-01-10" "10000-01-01" "0000-01-01"'.split(),
        *'["2026-01-10T10:00:00.1234567z"] [{"code":"a","weight":1e200}] [{"code":"a","x":1,"x":1}]'.split(),
        *'[{"code":"a","weight":1e400}] [{"count":1.0}] "NaN" NaN -Infinity "\\ud800" 1. 01'.split(),
        "9" * 400,
        "9" * 5000,
        "[" * 70 + "]" * 70,
    ]
)
odd_keys = st.sampled_from(
    "age price prices born weights seen_at lines data user_id occurred_at x \\u0078 data.x name".split()
)
odd_records = st.lists(st.tuples(odd_keys, odd_values), max_size=3).map(
    lambda fields: line()[:-1] + "".join(f',"{key}":{value}' for key, value in fields).encode() + b"}"
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(odd_records | st.just(line()), min_size=2, max_size=6))
def test_the_full_text_of_the_verdict_on_a_line_is_the_same_alone_and_among_others(lines: list[bytes]) -> None:
    together = parse(*lines, contract=RICH)
    alone = [parse(text, contract=RICH) for text in lines]

    assert [row | {"_source_line": 1} for row in together.rows.to_pylist()] == [
        row for item in alone for row in item.rows.to_pylist()
    ]
    assert [dataclasses.replace(reject, line=1) for reject in together.rejects] == [
        reject for item in alone for reject in item.rejects
    ]
    weights = [weight for row in together.rows.to_pylist() for weight in row["weights"] or ()]
    assert all(abs(weight) <= 1e150 for weight in weights if weight is not None)


def test_fields_unique_to_each_line_cost_no_more_than_shared_fields() -> None:
    shared, own = (
        [line(**{f"f{number % width}": 1 for number in range(index, index + 20)}) for index in range(0, 40_000, 20)]
        for width in (20, 40_000)
    )
    seconds = []
    for lines in (shared, own):
        start = time.process_time()
        assert parse(*lines).rows.column("_rescued_data").null_count == 0
        seconds.append(time.process_time() - start)
    assert seconds[1] < 3 * seconds[0]


@pytest.mark.parametrize("levels", [65, 5_000, 1_000_000])
@pytest.mark.parametrize("form", ['{"a":%s}', "[%s]"])
def test_nesting_is_bounded_and_costs_no_good_line(levels: int, form: str) -> None:
    before, after = form.split("%s")
    deep = line()[:-1] + b', "new": ' + (before * levels + "1" + after * levels).encode() + b"}"
    parsed = parse(line(), deep, line())
    assert [(reject.line, reject.reason) for reject in parsed.rejects] == [(2, "too_deep")]
    assert parsed.rows.num_rows == 2


def test_brackets_in_a_text_do_not_count_as_nesting() -> None:
    text = line()[:-1] + b', "new": "' + b'[{\\"' * 3000 + b'"}'
    assert parse(text).rejects == []


@pytest.mark.parametrize("zone", ["", "Z", "+00:00"])
def test_finer_times_are_truncated_to_microseconds(zone: str) -> None:
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
