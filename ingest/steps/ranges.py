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
from ingest.steps.leaves import leaf, leaf_type, leaves
from ingest.storage.arrays import Indices, as_numpy

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
        schema = record_schema(contract)
        for path, column in contract.walk():
            kind = leaf_type(schema, path.split("."))
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
