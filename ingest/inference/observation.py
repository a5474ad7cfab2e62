"""What sampled records are like, taken line by line in bounded memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from ingest.formats.fields import JSON_ERRORS, MAX_NESTING, Refused
from ingest.formats.tokens import is_deeper_than
from ingest.inference.changes import Changes
from ingest.inference.declared import Declared
from ingest.inference.field import MAX_SURVEYED, Budget
from ingest.inference.keys import Keys
from ingest.inference.profile import Profile

_record = msgspec.json.Decoder(float_hook=float).decode


class Observation:
    """The fields of the records seen so far.

    Attributes:
        records: number of records, those that are not JSON objects included.
        unreadable: number of records that are no JSON object.
        fields: the fields of the records, by name, in order of appearance.
        keys: which values repeat.
        rows: number of rows that fields are counted in: records, or of change events the rows after a change.
        changes: where change events come from; None of other samples.
        sources: number of records by format: `csv`, `parquet` or `json`.
    """

    def __init__(self, *, of_changes: bool = False) -> None:
        self.records = self.unreadable = self.rows = 0
        self.changes = Changes() if of_changes else None
        self.fields: dict[str, Profile] = {}
        self.keys = Keys()
        self.sources: Counter[str] = Counter()
        self._budget = Budget(MAX_SURVEYED)
        self._declared: dict[str, Declared] | None = None

    @property
    def readable(self) -> int:
        """The number of records that are JSON objects."""
        return self.records - self.unreadable

    @property
    def is_complete(self) -> bool:
        """Whether there were at most MAX_SURVEYED fields."""
        return self._budget.left >= 0

    def declare(self, types: dict[str, Declared]) -> None:
        """Take the types that a source states into account; those of the source before cost nothing."""
        if types is self._declared:
            return
        self._declared = types
        for name, declared in types.items():
            if (field := self._field(name)) is not None:
                field.declare(declared, self._budget)

    def observe(self, line: bytes, source: str, types: dict[str, Declared] | None = None) -> None:
        """Take one line into account.

        Args:
            source: the format that it was converted from: `csv`, `parquet` or `json`.
            types: what the source states of its fields.
        """
        self.records += 1
        if self.changes is not None:
            self._observe_change(self.changes, line, source)
            return
        try:
            record = None if is_deeper_than(line, MAX_NESTING) else _record(line)
        except JSON_ERRORS:
            record = None
        if not isinstance(record, dict):
            self.unreadable += 1
            return
        self.sources[source] += 1
        self.rows += 1
        self.keys.observe(line, record)
        self._fields(record, types or {}, is_csv=source == "csv")

    def _observe_change(self, changes: Changes, line: bytes, source: str) -> None:
        try:
            change = changes.open(line) if not is_deeper_than(line, MAX_NESTING) else None
        except (Refused, *JSON_ERRORS):
            change = None
        if change is None:
            self.unreadable += 1
            return
        self.sources[source] += 1
        if isinstance(change, str):
            return
        self.declare(change.types)
        for name in change.unavailable:
            if (field := self._field(name)) is not None:
                field.present += 1  # it has a value, which the source left out
        row = {name: value for name, value in (change.after or {}).items() if name not in change.unavailable}
        if change.after is not None:
            self.rows += 1
            self.keys.observe(line, row)
            self._fields(row, change.types)
        elif change.before is not None:  # a deletion may have the key alone: it says nothing of what is required
            self._fields(change.before, change.types, is_counted=False)

    def _fields(
        self, record: dict[str, Any], types: dict[str, Declared], *, is_csv: bool = False, is_counted: bool = True
    ) -> None:
        for name, value in record.items():
            if (field := self._field(name)) is not None:
                field.records += is_counted
                field.present += is_counted and value is not None
                field.observe(value, self._budget, types.get(name), is_csv)

    def _field(self, name: str) -> Profile | None:
        found = self.fields.get(name)
        if found is None and self._budget.take():
            found = self.fields[name] = Profile(name.replace(".", r"\."))
        return found
