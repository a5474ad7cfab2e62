"""Malformed CSV of every kind becomes rows and quarantined records, and never aborts the ingest."""

from __future__ import annotations

import gzip

import pytest

from tests.hostile.readings import Readings, reading

HEAD = "id,at,value"
AT = "2026-11-01T10:00:00Z"
Rejects = list[tuple[int, str, str | None]]

OBJECTS: dict[str, tuple[str | bytes, list[tuple[str, int]], Rejects]] = {
    "brackets.csv": (f"{HEAD}\na,{AT},{'[' * 1000}\nb,{AT},1\n", [("b", 3)], [(2, "wrong_type", "value")]),
    "braces.csv": (f"{HEAD}\na,{AT},{'{' * 100_000}\nb,{AT},1\n", [("b", 3)], [(2, "wrong_type", "value")]),
    "list.csv": (f"id,at,values\na,{AT},{'[' * 1000}\nb,{AT},[1]\n", [("b", 3)], [(2, "wrong_type", "values")]),
    "dots.csv": (f"{HEAD},{'.'.join('a' * 1501)}\na,{AT},1,x\n", [], [(0, "corrupt_object", None)]),
    "levels.csv": (f"{HEAD},{'.'.join('a' * 65)}\na,{AT},1,x\n", [], [(0, "corrupt_object", None)]),
    "deepest.csv": (f"{HEAD},{'.'.join('a' * 64)}\na,{AT},1,x\n", [("a", 2)], []),
    "blank.csv": (f"\n{HEAD}\na,{AT},1\n", [("a", 3)], []),
    "blanks.csv": (f"\r\n \r\n{HEAD}\r\n\r\na,{AT},1\r\n", [("a", 5)], []),
    "lines.csv.gz": (gzip.compress(reading("a") + reading("b")), [("a", 1), ("b", 2)], []),
    "lines.csv": (b"\n" + reading("a") + b"{\n" + reading("b"), [("a", 2), ("b", 4)], [(3, "unparsable", None)]),
    "array.csv": (b"[" + reading("a") + b"," + reading("b") + b"]", [("a", 1), ("b", 2)], []),
    "mark.csv.gz": (gzip.compress(f"\ufeff{HEAD}\na,{AT},1\n".encode()), [("a", 2)], []),
    "returns.csv": (f"{HEAD}\ra,{AT},1\rb,{AT},x\r", [("a", 2)], [(3, "wrong_type", "value")]),
    "nul.csv": (f"{HEAD}\na\0,{AT},1\nb,{AT},\0\n", [("a\0", 2)], [(3, "wrong_type", "value")]),
    "header.csv": (HEAD, [], []),
    "empty.csv": ("", [], []),
    "nameless.csv": (f"{HEAD},\na,{AT},1,x\n", [("a", 2)], []),
    "quotes.csv": (
        f'{HEAD}\n"a""b",{AT},1\n"c"d,{AT},1\ne,{AT},"1"\n',
        [('a"b', 2), ("e", 4)],
        [(3, "unparsable", None)],
    ),
    "open.csv": (f'{HEAD}\na,{AT},1\n"b,{AT},1\n', [], [(0, "corrupt_object", None)]),
    "large.csv": (
        f"{HEAD}\n{'x' * (17 << 20)},{AT},1\nb,{AT},1\n",
        [("b", 3)],
        [(2, "line_too_long", None)],
    ),
    "few.csv": (f"{HEAD}\na\nb,{AT},1,,,\nc,{AT},1\n", [("c", 4)], [(2, "unparsable", None), (3, "unparsable", None)]),
    "latin.csv": (
        f"{HEAD}\n\xe9,{AT},1\nb,{AT},1\n".encode("latin-1"),
        [("b", 3)],
        [(2, "invalid_utf8", None)],
    ),
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Readings:
    home = Readings(tmp_path_factory.mktemp("csv"))
    for key, (data, _, _) in OBJECTS.items():
        home.put(key, data if isinstance(data, bytes) else data.encode())
    home.lake("ingest")
    home.lake("verify", "--deep")
    return home


@pytest.mark.parametrize("key", OBJECTS)
def test_every_row_of_a_csv_is_a_row_or_is_quarantined(lake: Readings, key: str) -> None:
    _, rows, rejects = OBJECTS[key]
    found = lake.rows("id, _source_file, _source_line")
    assert [(row["id"], row["_source_line"]) for row in found if row["_source_file"].endswith(f"/{key}")] == rows
    assert [(bad.line, bad.reason, bad.column) for bad in lake.bad() if bad.object == key] == rejects


def test_limit_exceeded_by_a_header_is_stated(lake: Readings) -> None:
    details = {bad.object: bad.detail for bad in lake.bad()}
    assert "65 levels, expected at most 64" in details["levels.csv"]
    assert "3,001 characters, expected at most 1,000" in details["dots.csv"]
