"""Conversion of a CSV file with a header to lines, one per row."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ingest.contracts.column import Column
from ingest.contracts.contract import Contract
from ingest.errors import CorruptObject
from ingest.formats.fields import JSON_ERRORS, MAX_FIELDS, MAX_NESTING
from ingest.formats.tokens import is_deeper_than
from ingest.formats.unpack import BlockFile

MAX_NAME = 1000
"""Maximum characters of a column's name, which is repeated in each converted line."""
_NUMERIC = {"integer", "double", "boolean"}
_LITERAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null")
_BLANKS = bytes.maketrans(b"\r\n", b"  ")


def from_csv(blocks: Iterable[bytes], contract: Contract, source_file: str) -> Iterator[bytes]:
    """Yield one JSON object per row; the header names columns by dotted path, an empty field is absent.

    The header is the first row that is not blank. A row with more or fewer fields than the header, or with a stray
    quote, becomes an array, which no contract accepts. Each row is yielded on the line where it begins in the file.

    Raises:
        CorruptObject: the header names a column twice or exceeds a limit, or a quote is not closed, or not within
            the contract's `max_line_bytes`.
    """
    csv.field_size_limit(1 << 30)  # _Lines bounds whole rows
    text = io.TextIOWrapper(io.BufferedReader(BlockFile(blocks)), "utf-8", errors="surrogateescape", newline="")
    lines = _Lines(text, contract.max_line_bytes + 1)
    rows = csv.reader(lines, strict=True)
    columns = dict(contract.walk())
    written = 0
    header: list[list[str]] | None = None
    kinds: list[Column | None] = []
    while True:
        start = lines.begin_row()
        row: list[str] | None
        try:
            row = next(rows, None)
        except csv.Error as error:
            if "unexpected end" in str(error) or header is None:
                raise CorruptObject(source_file, f"CSV, from line {start}: {error}") from None
            record: Any = ["".join(lines.taken)]
        except _TooLong:
            limit = f"more than {contract.max_line_bytes} bytes"
            if lines.taken or header is None:
                what = "the header has" if header is None else "a quote is not closed within"
                raise CorruptObject(source_file, f"CSV, from line {start}: {what} {limit}") from None
            yield b"\n" * (start - 1 - written)
            quotes = 0
            for part in lines.rest():  # passed on, so that the line reader keeps its beginning
                quotes += part.count('"')
                yield part.encode("utf-8", "surrogateescape")
            if quotes % 2:
                raise CorruptObject(source_file, f"CSV, from line {start}: a quote is not closed in {limit}") from None
            yield b"\n"
            written = start
            continue
        else:
            if row is None:
                return
            if header is None:
                if len(row) > 1 or (row and row[0].strip()):
                    header = _header(row, source_file)
                    kinds = [columns.get(name) for name in row]
                continue
            if not row:
                continue
            record = _record(header, row, kinds) if len(row) == len(header) else row
        yield b"\n" * (start - 1 - written) + _encoded(record) + b"\n"
        written = start


class _TooLong(Exception):  # noqa: N818  handled by the row reader
    """A row has more characters than a record may have bytes."""


class _Lines:
    """Lines for csv.reader, bounded in memory.

    Attributes:
        taken: the lines of the current row.
    """

    def __init__(self, text: io.TextIOWrapper, limit: int) -> None:
        self._text, self._limit = text, limit
        self._size = self._number = 0
        self._pushed_back = ""
        self.taken: list[str] = []

    def begin_row(self) -> int:
        """Start the next row and return the number of its first line, from 1."""
        self.taken.clear()
        self._size = 0
        return self._number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._read()
        if not line:
            raise StopIteration
        self._size += len(line)
        if self._size >= self._limit:
            self._pushed_back = line
            raise _TooLong
        self._number += 1
        self.taken.append(line)
        return line

    def rest(self) -> Iterator[str]:
        """Yield the line that was too long, in parts, without its line break."""
        while part := self._read():
            line = part.rstrip("\r\n")
            if line:
                yield line
            if line != part:
                if part.endswith("\r") and (after := self._read()) != "\n":
                    self._pushed_back = after
                break
        self._number += 1

    def _read(self) -> str:
        line, self._pushed_back = self._pushed_back, ""
        return line or self._text.readline(self._limit)


def _header(names: list[str], source_file: str) -> list[list[str]]:
    """Return the path of each column.

    Raises:
        CorruptObject: a column is named twice, or the header exceeds a limit.
    """
    longest = max(names, key=len)
    if len(names) > MAX_FIELDS:
        raise CorruptObject(source_file, f"CSV: the header has {len(names):,} columns, expected at most {MAX_FIELDS:,}")
    if len(longest) > MAX_NAME:
        detail = f"a column's name of {len(longest):,} characters, expected at most {MAX_NAME:,}: {longest[:40]}…"
        raise CorruptObject(source_file, f"CSV: the header has {detail}")
    if deep := [name for name in names if name.count(".") >= MAX_NESTING]:
        detail = f"of {deep[0].count('.') + 1} levels, expected at most {MAX_NESTING}: {deep[0][:40]}…"
        raise CorruptObject(source_file, f"CSV: the header has a column {detail}")
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        raise CorruptObject(source_file, "CSV: the header is not UTF-8") from None
    folders = {name[:place] for name in names for place, letter in enumerate(name) if letter == "."}
    wrong = {name for name, count in Counter(names).items() if count > 1 or name in folders}
    if wrong:
        raise CorruptObject(source_file, f"CSV: the header names {', '.join(sorted(wrong)[:5])!r} more than once")
    return [name.split(".") for name in names]


def _record(header: list[list[str]], row: list[str], kinds: list[Column | None]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for (*folders, name), text, column in zip(header, row, kinds, strict=True):
        if text:
            place = record
            for folder in folders:
                place = place.setdefault(folder, {})
            place[name] = _value(text, column)
    return record


def _value(text: str, column: Column | None) -> str | msgspec.Raw:
    """Return the field as JSON of its column's type; what does not fit stays a string, for the parser to judge.

    JSON numbers and lists are passed on unchanged, so no digit is lost.
    """
    if column is None or (column.type not in _NUMERIC and not column.repeated):
        return text
    plain = text.strip(" \t\r\n")
    if _LITERAL.fullmatch(plain):
        return msgspec.Raw(plain.encode())
    if column.repeated and plain[:1] == "[":
        found = plain.encode("utf-8", "surrogateescape")
        if not is_deeper_than(found, MAX_NESTING):
            try:
                msgspec.json.decode(found, type=msgspec.Raw)
                return msgspec.Raw(found.translate(_BLANKS))  # valid JSON has line breaks only between tokens
            except JSON_ERRORS:
                pass
    return text


def _encoded(record: Any) -> bytes:
    try:
        return msgspec.json.encode(record)
    except UnicodeEncodeError:  # invalid UTF-8 is passed on unchanged, for the parser to judge
        return msgspec.json.encode(_escaped(record))


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _escaped(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, str):
        return msgspec.Raw(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape"))
    return value
