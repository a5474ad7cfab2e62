"""Change events among samples: the rows that they tell, the key of their table, and the types of their schema part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec

from ingest.formats.debezium.messages import decoder, payload
from ingest.formats.debezium.schemas import columns_of
from ingest.formats.debezium.unavailable import is_unavailable, may_lack_values
from ingest.formats.fields import JSON_ERRORS, Refused, members
from ingest.inference.declared import Declared, of_connect

MAX_SCHEMAS = 64
"""Schema parts that are remembered."""
ORDERED = "postgresql"
"""The connector whose order an ingest knows by itself."""
_ORDERS = {
    **dict.fromkeys(("mysql", "mariadb"), ("file", "pos", "row")),
    "sqlserver": ("commit_lsn", "change_lsn", "event_serial_no"),
    "oracle": ("scn",),
}


class _Source(msgspec.Struct, gc=False):
    connector: Any = None
    db: Any = None
    schema: Any = None
    table: Any = None


_message = decoder(_Source)
_row = msgspec.json.Decoder(dict[str, Any], float_hook=float).decode


@dataclass(frozen=True, slots=True)
class Change:
    """A change event out of its envelope.

    Attributes:
        after: the row after the change; None of a deletion.
        before: the row before it, or what the source has of it.
        unavailable: columns of `after` whose values the source left out.
        key: columns of the record's key, in their order; empty without one.
        types: the types of the schema part, by column.
        connector, table: where the change comes from; empty if the event does not tell.
    """

    after: dict[str, Any] | None
    before: dict[str, Any] | None
    unavailable: frozenset[str]
    key: tuple[str, ...]
    types: dict[str, Declared]
    connector: str
    table: str


class Changes:
    """Opens change events and remembers where they come from.

    Attributes:
        keys: number of events by the columns of their key.
        connectors, tables: number of events by origin.
        skipped: number of messages that are no change of a row, by kind.
        with_schema: number of events with a schema part.
    """

    def __init__(self) -> None:
        self.keys: Counter[tuple[str, ...]] = Counter()
        self.connectors: Counter[str] = Counter()
        self.tables: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.with_schema = 0
        self._known: dict[bytes, dict[str, Declared]] = {}

    def open(self, line: bytes) -> Change | str:
        """Open one line; text is the kind of a message that is no change of a row.

        Raises:
            Refused: it is no change event.
            any of JSON_ERRORS: its key or a row is not a JSON object.
        """
        found = _message(line)
        if isinstance(found, str):
            self.skipped[found] += 1
            return found
        envelope, key, schema = found
        names: tuple[str, ...] = ()
        if key is not None:
            text, _ = payload(bytes(key))
            names = tuple(name for name, _ in members(text)) if text[:1] == b"{" else ()
        source = envelope.source
        change = Change(
            _object(envelope.after),
            _object(envelope.before),
            _unavailable(envelope.after),
            names,
            self._types(schema),
            str(source.connector or ""),
            ".".join(str(part) for part in (source.schema or source.db, source.table) if part),
        )
        self.keys[names] += 1
        self.connectors[change.connector] += 1
        self.tables[change.table] += 1
        self.with_schema += schema is not None
        return change

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of most records' keys; empty if most have none."""
        return self.keys.most_common(1)[0][0] if self.keys else ()

    @property
    def order(self) -> tuple[str, ...] | None:
        """The paths that order the changes, for the contract; empty if they need not be stated, None if unknown."""
        connector = self.connectors.most_common(1)[0][0] if self.connectors else ""
        return () if connector == ORDERED else _ORDERS.get(connector)

    def _types(self, schema: msgspec.Raw | None) -> dict[str, Declared]:
        text = bytes(schema) if schema is not None else b"null"
        if text not in self._known:
            if len(self._known) >= MAX_SCHEMAS:
                self._known.clear()
            self._known[text] = of_connect(columns_of(text))
        return self._known[text]


def are_changes(lines: list[bytes]) -> bool:
    """Whether lines are change events, at least half of them but for messages that are no change of a row."""
    changes, events, others = Changes(), 0, 0
    for line in lines:
        try:
            events += isinstance(changes.open(line), Change)
        except (Refused, *JSON_ERRORS):
            others += 1
    return events > 0 and events >= others


def _object(row: msgspec.Raw | None) -> dict[str, Any] | None:
    return None if row is None or bytes(row) == b"null" else _row(row)


def _unavailable(row: msgspec.Raw | None) -> frozenset[str]:
    if row is None or not may_lack_values(bytes(row)):
        return frozenset()
    return frozenset(name for name, value in members(bytes(row)) if is_unavailable(value))
