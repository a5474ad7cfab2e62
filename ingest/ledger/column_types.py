"""Types of the columns of contracts and bronze files, and which of them read as which."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.contracts.contract import Contract

INTEGER_DIGITS = 19
"""Digits of the longest 64-bit integer."""
_SQL = {"TEXT": "string", "VARCHAR": "string", "BIGINT": "integer"}
_TOKEN = re.compile(r'\s*(DECIMAL\(\d+, ?\d+\)|"[^"]+"|[A-Za-z_][A-Za-z0-9_]*|\[\]|[(),])')


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a column, and whether a record must have it.

    Attributes:
        base: the type in a contract; `struct` regardless of its fields.
    """

    base: str
    repeated: bool = False
    required: bool = False

    def __str__(self) -> str:
        return f"{self.base}{'[]' * self.repeated}{' required' * self.required}"

    @staticmethod
    def parse(text: str) -> Type:
        """Parse the text of a type."""
        base = text.removesuffix(" required")
        return Type(base.removesuffix("[]"), base.endswith("[]"), text.endswith(" required"))


Types = Mapping[str, Type]
"""Types of columns and struct fields by dotted path, parents first."""


def types_of(contract: Contract) -> dict[str, Type]:
    """Return the types of a contract's columns."""
    return {path: Type(normalized(column.type), column.repeated, column.required) for path, column in contract.walk()}


def file_types(columns: str) -> dict[str, Type]:
    """Return the types of a bronze file's columns, without lineage columns.

    Args:
        columns: the file's columns in the ledger, see LakeFile.
    """
    found: dict[str, Type] = {}
    for name, kind in json.loads(columns).items():
        if not name.startswith("_"):
            _read(_TOKEN.findall(kind), name, found)
    return found


def _read(tokens: list[str], path: str, found: dict[str, Type]) -> list[str]:
    """Parse one SQL type from the tokens into `found`, and return the remaining tokens."""
    name, *rest = tokens
    found[path] = Type("")  # parents first
    if name == "STRUCT":
        while rest[0] != ")":
            member = rest[1].strip('"')
            rest = _read(rest[2:], f"{path}.{member}", found)
        rest = rest[1:]
    repeated = rest[:1] == ["[]"]
    found[path] = Type(_SQL.get(name, normalized(name.lower())), repeated)
    return rest[1:] if repeated else rest


def normalized(kind: str) -> str:
    """Return a type as contracts write it.

    >>> normalized("decimal(9,2)"), normalized("decimal(9, 2)"), normalized("date")
    ('decimal(9, 2)', 'decimal(9, 2)', 'date')
    """
    return re.sub(r",\s*", ", ", kind)


def is_wider(old: str, new: str) -> bool:
    """Whether values of a type can be read as another one: all of them, or integers that doubles represent exactly."""
    return reads_exactly(old, new) or (old, new) == ("integer", "double")


def reads_exactly(old: str, new: str) -> bool:
    """Whether every value of a type is a value of another type too, and is loaded as that value.

    Integers as doubles depend on their values, see `refusals`.

    >>> reads_exactly("integer", "decimal(21, 2)"), reads_exactly("integer", "decimal(18, 0)")
    (True, False)
    >>> reads_exactly("decimal(9, 2)", "decimal(12, 4)"), reads_exactly("decimal(9, 2)", "decimal(10, 4)")
    (True, False)
    """
    if old == new or (old, new) == ("date", "timestamp"):
        return True
    if not new.startswith("decimal"):
        return False
    precision, scale = _digits(new)
    if old == "integer":
        return precision - scale >= INTEGER_DIGITS
    if not old.startswith("decimal"):
        return False
    old_precision, old_scale = _digits(old)
    return scale >= old_scale and precision - scale >= old_precision - old_scale


def _digits(decimal: str) -> tuple[int, int]:
    precision, scale = map(int, re.findall(r"\d+", decimal))
    return precision, scale
