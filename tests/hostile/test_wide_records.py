"""Unknown fields take time in proportion to their bytes; beyond the limit the record is quarantined."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.readings import Readings, reading

LINES = 10_000


def fields(names: str, count: int) -> str:
    return ", ".join(f'"{names}{number}": {number}' for number in range(count))


def plain(count: int = LINES) -> bytes:
    return b"".join(reading(f"plain{number}", '"value": 1') for number in range(count))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> float:
    """CPU time of an ingest of plain lines, in seconds."""
    lake = Readings(tmp_path_factory.mktemp("plain"))
    lake.put("a.json", plain())
    return lake.lake("ingest")[1]


WIDE = {
    "one record of 20,000 fields": (reading("wide", fields("f", 20_000)) + plain(), [("too_many_fields", 1)]),
    "one record of 10,000 fields": (plain() + reading("wide", fields("f", 10_000)), []),
    "one record of 20,000 fields in an unknown one": (
        reading("wide", f'"new": {{{fields("f", 20_000)}}}') + plain(),
        [("too_many_fields", 1)],
    ),
    "one record of 10,000 fields in a known struct": (
        reading("wide", f'"place": {{{fields("f", 10_000)}}}') + plain(),
        [],
    ),
    "a field of its own in each record": (
        b"".join(reading(f"e{number}", f'"own{number}": {number}') for number in range(LINES)),
        [],
    ),
    "fields of their own in each item of a list": (
        b"".join(
            reading(f"e{number}", f'"parts": [{{"a{number}": 1}}, {{"b{number}": 1}}]') for number in range(LINES)
        ),
        [],
    ),
    "a known field a million times": (
        reading("wide", ", ".join(['"value": 1'] * 1_000_000)) + plain(),
        [("too_many_fields", 1)],
    ),
    "unknown fields beside bad lines": (
        b"".join(reading(f"e{number}", f'"own{number}": {number}') + b"{\n" for number in range(LINES)),
        [("unparsable", LINES)],
    ),
}


@pytest.mark.parametrize("case", WIDE)
def test_unknown_fields_take_linear_time(tmp_path: Path, usual: float, case: str) -> None:
    data, rejects = WIDE[case]
    lake = Readings(tmp_path)
    lake.put("a.json", data)

    _, seconds = lake.lake("ingest")

    assert seconds < 3 * usual + 3
    found = [bad.reason for bad in lake.bad()]
    assert [(reason, found.count(reason)) for reason in sorted(set(found))] == rejects
    assert len(lake.rows("id, _source_file, _source_line")) == data.count(b"\n") - len(found)


@pytest.mark.parametrize(("columns", "rows"), [(80_000, 0), (10_001, 0), (9_998, 30)])
def test_csv_of_many_columns_takes_linear_time(tmp_path: Path, usual: float, columns: int, rows: int) -> None:
    lake = Readings(tmp_path)
    names, ones = ",".join(f"c{number}" for number in range(columns)), ",1" * columns
    lake.put("a.csv", f"id,at,{names}\n".encode() + f"x,2026-11-01{ones}\n".encode() * 30)

    _, seconds = lake.lake("ingest")

    assert seconds < 3 * usual + 6
    assert len(lake.rows("id, _source_file, _source_line")) == rows
    assert [bad.detail for bad in lake.bad()] == [
        f"CSV: the header has {columns + 2:,} columns, expected at most 10,000"
    ] * (rows == 0)


def test_proposal_for_100_000_fields_is_short_and_fast(tmp_path: Path, usual: float) -> None:
    lake = Readings(tmp_path)
    often = ", ".join(f'"often_{number}": 1' for number in range(30))
    lines = [reading(f"e{record}", f"{often}, {fields(f'f{record}_', 9_000)}") for record in range(12)]
    lake.put("a.json", b"".join(lines))
    lake.lake("ingest")

    said, seconds = lake.lake("contracts", "propose")

    assert seconds < 3 * usual + 6
    assert "more than 10,000 unknown fields" in said
    assert "at most 100 columns at a time" in said
    added = [text for text in said.splitlines() if text.startswith("+  - {name:")]
    assert len(added) == 100
    assert "often_29" in said
