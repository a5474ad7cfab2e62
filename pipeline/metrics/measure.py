"""How a metric is computed from the rows of its table, and over what it may be summed."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from pipeline.warehouse.engine import DIALECT


class Kind(StrEnum):
    """What may be summed.

    `sum`, `count`: over periods and dimensions. `last`: over dimensions; a longer period has the value of its last
    date. `stored`: nothing, each value stands for itself. `ratio`: nothing, but its parts can, and are divided then.
    """

    SUM = "sum"
    COUNT = "count"
    LAST = "last"
    STORED = "stored"
    RATIO = "ratio"


class Measure(BaseModel):
    """One of: `{sum: columns}`, `{count: column}`, `{last: columns}`, `{stored: column}`, `{ratio: [metric, metric]}`.

    Attributes:
        kind: which of them.
        expression: a column, or columns joined by + and -, each also multiplied or divided by a number; empty for a
            ratio.
        ratio: names of the metrics that are divided; empty for others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    expression: str = ""
    ratio: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in set(Kind):
            raise ValueError(f"is {value!r}; expected one of sum, count, last, stored, ratio and what it applies to")
        kind, applied = next(iter(value.items()))
        if kind == Kind.RATIO:
            if not (isinstance(applied, list) and len(applied) == 2):
                raise ValueError(f"ratio is {applied!r}; expected [numerator, denominator], names of two metrics")
            return {"kind": kind, "ratio": tuple(map(str, applied))}
        return {"kind": kind, "expression": str(applied)}

    @model_validator(mode="after")
    def _columns_alone(self) -> Self:
        if self.kind != Kind.RATIO:
            tree = self.tree()
            if self.kind in (Kind.COUNT, Kind.STORED) and not isinstance(tree, exp.Column):
                raise ValueError(f"{self.kind} is '{self.expression}'; expected one column")
        return self

    def tree(self) -> exp.Expression:
        """The expression, with quoted columns.

        Raises:
            ValueError: it is anything else.
        """
        try:
            tree = parse_one(self.expression, dialect=DIALECT)
        except SqlglotError:
            tree = exp.Anonymous()
        if not _is_linear(tree):
            raise ValueError(
                f"{self.kind} is '{self.expression}'; expected a column, or columns joined by + and -, each also "
                "multiplied or divided by a number"
            )
        return tree.transform(quote)

    def columns(self) -> set[str]:
        """The columns that it reads; empty for a ratio."""
        return {column.name for column in self.tree().find_all(exp.Column)} if self.expression else set()


def _is_linear(tree: exp.Expression) -> bool:
    """Whether the sum of an expression is the expression of the sums."""
    match tree:
        case exp.Column():
            return not tree.table
        case exp.Add() | exp.Sub():
            return _is_linear(tree.this) and _is_linear(tree.expression)
        case exp.Neg() | exp.Paren():
            return _is_linear(tree.this)
        case exp.Mul() | exp.Div():
            return _is_linear(tree.this) and isinstance(tree.expression, exp.Literal) and tree.expression.is_number
    return False


def quote(node: exp.Expression) -> exp.Expression:
    """Quote an identifier, so that no column is taken for a keyword; for `transform`."""
    return exp.to_identifier(node.name, quoted=True) if isinstance(node, exp.Identifier) else node


def condition(text: str) -> exp.Expression:
    """Parse the `where` of a definition: a condition on columns of the table.

    Raises:
        ValueError: it is not SQL, contains a query, or qualifies a column by its table.
    """
    try:
        tree = parse_one(text, into=exp.Condition, dialect=DIALECT)
    except SqlglotError as error:
        raise ValueError(f"'{text}' is not an SQL condition: {str(error).splitlines()[0]}") from None
    if tree.find(exp.Query, exp.Subquery) or any(column.table for column in tree.find_all(exp.Column)):
        raise ValueError(f"'{text}'; expected a condition on columns of the table alone")
    return tree.transform(quote)


def fixed_columns(where: str) -> set[str]:
    """Columns that a `where` fixes to one value, by `column = value`, joined by AND."""
    if not where:
        return set()
    found = set()
    tree = condition(where)
    for part in tree.flatten() if isinstance(tree, exp.And) else (tree,):
        part = part.unnest()
        if isinstance(part, exp.EQ) and isinstance(part.this, exp.Column) and isinstance(part.expression, exp.Literal):
            found.add(part.this.name)
        elif isinstance(part, exp.Column):
            found.add(part.name)
    return found
