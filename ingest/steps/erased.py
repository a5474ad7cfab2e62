"""Counts of records that are taken away, by what they are of, and what the entry that takes them says of these."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingest.ledger.sources import TOPIC_PREFIX, LoadedObject, OffsetRange
from ingest.ledger.state import LedgerState
from ingest.records.parsed import LINE

_NAME, _ETAG = "_source_file", "_source_etag"


class _Source(NamedTuple):
    """What records are of: an object, or what was committed of a partition on one date.

    Attributes:
        etag, day: of a partition; empty and None for an object.
    """

    name: str
    etag: str = ""
    day: dt.date | None = None


@dataclass(slots=True)
class ErasedCounts:
    """Records of a feed that an entry takes away.

    Attributes:
        state: before that entry.
        rows, rejected: how many rows and rejected records.
    """

    state: LedgerState
    rows: int = 0
    rejected: int = 0
    _rows: Counter[tuple[_Source, dt.date | None]] = field(default_factory=Counter)
    _rejected: Counter[_Source] = field(default_factory=Counter)

    def add_rows(self, table: pa.Table, event_date: dt.date | None) -> None:
        """Count rows of bronze, all of one event date or of an entity.

        Args:
            table: has at least the columns of COLUMNS.
        """
        self.rows += len(table)
        for source, count in self._sources(table):
            self._rows[source, event_date] += count

    def add_rejected(self, table: pa.Table) -> None:
        """Count rejected records."""
        self.rejected += len(table)
        for source, count in self._sources(table):
            self._rejected[source] += count

    def objects(self) -> tuple[LoadedObject, ...]:
        """The objects whose counts change."""
        dates, rows = self._by_source()
        names = {source.name: source for source in {*rows, *self._rejected} if source.day is None}
        changed = []
        for name, item in sorted(self.state.objects.lookup(names).items()):
            gone, bad, source = dates.get(names[name], {}), self._rejected[names[name]], names[name]
            left = tuple((day, count - gone.get(day, 0)) for day, count in item.event_dates if count > gone.get(day, 0))
            changed.append(
                replace(
                    item,
                    rows=item.rows - rows[source],
                    quarantined=item.quarantined - bad,
                    erased=item.erased + rows[source] + bad,
                    event_dates=left,
                )
            )
        return tuple(changed)

    def corrections(self, load_id: str) -> tuple[OffsetRange, ...]:
        """What changes of the counts of partitions."""
        dates, rows = self._by_source()
        found, ranges = [], self.state.ranges
        for source in sorted(item for item in {*rows, *self._rejected} if item.day is not None):
            span = ranges.named(source.name, source.etag)
            assert span is not None
            assert source.day is not None
            gone, bad = rows[source], self._rejected[source]
            found.append(
                ranges.correction(
                    source.name,
                    source.etag,
                    ranges.days[span.place][source.day].first_offset,
                    load_id,
                    rows=-gone,
                    quarantined=-bad,
                    erased=gone + bad,
                    event_dates={day: -count for day, count in dates.get(source, {}).items()},
                )
            )
        return tuple(found)

    def _sources(self, table: pa.Table) -> Iterator[tuple[_Source, int]]:
        """Number of records by what they are of."""
        names = table.column(_NAME).cast(pa.string())
        of_messages = pc.starts_with(names, TOPIC_PREFIX)
        for item in names.filter(pc.invert(of_messages)).value_counts().to_pylist():
            yield _Source(item["values"]), item["counts"]
        messages = table.select([_NAME, _ETAG, LINE]).filter(of_messages)
        texts = (messages.column(place).cast(pa.string()).to_pylist() for place in range(2))
        for name, etag, line in zip(*texts, messages.column(2).to_pylist(), strict=True):
            span = self.state.ranges.named(name, etag)
            yield _Source(name, etag, self.state.ranges.day_of(span.place, line) if span else None), 1

    def _by_source(self) -> tuple[dict[_Source, dict[dt.date, int]], Counter[_Source]]:
        """Rows of each source, by event date and together."""
        dates: dict[_Source, dict[dt.date, int]] = {}
        rows: Counter[_Source] = Counter()
        for (source, day), count in self._rows.items():
            rows[source] += count
            if day:
                dates.setdefault(source, {})[day] = count
        return dates, rows


COLUMNS = (_NAME, _ETAG, LINE)
"""What counting reads of a table."""
