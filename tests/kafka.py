"""A topic on a real broker and a lake that loads it, for tests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.contracts.contract import Contract
from ingest.ledger.ledger import Ledger
from ingest.records.report import FeedReport
from ingest.settings import Settings
from ingest.steps.topic import ingest_topic
from ingest.storage.store import Store
from ingest.topics.connection import Connection, has_client
from pipeline.warehouse.bronze import bronze_query
from tests.connect_server import Broker, serve_broker
from tests.ingest.conftest import START

COLUMNS = [
    {"name": "event_id", "type": "string", "required": True, "description": "Id of the click."},
    {"name": "occurred_at", "type": "timestamp", "required": True, "description": "When it happened."},
    {"name": "amount", "type": "decimal(12, 2)", "description": "What it cost."},
]


def contract(topic: str, values: str = "json", **fields: Any) -> Contract:
    """A contract of an event feed that reads a topic."""
    kafka = {"topic": topic, "values": values}
    return Contract.model_validate(
        {
            "feed": "clicks",
            "domain": "shop",
            "version": 1,
            "kind": "event",
            "owner": "shop",
            "description": "One record per click.",
            "source": {"kafka": kafka},
            "key": ["event_id"],
            "event_time": "occurred_at",
            "freshness_seconds": 3600,
            "columns": COLUMNS,
        }
        | fields
    )


@contextmanager
def broker_or_skip(folder: Path) -> Iterator[Broker]:
    """A broker while the body runs; the test is skipped where Kafka cannot run."""
    if not has_client():
        pytest.skip("Kafka: the extra kafka is not installed, see make setup-kafka")
    try:
        with serve_broker(folder) as broker:
            yield broker
    except FileNotFoundError as error:
        pytest.skip(f"Kafka: {error}")


def click(number: int, **fields: Any) -> bytes:
    """The value of a valid message."""
    at = f"2026-01-{1 + number % 9:02} 10:00:00"
    return json.dumps({"event_id": f"c{number}", "occurred_at": at, "amount": "1.50"} | fields).encode()


class Topic:
    """A topic of its own, with a lake that reads it.

    Attributes:
        contract: of the feed.
    """

    def __init__(
        self, broker: Broker, folder: Path, partitions: int = 2, values: str = "json", **settings: Any
    ) -> None:
        self.broker, self.name = broker, f"clicks-{uuid.uuid4().hex[:8]}"
        self.contract = contract(self.name, values)
        self.store = Store(str(folder / "lake"))
        self.options = Settings(kafka_bootstrap_servers=broker.address, **settings)
        self.connection = Connection(self.options)
        self.create(partitions)

    def reconnected(self) -> Topic:
        """The same topic by new connections."""
        self.connection = Connection(self.options)
        return self

    def create(self, partitions: int = 2, **options: Any) -> None:
        """Make the topic."""
        from confluent_kafka.admin import NewTopic

        made = NewTopic(self.name, partitions, 1, config={k.replace("_", "."): str(v) for k, v in options.items()})
        self.connection.admin.create_topics([made])[self.name].result(20)

    def extend(self, partitions: int) -> None:
        """Add partitions."""
        from confluent_kafka.admin import NewPartitions

        self.connection.admin.create_partitions([NewPartitions(self.name, partitions)])[self.name].result(20)

    def delete(self) -> None:
        """Delete the topic."""
        self.connection.admin.delete_topics([self.name])[self.name].result(20)

    def producer(self, **own: str) -> Any:
        """A producer."""
        from confluent_kafka import Producer

        return Producer(self.connection.properties(**own))

    def send(self, values: Iterable[bytes | None], partition: int = 0, **message: Any) -> None:
        """Write messages."""
        producer = self.producer()
        for value in values:
            producer.produce(self.name, value, partition=partition, **message)
        assert producer.flush(20) == 0

    def transact(self, values: Iterable[bytes], partition: int = 0, commit: bool = True) -> None:
        """Write messages in one transaction."""
        producer = self.producer(transactional__id=uuid.uuid4().hex)
        producer.init_transactions(30)
        producer.begin_transaction()
        for value in values:
            producer.produce(self.name, value, partition=partition)
        producer.flush(20)
        (producer.commit_transaction if commit else producer.abort_transaction)(30)

    def delete_before(self, partition: int, offset: int) -> None:
        """Expire the messages before an offset."""
        from confluent_kafka import TopicPartition

        place = TopicPartition(self.name, partition, offset)
        admin = Connection(self.options).admin  # a new one knows the leaders of new partitions
        admin.delete_records([place])[place].result(20)

    def load(self, **options: Any) -> FeedReport:
        return ingest_topic(self.contract, self.connection, self.store, START, **options)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, self.contract.feed)

    def bronze(self) -> list[dict[str, Any]]:
        """The visible rows, as any reader gets them."""
        query = bronze_query(self.contract, self.store.uri, self.ledger.state().bronze_files())
        return duckdb.sql(f"SELECT * FROM ({query}) ORDER BY _source_file, _source_line").to_arrow_table().to_pylist()

    def ids(self) -> list[str]:
        """The ids of the visible rows."""
        return [row["event_id"] for row in self.bronze()]

    def quarantine(self) -> list[dict[str, Any]]:
        """The visible quarantined records."""
        paths = [f"{self.store.uri}/{path}" for path in self.ledger.state().files if path.startswith("quarantine/")]
        query = f"SELECT * FROM read_parquet({paths}) ORDER BY _source_file, _source_line"
        return duckdb.sql(query).to_arrow_table().to_pylist() if paths else []
