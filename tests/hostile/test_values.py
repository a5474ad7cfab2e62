"""Values beyond their types, duplicate keys and odd times: a row, or quarantined with the faulty column."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hostile.readings import Readings, reading

NINES = "9" * 400
BEYOND = {
    "400 digits": (f'"value": {NINES}', "number_out_of_range", "value"),
    "400 digits, negative, in a struct": (f'"place": {{"height": -{NINES}}}', "number_out_of_range", "place.height"),
    "400 digits in a list": (f'"values": [1, {NINES}]', "number_out_of_range", "values"),
    "rounds to infinity": ('"value": 1.7976931348623159e308', "number_out_of_range", "value"),
    "rounds to infinity in a list of structs": (
        '"parts": [{"weight": 1}, {"weight": -1.7976931348623159e308}]',
        "number_out_of_range",
        "parts.weight",
    ),
    "exponent": ('"value": 1e400', "number_out_of_range", "value"),
    "sums would overflow": ('"value": 1.1e150', "number_out_of_range", "value"),
    "integer over 2^63": ('"count": 9223372036854775808', "wrong_type", "count"),
    "integer under -2^63": ('"parts": [null, {"number": -9223372036854775809}]', "wrong_type", "parts.number"),
    "integer of 400 digits": (f'"count": {NINES}', "wrong_type", "count"),
    "decimal of too many places": ('"price": 1.234', "wrong_type", "price"),
    "decimal of too many digits": ('"price": 99999', "wrong_type", "price"),
    "decimal that is no number": ('"price": "dear"', "wrong_type", "price"),
    "time of a minute with 61 seconds": ('"at": "2026-11-01T10:00:61z"', "wrong_type", "at"),
    "time of year 10000": ('"at": "9999-12-31T23:59:59-01:00"', "wrong_type", "at"),
    "day that is none": ('"day": "2026-02-30"', "wrong_type", "day"),
    "unknown key twice": ('"new": 1, "new": 2', "duplicate_key", "new"),
    "unknown key twice, once escaped": ('"new": 1, "n\\u0065w": 2', "duplicate_key", "new"),
    "unknown key twice in a struct": ('"place": {"new": 1, "new": 1}', "duplicate_key", "place.new"),
    "unknown key twice in a list": ('"parts": [{}, {"new": 1, "new": 2}]', "duplicate_key", "parts[1].new"),
    "known key twice": ('"place": {"code": "a", "code": "a"}', "duplicate_key", "place.code"),
}
GOOD = {
    "greatest double": '"value": 1e150, "values": [-1e150, 5e-324, 1e-400, null]',
    "greatest integer": '"count": 9223372036854775807, "parts": [{"number": -9223372036854775808}]',
    "greatest decimal": '"price": -999.99',
    "lower-case time": '"at": "2026-11-01t10:00:00z"',
    "lower-case time, finer than microseconds": '"at": "2026-11-01T10:00:00.1234567z"',
    "equal keys within an unknown value": '"new": {"a": 1, "a": 2}',
    "exponent in an unknown field": '"new": {"deep": -1e400}, "place": {"code": "a", "new": [1e400]}',
    "a dot in an unknown key": '"place.new": 1, "place": {"new": 2}',
    "unknown numbers": f'"new": [{NINES}, 1.7976931348623159e308]',
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Readings:
    """Each record once alone in an object, and all records together in one."""
    home = Readings(tmp_path_factory.mktemp("values"))
    lines = [
        reading(name, fields).replace(b'"at": "2026-11-01T10:00:00Z", "at"', b'"at"')
        for name, fields in [*GOOD.items(), *((name, case[0]) for name, case in BEYOND.items())]
    ]
    for number, line in enumerate(lines):
        home.put(f"alone/{number}.json", line)
    home.put("together.json", b"".join(line + reading("good") for line in lines))
    home.put(
        "numbers.csv", b"id,at,value,count\n" + b"".join(b"c%d,2026-11-01,%s\n" % item for item in enumerate(CELLS))
    )
    sink = io.BytesIO()
    columns: dict[str, Any] = {
        "id": [f"p{number}" for number in range(len(DOUBLES))],
        "at": ["2026-11-01"] * len(DOUBLES),
        "value": pa.array(DOUBLES),
        "values": pa.array([[0.0, value] for value in DOUBLES]),
    }
    pq.write_table(pa.table(columns), sink)
    home.put("doubles.parquet", sink.getvalue())
    home.lake("ingest")
    home.lake("verify", "--deep")
    return home


CELLS = (NINES.encode() + b",1", b"1e400,1", b"-1e151,1", b"1e150,1", b"Infinity,1", b"nan,1", b"1,9223372036854775808")
DOUBLES = [math.inf, -math.inf, math.nan, 1e151, -1e300, 1e150, None]


def test_values_beyond_their_types_are_quarantined_with_their_column(lake: Readings) -> None:
    found = {bad.raw.split(b'"')[3].decode(): (bad.reason, bad.column) for bad in lake.bad() if "alone" in bad.object}
    assert found == {name: (reason, column) for name, (_, reason, column) in BEYOND.items()}


def test_values_at_the_limits_of_their_types_are_rows(lake: Readings) -> None:
    found = {row["id"]: row for row in lake.rows() if "alone" in row["_source_file"]}
    assert set(found) == set(GOOD)
    assert found["greatest double"]["values"] == [-1e150, 5e-324, 0.0, None]
    assert {row["at"].microsecond for row in found.values()} == {0, 123456}
    assert found["equal keys within an unknown value"]["_rescued_data"] == '{"new":{"a": 1, "a": 2}}'
    assert found["exponent in an unknown field"]["_rescued_data"] == '{"new":{"deep": -1e400},"place.new":[1e400]}'
    assert json.loads(found["a dot in an unknown key"]["_rescued_data"]) == {r"place\.new": 1, "place.new": 2}


def test_verdicts_are_the_same_alone_and_together(lake: Readings) -> None:
    bad = lake.bad()
    alone, together = (
        sorted((item.raw, item.reason, item.column, item.detail) for item in bad if folder in item.object)
        for folder in ("alone", "together")
    )
    assert alone == together
    ids = [
        row["id"]
        for row in lake.rows("id, _source_file, _source_line")
        if row["_source_file"].endswith("together.json")
    ]
    assert sorted(ids) == sorted([*GOOD, *["good"] * (len(GOOD) + len(BEYOND))])


def test_no_value_that_is_not_finite_reaches_bronze_by_any_format(lake: Readings) -> None:
    assert [(bad.line, bad.reason, bad.column) for bad in lake.bad() if bad.object == "numbers.csv"] == [
        (2, "number_out_of_range", "value"),
        (3, "number_out_of_range", "value"),
        (4, "number_out_of_range", "value"),
        (6, "wrong_type", "value"),
        (7, "wrong_type", "value"),
        (8, "wrong_type", "count"),
    ]
    assert [bad.line for bad in lake.bad() if bad.object == "doubles.parquet"] == [1, 2, 3, 4, 5]
    for row in lake.rows():
        place, parts = row["place"] or {}, row["parts"] or []
        doubles = [
            row["value"],
            *(row["values"] or []),
            place.get("height"),
            *(part["weight"] for part in parts if part),
        ]
        assert all(abs(value) <= 1e150 for value in doubles if value is not None)


def test_column_that_is_declared_later_shows_no_infinity(lake: Readings) -> None:
    before = lake.contract.read_text()
    lake.contract.write_text(
        before.replace("version: 1", "version: 2") + "  - {name: new, type: double, repeated: true, description: x}\n"
    )
    try:
        assert [row["new"] for row in lake.rows() if row["id"] == "unknown numbers"] == [[None, None]] * 2
    finally:
        lake.contract.write_text(before)
