"""Reading of spans of a topic: what is committed, once, in the order of each partition, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ingest.errors import RetriableError
from ingest.records.times import Micros
from ingest.storage.arrays import Indices
from ingest.topics.connection import Connection, client
from ingest.topics.continuation import Span

BATCH_BYTES, BATCH_MESSAGES = 8 << 20, 5_000
"""What is taken from the client at a time: the messages are few while their size is unknown."""
FIRST_MESSAGES = 100
POLL_SECONDS = 0.1
STALLED_SECONDS = 60.0
"""How long a broker may deliver nothing of what it has."""
_LATEST_MS = 253_402_300_799_999
"""End of the year 9999; a greater time of a message is no time."""


@dataclass(slots=True)
class Messages:
    """Consecutive messages of one partition.

    Attributes:
        micros: when each was written, by the type of the topic's timestamps.
        values: None for a message without one.
    """

    partition: int
    offsets: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)

    def arrays(self) -> tuple[Indices, Micros]:
        """Return offsets and times in microseconds since 1970."""
        times = np.clip(np.array(self.times, dtype=np.int64), 0, _LATEST_MS)
        return np.array(self.offsets, dtype=np.int64), times * 1000


class Reading:
    """Reads spans of a topic.

    Args:
        consumer: reads nothing else; it is left without an assignment.
        most_bytes: reading stops once it has values of this size.

    Attributes:
        reached: by partition, the offset after what was read; absent where nothing was.
        bytes: size of the values of each partition.
    """

    def __init__(
        self, connection: Connection, consumer: Any, topic: str, spans: Sequence[Span], most_bytes: int
    ) -> None:
        self._connection, self._consumer, self._topic = connection, consumer, topic
        self._spans, self._most = spans, most_bytes
        self._left = {span.partition: span.end for span in spans}
        self.reached: dict[int, int] = {}
        self.bytes: dict[int, int] = {}

    def __iter__(self) -> Iterator[Messages]:
        """Yield the messages as they arrive.

        Raises:
            RetriableError: the broker does not deliver what it has, or has it no longer.
            ConfigError: there is no permission to read.
        """
        place = client().TopicPartition
        with self._connection.errors(self._topic):
            self._consumer.assign([place(self._topic, span.partition, span.first) for span in self._spans])
            try:
                yield from self._batches(place)
            finally:
                self._consumer.unassign()

    def _batches(self, place: Any) -> Iterator[Messages]:
        heard, size, most = time.monotonic(), 0, FIRST_MESSAGES
        while self._left and size < self._most:
            found = self._consumer.consume(most, POLL_SECONDS)
            before, read = len(self._left), size
            batches = self._sorted(found)
            for batch in batches.values():
                bytes_ = sum(len(value) for value in batch.values if value)
                self.bytes[batch.partition] = self.bytes.get(batch.partition, 0) + bytes_
                size += bytes_
                if batch.partition in self._left:
                    self.reached[batch.partition] = batch.offsets[-1] + 1
                yield batch
            if batches:
                left = max(1, min(BATCH_BYTES, self._most - size))
                most = min(BATCH_MESSAGES, 1 + left * len(found) // (size - read + 1))
            if batches or len(self._left) < before:
                heard = time.monotonic()
            elif time.monotonic() - heard > STALLED_SECONDS:
                names = ", ".join(f"{self._topic}/{number} up to {end:,}" for number, end in self._left.items())
                raise RetriableError(
                    f"{self._connection.address} delivers nothing of {names} for {STALLED_SECONDS:g} s, but has it"
                )

    def _sorted(self, found: Sequence[Any]) -> dict[int, Messages]:
        """The messages of each partition, in order."""
        batches: dict[int, Messages] = {}
        left, number, batch, end = self._left, -1, Messages(-1), -1
        for message in found:
            if message.error() is not None:
                self._noted(message)
                continue
            partition, offset = message.partition(), message.offset()
            if partition != number:
                number = partition
                end = left.get(number, -1)
                batch = batches.setdefault(number, Messages(number)) if end >= 0 else Messages(number)
            if offset >= end:
                self._finished(partition)
                end = -1
                continue
            batch.offsets.append(offset)
            batch.times.append(message.timestamp()[1])
            batch.keys.append(message.key())
            batch.values.append(message.value())
        return {number: batch for number, batch in batches.items() if batch.offsets}

    def _noted(self, message: Any) -> None:
        """React to what the client says instead of a message."""
        kafka, error = client().KafkaError, message.error()
        partition = message.partition()
        if error.code() == kafka._PARTITION_EOF:
            if message.offset() >= self._left.get(partition, 1 << 63):
                self._finished(partition)
        elif error.code() == kafka._AUTO_OFFSET_RESET:
            raise RetriableError(
                f"{self._topic}/{partition}: the offsets that were to be read are there no longer; the next load says "
                "which"
            )
        elif error.fatal() or not (error.retriable() or error.code() in (kafka._TRANSPORT, kafka._ALL_BROKERS_DOWN)):
            raise self._connection.error(error, f"{self._topic}/{partition}")

    def _finished(self, partition: int) -> None:
        """A partition was read to its end."""
        if partition in self._left:
            self.reached[partition] = self._left.pop(partition)
            self._consumer.incremental_unassign([client().TopicPartition(self._topic, partition)])
