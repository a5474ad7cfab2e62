"""A field as its values show it: the column type that accepts all of them, or why there is none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from ingest.contracts.schema import MAX_DOUBLE
from ingest.inference.declared import Declared, decimal_of

MAX_SURVEYED = 10_000
"""Fields that one survey counts, members included; further fields are not counted."""
MAX_MEMBERS = 100
"""Members of a struct, at any depth: as many as a person can review."""
TO_BE_DESCRIBED = "To be described."
NOT_SNAKE_CASE = "its name is not lower_snake_case"
ALL_NULL = "its values are all null"
CSV = "csv "
"""Prefix of the kinds of CSV fields, which are text that a column's type may read as a number."""
NESTED_LIST, TOO_LARGE, MIXED = "list of lists", "number out of range", "mixed"
ONE_VALUE = "value beside lists"
_UNFIT = {
    NESTED_LIST: "its values are lists of lists",
    ONE_VALUE: "its values are lists in some records only",
    TOO_LARGE: "its numbers are too large",
}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_INT64 = 1 << 63
_DAY = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_TIME = r"([01]\d|2[0-3])(:[0-5]\d(:[0-5]\d(\.\d{1,9})?)?)?"
_DATE = re.compile(_DAY)
_TIMESTAMP = re.compile(rf"{_DAY}[ Tt]{_TIME}([Zz]|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?")
_LITERAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null")
_TEXTS = frozenset({"string", "date", "timestamp"})


@dataclass(slots=True)
class Budget:
    """The number of further fields that a survey may count."""

    left: int

    def take(self) -> bool:
        """Use one field of the budget; False if none is left."""
        self.left -= 1
        return self.left >= 0


@dataclass(slots=True)
class Field:
    """A field that no contract declares.

    Attributes:
        path: dotted path; members of lists without their index.
        records: number of records that have it, maybe null.
        kinds: number of values of each kind: a column type, `struct`, or what no column accepts.
        repeated: whether its values are lists.
        members: the fields of a struct, by name.
        truncated: whether it has more members than the budget allows.
    """

    path: str
    records: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    repeated: bool = False
    members: dict[str, Self] | None = None
    truncated: bool = False

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit(".", 1)[-1]

    @property
    def values(self) -> int:
        """The number of values that are not null; items of lists count."""
        return sum(self.kinds.values())

    @property
    def shape(self) -> str:
        """The type that accepts all its values: a column type, `struct` or `mixed`; empty if all are null."""
        return common_type(self.seen)

    @property
    def seen(self) -> dict[str, int]:
        """Its kinds without text that a source states but that has no value, where there are other values."""
        return {kind: count for kind, count in self.kinds.items() if count or kind != "string" or len(self.kinds) == 1}

    @property
    def own_obstacle(self) -> str:
        """Why it cannot become a column, whatever its members; empty if nothing stands against it."""
        # a backslash escapes a dot in a name
        if "\\" in self.path or not _NAME.fullmatch(self.name):
            return NOT_SNAKE_CASE
        if not self.shape:
            return ALL_NULL
        if self.shape == MIXED:
            return next(
                (text for kind, text in _UNFIT.items() if kind in self.kinds), "its values are of several types"
            )
        if self.truncated or self.size > MAX_MEMBERS:
            return f"it has more than {MAX_MEMBERS} members"
        return ""

    @property
    def obstacle(self) -> str:
        """Why it cannot become a column with all its members; empty if it can."""
        if obstacle := self.own_obstacle:
            return obstacle
        for member in (self.members or {}).values():
            if obstacle := member.obstacle:
                return f"{member.path}: {obstacle}"
        return ""

    @property
    def size(self) -> int:
        """The number of columns that it would become, members included."""
        return 1 + sum(member.size for member in (self.members or {}).values())

    def observe(self, value: Any, budget: Budget, declared: Declared | None = None, is_csv: bool = False) -> None:
        """Take one value into account.

        Args:
            declared: the type that the source states for it; it wins over what the value looks like.
            is_csv: whether the value is a field of a CSV file.
        """
        if isinstance(value, list):
            if self.kinds and not self.repeated:
                self.note(ONE_VALUE, value)
            self.repeated = True
            for item in value:
                if isinstance(item, list):
                    self.note(NESTED_LIST, item)  # no column type holds lists of lists
                else:
                    self._observe_one(item, budget, declared, is_csv)
        elif value is not None:
            if self.repeated:
                self.note(ONE_VALUE, value)
            self._observe_one(value, budget, declared, is_csv)

    def declare(self, declared: Declared, budget: Budget) -> None:
        """Take the type that a source states into account, without a value."""
        self.kinds.setdefault(declared.kind, 0)
        self.repeated |= declared.repeated
        for name, member in declared.members.items():
            if (below := self._member(name, budget)) is not None:
                below.declare(member, budget)

    def note(self, kind: str, value: Any) -> None:
        """Count a value of a kind."""
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def _observe_one(self, value: Any, budget: Budget, declared: Declared | None, is_csv: bool) -> None:
        if isinstance(value, dict) and (declared is None or declared.kind == "struct"):
            self.note("struct", value)
            known = declared.members if declared else {}
            for name, item in value.items():
                if (member := self._member(name, budget)) is not None:
                    member.records += 1
                    member.observe(item, budget, known.get(name), is_csv)
        elif value is not None:
            is_stated = declared is not None and not (declared.is_open and isinstance(value, str))
            self.note(declared.kind if declared and is_stated else kind_of(value, is_csv), value)

    def _member(self, name: str, budget: Budget) -> Self | None:
        self.members = {} if self.members is None else self.members
        if name not in self.members:
            if not budget.take():
                self.truncated = True
                return None
            self.members[name] = type(self)(f"{self.path}.{name}")
        return self.members[name]

    def column(self) -> dict[str, Any]:
        """The field as an entry of a contract."""
        entry: dict[str, Any] = {"name": self.name, "type": self.shape}
        if self.repeated:
            entry["repeated"] = True
        entry["description"] = TO_BE_DESCRIBED
        if self.members:
            entry["fields"] = [member.column() for member in self.members.values()]
        return entry


