"""How a role sees a column: clear, as a keyed hash, in part, in buckets, or not at all; as SQL of DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from sqlglot import exp

from ingest.sql import identifier, literal
from pipeline.access.role_keys import KEY_VARIABLES

HASH_DIGITS = 32
"""Hexadecimal digits of a hash that are kept: 128 bits, so that two of a billion values meet with a chance of 1e-20."""
ELLIPSIS = "…"
_PERIODS = ("day", "week", "month", "quarter", "year")


class Show(StrEnum):
    """The kinds of masks."""

    CLEAR = "clear"
    HASH = "hash"
    PARTIAL = "partial"
    BUCKET = "bucket"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Mask:
    """How a column is shown.

    Attributes:
        by: of `partial` the characters that are kept; of `bucket` the width of a bucket of numbers, or the period of
            dates and times.
    """

    show: Show
    by: int | str | None = None

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read `clear`, `hash`, `null`, `{partial: 2}`, `{bucket: 10}` or `{bucket: month}`.

        Raises:
            ValueError: it is none of them.
        """
        if value is None or value in (Show.CLEAR, Show.HASH, Show.NULL):
            return cls(Show(value or Show.NULL))
        if isinstance(value, dict) and len(value) == 1:
            ((kind, by),) = value.items()
            is_count = isinstance(by, int) and not isinstance(by, bool) and by > 0
            if (kind == Show.PARTIAL and is_count) or (kind == Show.BUCKET and (is_count or by in _PERIODS)):
                return cls(Show(kind), by)
        raise ValueError(
            f"{value!r} is no mask; expected clear, hash, null, {{partial: <characters>}}, {{bucket: <width>}} or "
            f"{{bucket: {' | '.join(_PERIODS)}}}"
        )

    @property
    def keeps_keys(self) -> bool:
        """Whether different values stay different, so that rows stay identified and tables can be joined."""
        return self.show in (Show.CLEAR, Show.HASH)

    def kind(self, kind: str) -> str:
        """The type of the masked column, given that of the column."""
        return "TEXT" if self.show is Show.HASH else kind

    def sql(self, column: str, kind: str, subject: str) -> str:
        """The masked column as an expression.

        Args:
            kind: type of the column.
            subject: whose value it is; the same value of two kinds of persons has two hashes.

        Raises:
            ValueError: columns of that type cannot be masked so; the message says what was expected.
        """
        name, own = identifier(column), exp.DataType.build(kind, dialect="duckdb")
        if self.show is Show.CLEAR:
            return name
        if self.show is Show.NULL:
            return f"CAST(NULL AS {kind})"
        is_nested = own.is_type(exp.DataType.Type.ARRAY, exp.DataType.Type.LIST, *exp.DataType.STRUCT_TYPES)
        if self.show is Show.HASH and not is_nested:
            inner, outer = (f"getvariable('{variable}')" for variable in KEY_VARIABLES)
            text = f"encode({literal(f'{subject}:')} || CAST({name} AS VARCHAR))"
            digest = f"sha256({outer} || unhex(sha256({inner} || {text})))"
            return f"CASE WHEN {name} IS NOT NULL THEN left({digest}, {HASH_DIGITS}) END"
        if self.show is Show.PARTIAL and own.is_type(*exp.DataType.TEXT_TYPES):
            kept = f"left({name}, least({self.by}, length({name}) // 2))"  # of a short text not all of it
            return f"CASE WHEN {name} IS NOT NULL THEN {kept} || '{ELLIPSIS}' END"
        if self.show is Show.BUCKET and isinstance(self.by, int) and own.is_type(*exp.DataType.NUMERIC_TYPES):
            return f"CAST(floor({name} / {self.by}) * {self.by} AS {kind})"
        if self.show is Show.BUCKET and isinstance(self.by, str) and own.is_type(*exp.DataType.TEMPORAL_TYPES):
            return f"CAST(date_trunc('{self.by}', {name}) AS {kind})"
        fitting = "clear or null" if is_nested else "another mask, such as hash or null"
        raise ValueError(f"{column} is of type {kind}, which {self} does not suit; expected {fitting}")

    def __str__(self) -> str:
        return self.show.value if self.by is None else f"{{{self.show.value}: {self.by}}}"
