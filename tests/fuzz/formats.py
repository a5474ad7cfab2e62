"""The formats of an object: for each how to write one, how to recognise it, and what its records are.

To add one, write its three functions and add it to FORMATS, before those that would recognise it as well.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from tests.fuzz import records
from tests.fuzz.account import BLANK, LEVELS, Bad, Contract, Corrupt, decode, is_json, is_utf8, tokens
from tests.fuzz.records import VALUES, often, one_of

Found = Iterator[tuple[int, bytes | Bad, bytes | None]]
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        ends: usual suffixes of the names of such objects.
        write: draws the body of an object of a contract.
        recognises: whether a body, with this name, is of the format.
        read: for each record its number, its JSON text or why it is bad, and the bytes that the quarantine must keep or
            None; raises Corrupt.
    """

    name: str
    ends: tuple[str, ...]
    write: Callable[[Contract], st.SearchStrategy[bytes]]
    recognises: Callable[[bytes, str], bool]
    read: Callable[[bytes, Contract], Found]


@st.composite
def write_lines(draw: st.DrawFn, contract: Contract) -> bytes:
    """JSON lines: with odd first lines, blank ones, and all line endings."""
    found = draw(st.lists(records.lines(contract), max_size=6)) * draw(often(1, 400, 5_000, times=120))
    found[:0] = draw(often([], *([line.encode()] for line in VALUES["lines"]), times=60))
    end = draw(st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"\n \t\r\n", b"\n\f\n"]))
    return bytes(
        draw(often(b"", b"\n", BOM, BOM + b"\n", BOM * 2)) + end.join(found) + draw(st.sampled_from([b"", end]))
    )


def read_lines(body: bytes, contract: Contract) -> Found:
    """Every line that is not blank is a record."""
    for number, line in enumerate(body.split(b"\n"), 1):
        if text := line.strip(BLANK):
            yield number, text, text


@st.composite
def write_array(draw: st.DrawFn, contract: Contract) -> bytes:
    """A JSON array, whole or nearly."""
    odd = st.sampled_from([text.encode() for text in VALUES["elements"]])
    found = draw(
        st.lists(records.lines(contract) | records.lines(contract) | records.lines(contract) | odd, max_size=5)
    )
    start = draw(often(b"[", b" \n[\r\n", BOM + b"[", b"[[", b"\f["))
    end = draw(often(b"]", b"\n]\n", b",]", b"]]", b"]xx", b"", b"]\n{}", b'],\n[{"id":"a"}]', b"]]\n"))
    return bytes(start + draw(st.sampled_from([b",", b",\n", b",\r\n  "])).join(found) + end)


def is_array(body: bytes, name: str) -> bool:
    """Whether its first bracket is closed by its last character, or never.

    Where it is never closed, or not all elements are JSON, the body is nevertheless lines if more of these are objects
    (except one, the last of an array) than are objects with a comma after them.
    """
    text = body.strip(BLANK)
    close = next((at for at, _, depth in tokens(text) if not depth), None)
    if text[:1] != b"[" or close not in (None, len(text) - 1):
        return False
    if close is not None and all(is_json(element) for element in _elements(text)):
        return True
    found = [line.strip() for line in body.split(b"\n") if line.strip().startswith(b"{")]
    alone = sum(line.endswith(b"}") and is_json(line) for line in found)
    return alone <= sum(line.endswith(b"},") and is_json(line[:-1]) for line in found) + (close is not None)


def _elements(text: bytes) -> list[bytes]:
    """The texts between the commas of an array, empty ones included."""
    edges = [0, *(at for at, what, depth in tokens(text) if what == b"," and depth == 1), len(text) - 1]
    return [text[left + 1 : right].strip(BLANK) for left, right in pairwise(edges)] if text[1:-1].strip(BLANK) else []


def read_array(body: bytes, contract: Contract) -> Found:
    """Each element is a record, good or bad; an array that is never closed was cut off and is corrupt."""
    text = body.strip(BLANK)
    if all(depth for _, _, depth in tokens(text)):
        raise Corrupt
    for number, element in enumerate(_elements(text), 1):
        yield number, element, None


def _paths(columns: list[Contract], before: str = "") -> Iterator[tuple[str, Contract]]:
    for column in columns:
        yield before + column["name"], column
        if not column.get("repeated"):
            yield from _paths(column.get("fields", []), f"{before}{column['name']}.")


