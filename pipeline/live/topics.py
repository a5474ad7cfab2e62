"""The topics of live numbers, read by one consumer without a group: it commits nothing, and takes nothing away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ingest.contracts.contract import Contract
from ingest.errors import ConfigError
from ingest.ledger.sources import Partition, source_name
from ingest.topics.connection import Connection, client
from ingest.topics.topic import find_topic
from ingest.topics.values import Decoder, Undecodable
from pipeline.live.decode import Message

LOG = logging.getLogger(__name__)
_MOST = 5000
_LOOK_SECONDS = 60.0
"""How often new partitions are looked for."""


class Topics:
    """Reads the topics of some feeds.

    Args:
        starts: the offset at which a partition begins, by its identity: a topic that is made again has another one.
        since: partitions without one begin with their first message of this moment or later, microseconds.
        now: the current moment, microseconds.

    Raises:
        ConfigError: no feed has a topic, or no broker is set.
        RetriableError: the broker does not answer.
    """

    def __init__(
        self,
        connection: Connection,
        feeds: Mapping[str, Contract],
        starts: Mapping[Partition, int],
        since: int,
        now: Callable[[], int],
    ) -> None:
        self._feeds = {item.source.kafka.topic: item for item in feeds.values() if item.source.kafka is not None}
        self._connection, self._now = connection, now
        if not self._feeds:
            raise ConfigError(
                f"live numbers need a topic: set source.kafka.topic in the contract of {' or '.join(feeds)}"
            )
        if not connection:
            raise ConfigError("live numbers need a broker; set KAFKA_BOOTSTRAP_SERVERS")
        self._decoders = {name: Decoder(contract, connection) for name, contract in self._feeds.items()}
        self._consumer = connection.consumer(fetch__wait__max__ms="50", fetch__min__bytes="1")
        self._ended: set[str] = set()
        self._sources: dict[tuple[str, int], str] = {}
        self._looked = time.monotonic()
        self._assign(self._places(starts, since))

    @property
    def partitions(self) -> Sequence[str]:
        """See Source."""
        return tuple(self._sources.values())

    def poll(self, seconds: float) -> Sequence[Message]:
        """See Source.

        Raises:
            ConfigError, RetriableError: the broker refuses, or has no longer what is to be read.
        """
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look()
        found = []
        with self._connection.errors():
            taken = self._consumer.consume(1, seconds)
            if taken:
                taken += self._consumer.consume(_MOST, 0)
        for message in taken:
            source = self._sources[message.topic(), message.partition()] if message.topic() else ""
            if message.error() is not None:
                self._noted(message, source)
                continue
            self._ended.discard(source)
            found.append(self._message(message, source))
        return found

    def idle(self) -> Mapping[str, int]:
        """See Source."""
        return dict.fromkeys(self._ended, self._now())

    def close(self) -> None:
        """See Source."""
        self._consumer.close()

    def _message(self, message: Any, source: str) -> Message:
        contract, value = self._feeds[message.topic()], message.value()
        line = None
        if value is not None:
            try:
                line = self._decoders[message.topic()].line(message.key(), value)
            except Undecodable as error:
                LOG.info("event=undecodable source=%s offset=%d because=%s", source, message.offset(), error)
        written = max(message.timestamp()[1], 0) * 1000
        return Message(contract.feed, source, message.offset(), line, written)

    def _noted(self, message: Any, source: str) -> None:
        """React to what the client says instead of a message."""
        kafka, error = client().KafkaError, message.error()
        if error.code() == kafka._PARTITION_EOF:
            self._ended.add(source)
        elif error.code() in (kafka._ALL_BROKERS_DOWN, kafka._TRANSPORT) or error.retriable():
            self._ended.clear()  # nobody knows what it has meanwhile
            LOG.warning("event=broker_lost because=%s", error)
        else:
            raise self._connection.error(error, source)

    def _places(self, starts: Mapping[Partition, int], since: int) -> list[Any]:
        """Where each partition begins."""
        kafka = client()
        places, unknown = [], []
        for name in self._feeds:
            topic = find_topic(self._connection, name)
            for partition in topic.partitions:
                start = starts.get((*topic.identity, partition.number))
                if start is None:
                    unknown.append(kafka.TopicPartition(name, partition.number, since // 1000))
                elif partition.first <= start <= partition.end:
                    places.append(kafka.TopicPartition(name, partition.number, start))
                else:
                    LOG.warning("event=offsets_lost topic=%s partition=%d from=%d", name, partition.number, start)
                    places.append(kafka.TopicPartition(name, partition.number, partition.first))
        with self._connection.errors():
            for place in self._consumer.offsets_for_times(unknown, 20) if unknown else ():
                offset = place.offset if place.offset >= 0 else kafka.OFFSET_END
                places.append(kafka.TopicPartition(place.topic, place.partition, offset))
        return places

    def _assign(self, places: Sequence[Any]) -> None:
        with self._connection.errors():
            self._consumer.incremental_assign(list(places))
        for place in places:
            self._sources[place.topic, place.partition] = source_name(place.topic, place.partition)

    def _look(self) -> None:
        """Read partitions that were added, from their start."""
        self._looked = time.monotonic()
        kafka = client()
        for name in self._feeds:
            try:
                found = self._consumer.list_topics(name, 1).topics[name].partitions
            except kafka.KafkaException as error:
                LOG.warning("event=broker_lost because=%s", error)
                return
            new = [number for number in found if (name, number) not in self._sources]
            self._assign([kafka.TopicPartition(name, number, 0) for number in new])
