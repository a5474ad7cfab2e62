"""A constraint of a contract: a rule for the values of a column, and what becomes of a record that violates it."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ingest.contracts.column import lower_snake_case
from ingest.contracts.source import Strict

RULES = ("range", "accepted_values", "pattern", "length", "not_before", "not_after")
VIOLATED = "constraint_violated"
"""Reason of a record that a constraint rejects. Its detail begins with the constraint's name and a colon."""
HIDDEN_VALUE = "; the value is not shown, because the column is personal"
"""End of the detail when the values that a constraint reads are personal."""
_NUMBER = re.compile(r"[+-]?\d{1,100}(\.\d{1,100})?([eE][+-]?\d{1,3})?", re.ASCII)
_EXACT_DIGITS = 15
"""A number of at most so many digits is the same after it was read as a double."""
_MOST_LISTED = 10


class Policy(StrEnum):
    """What becomes of a record that violates a constraint.

    `quarantine`: it is rejected. `warn`: it is loaded, and its row names the constraint in `_warnings`.
    """

    QUARANTINE = "quarantine"
    WARN = "warn"


def _bound(value: Any) -> str:
    """Return the canonical text of a bound as YAML reads it: a plain decimal number, a date, or a UTC timestamp."""
    if isinstance(value, dt.datetime):
        return _utc(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float) and len(re.sub(r"[.-]|e.*", "", repr(value)).strip("0")) > _EXACT_DIGITS:
        raise ValueError(f"{value!r} has more digits than a YAML number keeps; write the bound in quotes")
    text = "" if isinstance(value, bool) else str(value).strip()
    if _NUMBER.fullmatch(text):
        number = f"{Decimal(text):f}"
        number = number.rstrip("0").rstrip(".") if "." in number else number
        return "0" if number in ("-0", "+0") else number
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    try:
        return _utc(dt.datetime.fromisoformat(text))
    except ValueError:
        raise ValueError(f"{value!r} is not a bound; expected a number, a date or a timestamp") from None


def _utc(at: dt.datetime) -> str:
    return (at.astimezone(dt.UTC).replace(tzinfo=None) if at.tzinfo else at).isoformat(" ")


Bound = Annotated[str, BeforeValidator(_bound)]


class Range(Strict):
    """Limits of a value; `min` and `max` are inclusive, `above` and `below` exclusive."""

    min: Bound | None = None
    above: Bound | None = None
    max: Bound | None = None
    below: Bound | None = None

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if self.min is not None and self.above is not None:
            raise ValueError("range: `min` and `above` are both given; expected one lower limit")
        if self.max is not None and self.below is not None:
            raise ValueError("range: `max` and `below` are both given; expected one upper limit")
        if not any(limit is not None for limit in (self.min, self.above, self.max, self.below)):
            raise ValueError("range: no limit is given; expected min or above, max or below, or one of each")
        return self

    def __str__(self) -> str:
        limits = (("at least", self.min), ("above", self.above), ("at most", self.max), ("below", self.below))
        return " and ".join(f"{words} {limit}" for words, limit in limits if limit is not None)


