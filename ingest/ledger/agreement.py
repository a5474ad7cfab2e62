"""The part of a contract that the ledger records with the rows loaded by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ingest.contracts.column import DEFAULT_UNIT
from ingest.contracts.contract import Contract
from ingest.ledger.column_types import Type, Types, types_of


@dataclass(frozen=True, slots=True)
class Record:
    """The part of a contract that the ledger records.

    Attributes:
        order: `source.order` of a change feed.
        units: of its timestamps, by path, those that are not microseconds.
        constraints: the canonical text of each by name; those of no contract are not in the text of a record, which
            therefore equals that of a version without constraints.
    """

    version: int
    kind: str
    key: tuple[str, ...]
    event_time: str | None
    columns: Types
    order: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    constraints: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(contract: Contract) -> Record:
        """Return the record of a contract."""
        units = {path: str(column.unit) for path, column in contract.walk() if column.unit not in (None, DEFAULT_UNIT)}
        return Record(
            contract.version,
            contract.kind.value,
            contract.key,
            contract.event_time,
            types_of(contract),
            contract.source.order,
            units,
            {item.name: item.text() for item in contract.constraints},
        )

    @staticmethod
    def parse(text: str) -> Record:
        """Parse the text of a record."""
        fields: dict[str, Any] = json.loads(text)
        columns = {path: Type.parse(kind) for path, kind in fields["columns"].items()}
        order, units, rules = tuple(fields.get("order", ())), fields.get("units", {}), fields.get("constraints", {})
        return Record(
            fields["version"], fields["kind"], tuple(fields["key"]), fields["event_time"], columns, order, units, rules
        )

    def text(self) -> str:
        """Return the record as JSON, identical for equal records: the order of columns and constraints is ignored."""
        columns = {path: str(self.columns[path]) for path in sorted(self.columns)}
        rules = {"constraints": dict(sorted(self.constraints.items()))} if self.constraints else {}
        fields = {"version": self.version, "kind": self.kind, "key": self.key, "event_time": self.event_time}
        of_some = {"order": self.order, "units": dict(sorted(self.units.items()))} | rules  # others have none
        given = {name: value for name, value in of_some.items() if value}
        return json.dumps({**fields, "columns": columns, **given}, separators=(",", ":"))

    def differs(self, other: Record) -> bool:
        """Whether anything except the version differs."""
        return replace(self, version=other.version) != other
