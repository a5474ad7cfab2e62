"""Constraints against the columns of their contract: whether a rule fits its column, and the limits of ranges."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

from ingest.contracts.column import Column
from ingest.contracts.constraint import Constraint, Range

TYPES = {
    "range": ("integer", "double", "decimal", "date", "timestamp"),
    "accepted_values": ("string", "integer", "boolean"),
    "pattern": ("string",),
    "length": ("string",),
    "not_before": ("date", "timestamp"),
    "not_after": ("date", "timestamp"),
}
"""The types of columns that a rule is for; `length` is for any repeated column too."""
_EPOCH = dt.date(1970, 1, 1)
_INT64 = 1 << 63
_FIRST, _LAST = (day.toordinal() - _EPOCH.toordinal() for day in (dt.date.min, dt.date.max))
_DAY = 86_400_000_000  # microseconds
Limit = int | float


def scale(kind: str) -> int:
    """Digits after the point of a decimal type of a contract; 0 for other types."""
    return int(re.findall(r"\d+", kind)[1]) if kind.startswith("decimal") else 0


def limits(rule: Range, kind: str) -> tuple[Limit, Limit]:
    """Return the least and the greatest value of a type that a range accepts.

    They are exact: integers in units of the type (1, the last digit of a decimal, a day or a microsecond since 1970),
    and doubles next to an exclusive limit.

    Raises:
        ValueError: a bound is not of the type, or no value of the type is in the range.
    """
    low, high = (_doubles if kind == "double" else _units)(rule, kind)
    if low > high:
        raise ValueError(f"range: no {kind} is {rule}; expected limits with values between them")
    return low, high


def _doubles(rule: Range, kind: str) -> tuple[Limit, Limit]:
    low = high = None
    if (bound := rule.min or rule.above) is not None:
        low = float(_number(bound, kind))
        low = math.nextafter(low, math.inf) if rule.above else low
    if (bound := rule.max or rule.below) is not None:
        high = float(_number(bound, kind))
        high = math.nextafter(high, -math.inf) if rule.below else high
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def _units(rule: Range, kind: str) -> tuple[Limit, Limit]:
    low, high = _of_type(kind)
    if rule.min is not None:
        low = max(low, math.ceil(_in_units(rule.min, kind)))
    if rule.above is not None:
        low = max(low, math.floor(_in_units(rule.above, kind)) + 1)
    if rule.max is not None:
        high = min(high, math.floor(_in_units(rule.max, kind)))
    if rule.below is not None:
        high = min(high, math.ceil(_in_units(rule.below, kind)) - 1)
    return low, high


def _of_type(kind: str) -> tuple[int, int]:
    """The least and the greatest value of a type, in its units."""
    if kind.startswith("decimal"):
        most = 10 ** int(re.findall(r"\d+", kind)[0]) - 1
        return -most, most
    if kind == "date":
        return _FIRST, _LAST
    if kind == "timestamp":
        return _FIRST * _DAY, (_LAST + 1) * _DAY - 1
    return -_INT64, _INT64 - 1


def _in_units(bound: str, kind: str) -> Fraction:
    if kind not in ("date", "timestamp"):
        return Fraction(_number(bound, kind)) * int(10 ** scale(kind))
    try:
        at = dt.datetime.fromisoformat(bound)
        if kind == "date" and len(bound) > len("2000-01-01"):
            raise ValueError
    except ValueError:
        raise ValueError(f"range: {bound} is not a {kind}") from None
    since = at - dt.datetime.combine(_EPOCH, dt.time())
    return Fraction(since // dt.timedelta(microseconds=1), 1 if kind == "timestamp" else _DAY)


def _number(bound: str, kind: str) -> Decimal:
    if bound[4:5] == "-" and bound[:4].isdigit():  # a date or a timestamp, by the canonical text
        raise ValueError(f"range: {bound} is not a number; the column is {kind}")
    return Decimal(bound)


def check(constraints: Iterable[Constraint], columns: Mapping[str, Column]) -> None:
    """Check the constraints of a contract.

    Args:
        columns: all columns by dotted path.

    Raises:
        ValueError: a column is not declared, a rule does not fit its type, or two constraints have the same name.
    """
    listed = list(constraints)
    counts = Counter(item.name for item in listed)
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise ValueError(f"constraints declared twice: {twice}; give each a `name` of its own")
    for item in listed:
        try:
            _check(item, columns)
        except ValueError as error:
            raise ValueError(f"constraint '{item.name}': {error}") from None


def _check(item: Constraint, columns: Mapping[str, Column]) -> None:
    for path in item.columns:
        if path not in columns:
            raise ValueError(f"column '{path}' is not declared; expected the dotted path of a column of the contract")
    column = columns[item.column]
    kind = column.type
    if kind.partition("(")[0] not in TYPES[item.rule] and not (item.rule == "length" and column.repeated):
        *others, last = TYPES[item.rule]
        expected = f"{', '.join(others)} or {last}" if others else last
        expected += ", or a repeated column" * (item.rule == "length")
        raise ValueError(f"column '{item.column}' is {kind}; {item.rule} expects {expected}")
    if item.range:
        limits(item.range, kind)
    wanted = {"string": str, "integer": int, "boolean": bool}
    for value in item.accepted_values or ():
        if type(value) is not wanted[kind] or (type(value) is int and not -_INT64 <= value < _INT64):
            raise ValueError(
                f"accepted value {value!r} is not of the column's type {kind}; expected values of that type, and texts "
                "such as 'yes' or '1' in quotes"
            )
    if item.other:
        _check_other(item.column, item.other, columns)


def _check_other(path: str, other: str, columns: Mapping[str, Column]) -> None:
    if path == other:
        raise ValueError(f"column '{path}' is compared with itself; expected another column")
    if columns[other].type != columns[path].type:
        raise ValueError(
            f"column '{other}' is {columns[other].type} and '{path}' {columns[path].type}; expected the same type"
        )
    around = lists(path, columns)
    if apart := [name for name in lists(other, columns) if name not in around]:
        raise ValueError(
            f"column '{other}' has several values for one of '{path}', by the list '{apart[0]}'; expected a column of "
            "the same element, or of what is around it"
        )


def lists(path: str, columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Return the paths of the lists around a value, outermost first; the column's own, if it is repeated, included."""
    parts = path.split(".")
    prefixes = (".".join(parts[: place + 1]) for place in range(len(parts)))
    return tuple(prefix for prefix in prefixes if columns[prefix].repeated)