class Length(Strict):
    """Limits of the number of characters (code points) of a text, or of elements of a list; both inclusive."""

    min: int | None = Field(default=None, ge=0, strict=True)
    max: int | None = Field(default=None, ge=0, strict=True)

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("length: no limit is given; expected min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"length: nothing is at least {self.min} and at most {self.max} long; swap the limits")
        return self

    def __str__(self) -> str:
        if self.min == self.max:
            return f"exactly {self.min}"
        limits = (("at least", self.min), ("at most", self.max))
        return " and ".join(f"{words} {limit}" for words, limit in limits if limit is not None)


def _accepted(value: Any) -> Any:
    if isinstance(value, str | int):  # a boolean is an int
        return value
    kind = "NULL" if value is None else f"a {type(value).__name__}"
    raise ValueError(f"{value} is {kind}; expected strings, integers or booleans, a string that looks different quoted")


def _pattern(value: str) -> str:
    """Check a regular expression as the judge of records uses it: alone, and anchored."""
    import pyarrow as pa  # only contracts with patterns need it
    import pyarrow.compute as pc

    for pattern in (value, whole(value)):
        try:
            pc.match_substring_regex(pa.array([""]), pattern=pattern)
        except pa.ArrowInvalid as error:
            reason = str(error).removeprefix("Invalid regular expression: ")
            raise ValueError(
                f"'{value}' is not a pattern: {reason}; expected RE2 syntax, which has no look-around and no references"
            ) from None
    return value


def whole(pattern: str) -> str:
    r"""Anchor a pattern at both ends of a text.

    >>> print(whole("a|b"))
    \A(?:a|b)\z
    """
    return rf"\A(?:{pattern})\z"


class Constraint(Strict):
    """A rule for the values of one column. NULL passes every rule: `required` of the column is the rule for NULL.

    Attributes:
        name: unique in the contract; by default the column and the rule, as in `amount_range`.
        column: dotted path; within lists each element is judged.
        policy: what becomes of a record that violates it.
        range: of numbers, dates and timestamps.
        accepted_values: of strings, integers and booleans.
        pattern: RE2 expression that the whole text matches, in linear time.
        length: of a text in characters, or of a list in elements.
        not_before: another column of the same type, date or timestamp, that is at most as late.
        not_after: another column of the same type, date or timestamp, that is at least as late.
    """

    name: Annotated[str, AfterValidator(lower_snake_case)]
    column: str
    policy: Policy = Policy.QUARANTINE
    range: Range | None = None
    accepted_values: tuple[Annotated[str | int | bool, BeforeValidator(_accepted)], ...] | None = Field(
        default=None, min_length=1
    )
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    length: Length | None = None
    not_before: str | None = None
    not_after: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = [rule for rule in RULES if data.get(rule) is not None]
        if len(given) != 1:
            found = f"{' and '.join(given)} are given" if given else "none is"
            raise ValueError(
                f"constraint of '{data.get('column')}': expected exactly one of {', '.join(RULES)}; {found}"
            )
        if data.get("name") is None and isinstance(data.get("column"), str):
            return data | {"name": f"{data['column'].replace('.', '_')}_{given[0]}"}
        return data

    @property
    def rule(self) -> str:
        """The name of its rule, one of RULES."""
        return next(rule for rule in RULES if getattr(self, rule) is not None)

    @property
    def other(self) -> str | None:
        """The path of the column that it compares with."""
        return self.not_before or self.not_after

    @property
    def columns(self) -> tuple[str, ...]:
        """The paths of all columns that it reads."""
        return (self.column, self.other) if self.other else (self.column,)

    @property
    def expected(self) -> str:
        """What it expects of a value, in words."""
        match self.rule:
            case "accepted_values":
                values = self.accepted_values or ()
                listed = ", ".join(
                    str(value).lower() if isinstance(value, bool) else str(value) for value in values[:_MOST_LISTED]
                )
                return f"one of {listed}" + (f" and {len(values) - _MOST_LISTED:,} more" * (len(values) > _MOST_LISTED))
            case "pattern":
                return f"a text that matches {self.pattern}"
            case "length":
                return f"a length of {self.length}"
            case "not_before":
                return f"not before {self.other}"
            case "not_after":
                return f"not after {self.other}"
            case _:
                return str(self.range)

    def text(self) -> str:
        """Return it as canonical JSON, without its name: equal for constraints that accept the same values."""
        fields = self.model_dump(mode="json", exclude_none=True, exclude={"name"})
        if self.accepted_values:
            fields["accepted_values"] = sorted(set(self.accepted_values))  # of one type, see bounds.check
        return json.dumps(fields, separators=(",", ":"), sort_keys=True, ensure_ascii=False)

    @staticmethod
    def parse(name: str, text: str) -> Constraint:
        """Parse the text of a constraint."""
        return Constraint.model_validate(json.loads(text) | {"name": name})
