"""One load of a topic: reads what waits, parses and writes it, and makes the entry that would commit it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ingest.contracts.contract import Contract
from ingest.errors import RetriableError
from ingest.ledger.entry import Entry
from ingest.ledger.evolution import unrecorded
from ingest.ledger.sources import OffsetRange, source_etag, source_name
from ingest.ledger.state import LedgerState
from ingest.ledger.tombstones import Tombstones
from ingest.records.parsed import Reject
from ingest.records.parts import LongLine, Piece
from ingest.records.report import Progress
from ingest.records.times import MessageTimes
from ingest.records.waiting import Waiting
from ingest.steps.loading import Loading, new_load_id
from ingest.steps.read import KEPT_BYTES
from ingest.storage.arrays import Indices
from ingest.storage.objects import StoredObject
from ingest.storage.store import Store
from ingest.topics.connection import Connection
from ingest.topics.continuation import Continuation, Span
from ingest.topics.read import Messages, Reading
from ingest.topics.topic import Topic, identity
from ingest.topics.values import Decoder, Undecodable

EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)
_NEWLINE, _BRACE = b"\n{"


@dataclass(slots=True)
class _Read:
    """What was read of one span."""

    records: int = 0
    nulls: int = 0
    newest: int = 0


@dataclass(slots=True)
class TopicLoad:
    """One load of a topic, up to its ledger entry."""

    contract: Contract
    connection: Connection
    decoder: Decoder
    lake: Store
    state: LedgerState
    topic: Topic
    plan: Continuation
    started_at: dt.datetime
    load_id: str = ""
    times: MessageTimes = field(default_factory=MessageTimes)
    loading: Loading = field(init=False)

    def __post_init__(self) -> None:
        self.load_id = new_load_id(self.started_at)

    def run(self, consumer: Any, most_bytes: int, tombstones: Tombstones, progress: Progress | None) -> Entry:
        """Read and write what waits, or leave nothing behind."""
        spans, topic = self.plan.spans, self.topic
        sources = [self._source(span) for span in spans]
        self.loading = Loading(self.contract, self.lake, sources, self.load_id, self.started_at, tombstones, self.times)
        try:
            with self.lake.disk_errors():
                reading = Reading(self.connection, consumer, topic.name, spans, most_bytes)
                found = self._read(reading, progress)
                self.loading.flush()
                added = self.loading.writer.finish()
                self.loading.note_lines()
                ranges = [
                    self._range(number, span, reading, found[number])
                    for number, span in enumerate(spans)
                    if span.partition in reading.reached
                ]
                if spans and identity(self.connection, topic.name) != topic.identity:
                    raise RetriableError(f"{self.contract.feed}: topic {topic.name} was replaced while it was read")
        except BaseException:
            self.discard()
            raise
        return Entry(
            self.load_id,
            self.started_at,
            added=tuple(added),
            ranges=tuple(ranges),
            gaps=self.plan.gaps,
            contract=unrecorded(self.contract, self.state) if ranges else "",
            known=tombstones.names,
        )

    def discard(self) -> None:
        """Delete the files of a load that will not commit."""
        self.loading.discard()

    def _source(self, span: Span) -> Waiting:
        name = source_name(self.topic.name, span.partition)
        return Waiting(name, StoredObject(name, source_etag(*self.topic.identity), 0, EPOCH), False)

    def _read(self, reading: Reading, progress: Progress | None) -> list[_Read]:
        found = [_Read() for _ in self.plan.spans]
        numbers = {span.partition: number for number, span in enumerate(self.plan.spans)}
        for messages in reading if self.plan.spans else ():
            number = numbers[messages.partition]
            self._add(number, messages, found[number])
            if progress:
                progress(len(messages.offsets), sum(len(value) for value in messages.values if value))
        return found

    def _add(self, number: int, messages: Messages, read: _Read) -> None:
        """Add messages of one span."""
        offsets, micros = messages.arrays()
        self.times.add(number, offsets, micros)
        values = messages.values
        nulls = values.count(None)
        read.nulls += nulls
        read.records += len(values) - nulls
        read.newest = max(read.newest, int(micros.max()))
        if not nulls and self.decoder.is_plain:
            data = b"\n".join([*values, b""])  # type: ignore[list-item]  # none is None
            if self._are_lines(data, len(values)):
                self.loading.add(Piece(number, 0, data, offsets))
                return
        lines: list[bytes] = []
        kept: list[int] = []
        for offset, key, value in zip(messages.offsets, messages.keys, values, strict=True):
            if value is None:
                continue
            try:
                line = self.decoder.line(key, value)
            except Undecodable as error:
                self.loading.reject(Reject(number, offset, "unparsable", None, str(error), value[:KEPT_BYTES]))
                continue
            if len(line) > self.contract.max_line_bytes:
                self.loading.add_long(LongLine(number, offset, len(line), line[:KEPT_BYTES]), number)
                continue
            lines.append(line)
            kept.append(offset)
        if lines:
            self.loading.add(Piece(number, 0, b"\n".join([*lines, b""]), np.array(kept, dtype=np.int64)))

    def _are_lines(self, data: bytes, count: int) -> bool:
        """Whether each of `count` values is one line that begins with a brace, and none is too long."""
        text = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(text == _NEWLINE)
        if len(ends) != count:
            return False
        starts: Indices = np.concatenate(([0], ends[:-1] + 1))
        return bool((text[starts] == _BRACE).all() and (ends - starts).max() <= self.contract.max_line_bytes)

    def _range(self, number: int, span: Span, reading: Reading, read: _Read) -> OffsetRange:
        """What the entry says of one span."""
        last = reading.reached[span.partition] - 1
        counts = self.loading.counts(number)
        newest = dt.datetime.fromtimestamp(read.newest / 1e6, dt.UTC)
        item = OffsetRange(
            *self.topic.identity,
            self.topic.name,
            span.partition,
            span.first,
            last,
            reading.bytes.get(span.partition, 0),
            min(newest, self.started_at),
            read.records,
            counts["rows"],
            counts["quarantined"],
            read.nulls,
            last - span.first + 1 - read.records - read.nulls,
            tuple(sorted(self.loading.writer.dates_of(number))),
            self.contract.version,
            self.load_id,
            erased=counts["erased"],
            skipped=counts["skipped"],
        )
        assert item.is_conserved, item
        return item
