"""Filters of a query: a dimension, an operator and values, which are literals and never SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from sqlglot import exp

from ingest.errors import ConfigError
from ingest.text import printable


class Operator(StrEnum):
    """How a dimension is compared. `!=` and `not in` are the complements of `=` and `in`: they keep unknown values."""

    EQ = "="
    NE = "!="
    GE = ">="
    LE = "<="
    GT = ">"
    LT = "<"
    IN = "in"
    NOT_IN = "not in"
    IS_NULL = "is null"
    IS_NOT_NULL = "is not null"


_TEXT = re.compile(
    r"\s*(?P<dimension>[A-Za-z_]\w*)\s*(?:"
    r"(?P<null>is\s+(?:not\s+)?null)\s*"
    r"|(?P<list>(?:not\s+)?in)(?=[\s(])\s*(?P<values>.*)"
    r"|(?P<operator>!=|>=|<=|=|>|<)(?P<value>.*)"
    r")",
    re.IGNORECASE | re.DOTALL,
)
_COMPARISONS: dict[Operator, type[exp.Binary]] = {
    Operator.EQ: exp.EQ,
    Operator.GE: exp.GTE,
    Operator.LE: exp.LTE,
    Operator.GT: exp.GT,
    Operator.LT: exp.LT,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on a dimension.

    Attributes:
        values: as text; they are read as values of the column's type. Several for `in` and `not in`, none for
            `is null` and `is not null`, otherwise one.
    """

    dimension: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wanted = {Operator.IS_NULL: 0, Operator.IS_NOT_NULL: 0}.get(self.operator, 1)
        many = self.operator in (Operator.IN, Operator.NOT_IN)
        if len(self.values) != wanted and not (many and self.values):
            raise ConfigError(f"{self}: {len(self.values)} values; expected {'one or more' if many else wanted}")

    def __str__(self) -> str:
        return f"{self.dimension} {self.operator} {', '.join(self.values)}".rstrip()

    def fixes(self) -> bool:
        """Whether it leaves one value of the dimension."""
        return self.operator in (Operator.EQ, Operator.IS_NULL) or (
            self.operator == Operator.IN and len(set(self.values)) == 1
        )

    def sql(self) -> exp.Expression:
        """The condition. DuckDB casts a text literal to the type of the column that it is compared with."""
        column = exp.column(self.dimension, quoted=True)
        literals = [exp.Literal.string(value) for value in self.values]
        match self.operator:
            case Operator.IS_NULL | Operator.IS_NOT_NULL:
                is_null = exp.Is(this=column, expression=exp.Null())
                return is_null if self.operator == Operator.IS_NULL else exp.Not(this=is_null)
            case Operator.IN:
                return exp.In(this=column, expressions=literals)
            case Operator.NE | Operator.NOT_IN:
                is_unknown = exp.Is(this=column.copy(), expression=exp.Null())
                return exp.paren(exp.or_(is_unknown, exp.Not(this=exp.In(this=column, expressions=literals))))
        return _COMPARISONS[self.operator](this=column, expression=literals[0])


def parse_filter(text: str) -> Filter:
    """Read a condition from the command line: `country_code=fr`, `plan_id in (a, 'b, c')`, `os_name is null`.

    Values may stand in quotes, in which a comma is part of the value; a quote within them is doubled or in the other
    kind of quotes. In `dimension=value` everything behind the operator is the value unless it stands in quotes.

    Raises:
        ConfigError: it is none of the known forms.
    """
    found = _TEXT.fullmatch(text)
    if not found:
        raise ConfigError(
            f"'{printable(text)}' is not a filter; expected for instance country_code=fr, country_code!=fr, "
            "country_code in (fr, de), country_code is null or month_number>=3"
        )
    dimension = found["dimension"]
    if found["null"]:
        return Filter(dimension, Operator(" ".join(found["null"].lower().split())))
    if found["list"]:
        listed = found["values"].strip()
        if listed.startswith("(") and listed.endswith(")"):
            listed = listed[1:-1]
        return Filter(dimension, Operator(" ".join(found["list"].lower().split())), _values(listed, text))
    return Filter(dimension, Operator(found["operator"]), (_unquoted(found["value"].strip()),))


def _unquoted(value: str) -> str:
    for quote in "'\"":
        if len(value) >= 2 and value[0] == value[-1] == quote:
            inner = value[1:-1]
            if quote not in inner.replace(quote * 2, ""):
                return inner.replace(quote * 2, quote)
    return value


def _values(listed: str, text: str) -> tuple[str, ...]:
    """Split a list at its commas outside quotes."""
    pattern = r"""\s*('(?:[^']|'')*'|"(?:[^"]|"")*"|[^,]*?)\s*(?:,|$)"""
    values, position = [], 0
    while position < len(listed):
        found = re.compile(pattern, re.DOTALL).match(listed, position)
        if not found or (not found[1] and not found[0].strip(" ,")):
            raise ConfigError(f"'{printable(text)}': a value of the list is empty; quote an empty text: ''")
        values.append(_unquoted(found[1]))
        position = found.end()
    return tuple(values)
