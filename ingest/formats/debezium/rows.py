"""The row in an envelope, as one JSON object of the contract's columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ingest.contracts.column import Column
from ingest.formats.debezium.messages import NULL, not_an_envelope, payload, type_of
from ingest.formats.debezium.schemas import columns_of
from ingest.formats.debezium.unavailable import is_unavailable, may_lack_values
from ingest.formats.debezium.values import Converts, converted, converts, joined
from ingest.formats.fields import Refused, members

EMPTY = b"{}"
MAX_SCHEMAS, MAX_SCHEMA_BYTES = 64, 256 << 10
"""Schema parts that are remembered, and the longest. A topic has few: one for each change of its table."""
(_BRACE,) = b"{"
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_value = msgspec.json.Decoder(float_hook=str).decode

Row = tuple[bytes, tuple[str, ...]]
"""The JSON object, and the columns whose values the source left out."""


class Rows:
    """Takes rows out of envelopes.

    Args:
        columns: of the contract.
        key: paths of the columns that identify a row.
    """

    def __init__(self, columns: Sequence[Column], key: Sequence[str]) -> None:
        self._columns, self._key = columns, key
        fields: list[Any] = [
            (f"f{number}", msgspec.Raw, None)
            for number, _ in enumerate(dict.fromkeys(path.split(".")[0] for path in key))
        ]
        names = list(dict.fromkeys(path.split(".")[0] for path in key))
        rename = {f"f{number}": name for number, name in enumerate(names)}
        self._identity = msgspec.json.Decoder(msgspec.defstruct("Identity", fields, rename=rename, gc=False)).decode
        self._names = [(f"f{number}", name) for number, name in enumerate(names)]
        self._plain = converts(columns, {})
        self._known: dict[tuple[bytes, bool], Converts] = {}
        self._last: tuple[bytes, Converts] = (b"", self._plain)

    def of(self, message: Any, key: msgspec.Raw | None, schema: msgspec.Raw | None, *, may_lack: bool) -> Row:
        """Return the row of a change: of a deletion the one before or, if the source has none, its key.

        Args:
            message: the decoded envelope.
            key: JSON text of the record's key.
            schema: JSON text of the schema part.
            may_lack: whether values may be left out.

        Raises:
            Refused: the envelope has no row, a value is not of its column's type, or an update changes the key.
            any of JSON_ERRORS: the key is not JSON.
        """
        op = message.op
        if op == "t":
            return EMPTY, ()
        how = self._plain if schema is None else self._by_schema(bytes(schema), of_key=False)
        before = None if message.before is None else _earlier(bytes(message.before))
        if op == "d":
            if before is None and key is not None:
                text, key_schema = payload(bytes(key))
                before = text if text[0] == _BRACE else None
                how = self._plain if key_schema is None else self._by_schema(key_schema, of_key=True)
            row, before = EMPTY if before is None else before, None
        else:
            after = message.after
            row = NULL if after is None else bytes(after)
            if row[0] != _BRACE:
                raise _no_row(op, row)
            if before is not None and op == "u":
                self._check_key(before, row)
        lacking: tuple[str, ...] = ()
        if may_lack and may_lack_values(row):
            row, lacking = _completed(row, before)
        return (_converted(row, how) if how else row), lacking

    def _by_schema(self, schema: bytes, *, of_key: bool) -> Converts:
        """How the columns of a row are converted, by a schema part."""
        last, how = self._last
        if schema == last and not of_key:
            return how
        found = self._known.get((schema, of_key))
        how = converts(self._columns, columns_of(schema, of_key=of_key)) if found is None else found
        if found is None and len(schema) <= MAX_SCHEMA_BYTES:
            if len(self._known) >= MAX_SCHEMAS:
                self._known.clear()
            self._known[schema, of_key] = how
        if not of_key:
            self._last = schema, how
        return how

    def _check_key(self, before: bytes, after: bytes) -> None:
        """Check that an update keeps the key of its row.

        Raises:
            Refused: it does not.
        """
        was, now = self._identity(before), self._identity(after)
        if was == now:
            return
        for place, name in self._names:
            old, new = (bytes(getattr(row, place) or NULL) for row in (was, now))
            if NULL in (old, new) or old == new:
                continue
            for path in self._key:
                first, *below = path.split(".")
                if first == name and _at(old, below) not in (None, _at(new, below)):
                    raise Refused(
                        (
                            "changed_key",
                            path,
                            f"the update changes {path} from {_shown(old)} to {_shown(new)}; expected a deletion and a "
                            "creation, which the connector sends when the contract's key is the table's primary key, "
                            "or is set as its message.key.columns",
                        )
                    )


def _earlier(text: bytes) -> bytes | None:
    """The JSON text of a row before a change; None for null.

    Raises:
        Refused: it is neither an object nor null.
    """
    if text[0] == _BRACE:
        return text
    if text == NULL:
        return None
    raise _no_row("u", text)


def _no_row(op: str, text: bytes) -> Refused:
    """The error for what is no row."""
    if text == NULL:
        return not_an_envelope(f"op is {op} and after is null; expected the row after the change")
    found = type_of(_value(text))
    return not_an_envelope(f"before or after is {found}; expected an object of columns or null, as of a table")


def _converted(row: bytes, how: Converts) -> bytes:
    """The row with converted values; the text as it is where none is converted.

    Raises:
        Refused: a value is not of its column's type.
    """
    values = _decode(row)
    grown, is_changed = 0, False
    name = ""
    try:
        for name, convert in how.items():
            raw = values.get(name)
            if raw is not None:
                value = bytes(raw)
                new = convert(value)
                if new is not value:
                    values[name] = msgspec.Raw(new)
                    grown += len(new) - len(value)
                    is_changed = True
    except ValueError as error:
        raise Refused(("wrong_type", name, str(error))) from None
    if not is_changed:
        return row
    found = _encode(values)
    if len(found) - grown == len(row):
        return found
    return joined(converted(row, how))  # white space or duplicates, which are kept and rejected later


def _completed(row: bytes, before: bytes | None) -> Row:
    """The row with the values before in place of those that the source left out, NULL where it left out those too."""
    earlier = _decode(before) if before else {}
    lacking = []
    found = members(row)
    for place, (name, value) in enumerate(found):
        if is_unavailable(value):
            known = bytes(earlier.get(name, NULL))
            if known == NULL or is_unavailable(known):
                known = NULL
                lacking.append(name)
            found[place] = name, known
    return joined(found), tuple(dict.fromkeys(lacking))


def _at(text: bytes, below: Sequence[str]) -> Any:
    """The value at a path; None if there is none."""
    value = _value(text)
    for name in below:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _shown(text: bytes) -> str:
    return text[:80].decode("utf-8", "replace")
