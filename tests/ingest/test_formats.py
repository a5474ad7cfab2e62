"""Every format and compression gives the same rows, and what is broken is told apart from what is bad."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest import formats, read

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
def test_every_format_gives_the_same_rows(lake: Any, event: Make, form: str, pack: Callable[[bytes], bytes]) -> None:
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


def test_line_that_looks_like_an_array_does_not_spoil_its_neighbours(lake: Any, event: Make) -> None:
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
        (b'event_id,name\n"open', "CSV, line"),
    ],
    ids=["zstd", "gzip", "parquet", "csv"],
)
def test_what_cannot_be_decoded_is_quarantined_as_a_whole_and_holds_up_nobody(
    lake: Any, event: Make, data: bytes, detail: str
) -> None:
    lake.landing("events").put("broken.csv" if detail.startswith("CSV") else "broken", data)
    lake.put("events", "good.json", event("good"))
    report = lake.ingest()
    assert report.reasons == (("corrupt_object", 1),)
    assert [row["event_id"] for row in lake.bronze()] == ["good"]
    assert detail in lake.quarantine()[0]["detail"]


def test_object_that_unpacks_to_too_much_is_refused(lake: Any, event: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "INFLATED_BYTES", 1 << 20)
    lake.landing("events").put("bomb", gzip.compress(b" " * (64 << 20)))
    lake.landing("events").put("honest", gzip.compress(as_lines([event(f"e{n}") for n in range(8000)])))
    report = lake.ingest()
    assert (report.rows, report.reasons) == (8000, (("corrupt_object", 1),))
    assert "unpacks to more than 1000 times" in lake.quarantine()[0]["detail"]


@pytest.mark.parametrize("ends", [b"\n", b""])
def test_line_that_is_too_long_is_passed_over(
    lake: Any, event: Make, monkeypatch: pytest.MonkeyPatch, ends: bytes
) -> None:
    monkeypatch.setattr(read, "MAX_LINE_BYTES", 100_000)
    monkeypatch.setattr(read, "KEPT_BYTES", 10)
    monkeypatch.setattr("ingest.store.BLOCK_BYTES", 30_000)
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


def test_many_broken_objects_cost_one_load_and_a_streamed_one_costs_one_more(
    lake: Any, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "HELD_BYTES", 200_000)
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
