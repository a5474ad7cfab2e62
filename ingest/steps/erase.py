"""Erasure: takes persons out of what one feed has loaded, copy-on-write, in one commit.

The commit also is a barrier: a load that did not know the tombstones loses its number to it and is planned again, so a
slow one cannot bring the person back.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract
from ingest.errors import ConflictError
from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.landed import LandedLines, record_landed
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import DISCARDED, OPEN
from ingest.ledger.sources import LoadedObject, OffsetRange, is_message
from ingest.ledger.state import LedgerState
from ingest.ledger.tombstones import Tombstones, TombstoneStore, tombstone_names
from ingest.records.parsed import LINE, RESCUED
from ingest.retry import while_preceded
from ingest.steps.forget import Forgetter
from ingest.steps.leaves import Mask
from ingest.steps.matchers import Hashed, Matcher, Named
from ingest.steps.rewrite import Rewrite, rewrite_file
from ingest.storage.store import Store

_SOURCE_FILE = "_source_file"


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure found in one feed.

    Attributes:
        deleted: rows of bronze that were deleted.
        changed: rows that stayed, without the person.
        rejected: records of the quarantine, discarded ones included, that were deleted.
        files, bytes: files that were written instead of others, and their size.
        lines: lines of source objects that have the person.
        position: of the entry in the ledger; 0 if nothing was to be done.
    """

    feed: str
    deleted: int = 0
    changed: int = 0
    rejected: int = 0
    files: int = 0
    bytes: int = 0
    lines: tuple[LandedLines, ...] = ()
    position: int = 0


def pending(state: LedgerState, tombstones: Tombstones) -> frozenset[str]:
    """Return the tombstones whose persons were not taken out of a feed yet."""
    return tombstones.names - state.forgets


def erase(
    contract: Contract,
    lake: Store,
    ledger: Ledger,
    stones: TombstoneStore,
    now: dt.datetime,
    named: Named | None = None,
) -> Erasure:
    """Take the persons of pending tombstones out of bronze, quarantine and discarded records of a feed, in one commit.

    Safe to repeat, to interrupt at any point and to run alongside other writers. Old files stay until they are cleaned.
    Further identifiers of these persons get tombstones before anything is committed: the record that has both is the
    only place that relates them.

    Args:
        named: knows persons by name; used if nobody else's tombstones are pending.

    Raises:
        RetriableError: other writers kept changing the same files.
        ConfigError: the key of the tombstones is missing or another one.
    """
    busy = f"{contract.feed}: other writers keep changing the same files; nothing was erased here, run it again"
    while True:
        tombstones = stones.read(again=True)
        left = pending(ledger.live(), tombstones)
        if not left:
            return Erasure(contract.feed)
        matcher: Matcher = named if named and left <= named.covers else Hashed(tombstones)
        forgetter = Forgetter(contract, matcher, tombstones.key)
        with lake.disk_errors():
            done = while_preceded(partial(_erase, contract, lake, ledger, forgetter, left, now), busy)
        if done:
            return done
        stones.extend(forgetter.found, now)


class _Source(NamedTuple):
    """What records are of: an object, or what was committed of a partition on one date.

    Attributes:
        etag, day: of a partition; empty and None for an object.
    """

    name: str
    etag: str
    day: dt.date | None


class _Search:
    """What one pass over a feed finds.

    Attributes:
        erased: deleted rows by source and event date.
        rejected: deleted records by source.
        lines: lines that have the person, by source file; of objects.
    """

    def __init__(self, forgetter: Forgetter, state: LedgerState) -> None:
        self.forgetter, self._ranges = forgetter, state.ranges
        self.erased: Counter[tuple[_Source, dt.date | None]] = Counter()
        self.rejected: Counter[_Source] = Counter()
        self.lines: dict[str, set[int]] = {}
        self.changed = 0

    def row_change(self, file: LakeFile, table: pa.Table) -> pa.Table:
        """The rows of a table that stay."""
        done = self.forgetter.rows(table)
        self.changed += int(done.changed.sum())
        self._note(table, done.touched)
        for source, count in self._counts(table, done.deleted):
            self.erased[source, file.event_date] += count
        return done.table

    def reject_change(self, table: pa.Table) -> pa.Table:
        """The rejected records of a table that stay."""
        gone = np.array([self.forgetter.mentions(raw) for raw in table.column("raw").to_pylist()], dtype=bool)
        self._note(table, gone)
        for source, count in self._counts(table, gone):
            self.rejected[source] += count
        return table.filter(pa.array(~gone))

    def _note(self, table: pa.Table, where: Mask) -> None:
        if where.any():
            found = table.select([_SOURCE_FILE, LINE]).filter(pa.array(where))
            names = found.column(0).cast(pa.string()).to_pylist()
            for name, line in zip(names, found.column(1).to_pylist(), strict=True):
                if not is_message(name):  # a topic forgets by its retention, see docs/governance.md
                    self.lines.setdefault(name, set()).add(line)

    def _counts(self, table: pa.Table, where: Mask) -> Iterable[tuple[_Source, int]]:
        """Number of marked rows by source."""
        if not where.any():
            return ()
        found = table.select([_SOURCE_FILE, "_source_etag", LINE]).filter(pa.array(where))
        texts = (found.column(place).cast(pa.string()).to_pylist() for place in range(2))
        counts: Counter[_Source] = Counter()
        for name, etag, line in zip(*texts, found.column(2).to_pylist(), strict=True):
            span = self._ranges.named(name, etag) if is_message(name) else None
            day = self._ranges.day_of(span.place, line) if span else None
            counts[_Source(name, etag if span else "", day)] += 1
        return counts.items()


