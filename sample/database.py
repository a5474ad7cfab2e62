"""A database in miniature, whose changes are streamed as Debezium streams those of Postgres.

Transactions interleave, lock the rows that they write, and roll back. Each write takes a place in one log when it is
made; its change is streamed when its transaction commits. So positions of different transactions interleave in the
stream, and within a key they ascend.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

UNAVAILABLE = "__debezium_unavailable_value"
"""What an update says of an unchanged value that is stored apart."""
Key = tuple[Any, ...]
Row = dict[str, Any]


class LockedError(Exception):
    """Another open transaction has written the row."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        key: columns of the primary key.
        stored_apart: columns whose long values updates do not repeat.
    """

    name: str
    key: tuple[str, ...]
    stored_apart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a row, as a trigger would have written it.

    Attributes:
        row: its columns; None once deleted.
        at: commit time of the change.
    """

    row: Row | None
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Committed:
    """A version of a row, and where it is."""

    table: str
    key: Key
    version: Version


@dataclass(slots=True)
class Transaction:
    """An open transaction; its writes are visible to others once it commits."""

    number: int
    writes: list[tuple[int, str, Table, Key, Row | None, Row | None]] = field(default_factory=list)
    """(position, operation, table, key, row before, row after) of each."""
    seen: dict[tuple[str, Key], Row | None] = field(default_factory=dict)


