"""History of one message of a topic: `lake why TOPIC/PARTITION/OFFSET`."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import duckdb

from ingest.contracts.contract import Contract, contracts
from ingest.errors import ConfigError, LakemeshError
from ingest.ledger.gaps import Gap
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import DISCARDED, OPEN, discard_reason
from ingest.ledger.sources import TOPIC_PREFIX, OffsetRange, source_name
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store
from ingest.topics.connection import Connection
from ingest.topics.topic import find_topic
from pipeline.access.masking import masked_detail, masked_record
from pipeline.checks.trace import BadLine
from pipeline.warehouse.duck import parquet

_NAME = re.compile(rf"(?:{TOPIC_PREFIX})?([a-zA-Z0-9._-]+)/(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class MessageHistory:
    """What became of one message.

    Attributes:
        state: for people.
        load_id: of the load that read its offset; empty if none did.
        files: live files with its row or rejected record.
        bad_lines: its rejected record.
    """

    feed: str
    source_file: str
    offset: int
    state: str
    load_id: str = ""
    position: int = 0
    committed_at: dt.datetime | None = None
    files: tuple[str, ...] = ()
    bad_lines: tuple[BadLine, ...] = ()


def find_message(name: str) -> tuple[Contract, int, int] | None:
    """Return the feed, partition and offset that a name is of; None if it is not of a feed's topic."""
    found = _NAME.fullmatch(name)
    if not found:
        return None
    for contract in contracts().values():
        if contract.source.kafka and contract.source.kafka.topic == found[1]:
            return contract, int(found[2]), int(found[3])
    return None


def message_history(
    contract: Contract,
    partition: int,
    offset: int,
    connection: Connection,
    lake: Store,
    connect: Callable[[], duckdb.DuckDBPyConnection],
) -> MessageHistory:
    """Trace a message through topic and ledger; changes nothing. Of topics that were replaced the newest counts.

    Args:
        connect: opens a connection that can read the lake.

    Raises:
        ConfigError: the topic has no such partition.
    """
    assert contract.source.kafka is not None
    topic = contract.source.kafka.topic
    ledger = Ledger(lake, contract.feed)
    state = ledger.live()
    name = source_name(topic, partition)
    found = MessageHistory(contract.feed, name, offset, "")
    read, gap = _read(ledger, state, topic, partition, offset)
    if read is None:
        text = f"never read: {gap}" if gap else _unread(connection, topic, partition, offset)
        return replace(found, state=text)
    position, committed_at, span = read
    files, bad = _records(connect, lake, state, span, offset)
    if bad:
        text = "discarded" if bad[0].discarded else "quarantined"
    elif files:
        text = "loaded"
    else:
        text = "read: no message (of a transaction, aborted or compacted), without a value, skipped or erased"
    return replace(
        found,
        state=text,
        load_id=span.load_id,
        position=position,
        committed_at=committed_at,
        files=files,
        bad_lines=bad,
    )


def _read(
    ledger: Ledger, state: LedgerState, topic: str, partition: int, offset: int
) -> tuple[tuple[int, dt.datetime, OffsetRange] | None, Gap | None]:
    """The entry whose range has an offset, or the accepted gap in which it is."""
    read, passed = None, None
    if state.ranges.since:
        for position, entry in ledger.entries_without_objects(state.ranges.since - 1, state.position):
            for gap in entry.gaps:
                is_in = gap.resumes_at is not None and gap.next_offset <= offset < gap.resumes_at
                if is_in and (gap.topic, gap.partition) == (topic, partition):
                    read, passed = None, gap
            for span in entry.ranges:
                if (span.topic, span.partition) == (
                    topic,
                    partition,
                ) and span.first_offset <= offset < span.next_offset:
                    read, passed = (position, entry.committed_at, span), None
    return read, passed


def _unread(connection: Connection, name: str, partition: int, offset: int) -> str:
    """Why an offset was not read."""
    if not connection:
        return "not read; no broker is configured"
    try:
        topic = find_topic(connection, name)
    except LakemeshError as error:
        return f"not read; {error}"
    here = next((one for one in topic.partitions if one.number == partition), None)
    if here is None:
        raise ConfigError(f"{name}/{partition}: the topic has {len(topic.partitions)} partitions, counted from 0")
    if offset < here.first:
        return f"not read; the topic begins at offset {here.first:,}"
    if offset >= here.end:
        return f"not written yet; the topic ends at offset {here.end:,}"
    return "waiting" if offset < here.stable else "waiting: a transaction before it is open"


def _records(
    connect: Callable[[], duckdb.DuckDBPyConnection], lake: Store, state: LedgerState, span: OffsetRange, offset: int
) -> tuple[tuple[str, ...], tuple[BadLine, ...]]:
    """The live files with the record of an offset, and the record if it is rejected."""
    holding, bad = [], []
    with connect() as connection:
        for path, file in sorted(state.files.items()):
            where = "WHERE _source_file = ? AND _source_etag = ? AND _source_line = ?"
            source, values = f"FROM {parquet(lake.uri, [path])} {where}", [span.name, span.etag, offset]
            if not connection.execute(f"SELECT 1 {source} LIMIT 1", values).fetchone():
                continue
            holding.append(path)
            if path.startswith((OPEN, DISCARDED)):
                rows = connection.execute(f'SELECT reason, "column", detail, raw {source}', values).fetchall()
                why = discard_reason(file) if path.startswith(DISCARDED) else None
                for reason, column, detail, raw in rows:
                    bad.append(BadLine(offset, reason, column, detail, bytes(raw).decode("utf-8", "replace"), why))
    return tuple(holding), tuple(bad)


def masked_message(message: MessageHistory) -> MessageHistory:
    """Mask the rejected record of a message."""
    contract = contracts()[message.feed]
    lines = (
        replace(
            line,
            detail=masked_detail(contract, line.reason, line.column, line.detail),
            raw=masked_record(contract, line.raw.encode("utf-8", "replace")),
        )
        for line in message.bad_lines
    )
    return replace(message, bad_lines=tuple(lines))
