"""Values are found in every kind of file and every part of it; damaged files are traces of their own."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import json
import os
import random
import shutil
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from pipeline.checks.traces import streams
from pipeline.checks.traces.find import find_traces
from pipeline.checks.traces.places import FolderPlace
from pipeline.checks.traces.trace import Kind, Scan, Trace
from tests.pipeline.checks.traces.planted import (
    CONTAINERS,
    CUSTOMER,
    EMAIL,
    LONG,
    NAME,
    NEIGHBOURS,
    USER,
    VALUES,
    escaped,
    hashed,
)

OTHERS = [text for text in NEIGHBOURS if not text.isdecimal()]


def scanned(folder: Path) -> Scan:
    return find_traces([FolderPlace("folder", folder)], VALUES)


def labels(scan: Scan, part: str = "") -> set[str]:
    """Labels of what was found in a part of files."""
    return {trace.label for trace in scan.of(Kind.FOUND) if part in trace.where}


def must_be_clean(folder: Path) -> None:
    assert [str(trace) for trace in scanned(folder).traces] == []


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_are_opened(container: str, tmp_path: Path) -> None:
    for number, (_, data) in enumerate(escaped(EMAIL.text)):
        (tmp_path / f"file{number}.bin").write_bytes(CONTAINERS[container](b"a,b\n" + data + b"\n"))
    (tmp_path / "clean.bin").write_bytes(CONTAINERS[container]("\n".join(NEIGHBOURS).encode()))

    scan = scanned(tmp_path)

    found = {trace.where.split(",")[0] for trace in scan.traces}
    assert found == {f"file{number}.bin" for number in range(len([*escaped(EMAIL.text)]))}
    assert labels(scan) == {"email"}


def test_files_in_containers_are_read_as_what_they_are(tmp_path: Path) -> None:
    pq.write_table(pa.table({"note": [f"Dear {NAME.text}"]}), tmp_path / "a.parquet", compression="zstd")
    with duckdb.connect(tmp_path / "a.duckdb") as connection:
        connection.execute("CREATE TABLE t AS SELECT ? AS mail", [EMAIL.text])
    for name in ("a.parquet", "a.duckdb"):
        packed = CONTAINERS["zip in zstd in gzip"]((tmp_path / name).read_bytes())
        (tmp_path / name).with_suffix(".packed").write_bytes(packed)
        (tmp_path / name).unlink()
        assert len(scanned(tmp_path).traces) >= 1, name
        shutil.rmtree(tmp_path / "a.packed", ignore_errors=True)
        (tmp_path / "a.packed").unlink()


Write = Callable[[Path, pa.Table], None]


def _by_duckdb(path: Path, table: pa.Table) -> None:
    with duckdb.connect() as connection:
        connection.register("rows", table)
        connection.execute(f"COPY rows TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


WRITERS: dict[str, Write] = {
    "plain": lambda path, table: pq.write_table(table, path, use_dictionary=False, compression="none"),
    "dictionary": lambda path, table: pq.write_table(table, path, compression="snappy"),
    "version 2 pages": lambda path, table: pq.write_table(
        table, path, data_page_version="2.0", compression="zstd", write_page_index=True
    ),
    "small pages and groups": lambda path, table: pq.write_table(
        table, path, row_group_size=37, data_page_size=64, dictionary_pagesize_limit=128, compression="gzip"
    ),
    "lz4": lambda path, table: pq.write_table(table, path, compression="lz4"),
    "brotli": lambda path, table: pq.write_table(table, path, compression="brotli"),
    "duckdb": _by_duckdb,
    "arrow": lambda path, table: pyarrow.feather.write_feather(table, path, compression="zstd"),
}


def rows(planted: bool) -> pa.Table:
    """Many columns of other persons, and of this one if it is planted."""
    count = 200
    place = 123 if planted else -1

    def cells(value: Any, other: Callable[[int], Any]) -> list[Any]:
        return [value if number == place else other(number) for number in range(count)]

    def text(number: int) -> str:
        return OTHERS[number % len(OTHERS)]

    return pa.table(
        {
            "user_id": cells(USER.text, text),
            "note": cells(f"wrote to {EMAIL.text.upper()} yesterday", lambda number: f"{text(number)} {number}"),
            "names": pa.array(cells([None, "x", NAME.text], lambda number: [text(number)]), pa.list_(pa.string())),
            "visit": pa.array(
                cells({"visitor": {"id": LONG.text}}, lambda number: {"visitor": {"id": text(number)}}),
                pa.struct([("visitor", pa.struct([("id", pa.string())]))]),
            ),
            "buyer_id": pa.array(cells(17, lambda number: number + 1000), pa.int64()),
            "other_id": pa.array([17] * count, pa.int32()),
            "day": [dt.date(2026, 1, 17)] * count,
            "at": [dt.datetime(2026, 1, 17, 17, 17, tzinfo=dt.UTC)] * count,
            "amount": [decimal.Decimal("17.17")] * count,
            "is_new": [True] * count,
            "bytes": pa.array([uuid.UUID(int=number).bytes for number in range(count)], pa.binary(16)),
        }
    )


@pytest.mark.parametrize("writer", WRITERS)
def test_columns(writer: str, tmp_path: Path) -> None:
    WRITERS[writer](tmp_path / "a.file", rows(planted=False))
    must_be_clean(tmp_path)
    WRITERS[writer](tmp_path / "a.file", rows(planted=True))
    scan = scanned(tmp_path)
    assert labels(scan) == {"user_id", "email", "name", "visitor_id", "customer_id"}
    assert not [trace for trace in scan.traces if "other_id" in trace.where]


@pytest.mark.parametrize(
    ("column", "cell", "kind"),
    [
        ("customer_id", 17, pa.int8()),
        ("customer_id", 17, pa.uint64()),
        ("customer_id", 17.0, pa.float64()),
        ("customer_id", decimal.Decimal("17.00"), pa.decimal128(20, 2)),
        ("customer_id", decimal.Decimal("17.00"), pa.decimal128(9, 2)),
        ("customerId", " 17 ", pa.string()),
        ("customer_id", b"17", pa.binary()),
        ("raw", '{"customer_id": 17, "x": "\\u00e4"}', pa.string()),
        ("person", {"customer_id": "17"}, pa.struct([("customer_id", pa.string())])),
        ("person", [("customer_id", "user-0001234")], pa.map_(pa.string(), pa.string())),
        ("bytes", uuid.UUID(LONG.text).bytes, pa.binary(16)),
        ("key", next(data for name, data in hashed("17") if name.endswith("md5")).decode(), pa.large_string()),
        ("many", ["x", USER.text], pa.list_(pa.string(), 2)),
    ],
)
@pytest.mark.parametrize("is_dictionary", [True, False])
def test_kinds_of_cells(column: str, cell: Any, kind: pa.DataType, is_dictionary: bool, tmp_path: Path) -> None:
    table = pa.table({column: pa.array([None, cell, cell], kind)})
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=is_dictionary, compression="zstd")
    assert len(labels(scanned(tmp_path))) == 1


def test_entries_of_dictionaries_that_no_row_refers_to(tmp_path: Path) -> None:
    entries = pa.array([*OTHERS, EMAIL.text, USER.text])
    cells = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2] * 50, pa.int32()), entries)
    pq.write_table(pa.table({"mail": cells}), tmp_path / "a.parquet", write_statistics=False, compression="zstd")
    assert EMAIL.text not in pq.read_table(tmp_path / "a.parquet")["mail"].to_pylist()

    scan = scanned(tmp_path)

    assert labels(scan, "dictionary of column mail") == {"email", "user_id"}


def test_statistics_of_files_and_pages_metadata_and_names(tmp_path: Path) -> None:
    table = pa.table({USER.text: ["b"], "mail": [EMAIL.text], "buyer_id": [17]})
    table = table.replace_schema_metadata({"made for": NAME.text})
    pq.write_table(table, tmp_path / f"{LONG.text}.parquet", write_page_index=True)

    scan = scanned(tmp_path)

    assert labels(scan, "metadata") == {"user_id", "name"}
    assert labels(scan, "statistics of column mail") == {"email"}
    assert labels(scan, "statistics of column buyer_id") == {"customer_id"}
    assert labels(scan, ", name") == {"visitor_id"}
    shown = " ".join(map(str, scan.traces))
    assert not any(value.text in shown for value in (USER, EMAIL, NAME, LONG))


def test_page_statistics_alone(tmp_path: Path) -> None:
    """A writer may cut the statistics of pages, and leave out those of the file."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"mail": [EMAIL.text, "b"]}), path, write_page_index=True, use_dictionary=False)
    data = path.read_bytes()
    places = [place for place in range(len(data)) if data.startswith(EMAIL.text.encode(), place)]
    assert len(places) >= 3  # the page, its index, and the footer
    for place in places:
        other = bytearray(data)
        for one in set(places) - {place}:
            other[one : one + len(EMAIL.text)] = b"x" * len(EMAIL.text)
        path.write_bytes(other)
        assert labels(scanned(tmp_path)) == {"email"}, place


