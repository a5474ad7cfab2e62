"""Erasure: takes persons out of what one feed has loaded, copy-on-write, in one commit.

The commit also is a barrier: a load that did not know the tombstones loses its number to it and is planned again, so a
slow one cannot bring the person back.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract
from ingest.errors import ConflictError
from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.landed import LandedLines, record_landed
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import DISCARDED, OPEN
from ingest.ledger.sources import is_message
from ingest.ledger.state import LedgerState
from ingest.ledger.tombstones import Tombstones, TombstoneStore, tombstone_names
from ingest.records.parsed import LINE, RESCUED
from ingest.retry import while_preceded
from ingest.steps.erased import ErasedCounts
from ingest.steps.forget import Forgetter
from ingest.steps.hidden import HiddenNames
from ingest.steps.leaves import Mask
from ingest.steps.matchers import Hashed, Matcher, Named
from ingest.steps.rename import has_names_to_hide, hide_names, mark_names, names_to_hide, with_names_hidden
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
            if has_names_to_hide(lake, contract.feed):
                _hide_names(lake, ledger, HiddenNames(Hashed(tombstones), tombstones.key))
            return Erasure(contract.feed)
        matcher: Matcher = named if named and left <= named.covers else Hashed(tombstones)
        forgetter = Forgetter(contract, matcher, tombstones.key)
        with lake.disk_errors():
            done = while_preceded(partial(_erase, contract, lake, ledger, forgetter, left, now), busy)
        if done:
            if has_names_to_hide(lake, contract.feed):
                _hide_names(lake, ledger, HiddenNames(matcher, tombstones.key))
            return done
        stones.extend(forgetter.found, now)


def _hide_names(lake: Store, ledger: Ledger, names: HiddenNames) -> None:
    hide_names(lake, ledger, names_to_hide(ledger.state(), names))


class _Search:
    """What one pass over a feed finds.

    Attributes:
        erased: deleted rows and records.
        lines: lines that have the person, by source file; of objects.
    """

    def __init__(self, forgetter: Forgetter, state: LedgerState, hidden: Mapping[str, str]) -> None:
        self.forgetter, self.erased, self._hidden = forgetter, ErasedCounts(state), hidden
        self.lines: dict[str, set[int]] = {}
        self.changed = 0

    def row_change(self, file: LakeFile, table: pa.Table) -> pa.Table:
        """The rows of a table that stay."""
        done = self.forgetter.rows(table)
        self.changed += int(done.changed.sum())
        self._note(table, done.touched)
        self.erased.add_rows(table.filter(pa.array(done.deleted)), file.event_date)
        return with_names_hidden(done.table, self._hidden)

    def reject_change(self, table: pa.Table) -> pa.Table:
        """The rejected records of a table that stay."""
        gone = np.array([self.forgetter.mentions(raw) for raw in table.column("raw").to_pylist()], dtype=bool)
        self._note(table, gone)
        self.erased.add_rejected(table.filter(pa.array(gone)))
        return with_names_hidden(table.filter(pa.array(~gone)), self._hidden)

    def _note(self, table: pa.Table, where: Mask) -> None:
        if where.any():
            found = table.select([_SOURCE_FILE, LINE]).filter(pa.array(where))
            names = found.column(0).cast(pa.string()).to_pylist()
            for name, line in zip(names, found.column(1).to_pylist(), strict=True):
                if not is_message(name):  # a topic forgets by its retention, see docs/governance.md
                    self.lines.setdefault(name, set()).add(line)


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
    hidden = names_to_hide(state, HiddenNames(forgetter.matcher, forgetter.key))
    named = {item.load_id for item in state.objects.lookup(hidden).values()}
    if hidden:
        mark_names(lake, contract.feed)
    search, rewrite, staged = _Search(forgetter, state, hidden), Rewrite(), dict[str, Path]()
    try:
        for file in sorted(state.files.values(), key=lambda file: file.path):
            is_rejects = file.path.startswith((OPEN, DISCARDED))
            with lake.open(file.path) as source:
                parquet = pq.ParquetFile(source, memory_map=False)
                if not _has(forgetter, parquet, is_rejects) and (
                    named.isdisjoint(file.loads) or not _has_names(parquet, hidden)
                ):
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
    loaded = state.objects.lookup(search.lines)
    lines = tuple(
        LandedLines(hidden.get(name, name), loaded[name].load_id, tuple(sorted(found)))
        for name, found in sorted(search.lines.items())
    )
    note = record_landed(lake, contract.feed, load_id, lines) if lines else ""
    entry = Entry(
        load_id,
        now,
        search.erased.objects(),
        tuple(rewrite.added),
        tuple(rewrite.removed),
        ranges=search.erased.corrections(load_id),
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
        search.erased.rows,
        search.changed,
        search.erased.rejected,
        len(rewrite.added),
        sum(file.bytes for file in rewrite.added),
        lines,
        position,
    )


def _has_names(parquet: pq.ParquetFile, names: Mapping[str, str]) -> bool:
    wanted = pa.array(names, pa.string())
    return any(
        pc.any(pc.is_in(batch.column(0).cast(pa.string()), wanted)).as_py()
        for batch in parquet.iter_batches(1 << 16, columns=[_SOURCE_FILE])
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
