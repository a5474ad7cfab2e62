"""What a topic has: its identity, and the first and last offsets of its partitions."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ingest.errors import ConfigError
from ingest.topics.connection import TIMEOUT_SECONDS, Connection, client

_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
_URL_SAFE = str.maketrans("+/", "-_")
"""The client writes an id in another alphabet of base64 than Kafka's own tools, one that has slashes."""


@dataclass(frozen=True, slots=True)
class TopicPartition:
    """The offsets of one partition.

    Attributes:
        first: of the oldest message that may be there; the log begins at it.
        stable: the last stable offset: every transaction before it is committed or aborted.
        end: the high watermark: of the next message.
    """

    number: int
    first: int
    stable: int
    end: int


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic.

    Attributes:
        cluster_id, topic_id: its identity; a topic that is deleted and made again has another id.
        partitions: in order.
    """

    name: str
    cluster_id: str
    topic_id: str
    partitions: tuple[TopicPartition, ...]

    @property
    def identity(self) -> tuple[str, str]:
        """Cluster id and topic id."""
        return self.cluster_id, self.topic_id


def find_topic(connection: Connection, name: str) -> Topic:
    """Return a topic as it is now.

    Raises:
        ConfigError: there is no such topic or no permission to read it, or the broker gives topics no ids.
        RetriableError: the broker does not answer, or a partition has no leader.
    """
    cluster_id, topic_id, numbers = _identity(connection, name)
    with connection.errors(name):
        kafka, admin = client(), import_module("confluent_kafka.admin")
        places = [kafka.TopicPartition(name, number) for number in numbers]
        offsets = {}
        # in this order: each may have grown before the next is asked
        for what, spec, isolation in (
            ("first", admin.OffsetSpec.earliest(), kafka.IsolationLevel.READ_UNCOMMITTED),
            ("stable", admin.OffsetSpec.latest(), kafka.IsolationLevel.READ_COMMITTED),
            ("end", admin.OffsetSpec.latest(), kafka.IsolationLevel.READ_UNCOMMITTED),
        ):
            asked = connection.admin.list_offsets(
                dict.fromkeys(places, spec), isolation_level=isolation, request_timeout=TIMEOUT_SECONDS
            )
            offsets[what] = {place.partition: answer.result(TIMEOUT_SECONDS).offset for place, answer in asked.items()}
    found = (TopicPartition(n, offsets["first"][n], offsets["stable"][n], offsets["end"][n]) for n in numbers)
    return Topic(name, cluster_id, topic_id, tuple(found))


def identity(connection: Connection, name: str) -> tuple[str, str]:
    """Return the cluster id and the id of a topic.

    Raises:
        ConfigError, RetriableError: see `find_topic`.
    """
    return _identity(connection, name)[:2]


def _identity(connection: Connection, name: str) -> tuple[str, str, list[int]]:
    with connection.errors(name):
        asked: Any = connection.admin.describe_topics(client().TopicCollection([name]), request_timeout=TIMEOUT_SECONDS)
        cluster = connection.admin.describe_cluster(request_timeout=TIMEOUT_SECONDS)
        found = asked[name].result(TIMEOUT_SECONDS)
        cluster_id = cluster.result(TIMEOUT_SECONDS).cluster_id
    topic_id = str(found.topic_id).translate(_URL_SAFE)
    if topic_id == _NO_ID or not cluster_id:
        raise ConfigError(
            f"{connection.address}: the broker gives topic {name} no id, which tells it from one that is made again; "
            "expected Kafka 2.8 or newer"
        )
    return cluster_id, topic_id, sorted(partition.id for partition in found.partitions)
