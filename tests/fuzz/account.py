r"""The content of an object by the rules, in plain Python. It imports nothing of the project: an independent reference.

An object
- is ignored when its whole base name is `_SUCCESS` or `.DS_Store`, and cannot be named when its key contains an ASCII
  control character or is no UTF-8;
- is plain, gzip or zstd by its first bytes, not by its name. Consecutive members and frames are one body, zeros after a
  gzip member are padding. An object that ends early or is damaged is corrupt: one bad record, number 0;
- is of the first format in formats.py that recognises its body, from which one byte order mark was removed.

A record is good when it is one JSON object (RFC 8259, UTF-8, no NaN or Infinity, no lone surrogate) in which
- no object that the contract knows has a key twice; within the value of an unknown field, which is kept as written, a
  key may occur twice;
- at most LEVELS objects and arrays are nested, in at most LINE_BYTES, and at most FIELDS fields are unknown, including
  members of their values; the items of an array share theirs;
- each field that the contract knows is null, or a value of its type: string a text; boolean true or false; integer a
  number without fraction or exponent within 64 bits; double a number at most LARGEST from zero; decimal(p, s) a number,
  or a text that contains one, that fits without rounding; date a text `YYYY-MM-DD`; timestamp such a text, optionally
  space, T or t and `hh[:mm[:ss[.f…]]]`, optionally Z, z, `±hh`, `±hhmm` or `±hh:mm` (UTC without one; digits beyond
  microseconds are cut); struct an object; repeated an array of these, which may contain null;
- each required field has a value (a required member also where its struct is null), the event time lies between the
  contract's epoch and the object's time plus the clock skew, and a frozen contract knows every field.
Each field that the contract does not know is kept under its path, in which a dot of a name is `\.`, numbers as written.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa

LEVELS, LINE_BYTES, FIELDS, LARGEST = 64, 16 << 20, 10_000, 1e150
BLANK = b" \t\r\n"
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{},]', re.DOTALL)
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_CLOCK = r"(?:[ Tt](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?(?:[Zz]|([+-])(\d\d)(?::?(\d\d))?)?)?"
_TIME = re.compile(rf"(\d{{4}}-\d\d-\d\d){_CLOCK}", re.ASCII)
Contract = dict[str, Any]


class Bad(Exception):  # noqa: N818  a verdict
    """The record is quarantined."""


class Corrupt(Exception):  # noqa: N818  a verdict
    """The object cannot be decoded."""


class Number(str):
    """A number as written."""


class Twice(tuple[Any, ...]):
    """The members of an object in which a key occurs twice."""


@dataclass(frozen=True, slots=True)
class Account:
    """The expected result of one object.

    Attributes:
        fate: `loaded`, `ignored` or `unnameable`.
        good: values by column and `_rescued_data`, by number of the record.
        bad: bytes by number of the record, or None where the quarantine may keep another form of it.
    """

    fate: str = "loaded"
    good: dict[int, dict[str, Any]] = field(default_factory=dict)
    bad: dict[int, bytes | None] = field(default_factory=dict)


def is_utf8(text: str) -> bool:
    """Whether the text has no lone surrogates, by which Python represents bytes that are no UTF-8."""
    return not re.search(r"[\ud800-\udfff]", text)


def fate(key: str) -> str:
    """The fate decided by the name of an object, in which lone surrogates represent bytes that are no UTF-8."""
    if not is_utf8(key) or re.search(r"[\x00-\x1f\x7f]", key):
        return "unnameable"
    return "ignored" if key.rsplit("/", 1)[-1] in ("_SUCCESS", ".DS_Store") else "loaded"


def unpacked(body: bytes) -> bytes:
    """The body without compression.

    Raises:
        Corrupt: it is damaged or ends too early.
    """
    plain = b""
    try:
        if body.startswith(b"\x28\xb5\x2f\xfd"):
            with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
                return bytes(stream.read())
        if not body.startswith(b"\x1f\x8b"):
            return body
        while body:
            member = zlib.decompressobj(31)
            plain += member.decompress(body)
            if not member.eof:
                raise Corrupt
            body = member.unused_data.lstrip(b"\0")
    except (zlib.error, OSError):
        raise Corrupt from None
    return plain


def tokens(text: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(place, token, depth after it) of each bracket and comma outside of texts."""
    depth = 0
    for found in _TOKEN.finditer(text):
        depth += (found[0] in b"[{") - (found[0] in b"]}")
        if found[0] in b"[]{},":
            yield found.start(), found[0], depth


def _refuse(name: str) -> Any:
    raise Bad(name)


def decode(text: bytes) -> Any:
    """Decode strict JSON; numbers stay as written.

    Raises:
        Bad: the text is no strict JSON.
    """

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Twice:
        return dict(pairs) if len(dict(pairs)) == len(pairs) else Twice(pairs)

    hooks: dict[str, Any] = {"parse_int": Number, "parse_float": Number, "object_pairs_hook": members}
    try:
        value = json.loads(text.decode(), parse_constant=_refuse, **hooks)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate has no UTF-8
    except (ValueError, RecursionError) as error:
        raise Bad(str(error)) from None
    return value