def _cell(text: str) -> str:
    """A JSON text as written into a cell: texts without quotes, null as an empty cell."""
    return "" if text == "null" else text[1:-1] if text[:1] + text[-1:] == '""' else text


@st.composite
def write_csv(draw: st.DrawFn, contract: Contract) -> bytes:
    """CSV with a header of dotted paths, and rows that fit it or do not."""
    leaves = {path: column for path, column in _paths(contract["columns"]) if column["type"] != "struct"}
    header = [*leaves, *draw(st.lists(st.sampled_from(VALUES["headers"]), max_size=1))]
    rows = [header] * draw(often(1, 0, times=20))
    for _ in range(draw(st.integers(0, 4))):
        row = [_cell(records.good(leaves[path])) if path in leaves else "x" for path in header]
        for place in draw(st.lists(st.integers(0, len(header) - 1), max_size=1)):
            row[place] = _cell(draw(records.value(leaves.get(header[place], contract["columns"][0]))))
        rows.append(row + ["x"] * draw(often(0, 1)))
    out = io.StringIO()
    csv.writer(out, lineterminator=draw(st.sampled_from(["\n", "\r\n"]))).writerows(rows)
    body = out.getvalue().encode("utf-8", "surrogatepass")
    old, new = draw(
        often((b"", b""), (b"u,", b'"u"x,'), (b"u,", b'"u,'), (b"u", b"\xff"), (b"u", b"\0"), (b"u", b"\r"))
    )
    return bytes(draw(often(b"", BOM, b" \n\n", b"\n")) + (body.replace(old, new, 2) if old else body))


def is_csv(body: bytes, name: str) -> bool:
    """By its name, unless it begins as an object of JSON or an array of them does."""
    begin = body.lstrip(BLANK)[:1] + body.lstrip(BLANK)[1:].lstrip(BLANK)[:1]
    return name.lower().endswith((".csv", ".csv.gz", ".csv.zst")) and begin not in (b'{"', b"{}", b"[{", b"[]")


def read_csv(body: bytes, contract: Contract) -> Found:
    """The first line that is not blank is the header; a row is a record, numbered by its line; empty cells are absent.

    A row with more or fewer cells, or a stray quote, is bad. A header that names a column twice, is no UTF-8 or has
    columns of LEVELS parts, and a quote that is never closed, make the object corrupt.
    """
    leaves = dict(_paths(contract["columns"]))
    csv.field_size_limit(16 << 20)
    rows = csv.reader(io.StringIO(body.decode("utf-8", "surrogateescape"), newline=""), strict=True)
    header: list[str] = []
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            if not header or "unexpected end" in str(error):
                raise Corrupt from None
            yield number, Bad(str(error)), None
            continue
        if len(row) < 2 and not "".join(row).strip(" \t"):
            continue
        if header:
            yield number, _row(dict(zip(header, row, strict=False)), leaves, len(row) == len(header)), None
            continue
        header = row
        above = {name[:place] for name in row for place, letter in enumerate(name) if letter == "."}
        deepest = max(name.count(".") for name in row)
        if len(set(row)) < len(row) or above & set(row) or deepest >= LEVELS or not is_utf8("".join(row)):
            raise Corrupt


def _row(cells: dict[str, str], leaves: dict[str, Contract], fits: bool) -> bytes | Bad:
    """The cells as JSON: those of numbers, booleans and arrays unchanged when they are JSON."""
    tree: dict[str, Any] = {}
    for path, cell in cells.items():
        *above, name = path.split(".")
        place = tree
        for part in above if cell else ():
            place = place.setdefault(part, {})
        if cell:
            place[name] = (cell, leaves.get(path))

    def text(item: Any) -> str:
        if isinstance(item, dict):
            return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{text(item[name])}" for name in item) + "}"
        cell, column = item
        if column and (column["type"] in ("integer", "double", "boolean") or column.get("repeated")):
            with suppress(Bad):
                decode(cell.encode("utf-8", "surrogateescape"))
                return str(cell)
        return json.dumps(cell, ensure_ascii=False)

    try:
        return text(tree).encode("utf-8", "surrogateescape") if fits else Bad("cells")
    except (Bad, UnicodeEncodeError, RecursionError) as reason:
        return Bad(str(reason))


def _arrow_type(name: str) -> pa.DataType:
    special = {"decimal": pa.decimal128(9, 3), "dictionary": pa.dictionary(pa.int8(), pa.string())}
    return special.get(name) or (pa.timestamp("us", "Asia/Tokyo") if "tz" in name else pa.type_for_alias(name))


