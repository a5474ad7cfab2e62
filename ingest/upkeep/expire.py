"""Expiry: takes records out of a feed that its retention no longer allows, and moves the feed's horizon.

Of an event feed everything dated before the horizon expires: whole files, so that it costs what expires. Of other
feeds the records of persons whose last activity was before it. Rejected records expire by the day when they were
loaded, since their own dates are not known. Legal holds win. Each record stays counted, as `erased`.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract, Kind
from ingest.contracts.processing import OnErasure
from ingest.errors import ConflictError
from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.horizons import move_horizon
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import DISCARDED, OPEN
from ingest.ledger.state import LedgerState
from ingest.retry import while_preceded
from ingest.steps.erased import COLUMNS, ErasedCounts
from ingest.steps.forget import Forgetter
from ingest.steps.leaves import Mask
from ingest.steps.matchers import Matcher
from ingest.steps.rewrite import Rewrite, rewrite_file
from ingest.storage.store import Store


@dataclass(frozen=True, slots=True)
class Expiry:
    """What expired in one feed.

    Attributes:
        before: the horizon; None if the feed has no retention.
        rows: rows of bronze.
        rejected: records of the quarantine, discarded ones included.
        spared: rows that a legal hold keeps.
    """

    before: dt.date | None = None
    rows: int = 0
    rejected: int = 0
    spared: int = 0


@dataclass(slots=True)
class _Pass:
    """What one commit takes away.

    Attributes:
        spared: rows that stay although they are old enough.
    """

    erased: ErasedCounts
    rewrite: Rewrite = field(default_factory=Rewrite)
    staged: dict[str, Path] = field(default_factory=dict)
    spared: int = 0


class Expirer:
    """Expires one feed.

    Args:
        held: knows the persons under a legal hold; None if there are none.
        inactive: of a feed that is not one of events, knows the persons whose last activity was before the horizon.
    """

    def __init__(
        self,
        contract: Contract,
        lake: Store,
        ledger: Ledger,
        horizon: dt.date,
        held: Matcher | None = None,
        inactive: Matcher | None = None,
    ) -> None:
        personal = contract.personal and contract.personal.model_copy(update={"on_erasure": OnErasure.DELETE})
        own = contract.model_copy(update={"personal": personal})
        self._contract, self._lake, self._ledger, self._horizon = contract, lake, ledger, horizon
        self._held = Forgetter(own, held, b"") if held else None
        self._inactive = Forgetter(own, inactive, b"") if inactive else None

    def run(self, now: dt.datetime) -> Expiry:
        """Take away what has expired, a month per commit. Safe to repeat, to interrupt, and to run beside ingesters.

        Raises:
            RetriableError: other writers kept changing the same files.
        """
        horizon = move_horizon(self._lake, self._contract.feed, self._horizon)
        done = Expiry(horizon)
        feed = self._contract.feed
        busy = f"{feed}: other writers keep changing the same files; what has expired stays until the next call"
        for until in self._steps(horizon):
            with self._lake.disk_errors():
                found = while_preceded(partial(self._expire, until, horizon, now), busy)
            done = replace(
                done,
                rows=done.rows + found.erased.rows,
                rejected=done.rejected + found.erased.rejected,
                spared=done.spared + found.spared,
            )
        return done

    def _steps(self, horizon: dt.date) -> list[dt.date]:
        """The dates up to which each commit goes, so that none has more than a month."""
        if self._contract.kind is not Kind.EVENT:
            return [horizon]
        days = {file.event_date for file in self._ledger.live().bronze_files() if file.event_date}
        months = {day.replace(day=1) for day in days if day < horizon}
        return [*sorted(month for month in months if month > min(months)), horizon]

    def _expire(self, until: dt.date, horizon: dt.date, now: dt.datetime) -> _Pass:
        """One commit; nothing is committed if nothing has expired."""
        state = self._ledger.state()
        load_id = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
        found = _Pass(ErasedCounts(state))
        try:
            for file, is_rejects in self._expired(state, until):
                with self._lake.open(file.path) as source:
                    parquet = pq.ParquetFile(source, memory_map=False)
                    if self._held is None and (is_rejects or self._inactive is None):
                        self._count(parquet.read(columns=list(COLUMNS)), file, is_rejects, found)
                        found.rewrite.removed.append(file.path)
                    elif self._has_expired(parquet, is_rejects):
                        change = partial(self._without_expired, file, is_rejects, found)
                        rewrite_file(self._lake, file, parquet, change, load_id, found.rewrite, found.staged)
            self._lake.publish(found.staged)
        except BaseException:
            self._lake.discard(found.staged.values())
            self._lake.delete(found.staged)
            raise
        if not found.rewrite.removed:
            return found
        entry = Entry(
            load_id,
            now,
            found.erased.objects(),
            tuple(found.rewrite.added),
            tuple(found.rewrite.removed),
            ranges=found.erased.corrections(load_id),
            expires=horizon,
        )
        try:
            self._ledger.commit(entry, state.position)
        except ConflictError:  # after any other error the commit may have succeeded, so the files stay
            self._lake.delete(found.staged)
            raise
        return found

    def _expired(self, state: LedgerState, until: dt.date) -> Iterator[tuple[LakeFile, bool]]:
        """Files that may have expired records, and whether they are of rejected ones."""
        for file in sorted(state.files.values(), key=lambda file: file.path):
            if file.path.startswith((OPEN, DISCARDED)):
                if file.ingest_date < until:
                    yield file, True
            elif self._inactive or (file.event_date and file.event_date < until):
                yield file, False

    def _has_expired(self, parquet: pq.ParquetFile, is_rejects: bool) -> bool:
        groups = map(parquet.read_row_group, range(parquet.num_row_groups))
        return any(not self._kept(table, is_rejects).all() for table in groups)

    def _without_expired(self, file: LakeFile, is_rejects: bool, found: _Pass, table: pa.Table) -> pa.Table:
        kept = self._kept(table, is_rejects)
        self._count(table.filter(pa.array(~kept)), file, is_rejects, found)
        if not is_rejects and self._inactive is None:
            found.spared += int(kept.sum())
        return table.filter(pa.array(kept))

    def _count(self, expired: pa.Table, file: LakeFile, is_rejects: bool, found: _Pass) -> None:
        if is_rejects:
            found.erased.add_rejected(expired)
        else:
            found.erased.add_rows(expired, file.event_date)

    def _kept(self, table: pa.Table, is_rejects: bool) -> Mask:
        """Which records stay."""
        return self._kept_rejects(table) if is_rejects else self._kept_rows(table)

    def _kept_rows(self, table: pa.Table) -> Mask:
        held = self._held.rows(table).deleted if self._held else np.zeros(len(table), dtype=bool)
        if self._inactive is None:
            return held
        return held | ~self._inactive.names_nobody_else(table)

    def _kept_rejects(self, table: pa.Table) -> Mask:
        if self._held is None:
            return np.zeros(len(table), dtype=bool)
        return np.array([self._held.mentions(raw) for raw in table.column("raw").to_pylist()], dtype=bool)
