"""The forms that a change event comes in, and the messages of a connector that are no change of a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ingest.formats.fields import JSON_ERRORS, TOO_DEEP, Refused, Verdict

NULL = b"null"
TOMBSTONE, TRANSACTION, HEARTBEAT, MESSAGE, SCHEMA_CHANGE = (
    "tombstone",
    "transaction",
    "heartbeat",
    "message",
    "schema_change",
)
"""Kinds of messages that are counted and never become rows."""
SHOWN_FIELDS = 8
_EXPECTED = "expected an envelope with op, source, before and after, alone or in a Kafka record with key and value"
_ENVELOPE = {"op", "source", "before", "after"}
_TIMES = {"ts_ms", "ts_us", "ts_ns"}
_MARKER = {"status", "id", "event_count", "data_collections"}
_TYPES = {str: "text", bool: "a boolean", type(None): "null or absent", list: "a list", dict: "an object"}
_RECORD = {"topic", "partition", "offset", "key"}
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_valid = msgspec.json.Decoder(msgspec.Raw).decode
_text = msgspec.json.Decoder(str).decode


Message = tuple[Any, msgspec.Raw | None, msgspec.Raw | None]
"""An envelope out of its wrapping, then the JSON texts of the record's key and of the schema part; None for none.

The envelope has op, before, after (JSON texts; None if absent), source and transaction (decoded; None if absent).
"""


def decoder(source: type[msgspec.Struct]) -> Callable[[bytes], Message | str]:
    """Return a function that takes a message from the text of a line; a text that it returns is a skipped kind.

    Args:
        source: the fields of an envelope's `source` to decode.

    The function raises Refused: the line is no change event.
    """
    kinds = _kinds(source)
    record = msgspec.json.Decoder(kinds.record | str | None).decode
    wrapped = msgspec.json.Decoder(kinds.wrapped | str | None).decode

    def decode(text: bytes) -> Message | str:
        key = schema = None
        try:
            found: Any = record(text)
            if type(found) is str:
                found = _inner(wrapped, found)
            elif found is not None and found.value is not msgspec.UNSET:
                key = found.key
                if found.value is None and not (key or found.topic or found.offset is not None):
                    raise Refused(_no_envelope(text))
                found = found.value
                if type(found) is str:
                    found = _inner(wrapped, found)
            if found is not None and found.schema is not None and found.payload is not msgspec.UNSET:
                schema = found.schema
                found = found.payload
        except JSON_ERRORS as error:
            raise Refused(_fault(text, error)) from None
        if found is None:
            return TOMBSTONE
        if found.op is None or found.source is None:
            if kind := _kind(_innermost(text)):
                return kind
            raise Refused(_no_envelope(text))
        return found, key, schema

    return decode


def _inner(decode: Callable[[bytes], Any], text: str) -> Any:
    """Decode the JSON in a text.

    Raises:
        any of JSON_ERRORS: it has no JSON, or is text again.
    """
    found = decode(text.encode())
    if isinstance(found, str):
        raise msgspec.ValidationError("the text has text in it")
    return found


@dataclass(frozen=True, slots=True)
class _Kinds:
    wrapped: Any
    record: Any


class _Transaction(msgspec.Struct, gc=False):
    id: Any = None
    total_order: Any = None


def _kinds(source: type[msgspec.Struct]) -> _Kinds:
    """The types of an envelope in its wrappings: {schema, payload}, and a Kafka record."""
    raw: tuple[Any, Any] = (msgspec.Raw, None)
    fields = [
        ("op", Any, None),
        ("before", *raw),
        ("after", *raw),
        ("source", source | None, None),
        ("transaction", _Transaction | None, None),
    ]
    envelope = msgspec.defstruct("Envelope", fields, gc=False)
    fields += [("schema", *raw), ("payload", envelope | None, msgspec.UNSET)]
    wrapped = msgspec.defstruct("Wrapped", fields, gc=False)
    fields += [
        ("topic", Any, None),
        ("offset", Any, None),
        ("key", *raw),
        ("value", wrapped | str | None, msgspec.UNSET),
    ]
    return _Kinds(wrapped, msgspec.defstruct("Record", fields, gc=False))


def payload(text: bytes) -> tuple[bytes, bytes | None]:
    """Return the payload of a key, which may be text that has JSON and may be wrapped, and its schema part.

    Raises:
        any of JSON_ERRORS: text within the key is not JSON.
    """
    if text[:1] == b'"':
        text = _text(text).encode()
        _valid(text)
    if text[:1] == b"{":
        fields = _fields(text)
        if fields.keys() == {"schema", "payload"}:
            return bytes(fields["payload"]), bytes(fields["schema"])
    return text, None


def _innermost(text: bytes) -> dict[str, msgspec.Raw]:
    """The fields of what is in all wrappings of a line; empty if that is no object."""
    try:
        for _ in range(4):
            if text[:1] == b'"':
                text = _text(text).encode()
            fields = _fields(text)
            if "value" in fields and fields.keys() & _RECORD and not fields.keys() & _ENVELOPE:
                text = bytes(fields["value"])
            elif {"schema", "payload"} <= fields.keys():
                text = bytes(fields["payload"])
            else:
                return fields
    except JSON_ERRORS:
        pass
    return {}


def _kind(fields: dict[str, msgspec.Raw]) -> str | None:
    """The kind of a message without a change of a row; None if it is none of those."""
    names = fields.keys()
    if fields.get("op") is not None and bytes(fields["op"]) == b'"m"':
        return MESSAGE
    if names & {"op", "before", "after"}:
        return None
    if names & {"ddl", "tableChanges"} and names & {"source", "databaseName"}:
        return SCHEMA_CHANGE
    if names >= _MARKER and names <= _MARKER | _TIMES and bytes(fields["status"]) in (b'"BEGIN"', b'"END"'):
        return TRANSACTION
    return HEARTBEAT if "ts_ms" in names and names <= _TIMES else None


def _fault(text: bytes, error: Exception) -> Verdict:
    """Why a line cannot be decoded as a change event."""
    try:
        text.decode()
        _valid(text)
    except UnicodeDecodeError as fault:
        return "invalid_utf8", None, str(fault)
    except RecursionError:
        return TOO_DEEP
    except JSON_ERRORS as fault:
        return "unparsable", None, str(fault)
    if isinstance(error, RecursionError):
        return TOO_DEEP
    return _no_envelope(text, str(error))


def _no_envelope(text: bytes, what: str = "") -> Verdict:
    """The verdict on JSON that is no change event."""
    fields = _innermost(text)
    if not what:
        shown = ", ".join(list(fields)[:SHOWN_FIELDS]) + (", …" if len(fields) > SHOWN_FIELDS else "")
        what = f"found the fields {shown}" if fields else "found no object"
    detail = f"{_EXPECTED}; {what}"
    if fields and len(fields.keys() & _ENVELOPE) < 2:
        detail += (
            "; if the connector flattens rows by the transformation ExtractNewRecordState, remove it: it drops the "
            "place in the log, by which changes are ordered"
        )
    return "not_an_envelope", None, detail


def not_an_envelope(what: str) -> Refused:
    """Return the error for an envelope that lacks something.

    Args:
        what: what was found and expected; it quotes no value, since it is shown to whoever may not see those.
    """
    return Refused(("not_an_envelope", None, what))


def type_of(value: Any) -> str:
    """Return what kind of JSON value something is, in words."""
    return _TYPES.get(type(value), "a number")
