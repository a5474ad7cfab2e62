"""The load of one feed from landing to bronze: discover, plan, then read, parse, write and commit each load."""

from __future__ import annotations

import datetime as dt
import logging
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace

from ingest.contracts.contract import Contract
from ingest.errors import ConflictError, CorruptObject, log_traceback
from ingest.ledger.dropped import read_dropped
from ingest.ledger.entry import Entry
from ingest.ledger.evolution import check_compatible
from ingest.ledger.ledger import Ledger
from ingest.ledger.tombstones import TombstoneStore
from ingest.limits import DEFAULT, Limits
from ingest.records.report import FeedReport, Progress, added_counts
from ingest.records.waiting import Waiting
from ingest.steps.attempt import Attempt, DefectiveLoad
from ingest.steps.discover import discover
from ingest.steps.plan import plan_loads
from ingest.steps.read import StreamFailed
from ingest.steps.sweep import Scope, choose_scope, record_sweep
from ingest.storage.landing import Landing
from ingest.storage.objects import ObjectChanged
from ingest.storage.store import Store

MAX_SPLITS = 128
"""How often an ingest of a feed halves a load that hits a defect: enough to isolate a dozen objects in a full load."""
LOG = logging.getLogger(__name__)


def ingest_feed(
    contract: Contract,
    landing: Landing,
    lake: Store,
    lake_start: dt.date,
    progress: Progress | None = None,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    limits: Limits = DEFAULT,
    full: bool = False,
    hints: Collection[str] | None = None,
    scope: Scope | None = None,
    tombstones: TombstoneStore | None = None,
) -> FeedReport:
    """Load everything that waits. Safe to repeat, to interrupt at any point and to run alongside other ingesters.

    Args:
        lake_start: rows dated before it are counted in the report.
        progress: called with (objects, bytes) as they are read; first with the negative totals of what waits.
        full: list everything, whatever the contract says.
        hints: keys that notifications named; only they are looked up, unless a full sweep is due.
        scope: the scope to use instead of one chosen from contract, ledger and hints.
        tombstones: of persons whose records are not loaded; by default there may be none.

    Raises:
        ConfigError: a setting, permission or bucket is wrong, or the contract cannot read what was loaded before.
        RetriableError: a store cannot be reached or the disk is full.
    """
    ledger = Ledger(lake, contract.feed)
    state = ledger.state()
    check_compatible(contract, lake, state)
    scope = scope or choose_scope(contract, landing, lake, state.position, now(), full, hints)
    report = FeedReport(contract.feed, scope=scope.kind, hinted=len(hints or ()))
    corrupt: dict[str, str] = {}
    changed: set[str] = set()
    stuck: dict[str, str] = {}
    splits_left = MAX_SPLITS
    announced = replanned = False
    tombstones = tombstones or TombstoneStore(lake, "")
    while True:
        forgotten = tombstones.knowing(state.forgets, again=replanned)
        waiting = discover(contract, landing, state, scope).without(changed | stuck.keys())
        size = waiting.listed_bytes if scope.kind == "full" else None
        report = replace(report, ignored=waiting.ignored, unloadable=waiting.unloadable, landing_bytes=size)
        dropped = read_dropped(lake, contract.feed) if len(waiting) else {}
        if contract.overwritten == "refuse":  # if the old version was dropped, nothing is overwritten
            free = [name for name, item in state.objects.lookup(dropped).items() if item.dropped]
            refused = waiting.filter_replacing(True).without(free)
            report = replace(report, refused=len(refused))
            waiting = waiting.without([item.source_file for item in refused])
        if progress and not announced:
            progress(-len(waiting), -waiting.bytes)
            announced = True
        planned = plan_loads(waiting, limits)
        halves: deque[list[Waiting]] = deque()  # largest first, so that every half is split in turn
        while objects := halves.popleft() if halves else next(planned, None):
            load = Attempt(contract, landing, lake, state, objects, corrupt, dropped, now(), limits, forgotten)
            try:
                entry = load.run(progress)
                changed |= load.changed
                stuck |= load.stuck
                if entry is None:
                    continue
                if load.loading.forgetter and load.loading.forgetter.found:  # who is forgotten has further identifiers
                    tombstones.extend(load.loading.forgetter.found, now())
                    raise ConflictError(f"{contract.feed}: further identifiers of a person who is forgotten")
                sequence = ledger.commit(entry, state.position)
            except (ConflictError, CorruptObject, ObjectChanged, StreamFailed) as error:
                load.discard()
                if isinstance(error, CorruptObject):
                    corrupt[error.source_file] = error.detail
                elif isinstance(error, ObjectChanged):
                    changed.update(item.source_file for item in objects if item.version.key == str(error))
                elif isinstance(error, StreamFailed):
                    stuck[error.source_file] = str(error.reason)
                LOG.info("replan feed=%s load=%s because=%s", contract.feed, load.load_id, type(error).__name__)
                break
            except DefectiveLoad as error:
                if splits_left and len(objects) > 1:
                    middle = len(objects) // 2
                    halves += [objects[:middle], objects[middle:]]
                    splits_left -= 1
                else:
                    if str(error) not in stuck.values():  # each error once
                        log_traceback(objects[0].source_file, error.error)
                    stuck |= {item.source_file: str(error) for item in objects}
                continue
            # After any other error it is unknown whether the commit succeeded or still will, so the files stay.
            # If it did not, they are orphans, which `lake maintain` abandons and removes.
            report = _add(report, entry, load, lake_start)
            if sequence == state.position + 1:
                state.apply(sequence, entry)
            else:  # other writers committed in between
                for number, other in ledger.entries(state.position, sequence):
                    state.apply(number, other)
            if ledger.checkpoint(state):
                state = ledger.state()  # the part that is in a checkpoint stays on disk
            LOG.info(
                "committed feed=%s load=%s entry=%d objects=%d%s",
                contract.feed,
                entry.load_id,
                sequence,
                len(entry.objects),
                "".join(f" skipped_{kind}={count}" for kind, count in sorted(load.loading.skipped.items())),
            )
        else:
            report = replace(report, changed_meanwhile=len(changed), stuck=tuple(sorted(stuck.items())))
            if scope.kind == "full" and state.position and report.is_complete:
                record_sweep(lake, contract, landing, scope.started_at, state.position)
            break
        state, replanned = ledger.state(), True
        check_compatible(contract, lake, state)
    return replace(report, position=state.position, absent=scope.absent)


def _add(report: FeedReport, entry: Entry, load: Attempt, lake_start: dt.date) -> FeedReport:
    fresh = [item for item in entry.objects if item.load_id == entry.load_id]
    return replace(
        report,
        objects=report.objects + len(fresh),
        bytes=report.bytes + sum(item.size for item in fresh),
        records=report.records + sum(item.records for item in fresh),
        rows=report.rows + sum(item.rows for item in fresh),
        quarantined=report.quarantined + sum(item.quarantined for item in fresh),
        dropped=report.dropped + sum(item.dropped > 0 for item in entry.objects),
        rescued=report.rescued + load.loading.rescued,
        replaced=report.replaced + sum(item.source_file in load.before for item in fresh),
        unchanged=report.unchanged + len(entry.objects) - len(fresh),
        reasons=added_counts(report.reasons, load.loading.reasons),
        erased=report.erased + sum(item.erased for item in fresh),
        skipped=added_counts(report.skipped, load.loading.skipped),
        warnings=added_counts(report.warnings, load.loading.warnings),
        before_start=report.before_start
        + sum(rows for item in fresh for day, rows in item.event_dates if day < lake_start),
        loads=(*report.loads, entry.load_id),
    )
