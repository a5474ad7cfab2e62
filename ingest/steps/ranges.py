"""Range checks for values that are well-formed but outside their column's type, or too large for models to sum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from ingest.contracts.contract import Contract
from ingest.contracts.schema import MAX_DOUBLE, record_schema
from ingest.storage.arrays import Indices, as_numpy, single_array

_YEAR_1, _YEAR_10000 = -719_162, 2_932_897  # in days from 1970


@dataclass(frozen=True, slots=True)
class OutOfRange:
    """The rows in which one column is out of range.

    Attributes:
        path: dotted path of the column.
        rows: their positions, each once.
        details: what was found, as text for people, by position.
    """

    path: str
    reason: str
    rows: Indices
    details: dict[int, str]


class Ranges:
    """The ranges of a contract's columns, including members of structs and items of lists.

    Arrow's JSON reader reads an integer of 400 digits as infinity, and accepts 99999 for a decimal(5, 2) and times in
    years that Python's calendar does not support.
    """

    def __init__(self, contract: Contract) -> None:
        self._limits: list[tuple[list[str], pa.Scalar, pa.Scalar, str, str]] = []
        kinds = {field.name: field.type for field in record_schema(contract)}
        for path, column in contract.walk():
            kind: Any = pa.struct(list(kinds.items()))
            for name in path.split("."):
                kind = _item(kind).field(name).type
            kind = _item(kind)
            if pt.is_floating(kind):
                limits: tuple[Any, ...] = (-MAX_DOUBLE, MAX_DOUBLE)
                reason, expected = "number_out_of_range", f"±{MAX_DOUBLE:g}"
            elif pt.is_decimal(kind):
                nines = (9,) * kind.precision  # arithmetic would round them to 28 digits
                limits = tuple(Decimal((sign, nines, -kind.scale)) for sign in (1, 0))
                reason, expected = "wrong_type", f"the range of {column.type}"
            elif pt.is_timestamp(kind) or pt.is_date(kind):
                scale = 86_400_000_000 if pt.is_timestamp(kind) else 1
                limits = (_YEAR_1 * scale, _YEAR_10000 * scale - 1)
                reason, expected = "wrong_type", "the years 1 to 9999"
            else:
                continue
            lowest, highest = (pa.scalar(limit, kind) for limit in limits)
            self._limits.append((path.split("."), lowest, highest, reason, expected))

    def out_of_range(self, rows: pa.Table) -> Iterator[OutOfRange]:
        """The columns of a table with the contract's schema that have values out of range."""
        for parts, lowest, highest, reason, expected in self._limits:
            extremes = pc.min_max(leaf(rows, parts))
            if extremes["min"].is_valid and not (
                pc.greater_equal(extremes["min"], lowest).as_py() and pc.less_equal(extremes["max"], highest).as_py()
            ):
                positions, values = leaves(rows, parts)
                inside = pc.and_(pc.greater_equal(values, lowest), pc.less_equal(values, highest))
                outside = np.flatnonzero(~as_numpy(pc.fill_null(inside, True)))
                where, first = np.unique(positions[outside], return_index=True)
                found = pc.cast(values.take(pa.array(outside[first])), pa.string()).to_pylist()
                details = {
                    row: f"{text} is outside {expected}" for row, text in zip(where.tolist(), found, strict=True)
                }
                yield OutOfRange(".".join(parts), reason, where, details)


def leaf(rows: pa.Table, parts: list[str]) -> pa.ChunkedArray:
    """All values of the column at a path, with lists flattened."""
    values = rows.column(parts[0])
    for name in parts[1:]:
        values = pc.struct_field(_flat(values), name)
    return _flat(values)


def leaves(rows: pa.Table, parts: list[str]) -> tuple[Indices, pa.Array]:
    """The values that `leaf` returns, each with the position of its row."""
    values = single_array(rows.column(parts[0]))
    positions: Indices = np.arange(len(values))
    for name in (*parts[1:], None):
        if pt.is_list(values.type):
            positions = positions[as_numpy(pc.list_parent_indices(values))]
            values = pc.list_flatten(values)
        if name is not None:
            values = pc.struct_field(values, name)
    return positions, values


def _item(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pt.is_list(kind) else kind


def _flat(values: Any) -> Any:
    return pc.list_flatten(values) if pt.is_list(values.type) else values