def is_json(text: bytes) -> bool:
    """Whether the text is one JSON value, lone surrogates allowed."""
    try:
        json.loads(text.decode(), parse_constant=_refuse, parse_int=str)
    except (ValueError, RecursionError, Bad):
        return False
    return True


def judge(text: bytes, contract: Contract, modified_at: int) -> dict[str, Any]:
    """The values of a record by column, unknown fields under `_rescued_data`.

    Args:
        modified_at: modification time of its object, microseconds since 1970.

    Raises:
        Bad: the record breaks a rule.
    """
    if len(text) > LINE_BYTES or any(depth > LEVELS for _, _, depth in tokens(text)):
        raise Bad("too long or too deep")
    record = decode(text)
    if not isinstance(record, dict):
        raise Bad("no object")
    unknown: dict[str, Any] = {}
    values = _members(record, contract["columns"], "", unknown)
    if unknown and contract.get("unknown_fields") == "freeze":
        raise Bad("unknown field")
    if len({field for name in unknown for field in _fields(unknown[name], (re.sub(r"\[\d+\]", "", name),))}) > FIELDS:
        raise Bad("too many fields")
    if at := contract.get("event_time"):
        epoch = _micros(str(contract.get("epoch", "2000-01-01")))
        if not epoch <= values[at] <= modified_at + contract.get("clock_skew_seconds", 86_400) * 1_000_000:
            raise Bad("event time")
    return values | {"_rescued_data": unknown or None}


def _members(record: Any, columns: list[Contract], path: str, unknown: dict[str, Any]) -> dict[str, Any]:
    values = {column["name"]: _value(record.get(column["name"]), column, path, unknown) for column in columns}
    for name in record.keys() - values.keys():
        unknown[path + name.replace(".", r"\.")] = record[name]
    return values


def _fields(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    for name, item in value.items() if isinstance(value, dict) else value if isinstance(value, Twice) else ():
        yield from _fields(item, (*path, name))
    for item in value if isinstance(value, list) else ():
        yield from _fields(item, path)


def _value(value: Any, column: Contract, path: str, unknown: dict[str, Any]) -> Any:
    path += column["name"]
    if column.get("repeated") and value is not None:
        if not isinstance(value, list):
            raise Bad(f"{path} is no array")
        return [_one(item, column, f"{path}[{n}]", unknown) for n, item in enumerate(value)]
    if value is None and column.get("required"):
        raise Bad(f"{path} is missing")
    return None if value is None and column.get("repeated") else _one(value, column, path, unknown)


def _one(value: Any, column: Contract, path: str, unknown: dict[str, Any]) -> Any:
    kind, of = column["type"].split("(")[0], type(value)
    if value is None and not any(member.get("required") for member in column.get("fields", ())):
        return None
    if kind == "struct" and of is dict:
        return _members(value, column["fields"], f"{path}.", unknown)
    if (kind, of) in (("string", str), ("boolean", bool)):
        return value
    if kind == "integer" and of is Number and re.fullmatch(r"-?\d{1,19}", value) and -(2**63) <= int(value) < 2**63:
        return int(value)
    if kind == "double" and of is Number and abs(float(value)) <= LARGEST:
        return float(value)
    if kind == "decimal" and of in (str, Number) and _DECIMAL.fullmatch(value):
        precision, scale = map(int, re.findall(r"\d+", column["type"]))
        digits = Decimal(value).normalize().as_tuple() if Decimal(value) else Decimal(0).as_tuple()
        if int(digits.exponent) >= -scale and len(digits.digits) + int(digits.exponent) <= precision - scale:
            return Decimal(value)
    if kind == "date" and of is str and len(value) == 10:
        return _micros(value) // 86_400_000_000
    if kind == "timestamp" and of is str:
        return _micros(value)
    raise Bad(f"{path} is no {kind}")


def _micros(text: str) -> int:
    """Microseconds since 1970 of a date or time.

    Raises:
        Bad: the text is no date or time.
    """
    if not (found := _TIME.fullmatch(text)):
        raise Bad("no time")
    hour, minute, second, east, more = (int(found[n] or 0) for n in (2, 3, 4, 7, 8))
    if hour > 23 or east > 23 or max(minute, second, more) > 59:
        raise Bad("no time")
    try:
        days = (dt.date.fromisoformat(found[1]) - dt.date(1970, 1, 1)).days
    except ValueError as error:
        raise Bad(str(error)) from None
    minutes = (days * 24 + hour) * 60 + minute - (east * 60 + more) * (-1 if found[6] == "-" else 1)
    return (minutes * 60 + second) * 1_000_000 + int((found[5] or "").ljust(6, "0")[:6])
