"""The fields of a record as JSON text: those that the contract does not know, and those that are given twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import msgspec

from ingest.contracts.contract import Column
from ingest.formats.tokens import is_deeper_than

MAX_FIELDS = 10_000
"""Unknown fields that one record may bring, the members of their values included. A field is a dotted path; the items
of a list share theirs. A CSV file may have so many columns."""
MAX_NESTING = 64
"""Levels of objects and arrays in one record."""
NO_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on text that it cannot decode."""
Verdict = tuple[str, str | None, str]
"""Why a record is rejected: reason, dotted path of the column at fault, detail."""
TOO_DEEP: Verdict = ("too_deep", None, f"expected at most {MAX_NESTING} levels of objects and arrays")
TOO_MANY: Verdict = (
    "too_many_fields",
    None,
    f"expected at most {MAX_FIELDS:,} fields that the contract does not know, their members included",
)

# A key, a text or a bracket of valid JSON.
_TOKEN = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(\s*+:)?|[\[\]{}]', re.DOTALL)
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Refused(Exception):  # noqa: N818  it becomes a row of the quarantine
    """A record cannot be kept as it is.

    Attributes:
        verdict: why.
    """

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict[2])
        self.verdict = verdict


class _Key:
    """A key of a JSON object that equals no other key, so that a dict keeps those that are given twice."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


_members = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=lambda kind, name: kind(name)).decode


def members(text: bytes) -> list[tuple[str, bytes]]:
    """(key, JSON text of the value) of each member of a JSON object, those given twice included.

    Raises:
        any of NO_JSON: it is no JSON object.
    """
    return [(key.name, bytes(value)) for key, value in _members(text).items()]


def items(text: bytes) -> list[bytes]:
    """The JSON text of each item when `text` is a JSON array, else the text itself."""
    return [bytes(item) for item in _list(text)] if text[:1] == b"[" else [text]


class Fields:
    """The fields of one level of a contract."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._decode = msgspec.json.Decoder(_closed("record", columns)).decode
        self._known = {column.name: Fields(column.fields) if column.fields else None for column in columns}
        self._paths = _paths(columns)

    def unknown(self, text: bytes) -> str | None:
        """The unknown fields of a record that Arrow takes, as a JSON object of dotted path to value; None for none.

        Values stay the text that they were: one that is an object keeps all its members, also those given twice.

        Raises:
            Refused: it has too many of them, one of them twice, or is nested too deeply.
        """
        if self._knows(text):
            return None
        if is_deeper_than(text, MAX_NESTING):
            raise Refused(TOO_DEEP)
        if self._has_too_many(text):
            raise Refused(TOO_MANY)
        found: dict[str, msgspec.Raw] = {}
        try:
            self._collect(text, "", found)
        except NO_JSON as error:
            raise Refused(("unparsable", None, str(error))) from None
        return msgspec.json.encode(found).decode() if found else None

    def fault(self, text: bytes) -> Verdict | None:
        """The verdict on valid JSON that has too many fields, or gives a known one twice; None when it does not."""
        if self._has_too_many(text):
            return TOO_MANY
        path = self._twice(text, "")
        return twice(path) if path else None

    def _twice(self, text: bytes, prefix: str) -> str | None:
        seen = set()
        for name, value in members(text):
            if name in seen:
                return prefix + name
            if name in self._known:
                seen.add(name)
            for _, level, item in self._below(name, value):
                if path := level._twice(item, f"{prefix}{name}."):
                    return path
        return None

    def _has_too_many(self, text: bytes) -> bool:
        return text.count(b":") > MAX_FIELDS and _exceeds(text, deepcopy(self._paths), MAX_FIELDS)

    def _knows(self, text: bytes) -> bool:
        try:
            self._decode(text)
        except NO_JSON:
            return False
        return True

    def _collect(self, text: bytes, prefix: str, found: dict[str, msgspec.Raw]) -> None:
        for name, value in members(text):
            if name not in self._known:
                path = prefix + name.replace(".", r"\.")  # so that the field `a.b` is no member of `a`
                if path in found:
                    raise Refused(twice(path))
                found[path] = msgspec.Raw(value)
            for place, level, item in self._below(name, value):
                if not level._knows(item):
                    level._collect(item, f"{prefix}{name}{place}.", found)

    def _below(self, name: str, value: bytes) -> Iterator[tuple[str, Fields, bytes]]:
        """Each object in the value of a known struct: its place in a list, its level and its text."""
        level = self._known.get(name)
        if level and value[:1] == b"{":
            yield "", level, value
        elif level and value[:1] == b"[":
            for number, item in enumerate(items(value)):
                if item[:1] == b"{":
                    yield f"[{number}]", level, item


def twice(path: str) -> Verdict:
    """The verdict on a record with a field that is given twice."""
    return "duplicate_key", path, f"the field {path} is given twice"


def _closed(name: str, columns: tuple[Column, ...]) -> type[msgspec.Struct]:
    """A msgspec type of the columns that refuses every other key, and takes any value of a column without fields."""
    fields: list[tuple[str, Any, Any]] = []
    rename = {}
    for number, column in enumerate(columns):
        kind: Any = _closed(column.name, column.fields) | None if column.fields else msgspec.Raw
        kind = list[kind] | None if column.fields and column.repeated else kind
        fields.append((f"f{number}", kind, None))
        rename[f"f{number}"] = column.name
    return msgspec.defstruct(name, fields, rename=rename, gc=False, forbid_unknown_fields=True)


def _paths(columns: tuple[Column, ...]) -> dict[bytes, Any]:
    return {column.name.encode(): _paths(column.fields) for column in columns}


def _exceeds(text: bytes, paths: dict[bytes, Any], limit: int) -> bool:
    """Whether a JSON object has more than `limit` paths beside the given ones, or so many members in one object.

    It is read token by token: the members of a wide object take fifty times the memory of its text.

    Args:
        paths: known names, each with those below it; others are added.
    """
    below, new = paths, 0
    places: list[dict[bytes, Any]] = []
    members_of: list[int] = []
    for token in _TOKEN.finditer(text):
        if token[2]:
            members_of[-1] += 1
            name, here = token[1], places[-1]
            if b"\\" in name:
                name = msgspec.json.decode(b'"' + name + b'"').encode()
            if name not in here:
                here[name] = {}
                new += 1
            below = here[name]
            if new > limit or members_of[-1] > limit + len(paths):
                return True
        elif token[0] in b"{[":
            places.append(below)
            members_of.append(0)
        elif token[0] in b"}]":
            below = places.pop()  # the items of a list share it
            members_of.pop()
    return False