def common_type(kinds: Iterable[str]) -> str:
    """Return the type that accepts values of all kinds; `mixed` if there is none, empty for no kinds.

    >>> common_type(["integer", "double"]), common_type(["date", "string"]), common_type(["integer", "string"])
    ('double', 'string', 'mixed')
    >>> common_type(["decimal(10, 2)", "decimal(8, 4)"]), common_type(["csv integer", "string"])
    ('decimal(12, 4)', 'string')
    """
    found = ""
    csv = {kind.removeprefix(CSV) for kind in kinds if kind.startswith(CSV)}
    plain = [kind for kind in kinds if not kind.startswith(CSV)]
    if csv and plain and _TEXTS.issuperset(plain):
        return "string"
    read = sorted(csv - {"null"})
    if csv and not plain and (not read or common_type(read) == MIXED):
        return "string"
    for kind in (*plain, *read):
        found = _wider(found, kind)
    return found


def _wider(one: str, other: str) -> str:
    if not one or one == other:
        return MIXED if other in (NESTED_LIST, TOO_LARGE, ONE_VALUE) else other
    if {one, other} == {"integer", "double"}:
        return "double"
    if {one, other} == {"date", "timestamp"}:
        return "timestamp"  # a date is read as midnight
    if _TEXTS.issuperset((one, other)):
        return "string"
    if one.startswith("decimal") or other.startswith("decimal"):
        if "double" in (one, other):
            return "double"
        (first, scale), (second, other_scale) = (_digits(kind) for kind in (one, other))
        if first and second:
            return decimal_of(max(first, second) + max(scale, other_scale), max(scale, other_scale))
    return MIXED


def _digits(kind: str) -> tuple[int, int]:
    """(digits before the point, digits after it) of a decimal or an integer; 0 of both for another type."""
    if kind == "integer":
        return 19, 0
    if not kind.startswith("decimal"):
        return 0, 0
    precision, scale = map(int, re.findall(r"\d+", kind))
    return max(1, precision - scale), scale


def kind_of(value: Any, is_csv: bool = False) -> str:
    """Return the kind of one value of JSON that is neither null, an object nor an array."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -_INT64 <= value < _INT64 else TOO_LARGE
    if isinstance(value, float):
        return "double" if abs(value) <= MAX_DOUBLE else TOO_LARGE
    if is_csv and (literal := _literal(value.strip(" \t\r\n"))):
        return literal
    if 10 <= len(value) <= 40:
        if _DATE.fullmatch(value):
            return "date" if _is_day(value) else "string"
        if _TIMESTAMP.fullmatch(value):
            return "timestamp" if _is_day(value[:10]) else "string"
    return "string"


def _is_day(value: str) -> bool:
    """Whether a text of the form of a date is a day of the calendar that bronze accepts."""
    year, month, day = int(value[:4]), int(value[5:7]), int(value[8:10])
    if day <= 28:
        return year > 0
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return year > 0 and day <= (29 if leap else 28) if month == 2 else day <= 30 or month not in (4, 6, 9, 11)


def _literal(text: str) -> str:
    if not _LITERAL.fullmatch(text):
        return ""
    if text in ("true", "false"):
        return f"{CSV}boolean"
    if text == "null":
        return f"{CSV}null"
    if text.lstrip("-").isdigit():
        return f"{CSV}integer" if len(text) < 20 and -_INT64 <= int(text) < _INT64 else "string"
    return f"{CSV}double" if abs(float(text)) <= MAX_DOUBLE else "string"
