"""Masking of personal values in rejected records, by the contract.

A value is shown only if the contract knows its column, the column is of class `none`, and the value is of the column's
type and does not look like one of a person: in a rejected record values may stand in other columns than they belong to.
Of all other values at most the type is shown. A record that is not a JSON object is hidden as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ingest.contracts.column import Column
from ingest.contracts.constraint import HIDDEN_VALUE, VIOLATED
from ingest.contracts.contract import Contract, Kind, contracts
from ingest.contracts.personal import has_email, may_be_personal

if TYPE_CHECKING:
    from ingest.ledger.quarantine import BadRecord

HIDDEN = "***"
_HIDDEN_DETAIL = "hidden because it may quote a value; --raw shows it"
_REASONS_WITHOUT_VALUES = frozenset(
    (
        "missing_required",
        "unknown_field",
        "too_deep",
        "too_many_fields",
        "line_too_long",
        "invalid_utf8",
        "duplicate_key",
        "not_an_envelope",
        "unknown_position",
    )
)
"""Reasons whose details name fields, sizes and positions, but quote no value."""
_TYPES = (
    r"`(array|object|str|int|float|bool|null|date|datetime)( \| (array|object|str|int|float|bool|null|date|datetime))*`"
)
_DETAILS_WITHOUT_VALUES = re.compile(
    r"expected one JSON object on the line|expected one object, found \d+|cannot be read in one piece"
    r"|Input data was truncated|(NaN and Infinity are no JSON numbers: )?JSON is malformed: [a-z ,':}\]`\"]{1,80}"
    rf"( \(byte \d+\))?|(Expected {_TYPES}( [<>]= -?\d+)?(, got {_TYPES})?|Invalid RFC3339 encoded [a-z]+"
    r"|(Integer|Number) (value )?out of range)( - at `\$?[a-z0-9_.\[\]]*`)?"
)
"""Details from msgspec and Lakemesh that quote no value."""
_NAME = re.compile(r"[^\W\d][\w $-]{0,63}")
"""What the name of a field looks like; other names may be values, of an object with a field per person."""
_TYPED = {
    "boolean": re.compile(r"(?i:true|false|yes|no|on|off|[01ynt])"),
    "date": re.compile(r"[\d:.,TZ+/ -]{0,40}"),
    "timestamp": re.compile(r"[\d:.,TZtz+/ -]{0,40}"),
}
"""Texts that columns of a type may have, right or wrong; of numbers all that have no letters."""
_NUMBER = re.compile(r"[+-]?[\d., ]{0,40}(?:[eE][+-]?\d{1,3})?|(?i:nan|[+-]?inf(?:inity)?)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_TAIL = re.compile(r"(?<=parse:).*|(?<=lose data: ).*", re.DOTALL)


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, duplicates included."""


def detail_and_text(contract: Contract, record: BadRecord, raw: bool) -> tuple[str, str]:
    """The detail and the text of a rejected record for display.

    Args:
        raw: whether values are shown unmasked.
    """
    if raw:
        return record.detail or "", record.raw.decode("utf-8", "backslashreplace")
    detail = masked_detail(contract, record.reason, record.column, record.detail)
    return detail, masked_record(contract, record.raw)


def masked_record(contract: Contract, raw: bytes) -> str:
    """A rejected record as JSON with personal and unknown values hidden; only the size if it is not a JSON object."""
    try:
        found = json.loads(raw.decode("utf-8", "replace"), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, _Pairs):
        return f"<{len(raw):,} bytes, not a JSON object>"
    return _object(found, _shape(contract))


def _shape(contract: Contract) -> Sequence[Column]:
    """The columns of a record; of a change event also its rows, in all wrappings of an envelope."""
    if contract.kind is not Kind.CHANGE:
        return contract.columns
    rows = tuple(_struct(name, contract.columns) for name in ("before", "after"))
    payload = _struct("payload", rows)
    value = _struct("value", (*rows, payload))
    return (*contract.columns, *rows, payload, value)  # of two columns with one name the latter counts


def _struct(name: str, fields: tuple[Column, ...]) -> Column:
    return Column.model_construct(name=name, type="struct", description="", fields=fields)