class Database:
    """See the module.

    Attributes:
        rows: committed rows by table and key.
        history: versions by table and key, in the order of commits; `committed` has those of all rows in one list.
        records: what the connector has written, as Kafka Connect's records: topic, key, value.
    """

    def __init__(self, name: str, tables: Iterable[Table], step: Callable[[], int]) -> None:
        """
        Args:
            step: distance in bytes between two places in the log.
        """
        self.name = name
        self.tables = {table.name: table for table in tables}
        self.rows: dict[str, dict[Key, Row]] = {name: {} for name in self.tables}
        self.history: dict[tuple[str, Key], list[Version]] = {}
        self.committed: list[Committed] = []
        self.records: list[Row] = []
        self.is_connected = False
        self._step = step
        self._position, self._number = 26_000_000, 750
        self._last_commit: int | None = None
        self._locks: dict[tuple[str, Key], Transaction] = {}

    def begin(self) -> Transaction:
        """Open a transaction."""
        self._number += 1
        return Transaction(self._number)

    def row(self, transaction: Transaction, table: str, key: Key) -> Row | None:
        """A row as a transaction sees it; None if there is none.

        Raises:
            LockedError: another transaction has written it.
        """
        place = (table, key)
        if self._locks.get(place, transaction) is not transaction:
            raise LockedError(place)
        return transaction.seen[place] if place in transaction.seen else self.rows[table].get(key)

    def write(self, transaction: Transaction, table: str, key: Key, row: Row | None) -> None:
        """Insert, update or, with None, delete a row.

        Raises:
            LockedError: another transaction has written it.
        """
        before = self.row(transaction, table, key)
        if before is None and row is None:
            return
        operation = "c" if before is None else "d" if row is None else "u"
        self._locks[table, key] = transaction
        transaction.seen[table, key] = row
        transaction.writes.append((self._advance(), operation, self.tables[table], key, before, row))

    def change_key(self, transaction: Transaction, table: str, key: Key, row: Row) -> None:
        """Give a row another key: streamed as a deletion and an insertion at one place in the log.

        Raises:
            LockedError: another transaction has written one of the rows.
        """
        named = self.tables[table]
        new_key = tuple(row[name] for name in named.key)
        before = self.row(transaction, table, key)
        if before is None or self.row(transaction, table, new_key) is not None:
            return
        position = self._advance()
        for place, was, is_now, operation in ((key, before, None, "d"), (new_key, None, row, "c")):
            self._locks[table, place] = transaction
            transaction.seen[table, place] = is_now
            transaction.writes.append((position, operation, named, place, was, is_now))

    def truncate(self, transaction: Transaction, table: str) -> None:
        """Delete all rows of a table.

        Raises:
            LockedError: another transaction has written a row of it.
        """
        if any(name == table and owner is not transaction for (name, _), owner in self._locks.items()):
            raise LockedError(table)
        for key in [*self.rows[table], *(key for name, key in transaction.seen if name == table)]:
            self._locks[table, key] = transaction
            transaction.seen[table, key] = None
        transaction.writes.append((self._advance(), "t", self.tables[table], (), None, None))

    def rollback(self, transaction: Transaction) -> None:
        """Undo a transaction; nothing of it is streamed."""
        self._release(transaction)

    def commit(self, transaction: Transaction, at: dt.datetime) -> None:
        """Make the writes of a transaction visible, and stream them."""
        for number, write in enumerate(transaction.writes, 1):
            _, operation, table, key, _, row = write
            for ended in list(self.rows[table.name]) if operation == "t" else [key]:
                self._apply(table.name, ended, row, at)
            if self.is_connected:
                self._stream(transaction, write, number, at)
        self._release(transaction)
        if transaction.writes:
            self._last_commit = self._advance()

    def connect(self, at: dt.datetime) -> None:
        """Start a connector that has no offsets: it reads all rows, then streams what commits from then on."""
        position, self._number = self._advance(), self._number + 1
        tables = [name for name in self.tables if self.rows[name]]
        for place, name in enumerate(tables):
            rows = list(self.rows[name].items())
            for number, (key, row) in enumerate(rows):
                is_last = number == len(rows) - 1
                flag = "true"
                if is_last:
                    flag = "last" if place == len(tables) - 1 else "last_in_data_collection"
                elif number == 0:
                    flag = "first" if place == 0 else "first_in_data_collection"
                source = self._source(self.tables[name], at, position, self._number, flag, [None, str(position)])
                self._record(self.tables[name], key, "r", None, row, source, None)
        self.is_connected, self._last_commit = True, None

    def disconnect(self) -> None:
        """Stop the connector and lose its offsets; what commits until it is started again is never streamed."""
        self.is_connected = False

    def _apply(self, table: str, key: Key, row: Row | None, at: dt.datetime) -> None:
        if row is None:
            self.rows[table].pop(key, None)
        else:
            self.rows[table][key] = row
        version = Version(row, at)
        self.history.setdefault((table, key), []).append(version)
        self.committed.append(Committed(table, key, version))

    def _release(self, transaction: Transaction) -> None:
        self._locks = {place: owner for place, owner in self._locks.items() if owner is not transaction}

    def _advance(self) -> int:
        self._position += self._step()
        return self._position

    def _stream(
        self,
        transaction: Transaction,
        write: tuple[int, str, Table, Key, Row | None, Row | None],
        number: int,
        at: dt.datetime,
    ) -> None:
        position, operation, table, key, before, after = write
        previous = None if self._last_commit is None else str(self._last_commit)
        source = self._source(table, at, position, transaction.number, "false", [previous, str(position)])
        sent = after
        if operation == "u" and before and after:
            same = [name for name in table.stored_apart if after[name] is not None and after[name] == before[name]]
            sent = after | dict.fromkeys(same, UNAVAILABLE)
        of_key = dict(zip(table.key, key, strict=True)) if operation == "d" else None
        order = {"id": f"{transaction.number}:{position}", "total_order": number, "data_collection_order": number}
        self._record(table, key, operation, of_key, sent, source, order)
        if operation == "d":
            topic = self._topic(table)
            self.records.append({"topic": topic, "key": dict(zip(table.key, key, strict=True)), "value": None})

    def _record(
        self,
        table: Table,
        key: Key,
        operation: str,
        before: Row | None,
        after: Row | None,
        source: Mapping[str, Any],
        order: Mapping[str, Any] | None,
    ) -> None:
        value = {"before": before, "after": after, "source": source, "transaction": order, "op": operation}
        value["ts_ms"] = source["ts_ms"] + 400
        of_key = dict(zip(table.key, key, strict=True)) if key else None
        self.records.append({"topic": self._topic(table), "key": of_key, "value": value})

    def _topic(self, table: Table) -> str:
        return f"{self.name}.public.{table.name}"

    def _source(
        self, table: Table, at: dt.datetime, position: int, number: int, flag: str, sequence: list[str | None]
    ) -> Row:
        micros = (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
        return {
            "version": "3.6.1.Final",
            "connector": "postgresql",
            "name": self.name,
            "ts_ms": micros // 1000,
            "ts_us": micros,
            "ts_ns": micros * 1000,
            "snapshot": flag,
            "db": self.name,
            "sequence": json.dumps(sequence, separators=(",", ":")),
            "schema": "public",
            "table": table.name,
            "txId": number,
            "lsn": position,
        }


def as_json(record: Row) -> str:
    """A record as a line of JSON, its values as the connector writes them with its default converters."""
    return json.dumps(record, separators=(",", ":"), default=_encoded)


def _encoded(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dt.datetime):  # timestamptz is text, timestamp microseconds since 1970
        if value.tzinfo is not None:
            return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return (value - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    if isinstance(value, dt.date):
        return (value - dt.date(1970, 1, 1)).days
    raise TypeError(type(value))