def test_bytes_outside_of_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x"]}), path, compression="none")
    data = path.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    path.write_bytes(data[:start] + b" user-0001234 " + data[start:])
    assert labels(scanned(tmp_path), "outside of pages") == {"user_id"}


def test_damaged_files_are_named_and_stop_nothing(tmp_path: Path) -> None:
    pq.write_table(rows(planted=False), tmp_path / "whole.parquet", compression="zstd")
    whole = (tmp_path / "whole.parquet").read_bytes()
    packed = gzip.compress(random.Random(1).randbytes(100_000))
    with duckdb.connect(tmp_path / "whole.duckdb") as connection:
        connection.execute("CREATE TABLE t AS SELECT i, MD5('x' || i) AS h FROM RANGE(100000) AS numbers(i)")
    database = (tmp_path / "whole.duckdb").read_bytes()
    damaged = {
        "cut.parquet": whole[: len(whole) // 2],
        "zeros.parquet": whole[:4] + bytes(len(whole) - 12) + whole[-8:],
        "encrypted.parquet": b"PARE" + whole[4:],
        "pages.parquet": whole[:4] + b"\xff" * 2000 + whole[2004:],
        "cut.gz": packed[:-100],
        "rotten.gz": packed[:500] + b"\0" * 50 + packed[550:],
        "cut.zip": CONTAINERS["zip"](b"x" * 1000)[:-30],
        "cut.zst": CONTAINERS["zstd"](random.Random(2).randbytes(5000))[:-10],
        "cut.xz": CONTAINERS["xz"](b"x" * 1000)[:-10],
        "cut.duckdb": database[: len(database) // 2],
        "rotten.duckdb": database[:8192] + b"\xaa" * 300_000 + database[308_192:],
    }
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "last.txt").write_text(USER.text)

    scan = scanned(tmp_path)

    assert {trace.where for trace in scan.of(Kind.UNREADABLE)} == set(damaged)
    assert labels(scan) == {"user_id"}
    assert all(trace.encoding for trace in scan.traces)


def test_what_was_found_before_the_damage_counts(tmp_path: Path) -> None:
    body = f"{EMAIL.text}\n".encode() + random.Random(1).randbytes(9 << 20)
    (tmp_path / "a.gz").write_bytes(gzip.compress(body)[:-1000])
    scan = scanned(tmp_path)
    assert labels(scan) == {"email"}
    assert len(scan.of(Kind.UNREADABLE)) == 1


def test_bombs_and_deep_containers_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_UNPACKED", 1 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(4 << 20)))
    data = b"x"
    for _ in range(streams.DEEPEST + 1):
        data = CONTAINERS["zip"](gzip.compress(data))
    (tmp_path / "deep.zip").write_bytes(data)

    scan = scanned(tmp_path)

    assert {trace.where for trace in scan.of(Kind.UNREADABLE)} == {"bomb.gz", "deep.zip"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_folders_are_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    assert [trace.where for trace in scanned(tmp_path).of(Kind.UNREADABLE)] == ["closed"]
    closed.chmod(stat.S_IRWXU)


def test_folders_links_and_names_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "customer_id=17").mkdir()
    (tmp_path / "elsewhere").symlink_to("/")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing" / USER.text)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("nothing")
    scan = scanned(tmp_path)
    assert labels(scan) == {"customer_id", "user_id"}
    assert [trace.where for trace in scan.of(Kind.UNREADABLE)] == ["elsewhere -> /"]


def test_long_streams_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", 4096)
    draw = random.Random(3)
    for number, value in enumerate((USER, EMAIL, NAME, LONG)):
        for name, data in escaped(value.text):
            text = b"." * draw.randrange(20_000) + b" " + data + b" " + b"." * draw.randrange(20_000)
            (tmp_path / f"{number} {name}").write_bytes(text)
    scan = scanned(tmp_path)
    assert {trace.where for trace in scan.traces} == {path.name for path in tmp_path.iterdir()}
    assert not scan.of(Kind.UNREADABLE)


def database(path: Path, *statements: str) -> None:
    with duckdb.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)


