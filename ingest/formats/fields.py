"""Unknown and duplicate fields of a record, found in its JSON text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import msgspec

from ingest.contracts.column import Column
from ingest.formats.tokens import is_deeper_than

MAX_FIELDS = 10_000
"""Maximum unknown fields of one record, including those inside their values. A field is a dotted path; the items of a
list share theirs. Also the maximum number of columns of a CSV file."""
MAX_NESTING = 64
"""Maximum levels of objects and arrays in one record."""
JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Exceptions that msgspec raises on text that it cannot decode."""
Verdict = tuple[str, str | None, str]
"""Why a record is rejected: reason, dotted path of the faulty column, detail."""
TOO_DEEP: Verdict = ("too_deep", None, f"expected at most {MAX_NESTING} levels of objects and arrays")
TOO_MANY: Verdict = (
    "too_many_fields",
    None,
    f"expected at most {MAX_FIELDS:,} fields that the contract does not know, their members included",
)

# A key, a string or a bracket of valid JSON.
_TOKEN = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(\s*+:)?|[\[\]{}]', re.DOTALL)
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Refused(Exception):  # noqa: N818  it becomes a row in quarantine
    """A record is rejected.

    Attributes:
        verdict: why.
    """

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict[2])
        self.verdict = verdict


class _Key:
    """A key of a JSON object that equals no other key, so that a dict keeps duplicates."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


_members = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=lambda kind, name: kind(name)).decode


def members(text: bytes) -> list[tuple[str, bytes]]:
    """Return (key, JSON text of the value) of each member of a JSON object, including duplicates.

    Raises:
        any of JSON_ERRORS: the text is not a JSON object.
    """
    return [(key.name, bytes(value)) for key, value in _members(text).items()]


def items(text: bytes) -> list[bytes]:
    """Return the JSON text of each item if `text` is a JSON array, else the text itself."""
    return [bytes(item) for item in _list(text)] if text[:1] == b"[" else [text]


class Fields:
    """The fields of one level of a contract."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._decode = msgspec.json.Decoder(_closed("record", columns)).decode
        self._known = {column.name: Fields(column.fields) if column.fields else None for column in columns}
        self._paths = _paths(columns)

    def unknown(self, text: bytes) -> str | None:
        """Return the unknown fields of a record that Arrow accepts, as a JSON object of path to value; None for none.

        Values keep their original text: an object keeps all its members, including duplicates.

        Raises:
            Refused: the record has too many unknown fields or duplicates among them, or is nested too deeply.
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
        except JSON_ERRORS as error:
            raise Refused(("unparsable", None, str(error))) from None
        return msgspec.json.encode(found).decode() if found else None

    def known(self, text: bytes) -> bytes:
        """Return a valid JSON object without its unknown fields, at any depth."""
        kept = []
        for name, value in members(text):
            if name in self._known:
                if level := self._known[name]:
                    parts = [level.known(item) if item[:1] == b"{" else item for item in items(value)]
                    value = b"[" + b",".join(parts) + b"]" if value[:1] == b"[" else parts[0]
                kept.append(msgspec.json.encode(name) + b":" + value)
        return b"{" + b",".join(kept) + b"}"

    def fault(self, text: bytes) -> Verdict | None:
        """Return the verdict on valid JSON with too many fields or a duplicate known one; None if it has neither."""
        if self._has_too_many(text):
            return TOO_MANY
        path = self._duplicate(text, "")
        return duplicate_field(path) if path else None

    def _duplicate(self, text: bytes, prefix: str) -> str | None:
        seen = set()
        for name, value in members(text):
            if name in seen:
                return prefix + name
            if name in self._known:
                seen.add(name)
            for _, level, item in self._below(name, value):
                if path := level._duplicate(item, f"{prefix}{name}."):
                    return path
        return None

    def _has_too_many(self, text: bytes) -> bool:
        return text.count(b":") > MAX_FIELDS and _exceeds(text, deepcopy(self._paths), MAX_FIELDS)

    def _knows(self, text: bytes) -> bool:
        try:
            self._decode(text)
        except JSON_ERRORS:
            return False
        return True

    def _collect(self, text: bytes, prefix: str, found: dict[str, msgspec.Raw]) -> None:
        for name, value in members(text):
            if name not in self._known:
                path = prefix + name.replace(".", r"\.")  # so that the field `a.b` is not a member of `a`
                if path in found:
                    raise Refused(duplicate_field(path))
                found[path] = msgspec.Raw(value)
            for place, level, item in self._below(name, value):
                if not level._knows(item):
                    level._collect(item, f"{prefix}{name}{place}.", found)

    def _below(self, name: str, value: bytes) -> Iterator[tuple[str, Fields, bytes]]:
        """Yield each object in the value of a known struct: its place in a list, its level and its text."""
        level = self._known.get(name)
        if level and value[:1] == b"{":
            yield "", level, value
        elif level and value[:1] == b"[":
            for number, item in enumerate(items(value)):
                if item[:1] == b"{":
                    yield f"[{number}]", level, item


def duplicate_field(path: str) -> Verdict:
    """Return the verdict on a record with a duplicate field."""
    return "duplicate_key", path, f"the field {path} is given twice"


def _closed(name: str, columns: tuple[Column, ...]) -> type[msgspec.Struct]:
    """Return a msgspec type of the columns that rejects other keys and accepts any value of a column without fields."""
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
    """Whether a JSON object has more than `limit` unknown paths, or that many members in one object.

    The text is read token by token: the members of a wide object would take fifty times the memory of its text.

    Args:
        paths: known names, each with those below it; new ones are added.
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
