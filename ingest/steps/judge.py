"""The reason why a line is not a record of its feed, and the offending column."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec

from ingest.contracts.column import Column
from ingest.contracts.contract import Contract
from ingest.formats.fields import JSON_ERRORS, MAX_NESTING, TOO_DEEP, Fields, Verdict, items, members
from ingest.formats.tokens import is_deeper_than
from ingest.steps.typed import REFUSALS, TypedReader

_PATH = re.compile(r"`\$\.?([^`]*)`")
_INDEX = re.compile(r"\[[^\]]*\]")
_INT64 = 1 << 63
_RELIABLE = ("string", "boolean", "integer", "struct")
"""Types for which Arrow refuses everything that msgspec refuses."""


class Judge:
    """Judges lines by a contract. msgspec checks first because it is fast; where it may be wrong, Arrow decides."""

    def __init__(self, contract: Contract, reader: TypedReader, fields: Fields) -> None:
        self._contract, self._reader, self._fields = contract, reader, fields
        self._decode = msgspec.json.Decoder(_struct("record", contract.columns), dec_hook=_hook, float_hook=str).decode
        self._types = {path: column.type for path, column in contract.walk()}
        self._alone: dict[str, TypedReader] = {}

    def verdict(self, text: bytes) -> Verdict | None:
        """Why a line is invalid; None if it is valid as far as can be told without Arrow, or if Arrow accepts it."""
        if is_deeper_than(text, MAX_NESTING):
            return TOO_DEEP
        if text[:1] != b"{" or text[-1:] != b"}":
            return "unparsable", None, "expected one JSON object on the line"
        try:
            if not text.isascii():
                text.decode("utf-8")
            column, detail = self._msgspec_fault(text)
        except UnicodeDecodeError as error:
            return "invalid_utf8", None, str(error)
        except JSON_ERRORS as error:
            return "unparsable", None, str(error)
        if detail is None:
            return None
        if column and self._types[column] in _RELIABLE:
            return "wrong_type", column, detail
        try:
            self._reader.read(text + b"\n", 1)
        except REFUSALS as error:
            return self.explain(text, error)
        return None

    def explain(self, text: bytes, refusal: Exception) -> Verdict:
        """Why Arrow refuses a line in which msgspec finds no fault, or no certain one."""
        if fault := self._fields.fault(text):
            return fault
        column, detail = self._msgspec_fault(text)
        suspect = column
        if column is None or self._types[column] in ("timestamp", "date"):  # msgspec refuses times that Arrow accepts
            likely = suspect.split(".")[0] if suspect else ""
            columns = sorted(self._contract.columns, key=lambda item: item.name != likely)
            column = _too_large(self._fields.known(text)) if "Number too big" in str(refusal) else None
            column = column or self._first_refused([text], columns, "") or suspect
        if detail is None or column != suspect:
            detail = str(refusal)
        if "Number out of range" in detail or "Number too big" in detail:
            return "number_out_of_range", column, detail
        return "wrong_type" if column else "unparsable", column, detail

    def _msgspec_fault(self, text: bytes) -> tuple[str | None, str | None]:
        """The column that msgspec refuses and its message; None for both if it accepts the line.

        Raises:
            any of JSON_ERRORS: the line is not JSON.
        """
        try:
            self._decode(text)
        except msgspec.ValidationError as error:
            msgspec.json.decode(text, type=msgspec.Raw)  # the rest of the line is not checked yet
            path = _PATH.search(str(error))
            column = _INDEX.sub("", path[1]) if path else None
            return column if column in self._types else None, str(error)
        return None, None

    def _first_refused(self, texts: Sequence[bytes], columns: Sequence[Column], prefix: str) -> str | None:
        """Dotted path of the first column that Arrow refuses on its own, among objects of one level."""
        values: dict[str, list[bytes]] = {}
        for text in texts:
            for name, value in members(text) if text[:1] == b"{" else ():
                values.setdefault(name, []).append(value)
        for column in columns:
            if found := values.get(column.name):
                path = prefix + column.name
                if path not in self._alone:
                    self._alone[path] = TypedReader(self._contract.model_copy(update={"columns": (column,)}))
                start = b'{"' + column.name.encode() + b'":'
                try:
                    self._alone[path].read(b"".join(start + value + b"}\n" for value in found), len(found))
                except REFUSALS:
                    objects = [item for text in found for item in (items(text) if column.repeated else [text])]
                    return self._first_refused(objects, column.fields, f"{path}.") or path
        return None


def _struct(name: str, columns: tuple[Column, ...]) -> type[msgspec.Struct]:
    """A msgspec type of the columns; its field names are arbitrary, so that any JSON name is allowed."""
    plain: dict[str, Any] = {
        "string": str,
        "boolean": bool,
        "integer": Annotated[int, msgspec.Meta(ge=-_INT64, le=_INT64 - 1)],
        "double": float,
        "date": dt.date,
        "timestamp": dt.datetime,
    }
    fields: list[tuple[str, Any, Any]] = []
    rename = {}
    for number, column in enumerate(columns):
        kind = _struct(column.name, column.fields) if column.fields else plain.get(column.type) or _decimal(column.type)
        kind = list[kind | None] if column.repeated else kind  # type: ignore[valid-type]  # built from data
        fields.append((f"f{number}", kind | None, None))
        rename[f"f{number}"] = column.name
    return msgspec.defstruct(name, fields, rename=rename, gc=False)


class _Decimal:
    """A decimal with a precision and scale."""

    precision: int
    scale: int
    name: str


def _decimal(name: str) -> type[_Decimal]:
    precision, scale = map(int, re.findall(r"\d+", name))
    return type(name, (_Decimal,), {"precision": precision, "scale": scale, "name": name})


def _hook(kind: type[_Decimal], value: Any) -> Any:
    """Reject a value that does not fit a decimal; msgspec adds the path to the message.

    Raises:
        ValueError: the value does not fit.
    """
    try:
        number = Decimal(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise ValueError(f"Expected `{kind.name}`, got `{str(value)[:40]}`")
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if -exponent > kind.scale or (number and number.adjusted() >= kind.precision - kind.scale):
        raise ValueError(f"`{str(value)[:40]}` does not fit `{kind.name}`")
    return kind()  # msgspec accepts nothing but an instance


def _too_large(text: bytes) -> str | None:
    """The first top-level field with a number too large for a double; None if there is none."""
    for name, value in members(text):
        try:
            msgspec.json.decode(value)
        except JSON_ERRORS:
            return name
    return None
