"""The project's home with a broker, whose topic of the shop's clicks is new."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pytest

from ingest.contracts.contract import contracts
from ingest.settings import settings
from ingest.topics.connection import Connection
from pipeline.lake import Lake
from pipeline.warehouse.bronze import bronze_query
from tests.connect_server import Broker, wait
from tests.home import Home

FEED, TOPIC = "clickstream", "shop.clicks"


@contextmanager
def shop_of(broker: Broker, patch: pytest.MonkeyPatch, partitions: int = 4) -> Iterator[Shop]:
    """A home of the settings, which name a broker, and a new topic there."""
    patch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker.address)
    settings.cache_clear()
    made = Shop(Home())
    made.create(partitions)
    yield made
    settings.cache_clear()


class Shop:
    """A home and the clicks that were sent to its topic.

    Attributes:
        sent: ids of what was committed to the topic.
        partitions: how many the topic has.
    """

    def __init__(self, home: Home) -> None:
        self.home, self.connection = home, Connection(home.options)
        self.sent: list[str] = []
        self.partitions = 0

    @property
    def lake(self) -> Lake:
        return Lake(self.home.options)

    def create(self, partitions: int = 4) -> None:
        """Make the topic, or make it again."""
        self.partitions = partitions
        from confluent_kafka.admin import NewTopic

        admin = self.connection.admin
        if TOPIC in admin.list_topics(timeout=20).topics:
            admin.delete_topics([TOPIC])[TOPIC].result(20)
            wait(lambda: TOPIC not in admin.list_topics(timeout=20).topics, "the topic to go", 30)
        admin.create_topics([NewTopic(TOPIC, partitions, 1)])[TOPIC].result(20)

    def producer(self, **own: str) -> Any:
        from confluent_kafka import Producer

        return Producer(self.connection.properties(**own))

    def send(self, count: int, *values: bytes, partition: int | None = None) -> list[str]:
        """Write clicks, and some values as they are, to a partition or to all in turn; return the ids of the clicks."""
        producer = self.producer()
        made = [click() for _ in range(count)]
        for number, value in enumerate([*(json.dumps(one).encode() for one in made), *values]):
            producer.produce(TOPIC, value, partition=number % self.partitions if partition is None else partition)
        assert producer.flush(30) == 0
        ids = [value["event_id"] for value in made]
        self.sent += ids
        return ids

    def ids(self) -> list[str]:
        """The ids in bronze, as any reader gets them."""
        lake = self.lake
        query = bronze_query(contracts()[FEED], lake.store.uri, lake.ledger(FEED).live_files())
        return [one for (one,) in duckdb.sql(f"SELECT event_id FROM ({query})").fetchall()]


def click(**fields: Any) -> dict[str, Any]:
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    return {"event_id": uuid.uuid4().hex, "visitor_id": "v", "event_type": "view", "occurred_at": now} | fields
