"""Which columns identify a record: those, or pairs of them, whose values are unique over all samples."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_TRACKED = 200
"""Columns whose values are compared; further ones are no candidates."""
MAX_COMPARED = 100_000
"""Records that are compared; later ones are not, so that memory is bounded."""
MAX_PAIRED = 12
"""Columns that are tried in pairs."""
MAX_MISSING, LEAST_RECORDS = 0.01, 100
"""Share of the records, of at least so many, that may lack a value by a fault."""
_MISSING = 0


class Keys:
    """Fingerprints of the values of columns, by record. A record sent twice, byte for byte, counts once.

    Attributes:
        records: number of different records.
        repeated: number of records that were equal to an earlier one.
    """

    def __init__(self) -> None:
        self.records = self.repeated = 0
        self._lines: set[int] = set()
        self._columns: dict[str, array[int]] = {}

    def observe(self, line: bytes, record: dict[str, Any]) -> None:
        """Take one record into account.

        Args:
            line: the record as text.
            record: its fields; lists and objects are not compared.
        """
        if self.records >= MAX_COMPARED:
            return
        mark = hash(line)
        if mark in self._lines:
            self.repeated += 1
            return
        self._lines.add(mark)
        for name, value in record.items():
            if value is None or isinstance(value, list | dict | float):
                continue
            column = self._columns.get(name)
            if column is None:
                if len(self._columns) >= MAX_TRACKED:
                    continue
                column = self._columns[name] = array("q")
            column.extend([_MISSING] * (self.records - len(column)))
            column.append(hash((type(value).__name__, value)) or 1)
        self.records += 1

    def always(self, name: str) -> bool:
        """Whether every record has a value of the column, but for a few that are faulty."""
        missing = self.records - int(np.count_nonzero(self._values(name)))
        return bool(self.records) and missing <= (MAX_MISSING * self.records if self.records >= LEAST_RECORDS else 0)

    def repeats(self, *names: str) -> int:
        """Return the number of records whose values of the columns another record before them has as well."""
        found = self._combined(names)
        return len(found) - len(np.unique(found))

    def is_unique(self, *names: str) -> bool:
        """Whether no two records have the same values of the columns, and every one has them, but for a few."""
        return all(map(self.always, names)) and not self.repeats(*names)

    def unique_pairs(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Return the pairs among the first MAX_PAIRED of some columns that are unique though neither column is."""
        single = [name for name in names if self.always(name) and not self.is_unique(name)][:MAX_PAIRED]
        return [pair for pair in combinations(single, 2) if self.is_unique(*pair)]

    def _values(self, name: str) -> npt.NDArray[np.int64]:
        values = np.zeros(self.records, np.int64)
        found = self._columns.get(name)
        if found:
            values[: len(found)] = np.frombuffer(found, np.int64)
        return values

    def _combined(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """A fingerprint of the values of several columns, of each record that has all of them."""
        combined = np.zeros(self.records, np.uint64)
        has_all = np.ones(self.records, bool)
        for name in names:
            has_all &= self._values(name) != _MISSING
            combined = combined * np.uint64(0x9E3779B97F4A7C15) + self._values(name).view(np.uint64)
            combined ^= combined >> np.uint64(29)
        return combined[has_all].view(np.int64)