def _erase(
    contract: Contract,
    lake: Store,
    ledger: Ledger,
    forgetter: Forgetter,
    forgets: frozenset[str],
    now: dt.datetime,
) -> Erasure | None:
    """One attempt; None, and nothing is committed, if the persons have further identifiers."""
    known = tombstone_names(lake)
    state = ledger.state()
    load_id = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
    search, rewrite, staged = _Search(forgetter, state), Rewrite(), dict[str, Path]()
    try:
        for file in sorted(state.files.values(), key=lambda file: file.path):
            is_rejects = file.path.startswith((OPEN, DISCARDED))
            with lake.open(file.path) as source:
                parquet = pq.ParquetFile(source, memory_map=False)
                if not _has(forgetter, parquet, is_rejects):
                    continue
                change = search.reject_change if is_rejects else partial(search.row_change, file)
                rewrite_file(lake, file, parquet, change, load_id, rewrite, staged)
        if forgetter.found:
            lake.discard(staged.values())
            return None
        lake.publish(staged)
    except BaseException:
        lake.discard(staged.values())
        lake.delete(staged)
        raise
    objects = _objects(state, search)
    loaded = state.objects.lookup(search.lines)
    lines = tuple(
        LandedLines(name, loaded[name].load_id, tuple(sorted(found))) for name, found in sorted(search.lines.items())
    )
    note = record_landed(lake, contract.feed, load_id, lines) if lines else ""
    entry = Entry(
        load_id,
        now,
        objects,
        tuple(rewrite.added),
        tuple(rewrite.removed),
        ranges=_corrections(state, search, load_id),
        forgets=forgets,
        known=known | forgets,
    )
    try:
        position = ledger.commit(entry, state.position)
    except ConflictError:  # after any other error the commit may have succeeded, so the files stay
        lake.delete([*staged, *([note] if note else [])])
        raise
    return Erasure(
        contract.feed,
        sum(search.erased.values()),
        search.changed,
        sum(search.rejected.values()),
        len(rewrite.added),
        sum(file.bytes for file in rewrite.added),
        lines,
        position,
    )


def _has(forgetter: Forgetter, parquet: pq.ParquetFile, is_rejects: bool) -> bool:
    """Whether a file has such a person; reads only the columns that could say so."""
    if is_rejects:
        return any(
            forgetter.mentions(raw)
            for batch in parquet.iter_batches(1 << 12, columns=["raw"])
            for raw in batch.column(0).to_pylist()
        )
    names = {path.split(".", 1)[0] for path in forgetter.contract.identifiers()}
    stored = [name for name in (*sorted(names), RESCUED) if name in parquet.schema_arrow.names]
    return any(
        not forgetter.rows(parquet.read_row_group(group, columns=stored)).is_same
        for group in range(parquet.num_row_groups)
    )


def _objects(state: LedgerState, search: _Search) -> tuple[LoadedObject, ...]:
    """The objects whose counts change."""
    dates, rows = _by_source(search)
    rejected = {source.name: count for source, count in search.rejected.items() if source.day is None}
    dates_of = {source.name: days for source, days in dates.items() if source.day is None}
    rows_of = Counter({source.name: count for source, count in rows.items() if source.day is None})
    changed = []
    for name, item in sorted(state.objects.lookup({*rows_of, *rejected}).items()):
        gone, bad = dates_of.get(name, {}), rejected.get(name, 0)
        left = tuple((day, count - gone.get(day, 0)) for day, count in item.event_dates if count > gone.get(day, 0))
        changed.append(
            replace(
                item,
                rows=item.rows - rows_of[name],
                quarantined=item.quarantined - bad,
                erased=item.erased + rows_of[name] + bad,
                event_dates=left,
            )
        )
    return tuple(changed)


def _corrections(state: LedgerState, search: _Search, load_id: str) -> tuple[OffsetRange, ...]:
    """What changes of the counts of partitions."""
    dates, rows = _by_source(search)
    found = []
    for source in sorted({*rows, *search.rejected} - {one for one in {*rows, *search.rejected} if one.day is None}):
        span = state.ranges.named(source.name, source.etag)
        assert span is not None
        assert source.day is not None
        offset = state.ranges.days[span.place][source.day].first_offset
        gone, bad = rows[source], search.rejected[source]
        found.append(
            state.ranges.correction(
                source.name,
                source.etag,
                offset,
                load_id,
                rows=-gone,
                quarantined=-bad,
                erased=gone + bad,
                event_dates={day: -count for day, count in dates.get(source, {}).items()},
            )
        )
    return tuple(found)


def _by_source(search: _Search) -> tuple[dict[_Source, dict[dt.date, int]], Counter[_Source]]:
    """Erased rows of each source, by event date and together."""
    dates: dict[_Source, dict[dt.date, int]] = {}
    rows: Counter[_Source] = Counter()
    for (source, day), count in search.erased.items():
        rows[source] += count
        if day:
            dates.setdefault(source, {})[day] = count
    return dates, rows
