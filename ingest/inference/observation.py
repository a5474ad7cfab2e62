"""What sampled records are like, taken line by line in bounded memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from ingest.inference.declared import Declared
from ingest.inference.field import MAX_SURVEYED, Budget
from ingest.inference.keys import Keys
from ingest.inference.profile import Profile

_record = msgspec.json.Decoder(float_hook=float).decode
_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Observation:
    """The fields of the records seen so far.

    Attributes:
        records: number of records, those that are not JSON objects included.
        unreadable: number of records that are no JSON object.
        fields: the fields of the records, by name, in order of appearance.
        keys: which values repeat.
        sources: number of records by format: `csv`, `parquet` or `json`.
    """

    def __init__(self) -> None:
        self.records = self.unreadable = 0
        self.fields: dict[str, Profile] = {}
        self.keys = Keys()
        self.sources: Counter[str] = Counter()
        self._budget = Budget(MAX_SURVEYED)

    @property
    def readable(self) -> int:
        """The number of records that are JSON objects."""
        return self.records - self.unreadable

    @property
    def is_complete(self) -> bool:
        """Whether there were at most MAX_SURVEYED fields."""
        return self._budget.left >= 0

    def declare(self, types: dict[str, Declared]) -> None:
        """Take the types that a source states into account."""
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
        try:
            record = _record(line)
        except _ERRORS:
            record = None
        if not isinstance(record, dict):
            self.unreadable += 1
            return
        self.sources[source] += 1
        self.keys.observe(line, record)
        self._fields(record, source == "csv", types or {})

    def _fields(self, record: dict[str, Any], is_csv: bool, types: dict[str, Declared]) -> None:
        for name, value in record.items():
            if (field := self._field(name)) is not None:
                field.records += 1
                field.present += value is not None
                field.observe(value, self._budget, types.get(name), is_csv)

    def _field(self, name: str) -> Profile | None:
        found = self.fields.get(name)
        if found is None and self._budget.take():
            found = self.fields[name] = Profile(name.replace(".", r"\."))
        return found
