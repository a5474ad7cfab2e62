"""What bronze already has of the last dates, as events: from there the topic continues at the ledger's offsets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from ingest.contracts.contract import Kind
from ingest.ledger.sources import Partition
from ingest.ledger.state import LedgerState
from ingest.sql import literal
from pipeline.lake import Lake
from pipeline.live.business import moment
from pipeline.live.decode import Decoded, Decoder
from pipeline.live.event import Click, Place
from pipeline.warehouse.bronze import bronze_query, readable

_ROWS = 50_000


@dataclass(slots=True)
class Rebuild:
    """Reads bronze at one position of each ledger.

    Attributes:
        next_offsets: where each partition continues.
    """

    lake: Lake
    decoder: Decoder
    floor: int
    next_offsets: dict[Partition, int] = field(default_factory=dict)
    _states: dict[str, LedgerState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for feed in self.decoder.contracts:
            state = self.lake.ledger(feed).live()
            self._states[feed] = state
            self.next_offsets |= state.next_offsets

    def events(self) -> Iterator[Decoded]:
        """The events of the last dates, in no order.

        Raises:
            DamagedLake, RetriableError: the lake cannot be read.
        """
        for feed, contract in self.decoder.contracts.items():
            state = self._states[feed]
            files = state.bronze_files()
            if not files:
                continue
            query = bronze_query(readable(contract, self.lake.store, state), self.lake.store.uri, files)
            first = literal(moment(self.floor).strftime("%Y-%m-%d %H:%M:%S"))
            if contract.kind is Kind.EVENT:
                where = f"event_date >= {first}::TIMESTAMP::DATE"
            else:  # of an order that is gone, the change may have nothing but its key
                where = f"{contract.created_at} >= {first}::TIMESTAMP OR _committed_at >= {first}::TIMESTAMP"
            with self.lake.connect() as connection:
                result = connection.execute(f"SELECT * FROM ({query}) AS bronze WHERE {where}")
                for batch in result.to_arrow_reader(_ROWS):
                    yield from self._decoded(feed, pa.Table.from_batches([batch]))

    def _decoded(self, feed: str, rows: pa.Table) -> Iterator[Decoded]:
        sources, lines = rows.column("_source_file").to_pylist(), rows.column("_source_line").to_pylist()
        written = rows.column("_source_modified_at").cast(pa.int64()).to_pylist()
        for event, source, line, at in zip(self.decoder.events(feed, rows), sources, lines, written, strict=True):
            happened = min(event.at, at) if isinstance(event, Click) else at
            yield Decoded(Place(source, line), event, happened)
