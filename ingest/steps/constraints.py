"""The constraints of a contract, judged over whole columns; Python sees no row but those that violate one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from ingest.contracts.bounds import Limit, limits
from ingest.contracts.classes import Class, strictest
from ingest.contracts.constraint import HIDDEN_VALUE, Constraint, Length, Policy, Range, whole
from ingest.contracts.contract import Contract
from ingest.contracts.schema import record_schema
from ingest.steps.leaves import above, leaf, leaf_type, leaves, nested
from ingest.storage.arrays import Indices, as_numpy

MAX_EXPECTED, MAX_SHOWN = 300, 100
"""Characters of the rule and of a value that a detail shows."""
Mask = npt.NDArray[np.bool_]
_Test = Callable[[Any], Any]
"""Whether each of some values passes, NULL for NULL."""


@dataclass(frozen=True, slots=True)
class Violations:
    """The rows that violate one constraint.

    Attributes:
        rows: their positions, each once, in order.
        details: for each of them what was expected and found, for people; empty with policy warn.
    """

    constraint: Constraint
    rows: Indices
    details: Sequence[str] = ()


class Constraints:
    """The constraints of a contract."""

    def __init__(self, contract: Contract) -> None:
        classes = contract.classes()
        schema = record_schema(contract)
        self._judges = [
            _Judge(item, schema, contract.leaf(item.column).type, strictest(classes[path][0] for path in item.columns))
            for item in contract.constraints
        ]
        self.warning_names = sorted(item.name for item in contract.constraints if item.policy is Policy.WARN)
        """The names of constraints that only warn."""

    def violations(self, rows: pa.Table, judged: Mask | None = None) -> Iterator[Violations]:
        """Yield the rows that violate each constraint, in the contract's order.

        Args:
            rows: a table with the contract's schema.
            judged: which rows constraints apply to; None for all of them.
        """
        for judge in self._judges:
            if found := judge.violations(rows, judged):
                yield found

    def warnings(self, violated: Sequence[Violations], count: int) -> pa.Array:
        """Return the names of the constraints with policy warn that each of `count` rows violates; NULL for none.

        Names are in alphabetical order, so that the order of constraints in the contract does not matter.
        """
        found = {item.constraint.name: item.rows for item in violated if item.constraint.policy is Policy.WARN}
        if not found:
            return pa.nulls(count, pa.list_(pa.string()))
        marks = np.zeros((count, len(self.warning_names)), dtype=bool)
        for name, positions in found.items():
            marks[positions, self.warning_names.index(name)] = True
        per_row = marks.sum(axis=1)
        offsets = np.concatenate(([0], np.cumsum(per_row))).astype(np.int32)
        names = pa.array(self.warning_names).take(pa.array(np.nonzero(marks)[1]))
        return pa.ListArray.from_arrays(pa.array(offsets), names, mask=pa.array(per_row == 0))


class _Judge:
    """One constraint over the columns that it reads."""

    def __init__(self, constraint: Constraint, schema: pa.Schema, kind: str, class_: Class) -> None:
        self._constraint, self._class = constraint, class_
        self._parts = constraint.column.split(".")
        self._flat = constraint.rule != "length"
        self._others = constraint.other.split(".") if constraint.other else None
        self._test = None if self._others else _test(constraint, leaf_type(schema, self._parts), kind)

    def violations(self, rows: pa.Table, judged: Mask | None) -> Violations | None:
        """Return the rows that violate the constraint; None if none does."""
        if self._others:
            positions, values, beside, failed = self._compared(rows, self._others)
        else:
            assert self._test is not None
            if pc.all(self._test(leaf(rows, self._parts, flat=self._flat))).as_py() is not False:
                return None
            positions, values = leaves(rows, self._parts, flat=self._flat)
            beside, failed = None, np.flatnonzero(~as_numpy(pc.fill_null(self._test(values), True)))
        if judged is not None:
            failed = failed[judged[positions[failed]]]
        if not len(failed):
            return None
        where, first = np.unique(positions[failed], return_index=True)
        if self._constraint.policy is Policy.WARN:
            return Violations(self._constraint, where)
        return Violations(self._constraint, where, self._details(values, beside, failed[first]))

    def _compared(self, rows: pa.Table, others: list[str]) -> tuple[Indices, pa.Array, pa.Array, Indices]:
        """Return the row of each value, the values, what each is compared with, and where that fails."""
        values, parents = nested(rows, self._parts)
        beside, around = nested(rows, others)
        if len(parents) > len(around):
            beside = beside.take(pa.array(above(parents[len(around) :], len(values))))
        violates = pc.less if self._constraint.not_before else pc.greater
        failed = np.flatnonzero(as_numpy(pc.fill_null(violates(values, beside), False)))
        return above(parents, len(values)), values, beside, failed

    def _details(self, values: pa.Array, beside: pa.Array | None, places: Indices) -> list[str]:
        start = f"{self._constraint.name}: expected {_short(self._constraint.expected, MAX_EXPECTED)}"
        if self._class.is_personal:
            return [start + HIDDEN_VALUE] * len(places)
        taken = pa.array(places)
        found = map(_shown, values.take(taken).to_pylist())
        if beside is None:
            return [f"{start}, found {value}" for value in found]
        compared = map(_shown, beside.take(taken).to_pylist())
        return [f"{start}, found {one} and {other}" for one, other in zip(found, compared, strict=True)]


def _test(constraint: Constraint, arrow: pa.DataType, kind: str) -> _Test:
    """Return the test of a constraint on one column, with the column's Arrow type and its type in the contract."""
    if constraint.range:
        return _within(constraint.range, arrow, kind)
    if constraint.pattern is not None:
        return partial(pc.match_substring_regex, pattern=whole(constraint.pattern))
    if constraint.accepted_values:
        accepted = pa.array([*constraint.accepted_values, None], arrow)  # so that NULL passes
        return partial(pc.is_in, value_set=accepted)
    assert constraint.length is not None
    return partial(_long_enough, constraint.length)


def _within(rule: Range, arrow: pa.DataType, kind: str) -> _Test:
    low, high = (_scalar(limit, arrow) for limit in limits(rule, kind))
    if rule.max is None and rule.below is None:
        return lambda values: pc.greater_equal(values, low)
    if rule.min is None and rule.above is None:
        return lambda values: pc.less_equal(values, high)
    return lambda values: pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))


def _scalar(limit: Limit, arrow: pa.DataType) -> pa.Scalar:
    if pt.is_decimal(arrow):  # arithmetic would round it to 28 digits
        limit = Decimal((int(limit < 0), tuple(map(int, str(abs(int(limit))))), -arrow.scale))  # type: ignore[assignment]
    return pa.scalar(limit, arrow)


def _long_enough(rule: Length, values: Any) -> Any:
    sizes = pc.list_value_length(values) if pt.is_list(values.type) else pc.utf8_length(values)
    tests = [pc.greater_equal(sizes, rule.min)] * (rule.min is not None)
    tests += [pc.less_equal(sizes, rule.max)] * (rule.max is not None)
    return pc.and_(*tests) if len(tests) > 1 else tests[0]


def _shown(value: Any) -> str:
    if isinstance(value, str):
        length = f" of {len(value):,} characters" if len(value) > MAX_SHOWN else ""
        return f"'{_short(value, MAX_SHOWN)}'{length}"
    if isinstance(value, list):
        return f"{len(value):,} elements"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