@st.composite
def write_parquet(draw: st.DrawFn, contract: Contract) -> bytes:
    """Parquet with columns of matching and other types."""
    rows = draw(often(2, 0, 1, 3, 4, 300, times=2))

    def array(column: Contract) -> pa.Array:
        if column.get("repeated"):
            return pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), array(one_of(column)))
        if column["type"] == "struct":
            names = [member["name"] for member in column["fields"]]
            return pa.StructArray.from_arrays([array(member) for member in column["fields"]], names)
        kinds = VALUES["arrow"][records.kind_of(column)]
        kind = draw(often(*kinds, times=20))
        values = [draw(often(kinds[kind][0], *kinds[kind], times=15)) for _ in range(rows)]
        if kind == "decimal":
            values = [item and Decimal(item) for item in values]
        return pa.array([item.encode("latin-1") for item in values] if "binary" in kind else values, _arrow_type(kind))

    found = [(column["name"], array(column)) for column in contract["columns"]]
    if new := draw(often("", "new", "id", "é", times=8)):
        found.append((new, array({"type": draw(st.sampled_from(sorted(VALUES["arrow"])))})))
    if draw(often(False, True)):
        found.append(("wide", pa.array(["x" * 100_000] * rows, pa.string())))
    out = io.BytesIO()
    table = pa.Table.from_arrays([values for _, values in found], [name for name, _ in found])
    pq.write_table(table, out, compression=draw(st.sampled_from(["none", "zstd", "snappy"])))
    return out.getvalue()[: len(out.getvalue()) - draw(often(0, 1, 8, 60))]


def is_parquet(body: bytes, name: str) -> bool:
    """By its magic bytes."""
    return body.startswith(b"PAR1")


def read_parquet(body: bytes, contract: Contract) -> Found:
    """Each row is a record; a file in which two columns share a name is damaged."""
    known = {column["name"]: column for column in contract["columns"]}
    try:
        table = pq.ParquetFile(io.BytesIO(body)).read()
    except (pa.ArrowException, OSError, ValueError):
        raise Corrupt from None
    if len(set(table.column_names)) < table.num_columns:
        raise Corrupt
    for number in range(table.num_rows):
        cells = [(name, table.column(at)[number], known.get(name)) for at, name in enumerate(table.column_names)]
        try:
            yield number + 1, _object(cells), None
        except Bad as reason:
            yield number + 1, reason, None


def _object(cells: list[tuple[str, pa.Scalar, Contract | None]]) -> bytes:
    members = [
        json.dumps(name, ensure_ascii=False).encode() + b":" + _json(cell, column) for name, cell, column in cells
    ]
    return b"{" + b",".join(members) + b"}"


def _json(cell: pa.Scalar, column: Contract | None) -> bytes:
    """Times as ISO 8601 in UTC cut to microseconds, bytes as text, decimals as text or as the requested double."""
    kind, types = cell.type, pa.types
    if not cell.is_valid:
        return b"null"
    if types.is_dictionary(kind):
        return _json(cell.value, column)
    if types.is_list(kind):
        return b"[" + b",".join(_json(item, column) for item in cell.values) + b"]"
    if types.is_struct(kind):
        known = {member["name"]: member for member in (column or {}).get("fields", ())}
        return _object([(kind[n].name, cell[n], known.get(kind[n].name)) for n in range(kind.num_fields)])
    value: Any = (
        cell.value if types.is_temporal(kind) else cell.as_buffer() if hasattr(cell, "as_buffer") else cell.as_py()
    )
    try:
        if types.is_timestamp(kind):
            micros = value * 10**6 // {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
            value = str(dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=micros))
        elif types.is_date(kind):
            value = str(dt.date(1970, 1, 1) + dt.timedelta(days=value))
        elif types.is_decimal(kind):
            value = float(value) if column and column["type"] == "double" else str(value)
        elif hasattr(cell, "as_buffer"):
            value = value.to_pybytes().decode()
    except OverflowError:
        value = "beyond the calendar"
    except UnicodeDecodeError:
        raise Bad("no UTF-8") from None
    return json.dumps(value, ensure_ascii=False).encode()


FORMATS = (
    Format("parquet", (".parquet",), write_parquet, is_parquet, read_parquet),
    Format("csv", (".csv", ".csv.gz", ".csv.zst"), write_csv, is_csv, read_csv),
    Format("array", (".json",), write_array, is_array, read_array),
    Format("lines", (".jsonl", ".json", ""), write_lines, lambda body, name: True, read_lines),
)
