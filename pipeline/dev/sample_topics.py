"""The shop's sample as messages of its topics, or as rows of its database, from which a connector captures them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from ingest.contracts.column import Column
from ingest.contracts.contract import Contract, Kind, contracts
from ingest.errors import ConfigError, NoTopic, RetriableError
from ingest.sql import identifier
from ingest.topics.connection import Connection, client
from ingest.topics.topic import find_topic

PARTITIONS = 4
"""Of each topic that is made."""
_WAITING = 50_000
_TYPES = {"string": "text", "integer": "bigint", "double": "double precision", "timestamp": "timestamptz"}


def topic_feeds() -> dict[str, Contract]:
    """Return the feeds that read a bucket and a topic, by bucket."""
    return {item.source.bucket: item for item in contracts().values() if item.source.bucket and item.source.kafka}


class TopicWriter:
    """Writes objects of the landing as messages, each line as one.

    Args:
        connection: to the broker; topics that it lacks are made.

    Attributes:
        filled: buckets whose topics have messages already: theirs are not written again.
    """

    def __init__(self, connection: Connection, feeds: Mapping[str, Contract]) -> None:
        if not connection:
            raise ConfigError("there is no broker; set KAFKA_BOOTSTRAP_SERVERS")
        self._connection = connection
        self._topics: dict[str, str] = {}
        self.filled: set[str] = set()
        for bucket, contract in feeds.items():
            assert contract.source.kafka is not None
            self._topics[bucket] = contract.source.kafka.topic
            if self._has_messages(self._topics[bucket]):
                self.filled.add(bucket)
        self._producer = client().Producer(connection.properties(linger__ms="20", enable__idempotence="true"))
        self._failed: list[str] = []

    def put(self, bucket: str, body: bytes) -> None:
        """Write the lines of an object as messages.

        Raises:
            RetriableError: the broker does not take them.
        """
        for line in _lines(body):
            key, value = _message(line)
            self._producer.produce(self._topics[bucket], value, key=key, on_delivery=self._delivered)
            if len(self._producer) > _WAITING:
                self.flush()
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until everything is written.

        Raises:
            RetriableError: it is not.
        """
        if self._producer.flush(60) or self._failed:
            why = self._failed[0] if self._failed else "it did not answer in time"
            raise RetriableError(f"{self._connection.address} did not take messages: {why}")

    def _has_messages(self, name: str) -> bool:
        """Whether a topic has messages; one that is not there is made."""
        try:
            return any(partition.end for partition in find_topic(self._connection, name).partitions)
        except NoTopic:
            made = import_module("confluent_kafka.admin").NewTopic(name, PARTITIONS)
            with self._connection.errors(name):
                self._connection.admin.create_topics([made])[name].result(20)
            return False

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failed.append(str(error))


class DatabaseWriter:
    """Applies the shop's changes to the tables of a Postgres database, in the order of its log; it makes the tables.

    Args:
        dsn: as libpq takes it; what it omits comes from libpq's variables.
    """

    def __init__(self, dsn: str, feeds: Mapping[str, Contract]) -> None:
        try:
            import psycopg2
        except ImportError:
            raise ConfigError(
                "the database needs the extra `postgres`: pip install lakemesh[postgres], or make setup-postgres"
            ) from None
        self._feeds = {bucket: item for bucket, item in feeds.items() if item.kind is Kind.CHANGE}
        try:
            self._session = psycopg2.connect(dsn)
        except psycopg2.ProgrammingError:  # its text quotes what it does not understand, maybe a password
            raise ConfigError("--dsn is none; expected for instance 'host=127.0.0.1 dbname=shop'") from None
        except psycopg2.Error as error:
            why = " ".join(str(error).split())
            raise RetriableError(f"the database for the sample cannot be reached: {why}") from error
        self._changes: dict[str, list[tuple[int, int, str, Any]]] = {}
        with self._session, self._session.cursor() as cursor:
            for contract in self._feeds.values():
                cursor.execute(_table(contract))
            self.filled = {bucket for bucket, item in self._feeds.items() if _has_rows(cursor, item.feed)}

    def put(self, bucket: str, body: bytes) -> None:
        """Keep the changes of an object until `flush`."""
        table = self._feeds[bucket].feed
        for line in _lines(body):
            try:
                value = json.loads(line)["value"]
                source, order = value["source"], value["transaction"] or {"total_order": 0}
                place = (source["lsn"], order["total_order"])
            except (ValueError, KeyError, TypeError):  # the sample's broken lines, markers and tombstones
                continue
            self._changes.setdefault(str(source["txId"]), []).append((*place, table, value))

    def flush(self) -> None:
        """Apply the changes, one transaction after the other."""
        columns = {item.feed: {column.name: column for column in item.columns} for item in self._feeds.values()}
        keys = {item.feed: item.key for item in self._feeds.values()}
        for changes in sorted(self._changes.values(), key=min_place):
            with self._session, self._session.cursor() as cursor:
                for _, _, table, value in sorted(changes, key=lambda change: change[:2]):
                    _apply(cursor, table, columns[table], keys[table], value)
        self._changes.clear()


