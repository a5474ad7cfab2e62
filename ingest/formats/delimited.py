"""A CSV file with a header becomes lines, one per row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from ingest.contract import Column, Contract
from ingest.errors import CorruptObject
from ingest.formats.unpack import BlockFile

MAX_CELL_BYTES = 16 << 20
_NUMERIC = {"integer", "double", "boolean"}


def from_csv(blocks: Iterable[bytes], contract: Contract, source_file: str) -> Iterator[bytes]:
    """An object per row; the header names columns by their dotted path, an empty field is an absent one.

    A row with more or fewer fields than the header, or with a stray quote, becomes an array, which no contract
    accepts. Row N of the file stands on line N.

    Raises:
        CorruptObject: the header names a column twice, or a quote is never closed.
    """
    csv.field_size_limit(MAX_CELL_BYTES)
    text = io.TextIOWrapper(io.BufferedReader(BlockFile(blocks)), "utf-8", errors="surrogateescape", newline="")
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in text:
            taken.append(line)
            yield line

    rows = csv.reader(lines(), strict=True)
    columns = dict(contract.walk())
    written = 0
    header: list[str] | None = None
    while True:
        taken.clear()
        start = rows.line_num + 1
        row: list[str] | None
        try:
            row = next(rows, None)
        except csv.Error as error:
            if "unexpected end" in str(error) or header is None:
                raise CorruptObject(source_file, f"CSV, from line {start}: {error}") from None
            row = ["".join(taken)]
            record: Any = row
        else:
            if row is None:
                return
            if header is None:
                header = _header(row, source_file)
                continue
            if not row:
                continue
            record = _record(header, row, columns) if len(row) == len(header) else row
        line = json.dumps(record, ensure_ascii=False)
        yield b"\n" * (start - 1 - written) + line.encode("utf-8", "surrogateescape") + b"\n"
        written = start


def _header(names: list[str], source_file: str) -> list[str]:
    folders = {name[:place] for name in names for place, letter in enumerate(name) if letter == "."}
    wrong = {name for name in names if names.count(name) > 1 or name in folders}
    if wrong:
        raise CorruptObject(source_file, f"CSV: the header names {', '.join(sorted(wrong))!r} more than once")
    return names


def _record(header: list[str], row: list[str], columns: dict[str, Column]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for path, text in zip(header, row, strict=True):
        if text:
            *folders, name = path.split(".")
            place = record
            for folder in folders:
                place = place.setdefault(folder, {})
            place[name] = _value(text, columns.get(path))
    return record


def _value(text: str, column: Column | None) -> Any:
    """The field as its column's type wants it in JSON; what does not fit stays text, for the contract to judge."""
    if column is None or (column.type not in _NUMERIC and not column.repeated):
        return text
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