def masked_detail(contract: Contract, reason: str, column: str | None, detail: str | None) -> str:
    """Return the detail of a rejected record; values are hidden unless their column is declared and not personal."""
    if not detail or reason in _REASONS_WITHOUT_VALUES or _DETAILS_WITHOUT_VALUES.fullmatch(detail):
        return detail or ""
    if reason == "corrupt_object":  # about the whole file: from its decoder, possibly quoting a header
        return _TAIL.sub(" …", _QUOTED.sub("'…'", detail))
    if reason == VIOLATED and detail.endswith(HIDDEN_VALUE):
        return detail
    if has_email(detail) or may_be_personal("", [part[1:-1] for part in _QUOTED.findall(detail)]):
        return _HIDDEN_DETAIL
    read = [column] if column else []
    if reason == VIOLATED:  # the column may be compared with a personal one, and a constraint may be gone
        name = detail.partition(":")[0]
        read = [path for item in contract.constraints if item.name == name for path in item.columns]
    return detail if read and all(_is_public(contract, path) for path in read) else _HIDDEN_DETAIL


def masked_row(row: Mapping[str, Any], names: Collection[str] = ()) -> dict[str, Any]:
    """A row of a model, with values hidden in columns that share the name of a personal column of any contract.

    Texts that look like values of persons are hidden in all columns.

    Args:
        names: further names of personal columns, such as those of models.
    """
    personal = {column.name for contract in contracts().values() for column in _personal(contract.columns, False)}
    personal |= set(names)

    def is_hidden(name: str, value: Any) -> bool:
        return name in personal or (isinstance(value, str) and (has_email(value) or may_be_personal("", [value])))

    return {name: HIDDEN if value is not None and is_hidden(name, value) else value for name, value in row.items()}


def _personal(columns: Sequence[Column], inherited: bool) -> Iterator[Column]:
    for column in columns:
        if column.is_personal or inherited:
            yield column
        yield from _personal(column.fields, column.is_personal or inherited)


def _is_public(contract: Contract, path: str) -> bool:
    """Whether a dotted path, with or without indices, is a scalar column that is not personal."""
    parts = re.sub(r"\[[^\]]*\]", "", path).split(".")
    columns: Sequence[Column] = contract.columns
    found: Column | None = None
    for part in parts:
        found = next((column for column in columns if column.name == part), None)
        if found is None or found.is_personal:
            return False
        columns = found.fields
    return found is not None and not found.fields


def _object(found: _Pairs, columns: Sequence[Column]) -> str:
    known = {column.name: column for column in columns}
    members = (f"{_json(_shown_name(name, known))}: {_value(value, known.get(name))}" for name, value in found)
    return f"{{{', '.join(members)}}}"


def _value(value: Any, column: Column | None) -> str:
    if value is None:
        return "null"
    if column is None:
        return _json(f"<{_kind(value)}>")
    if column.is_personal:
        return _json(HIDDEN)
    if column.repeated and isinstance(value, list) and not isinstance(value, _Pairs):
        return f"[{', '.join(_item(item, column) for item in value)}]"
    return _item(value, column)


def _item(value: Any, column: Column) -> str:
    if value is None:
        return "null"
    if column.fields and isinstance(value, _Pairs):
        return _object(value, column.fields)
    if column.fields or isinstance(value, list) or not _is_shown(value, column):
        return _json(f"<{_kind(value)}>")
    return _json(value)


def _is_shown(value: Any, column: Column) -> bool:
    """Whether a value can be one of its column, and does not look like one of a person."""
    if not isinstance(value, str):
        return column.type != "string" or isinstance(value, bool)
    if column.type == "string":
        return not (has_email(value) or may_be_personal("", [value]))
    return bool(_TYPED.get(column.type, _NUMBER).fullmatch(value)) and not may_be_personal("", [value])


def _shown_name(name: str, known: Mapping[str, Column]) -> str:
    return name if name in known or (_NAME.fullmatch(name) and not may_be_personal("", [name])) else HIDDEN


def _kind(value: Any) -> str:
    if isinstance(value, _Pairs):
        return "object"
    kinds = {"str": "string", "bool": "boolean", "list": "list"}
    return kinds.get(type(value).__name__, "number")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