def min_place(changes: list[tuple[int, int, str, Any]]) -> tuple[int, int]:
    """Return the first place in the log of a transaction's changes."""
    return min(change[:2] for change in changes)


def _lines(body: bytes) -> Iterator[bytes]:
    plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    return (line for line in plain.split(b"\n") if line.strip())


def _message(line: bytes) -> tuple[bytes | None, bytes | None]:
    """Key and value of a line; a record of Kafka is taken apart, anything else is the value."""
    try:
        record = json.loads(line)
    except ValueError:
        return None, line
    if not (isinstance(record, dict) and {"topic", "key"} <= record.keys() and "value" in record):
        return None, line
    key, value = (json.dumps(record[name], separators=(",", ":")).encode() for name in ("key", "value"))
    return (None if record["key"] is None else key), (None if record["value"] is None else value)


def _table(contract: Contract) -> str:
    def kind(column: Column) -> str:
        plain = _TYPES.get(column.type, column.type)
        return f"{plain}[]" if column.repeated else plain

    columns = ", ".join(f"{identifier(column.name)} {kind(column)}" for column in contract.columns)
    keys = ", ".join(map(identifier, contract.key))
    return f"CREATE TABLE IF NOT EXISTS {identifier(contract.feed)} ({columns}, PRIMARY KEY ({keys}))"


def _has_rows(cursor: Any, table: str) -> bool:
    cursor.execute(f"SELECT 1 FROM {identifier(table)} LIMIT 1")
    return cursor.fetchone() is not None


def _apply(cursor: Any, table: str, columns: Mapping[str, Column], keys: tuple[str, ...], value: Any) -> None:
    name = identifier(table)
    if value["op"] == "t":
        cursor.execute(f"TRUNCATE {name}")
        return
    row = value["before"] if value["op"] == "d" else value["after"]
    if value["op"] == "d":
        where = " AND ".join(f"{identifier(key)} = %s" for key in keys)
        cursor.execute(f"DELETE FROM {name} WHERE {where}", [row[key] for key in keys])
        return
    known = {column: item for column, item in row.items() if column in columns}
    places = ", ".join(_place(columns[column], item) for column, item in known.items())
    names = ", ".join(map(identifier, known))
    others = ", ".join(f"{identifier(one)} = excluded.{identifier(one)}" for one in known if one not in keys)
    conflict = f"DO UPDATE SET {others}" if others else "DO NOTHING"
    cursor.execute(
        f"INSERT INTO {name} ({names}) VALUES ({places}) ON CONFLICT ({', '.join(map(identifier, keys))}) {conflict}",
        list(known.values()),
    )


def _place(column: Column, value: Any) -> str:
    """How a value of Debezium becomes one of Postgres: dates are days, times microseconds since 1970."""
    if column.type == "date" and isinstance(value, int):
        return "DATE '1970-01-01' + %s::int"
    if column.type == "timestamp" and isinstance(value, int):
        return "TO_TIMESTAMP(%s / 1000000.0)"
    return "%s"
