"""Every format and compression yields the same rows, and corrupt objects are distinguished from bad records."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest import limits
from ingest.contracts.column import Column
from ingest.steps import read

Make = Callable[..., dict[str, Any]]


def zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


def as_lines(records: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def as_array(records: list[dict[str, Any]]) -> bytes:
    return json.dumps(records).encode()


def as_pretty_array(records: list[dict[str, Any]]) -> bytes:
    return b"\xef\xbb\xbf \n" + json.dumps(records, indent=2).replace("\n", "\r\n").encode()


def as_parquet(records: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), sink)
    return sink.getvalue()


def as_csv(records: list[dict[str, Any]]) -> bytes:
    names = ["event_id", "name", "occurred_at", "user_id", "data.activity_id", "data.duration", "data.completed"]
    rows = [
        [*(record[name] for name in names[:4]), *(record["data"][name.split(".")[1]] for name in names[4:])]
        for record in records
    ]
    text = "\r\n".join(
        ",".join(json.dumps(cell) if isinstance(cell, bool) else str(cell) for cell in row) for row in rows
    )
    return (",".join(names) + "\r\n" + text + "\r\n").encode()


FORMATS = {"json": as_lines, "array": as_array, "pretty": as_pretty_array, "parquet": as_parquet, "csv": as_csv}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_yields_the_same_rows(lake: Any, event: Make, form: str, pack: Callable[[bytes], bytes]) -> None:
    records = [event(f"e{number}") for number in range(20)]
    lake.landing("events").put("odd-name" + (".csv" if form == "csv" else ""), pack(FORMATS[form](records)))

    report = lake.ingest()

    assert (report.records, report.rows, report.quarantined) == (20, 20, 0)
    rows = lake.bronze(columns="event_id, data.activity_id AS a, data.duration AS d, data.completed AS c, _source_line")
    first = 2 if form == "csv" else 1
    assert [tuple(row.values()) for row in rows] == [(f"e{n}", "a1", 1.5, True, n + first) for n in range(20)]


def test_csv_keeps_line_numbers_and_rejects_rows_that_do_not_fit(lake: Any) -> None:
    text = (
        "event_id,name,occurred_at,user_id,data.duration,extra\n"
        'e1,activity_exit,2026-01-02 10:00:00,"a ""quoted""\nuser",1.5,\n'
        "\n"
        "e2,activity_exit,2026-01-02 10:00:00,u,long,x\n"
        "too,few\n"
        "e3,activity_exit,2026-01-02 10:00:00,u,,new\n"
    )
    lake.landing("events").put("a.csv", text.encode())
    lake.ingest()
    rows = lake.bronze(columns="event_id, user_id, data.duration AS d, _rescued_data AS r, _source_line AS n")
    assert [tuple(row.values()) for row in rows] == [
        ("e1", 'a "quoted"\nuser', 1.5, None, 2),
        ("e3", "u", None, '{"extra":"new"}', 7),
    ]
    assert [(bad["_source_line"], bad["reason"], bad["column"]) for bad in lake.quarantine()] == [
        (5, "wrong_type", "data.duration"),
        (6, "unparsable", None),
    ]


def test_line_that_looks_like_an_array_does_not_affect_its_neighbours(lake: Any, event: Make) -> None:
    lake.put("events", "a.json", b"[1, 2]", event("good"), b"[")
    report = lake.ingest()
    assert (report.rows, report.quarantined) == (1, 2)
    assert [row["_source_line"] for row in lake.bronze()] == [2]


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (zstd(b"x" * 1000)[:-3], "zstd"),
        (gzip.compress(b"x" * 1000)[:-3], "gzip: the stream ends too early"),
        (as_parquet([{"a": 1}])[:-20], "Parquet"),
        (b'event_id,name\n"open', "CSV, from line 2"),
    ],
    ids=["zstd", "gzip", "parquet", "csv"],
)
def test_undecodable_object_is_quarantined_as_a_whole_and_blocks_no_other(
    lake: Any, event: Make, data: bytes, detail: str
) -> None:
    lake.landing("events").put("broken.csv" if detail.startswith("CSV") else "broken", data)
    lake.put("events", "good.json", event("good"))
    report = lake.ingest()
    assert report.reasons == (("corrupt_object", 1),)
    assert [row["event_id"] for row in lake.bronze()] == ["good"]
    assert detail in lake.quarantine()[0]["detail"]


def test_object_that_decompresses_beyond_the_limit_is_refused(
    lake: Any, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DECODED_BYTES", 1 << 20)
    lake.landing("events").put("bomb", gzip.compress(b" " * (64 << 20)))
    lake.landing("events").put("honest", gzip.compress(as_lines([event(f"e{n}") for n in range(8000)])))
    report = lake.ingest()
    assert (report.rows, report.reasons) == (8000, (("corrupt_object", 1),))
    assert "unpacks to more than 1,000 times" in lake.quarantine()[0]["detail"]


@pytest.mark.parametrize("block", [30_000, 1 << 20], ids=["in blocks", "in one block"])
@pytest.mark.parametrize("ends", [b"\n", b""])
def test_line_that_is_too_long_is_skipped(
    lake: Any, event: Make, monkeypatch: pytest.MonkeyPatch, ends: bytes, block: int
) -> None:
    lake.agree("events", max_line_bytes=100_000)
    monkeypatch.setattr(read, "KEPT_BYTES", 10)
    monkeypatch.setattr("ingest.storage.kinds.disk.BLOCK_BYTES", block)
    first, last = as_lines([event("first")]), as_lines([event("last")])
    long = b'{"event_id": "' + b"x" * 300_000
    data = first + long + ends + (last if ends else b"")
    lake.landing("events").put("a.json", data)
    lake.ingest()
    assert [(row["event_id"], row["_source_line"]) for row in lake.bronze()] == [("first", 1)] + [("last", 3)] * len(
        ends
    )
    (bad,) = lake.quarantine()
    assert (bad["_source_line"], bad["reason"], bad["raw"]) == (2, "line_too_long", long[:10])
    assert bad["detail"].startswith(f"{len(long)} bytes")


@pytest.mark.parametrize("size", [999, 1000, 1001, 1024, 1025, 2000])
def test_limit_of_a_line_does_not_depend_on_the_blocks(
    lake: Any, event: Make, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    lake.agree("events", max_line_bytes=1024)
    monkeypatch.setattr("ingest.storage.kinds.disk.BLOCK_BYTES", size)
    sizes = [700, 1024, 1025, 1023, 3000, 1025, 900, 1024]
    lines = []
    for number, wanted in enumerate(sizes):
        short = as_lines([event(f"e{number}", user_id="u")])
        lines.append(as_lines([event(f"e{number}", user_id="u" * (wanted + 2 - len(short)))]))
    assert [len(line) - 1 for line in lines] == sizes
    lake.landing("events").put("a.json", b"".join(lines))
    lake.ingest()
    assert [row["_source_line"] for row in lake.bronze()] == [1, 2, 4, 7, 8]
    assert [(row["_source_line"], row["reason"]) for row in lake.quarantine()] == [
        (line, "line_too_long") for line in (3, 5, 6)
    ]


def test_zeros_after_a_gzip_member_are_padding(lake: Any, event: Make) -> None:
    members = [gzip.compress(as_lines([event(name)])) + bytes(pad) for name, pad in (("a", 512), ("b", 0), ("c", 9))]
    lake.landing("events").put("tape.gz", b"".join(members))
    lake.ingest()
    assert [row["event_id"] for row in lake.bronze()] == ["a", "b", "c"]


BAD_ELEMENTS = {
    "typo": b'{"event_id" "x"}',
    "NaN": b'{"event_id": NaN}',
    "missing": b"",
    "line break in a text": b'{"event_id": "a\nb"}',
    "invalid UTF-8": b'{"event_id": "\xff"}',
    "scalar": b"7",
}


@pytest.mark.parametrize("bad", BAD_ELEMENTS)
def test_bad_element_of_an_array_does_not_affect_the_others(lake: Any, event: Make, bad: str) -> None:
    good = [json.dumps(event(name, user_id="]}, {[")).encode() for name in ("first", "last")]
    lake.landing("events").put("a.json", b"[" + good[0] + b",\n" + BAD_ELEMENTS[bad] + b",\n" + good[1] + b"]")
    lake.ingest()
    assert [(row["event_id"], row["_source_line"]) for row in lake.bronze()] == [("first", 1), ("last", 3)]
    assert [row["_source_line"] for row in lake.quarantine()] == [2]


@pytest.mark.parametrize("before", [b"", b"\n \n"])
def test_lines_that_begin_with_arrays_are_lines(lake: Any, event: Make, before: bytes) -> None:
    arrays = [json.dumps([event(name)]).encode() + b"\n" for name in ("a", "b")]
    lake.landing("events").put("a.json", before + b"".join(arrays) + as_lines([event("good")]))
    assert lake.ingest().reasons == (("unparsable", 2),)
    assert [row["event_id"] for row in lake.bronze()] == ["good"]


def test_truncated_array_is_corrupt_as_a_whole(lake: Any, event: Make) -> None:
    lake.landing("events").put("a.json", json.dumps([event("a"), event("b")], indent=1).encode()[:-9])
    assert lake.ingest().reasons == (("corrupt_object", 1),)
    assert lake.quarantine()[0]["detail"] == "the JSON array is not closed"


@pytest.mark.parametrize("header", ["event_id,name,event_id", "event_id,data,data.duration"])
def test_csv_header_that_names_a_column_twice_is_refused(lake: Any, header: str) -> None:
    lake.landing("events").put("a.csv", f"{header}\n1,2,3\n".encode())
    assert lake.ingest().reasons == (("corrupt_object", 1),)
    assert "more than once" in lake.quarantine()[0]["detail"]


def test_csv_row_with_a_stray_quote_or_a_large_cell_does_not_affect_the_others(lake: Any, event: Make) -> None:
    rows = as_csv([event("first"), event("x"), event("large", user_id="u" * 200_000), event("last")])
    lake.landing("events").put("a.csv", rows.replace(b"\nx,", b'\n"x"y,'))
    lake.ingest()
    assert [row["event_id"] for row in lake.bronze()] == ["first", "large", "last"]
    (bad,) = lake.quarantine()
    assert (bad["_source_line"], bad["reason"]) == (3, "unparsable")
    assert b'x\\"y,activity_exit' in bad["raw"]


CSV = "event_id,name,occurred_at,user_id,data.duration"
ROW = "activity_exit,2026-01-02 10:00:00,u"


def put_csv(lake: Any, text: str | bytes, key: str = "a.csv") -> Any:
    data = text.encode() if isinstance(text, str) else text
    lake.landing("events").put(key, gzip.compress(data) if key.endswith(".gz") else data)
    return lake.ingest()


@pytest.mark.parametrize("blank", ["\n", "\r\n", " \n", "\n\n\t\n"])
def test_csv_header_is_the_first_row_that_is_not_blank(lake: Any, blank: str) -> None:
    put_csv(lake, f"{blank}{CSV}\ne1,{ROW},1.5\n")
    rows = lake.bronze(columns="event_id, data.duration AS d, _source_line AS n")
    assert [tuple(row.values()) for row in rows] == [("e1", 1.5, blank.count("\n") + 2)]
    assert lake.quarantine() == []


@pytest.mark.parametrize("form", ["json", "array", "pretty"])
@pytest.mark.parametrize("key", ["a.csv", "a.csv.gz", "a.CSV"])
def test_json_under_a_csv_name_is_json(lake: Any, event: Make, form: str, key: str) -> None:
    report = put_csv(lake, FORMATS[form]([event("e1"), event("e2")]), key)
    assert (report.rows, report.quarantined) == (2, 0)


def test_bad_first_line_of_json_under_a_csv_name_costs_no_other_line(lake: Any, event: Make) -> None:
    report = put_csv(lake, b' \n{"event_id": "cut\n' + as_lines([event("e1")]))
    assert (report.rows, report.reasons) == (1, (("unparsable", 1),))


def test_contract_with_format_csv_reads_csv_whatever_it_begins_with(lake: Any) -> None:
    lake.agree("events", source=lake.contracts["events"].source.model_copy(update={"format": "csv"}))
    put_csv(lake, '{"odd"},' + f"{CSV}\nx,e1,{ROW},1\n", "plain")
    assert [row["event_id"] for row in lake.bronze()] == ["e1"]


@pytest.mark.parametrize("first", [b"\xef", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\xef\xbb\xbfevent_id"])
def test_byte_order_mark_is_removed_from_a_compressed_csv_however_it_is_split(lake: Any, first: bytes) -> None:
    whole = b"\xef\xbb\xbf" + (b"\n" if first.endswith(b"\n") else b"") + f"{CSV}\ne1,{ROW},1\n".encode()
    lake.landing("events").put("a.csv.gz", gzip.compress(first) + gzip.compress(whole.removeprefix(first)))
    assert lake.ingest().rows == 1


@pytest.mark.parametrize(
    ("cell", "value", "reason"),
    [
        (" 1.5 ", 1.5, None),
        ("-0.25e1", -2.5, None),
        ("null", None, None),
        ("1e150", 1e150, None),
        ("12345678901234567890.5", 12345678901234567890.5, None),
        ("1e151", None, "number_out_of_range"),
        ("1e400", None, "number_out_of_range"),
        ("9" * 400, None, "number_out_of_range"),
        ("9" * 5000, None, "number_out_of_range"),
        ("NaN", None, "wrong_type"),
        ("inf", None, "wrong_type"),
        ("1_0", None, "wrong_type"),
        ("+1", None, "wrong_type"),
        ("01", None, "wrong_type"),
        ("1.", None, "wrong_type"),
        ("\u0663", None, "wrong_type"),
        ("[" * 1000, None, "wrong_type"),
        ("[" * 100_000 + "]" * 100_000, None, "wrong_type"),
        ('"{""a"": 1}"', None, "wrong_type"),
        ('"1}, ""x"": {""y"": 1"', None, "wrong_type"),
    ],
)
def test_csv_cell_is_its_exact_number_or_is_quarantined(
    lake: Any, cell: str, value: float | None, reason: str | None
) -> None:
    put_csv(lake, f"{CSV}\nodd,{ROW},{cell}\ngood,{ROW},1\n")
    found = {
        row["event_id"]: (row["d"], row["r"])
        for row in lake.bronze(columns="event_id, data.duration d, _rescued_data r")
    }
    assert found == {"good": (1.0, None)} | ({} if reason else {"odd": (value, None)})
    assert [(row["reason"], row["column"]) for row in lake.quarantine()] == (
        [(reason, "data.duration")] if reason else []
    )


@pytest.mark.parametrize(
    ("cell", "value", "reason"),
    [
        ('"[""a"", null]"', ["a", None], None),
        ('"[""a"",\r\n""b""]"', ["a", "b"], None),
        ("[]", [], None),
        ("[1]", None, "wrong_type"),
        ("[" * 1000, None, "wrong_type"),
        ('"[""a\nb""]"', None, "wrong_type"),
        ('"[""a""], ""x"": [1]"', None, "wrong_type"),
        (b"[\xff]", None, "invalid_utf8"),
    ],
)
def test_csv_cell_is_its_exact_list_or_is_quarantined(lake: Any, cell: Any, value: Any, reason: str | None) -> None:
    columns = (*lake.contracts["events"].columns, Column(name="tags", type="string", repeated=True, description="d"))
    lake.agree("events", columns=columns)
    cell = cell if isinstance(cell, bytes) else cell.encode()
    put_csv(lake, f"{CSV},tags\nodd,{ROW},,".encode() + cell + f"\ngood,{ROW},,\n".encode())
    found = {row["event_id"]: row["tags"] for row in lake.bronze(columns="event_id, tags")}
    assert found == {"good": None} | ({} if reason else {"odd": value})
    assert [row["reason"] for row in lake.quarantine()] == [reason] * bool(reason)


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        (".".join("a" * 400), "400 levels, expected at most 64"),
        (".".join("a" * 1501), "3,001 characters, expected at most 1,000"),
        (",".join(f"c{number}" for number in range(10_001)), "10,001 columns, expected at most 10,000"),
        (",".join(f"c{number}" for number in range(80_000)), "80,000 columns, expected at most 10,000"),
        (b"event_id,\xff", "not UTF-8"),
        ('event_id,"open', "CSV, from line 1"),
    ],
)
def test_csv_header_over_a_limit_makes_the_object_corrupt(lake: Any, header: Any, detail: str) -> None:
    header = header if isinstance(header, bytes) else header.encode()
    report = put_csv(lake, header + b"\n1\n")
    assert report.reasons == (("corrupt_object", 1),)
    assert detail in lake.quarantine()[0]["detail"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_with_the_maximum_of_columns_is_read(lake: Any, end: str) -> None:
    more = 10_000 - 5
    names, ones = (",".join(f"{what}{number}" for number in range(more)) for what in ("c", "1"))
    put_csv(lake, f"{CSV},{names}{end}e1,{ROW},1,{ones}{end}e2,{ROW},2,{',' * (more - 1)}{end}")
    (full, empty) = lake.bronze(columns="_rescued_data AS r, _source_line AS n")
    assert (len(json.loads(full["r"])), empty["r"], full["n"], empty["n"]) == (more, None, 2, 3)


@pytest.mark.parametrize("block", [1 << 20, 999])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", range(2040, 2056, 3))
def test_csv_row_that_is_too_long_is_skipped(
    lake: Any, monkeypatch: pytest.MonkeyPatch, end: str, size: int, block: int
) -> None:
    monkeypatch.setattr("ingest.storage.kinds.disk.BLOCK_BYTES", block)
    lake.agree("events", max_line_bytes=1024)
    for long in ("x" * size, '"' + "x" * size + '"', "x" * 500 + '""' + "x" * size):
        put_csv(lake, end.join([CSV, f"e1,{ROW},1", f"{long},{ROW},2", f"e3,{ROW},3", ""]), f"{uuid.uuid4()}.csv")
    found = [tuple(row.values()) for row in lake.bronze(columns="event_id, data.duration AS d, _source_line AS n")]
    assert found == [("e1", 1.0, 2), ("e3", 3.0, 4)] * 3
    assert [(row["_source_line"], row["reason"]) for row in lake.quarantine()] == [(3, "line_too_long")] * 3


@pytest.mark.parametrize("quoted", ['"' + "x" * 2000 + '\ne9,{row},9\n"', '"' + "x\n" * 2000 + '"', '"' + "x\n" * 2000])
def test_csv_text_is_never_taken_for_rows(lake: Any, quoted: str) -> None:
    lake.agree("events", max_line_bytes=1024)
    report = put_csv(lake, f"{CSV}\ne1,{ROW},1\n{quoted.format(row=ROW)},{ROW},2\n")
    assert report.reasons == (("corrupt_object", 1),)
    assert "quote" in lake.quarantine()[0]["detail"]


def test_csv_row_that_is_no_utf8_is_quarantined_alone(lake: Any) -> None:
    put_csv(lake, f"{CSV}\ne1,{ROW},1\n".encode() + f"e2,{ROW},".replace("u,", "\xff,").encode("latin-1") + b"1\n")
    assert [row["event_id"] for row in lake.bronze()] == ["e1"]
    assert [(row["reason"], b"\xff" in row["raw"]) for row in lake.quarantine()] == [("invalid_utf8", True)]


def parquet_of(**columns: pa.Array) -> bytes:
    count = len(next(iter(columns.values())))
    given = {"event_id": pa.array([f"e{n}" for n in range(count)]), "name": pa.array(["n"] * count)}
    given |= {"user_id": pa.array(["u"] * count), "occurred_at": pa.array(["2026-01-02 10:00:00"] * count)}
    sink = io.BytesIO()
    pq.write_table(pa.table(given | columns), sink)
    return sink.getvalue()


def struct_of(name: str, values: pa.Array) -> pa.Array:
    return pa.StructArray.from_arrays([values], [name])


@pytest.mark.parametrize(
    ("columns", "good", "reasons"),
    [
        (
            {"data": struct_of("duration", pa.array([1.5, float("nan"), None, float("inf")]))},
            ["e0", "e2"],
            ["wrong_type"] * 2,
        ),
        ({"occurred_at": pa.array([1767348000123456789, None], pa.timestamp("ns"))}, ["e0"], ["missing_required"]),
        (
            {"occurred_at": pa.array([1767348000, 10**15], pa.timestamp("s", "Europe/Berlin"))},
            ["e0"],
            ["wrong_type"],
        ),
        (
            {"user_id": pa.array([b"u", b"\xff", b"v"], pa.binary())},
            ["e0", "e2"],
            ["invalid_utf8"],
        ),
        ({"user_id": pa.array([b"u", b"\xff"], pa.binary()).view(pa.string())}, ["e0"], ["invalid_utf8"]),
        ({"user_id": pa.array(["u", "v"]).dictionary_encode()}, ["e0", "e1"], []),
        ({"extra": pa.array([2**31 - 1, 1], pa.date32())}, ["e0", "e1"], []),
        ({"data": struct_of("duration", pa.array(["1.25"]).cast(pa.decimal128(9, 2)))}, ["e0"], []),
    ],
    ids=["NaN", "ns", "out of range", "binary", "invalid text", "dictionary", "odd date", "decimal"],
)
def test_parquet_rows_are_judged_one_by_one(
    lake: Any, columns: dict[str, pa.Array], good: list[str], reasons: list[str]
) -> None:
    lake.agree("events", epoch=dt.date(1970, 1, 1))
    lake.landing("events").put("a", parquet_of(**columns))
    lake.ingest()
    assert [row["event_id"] for row in lake.bronze()] == good
    assert [row["reason"] for row in lake.quarantine()] == reasons


def test_parquet_times_keep_their_instant(lake: Any) -> None:
    noon = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
    times = pa.array([noon], pa.timestamp("ms", "America/New_York"))
    lake.landing("events").put("a", parquet_of(occurred_at=times))
    lake.ingest()
    assert [row["occurred_at"] for row in lake.bronze()] == [noon.replace(tzinfo=None)]


def test_many_corrupt_objects_take_one_load_and_a_streamed_one_takes_another(
    lake: Any, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "BUFFER_BYTES", 200_000)
    for number in range(30):
        lake.landing("events").put(f"{number}.gz", gzip.compress(as_lines([event(f"e{number}")]))[:-5])
    large = as_lines([event(f"large{number}") for number in range(2000)])
    lake.landing("events").put("large.gz", gzip.compress(large)[:-5])
    lake.put("events", "good.json", event("good"))
    loads = []
    real = read.fetch
    monkeypatch.setattr(read, "fetch", lambda *arguments: loads.append(1) or real(*arguments))

    report = lake.ingest()

    assert (report.rows, report.reasons, len(loads)) == (1, (("corrupt_object", 31),), 2)
    assert [row["event_id"] for row in lake.bronze()] == ["good"]
    assert lake.ingest().objects == 0
