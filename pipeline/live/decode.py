"""From messages to clicks and orders, by the parser of ingestion: what bronze would quarantine does not count here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.contracts.contract import Contract, contracts
from ingest.errors import ConfigError
from ingest.records.parts import Piece
from ingest.records.times import MessageTimes
from ingest.steps.parse import Parser
from pipeline.live.business import BusinessDays
from pipeline.live.event import Click, Order, Place
from pipeline.live.rules import Rules

CLICKS, ORDERS = "clickstream", "orders"
"""The feeds of live numbers."""
_CLICK = ("event_id", "visitor_id", "event_type", "occurred_at", "product_id", "device", "country_code", "user_agent")
_ORDER = (
    *("order_id", "ordered_at", "currency", "total_amount", "tax_amount", "shipping_amount"),
    *("_operation", "_snapshot", "_position", "_transaction_order", "_previous_commit"),
)
_NEWLINES = bytes.maketrans(b"\r\n", b"  ")


@dataclass(frozen=True, slots=True)
class Message:
    """A record of a topic.

    Attributes:
        value: JSON in one line; None for a message without a value.
        written: its time, microseconds.
    """

    feed: str
    source: str
    offset: int
    value: bytes | None
    written: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a message says.

    Attributes:
        event: None for what has no row: quarantined, skipped, a tombstone.
        at: when it happened, but not after the message was written.
    """

    place: Place
    event: Click | Order | None
    at: int


class Decoder:
    """Decodes the messages of the feeds of live numbers.

    Raises:
        ConfigError: the project has no such feed.
    """

    def __init__(self, rules: Rules) -> None:
        known = contracts()
        if missing := [feed for feed in (CLICKS, ORDERS) if feed not in known]:
            raise ConfigError(f"live numbers need the feed {missing[0]}, which has no contract")
        self.contracts: dict[str, Contract] = {feed: known[feed] for feed in (CLICKS, ORDERS)}
        self._rules, self._agents, self._days = rules, rules.agents(), BusinessDays(rules.timezone)

    def decode(self, messages: Sequence[Message]) -> Iterator[Decoded]:
        """Decode messages of any feed, in their order within each feed."""
        for feed in self.contracts:
            yield from self._of_feed(feed, [item for item in messages if item.feed == feed])

    def _of_feed(self, feed: str, messages: Sequence[Message]) -> Iterator[Decoded]:
        if not messages:
            return
        times = MessageTimes()
        times.add(0, np.arange(1, len(messages) + 1), np.array([item.written for item in messages], dtype=np.int64))
        data = b"".join([(item.value or b"").translate(_NEWLINES) + b"\n" for item in messages])
        rows = Parser(self.contracts[feed], times).parse([Piece(0, 1, data)]).rows
        events = dict(zip(rows.column("_source_line").to_pylist(), self.events(feed, rows), strict=True))
        for number, item in enumerate(messages, 1):
            event = events.get(number)
            at = min(event.at, item.written) if isinstance(event, Click) else item.written
            yield Decoded(Place(item.source, item.offset), event, at)

    def events(self, feed: str, rows: pa.Table) -> Iterator[Click | Order | None]:
        """The events of rows, as bronze has them; None for a row that is none, such as a truncate."""
        return self._clicks(rows) if feed == CLICKS else self._orders(rows)

    def _clicks(self, rows: pa.Table) -> Iterator[Click]:
        is_bot = self._agents.is_bot
        for event_id, visitor, kind, at, product, device, country, agent in _values(rows, _CLICK):
            shown = (device or "").strip(" ") or "unknown"
            yield Click(event_id, visitor, kind, at, product, shown, country, is_bot(agent))

    def _orders(self, rows: pa.Table) -> Iterator[Order | None]:
        for row in _values(rows, _ORDER):
            order_id, at, currency, total, tax, shipping, operation, snapshot, position, place, commit = row
            if operation == "truncate" or order_id is None:
                yield None
                continue
            rank = 1 if operation != "read" else 2 if snapshot == "incremental" else 0
            net = None if at is None else self._rules.net_amount(self._days.of(at), currency, total, tax, shipping)
            version = max(position, commit or ""), rank, position, place or 0
            yield Order(order_id, version, at, net, operation != "delete")


def _values(rows: pa.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The values of some columns, moments as microseconds."""
    columns = [rows.column(name) for name in names]
    plain = [item.cast(pa.int64()) if pa.types.is_timestamp(item.type) else item for item in columns]
    return zip(*(item.to_pylist() for item in plain), strict=True)