def copied(path: Path) -> None:
    """Replace a database by a copy of its rows."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS old (READ_ONLY)")
        connection.execute(f"ATTACH '{path}.new' AS new")
        connection.execute("COPY FROM DATABASE old TO new")
    Path(f"{path}.new").replace(path)


PEOPLE = (
    "CREATE TABLE people AS SELECT i + 1000 AS customer_id, 'mail' || i || '@example.com' AS mail, "
    "[{'id': 'user-' || LPAD(i::TEXT, 8, '0')}] AS users FROM RANGE(300000) AS numbers(i)"
)
PERSON = f"INSERT INTO people VALUES (17, '{EMAIL.text}', [{{'id': '{USER.text}'}}])"


def test_deleted_rows_of_a_database_are_reported_until_it_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    database(path, PEOPLE + " WHERE i < 1000", PERSON, PEOPLE.replace("CREATE TABLE people AS", "INSERT INTO people"))
    assert labels(scanned(tmp_path), "main.people, column") == {"customer_id", "email", "user_id"}

    database(path, "DELETE FROM people WHERE customer_id = 17")
    scan = scanned(tmp_path)
    assert [trace.where for trace in scan.of(Kind.MAY_REMAIN)]
    assert any("deleted rows are still stored" in trace.encoding for trace in scan.traces)

    copied(path)
    must_be_clean(tmp_path)


def test_free_blocks_and_logs_of_a_database_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    database(path, PEOPLE, PERSON, "CHECKPOINT", "DROP TABLE people", "CREATE TABLE other AS SELECT 1 AS a")
    assert [trace.where for trace in scanned(tmp_path).of(Kind.MAY_REMAIN)] == ["warehouse.duckdb, free blocks"]
    copied(path)
    must_be_clean(tmp_path)
    Path(f"{path}.wal").write_bytes(b"")
    must_be_clean(tmp_path)

    script = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute(\"SET checkpoint_threshold = '1GB'\");"
        'c.execute("INSERT INTO other VALUES (2)"); os._exit(0)'
    )
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert "warehouse.duckdb, write-ahead log" in {trace.where for trace in scanned(tmp_path).of(Kind.MAY_REMAIN)}


def test_every_kind_of_table_and_definition_of_a_database(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    database(
        path,
        'CREATE SCHEMA "odd ""name"',
        'CREATE TABLE "odd ""name"."it\'s" (a STRUCT(b INT[]), m MAP(VARCHAR, INT), u UNION(k INT, v VARCHAR), '
        "g UUID, h HUGEINT, b BIT, z TIME, i INTERVAL, n DECIMAL(30, 2), e ENUM('x', 'y'), t TIMESTAMPTZ)",
        'INSERT INTO "odd ""name"."it\'s" (a) SELECT {\'b\': [1]} FROM RANGE(3)',
        f'INSERT INTO "odd ""name"."it\'s" (g) VALUES (\'{LONG.text}\')',
        f'INSERT INTO "odd ""name"."it\'s" (u) VALUES (\'{NAME.text}\')',
        "CREATE TABLE visits (visitor_id INT, customer_id HUGEINT)",
        "INSERT INTO visits VALUES (17, 17)",
        f"CREATE VIEW v AS SELECT '{USER.text}' AS a",
        f"COMMENT ON TABLE visits IS 'of {EMAIL.text}'",
        "CREATE TABLE empty (a INT)",
    )
    scan = scanned(tmp_path)
    assert labels(scan, "definitions") == {"user_id", "email"}
    assert labels(scan, "it's, column g") == {"visitor_id"}
    assert labels(scan, "it's, column u") == {"name"}
    assert labels(scan, "main.visits, column customer_id") == {"customer_id"}
    assert not labels(scan, "column visitor_id")
    assert not scan.of(Kind.UNREADABLE)
    assert [trace.where for trace in scan.of(Kind.MAY_REMAIN)] == ["a.duckdb, odd \"name.it's"]


def test_random_plants_are_all_found_and_nothing_else(tmp_path: Path) -> None:
    draw = random.Random(42)
    expected: set[tuple[str, str]] = set()
    for number in range(150):
        name = f"{number:03}"
        value = draw.choice((USER, EMAIL, NAME, LONG))
        _, data = draw.choice([*escaped(value.text), *hashed(value.text)])
        lines = [draw.choice(OTHERS).encode() for _ in range(draw.randrange(50))]
        is_planted = draw.random() < 0.7
        if is_planted:
            lines.insert(draw.randrange(len(lines) + 1), data)
            expected.add((name, value.label))
        kind = draw.choice(["text", "parquet", "duckdb", *CONTAINERS])
        if kind == "parquet":
            table = pa.table({"raw": pa.array(lines, pa.binary()), "n": range(len(lines))})
            pq.write_table(table, tmp_path / name, compression=draw.choice(["zstd", "snappy", "none"]))
        elif kind == "duckdb":
            with duckdb.connect(tmp_path / name) as connection:
                connection.execute("CREATE TABLE t (raw BLOB)")
                for line in lines:
                    connection.execute("INSERT INTO t VALUES (?)", [line])
        else:
            body = b"\n".join(lines)
            (tmp_path / name).write_bytes(body if kind == "text" else CONTAINERS[kind](body))
    scan = scanned(tmp_path)
    assert {(trace.where.split(",")[0], trace.label) for trace in scan.of(Kind.FOUND)} == expected
    assert not scan.of(Kind.UNREADABLE)


def test_many_traces_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.checks.traces.find.LISTED", 5)
    for number in range(8):
        (tmp_path / f"{number}.json").write_text(json.dumps({"customer_id": 17}))
    scan = scanned(tmp_path)
    assert (len(scan.traces), scan.unlisted, scan.objects) == (5, {"folder": 3}, {"folder": 8})
    assert isinstance(scan.traces[0], Trace)
    assert CUSTOMER.label in str(scan.traces[0])
