"""The load of one feed from landing to bronze: discover, plan, then read, parse, write and commit each load."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import uuid
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace

from ingest.contracts.contract import Contract
from ingest.errors import ConflictError, CorruptObject, LakemeshError, describe, is_defect, log_traceback
from ingest.ledger.dropped import Dropped, read_dropped
from ingest.ledger.entry import Entry
from ingest.ledger.evolution import check_compatible, unrecorded
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger, LedgerState
from ingest.ledger.sources import LoadedObject
from ingest.limits import DEFAULT, Limits
from ingest.records.parsed import RESCUED, Parsed, Reject
from ingest.records.parts import Broken, LongLine, ObjectEnd, Piece, Unread
from ingest.records.report import FeedReport, Progress
from ingest.records.waiting import Waiting
from ingest.steps.discover import discover
from ingest.steps.parse import Parser
from ingest.steps.plan import plan_loads
from ingest.steps.read import StreamFailed, read_pieces
from ingest.steps.rewrite import rewrite_without
from ingest.steps.sweep import Scope, choose_scope, record_sweep
from ingest.steps.write import LoadWriter
from ingest.storage.landing import Landing
from ingest.storage.objects import ObjectChanged
from ingest.storage.store import Store

CHUNK_BYTES, CHUNK_LINES = 4 << 20, 50_000
"""Lines are parsed together once they reach this many bytes or lines."""
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
) -> FeedReport:
    """Load everything that waits. Safe to repeat, to interrupt at any point and to run alongside other ingesters.

    Args:
        lake_start: rows dated before it are counted in the report.
        progress: called with (objects, bytes) as they are read; first with the negative totals of what waits.
        full: list everything, whatever the contract says.
        hints: keys that notifications named; only they are looked up, unless a full sweep is due.
        scope: the scope to use instead of one chosen from contract, ledger and hints.

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
    announced = False
    while True:
        waiting = discover(contract, landing, state, scope).without(changed | stuck.keys())
        report = replace(report, ignored=waiting.ignored, unloadable=waiting.unloadable)
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
            load = _Load(contract, landing, lake, state, objects, corrupt, dropped, now(), limits)
            try:
                entry = load.run(progress)
                changed |= load.changed
                stuck |= load.stuck
                if entry is None:
                    continue
                sequence = ledger.commit(entry, state.position)
            except (ConflictError, CorruptObject, ObjectChanged, StreamFailed) as error:
                load.discard()
                if isinstance(error, CorruptObject):
                    corrupt[error.source_file] = error.detail
                elif isinstance(error, ObjectChanged):
                    changed.add(f"{contract.source.bucket}/{error}")
                elif isinstance(error, StreamFailed):
                    stuck[error.source_file] = str(error.reason)
                LOG.info("replan feed=%s load=%s because=%s", contract.feed, load.load_id, type(error).__name__)
                break
            except _DefectiveLoad as error:
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
                "committed feed=%s load=%s entry=%d objects=%d",
                contract.feed,
                entry.load_id,
                sequence,
                len(entry.objects),
            )
        else:
            report = replace(report, changed_meanwhile=len(changed), stuck=tuple(sorted(stuck.items())))
            if scope.kind == "full" and state.position and report.is_complete:
                record_sweep(lake, contract, landing, scope.started_at, state.position)
            break
        state = ledger.state()
        check_compatible(contract, lake, state)
    return replace(report, position=state.position, absent=scope.absent)


class _DefectiveLoad(Exception):  # noqa: N818  never leaves this module
    """A defect that some object of a load hits; loading the objects separately shows which."""

    def __init__(self, error: BaseException, size: int) -> None:
        among = f"this object, or one of {size - 1:,} others in its load, causes an " if size > 1 else ""
        super().__init__(f"{among}unexpected {describe(error)}; a defect, please report it with the logged traceback")
        self.error = error


class _Load:
    """The work of one load, up to its ledger entry."""

    def __init__(
        self,
        contract: Contract,
        landing: Landing,
        lake: Store,
        state: LedgerState,
        objects: list[Waiting],
        corrupt: dict[str, str],
        dropped: Dropped,
        started_at: dt.datetime,
        limits: Limits,
    ) -> None:
        self.load_id = f"{started_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
        self.contract, self.landing, self.lake, self.state = contract, landing, lake, state
        self.objects, self.corrupt, self.dropped, self.started_at = objects, corrupt, dropped, started_at
        self.before = state.objects.lookup(item.source_file for item in objects if item.replaces)
        self.limits = limits
        self.changed: set[str] = set()
        self.stuck: dict[str, str] = {}
        self.writer = LoadWriter(lake, contract, objects, self.load_id, started_at)
        self.rewritten: list[LakeFile] = []
        self.hashes: dict[int, str] = {}
        self.reasons: dict[str, int] = {}
        self.rescued = 0

    def run(self, progress: Progress | None) -> Entry | None:
        """Read and write all objects, or leave nothing behind. The entry is None if no object could be read."""
        try:
            with self.lake.disk_errors():
                return self._run(progress)
        except BaseException as error:
            self.discard()
            if is_defect(error) and not isinstance(error, ObjectChanged | StreamFailed):
                raise _DefectiveLoad(error, len(self.objects)) from error
            raise

    def _run(self, progress: Progress | None) -> Entry | None:
        parser = Parser(self.contract, [item.version.modified_at for item in self.objects])
        known = self._known_content()
        chunk: list[Piece] = []
        size = lines = 0
        reading = [
            item for number, item in enumerate(self.objects) if number not in known and not self._is_corrupt(item)
        ]
        numbers = {item.source_file: number for number, item in enumerate(self.objects)}
        for part in read_pieces(self.landing, self.contract, reading, self.limits):
            item = reading[part.source]
            number = numbers[item.source_file]
            if isinstance(part, ObjectEnd | Unread):
                if isinstance(part, ObjectEnd):
                    self.hashes[number] = part.content_hash
                elif isinstance(part.reason, ObjectChanged):
                    self.changed.add(item.source_file)
                else:
                    self.stuck[item.source_file] = str(part.reason)
                if progress:
                    progress(1, item.version.size)
                continue
            if isinstance(part, Broken):
                self._write(Parsed(parser.empty(), [Reject(number, 0, "corrupt_object", None, part.detail, b"")]))
                continue
            if isinstance(part, LongLine):
                detail = (
                    f"{part.size} bytes, expected at most {self.contract.max_line_bytes}; only its beginning is kept"
                )
                reject = Reject(number, part.line, "line_too_long", None, detail, part.head)
                self._write(Parsed(parser.empty(), [reject]))
                continue
            chunk.append(replace(part, source=number))
            size += len(part.data)
            lines += part.data.count(b"\n")
            if size >= CHUNK_BYTES or lines >= CHUNK_LINES:
                self._write(parser.parse(chunk))
                chunk, size, lines = [], 0, 0
        if chunk:
            self._write(parser.parse(chunk))
        for number, item in enumerate(self.objects):
            if self._is_corrupt(item) and number not in known:
                digest = hashlib.sha256()
                for block in self.landing.read(item.version):
                    digest.update(block)
                self.hashes[number] = digest.hexdigest()
                detail = self.corrupt[item.source_file]
                self._write(Parsed(parser.empty(), [Reject(number, 0, "corrupt_object", None, detail, b"")]))
        if not self.hashes and not known:
            return None
        added = self.writer.finish()
        replaced = {
            item.source_file: self.before[item.source_file]
            for number, item in enumerate(self.objects)
            if item.replaces and (number in self.hashes or self._replaces_other(known.get(number)))
        }
        rewrite = rewrite_without(self.lake, self.state, replaced, self.load_id)
        self.rewritten = rewrite.added
        objects = [self._loaded(number) for number in sorted(self.hashes)]
        objects += [replace(version, etag=self.objects[number].version.etag) for number, version in known.items()]
        return Entry(
            self.load_id,
            self.started_at,
            tuple(objects),
            (*added, *rewrite.added),
            tuple(rewrite.removed),
            contract=unrecorded(self.contract, self.state),
        )

    def discard(self) -> None:
        """Delete the files of a load that will not commit."""
        self.writer.discard()
        self.lake.delete([file.path for file in self.rewritten])

    def _write(self, parsed: Parsed) -> None:
        for reject in parsed.rejects:
            self.reasons[reject.reason] = self.reasons.get(reject.reason, 0) + 1
        self.rescued += len(parsed.rows) - parsed.rows.column(RESCUED).null_count
        self.writer.add(parsed)

    def _is_corrupt(self, item: Waiting) -> bool:
        return item.source_file in self.corrupt

    def _known_content(self) -> dict[int, LoadedObject]:
        """Objects whose content equals a version loaded or dropped under the same key, with that version."""
        found = {}
        for number, item in enumerate(self.objects):
            versions = [self.before[item.source_file]] if item.replaces else []
            versions += [note.version for note in self.dropped.get(item.source_file, ())]
            if not versions:
                continue
            digest = hashlib.sha256()
            try:
                for block in self.landing.read(item.version):
                    digest.update(block)
            except (ObjectChanged, LakemeshError):
                continue  # raised again when the object is read in full
            content = digest.hexdigest()
            if same := next((version for version in versions if version.content_hash == content), None):
                found[number] = same
        return found

    def _replaces_other(self, version: LoadedObject | None) -> bool:
        """Whether a version that came again replaces a different one."""
        return version is not None and version.content_hash != self.before[version.source_file].content_hash

    def _loaded(self, number: int) -> LoadedObject:
        item, rows = self.objects[number], int(self.writer.rows[number])
        quarantined = int(self.writer.quarantined[number])
        return LoadedObject(
            item.source_file,
            item.version.etag,
            self.hashes[number],
            item.version.size,
            item.version.modified_at,
            rows + quarantined,
            rows,
            quarantined,
            tuple(sorted(self.writer.dates_of(number))),
            self.contract.version,
            self.load_id,
        )


def _add(report: FeedReport, entry: Entry, load: _Load, lake_start: dt.date) -> FeedReport:
    fresh = [item for item in entry.objects if item.load_id == entry.load_id]
    counts = dict(report.reasons)
    for reason, count in load.reasons.items():
        counts[reason] = counts.get(reason, 0) + count
    return replace(
        report,
        objects=report.objects + len(fresh),
        bytes=report.bytes + sum(item.size for item in fresh),
        records=report.records + sum(item.records for item in fresh),
        rows=report.rows + sum(item.rows for item in fresh),
        quarantined=report.quarantined + sum(item.quarantined for item in fresh),
        dropped=report.dropped + sum(item.dropped > 0 for item in entry.objects),
        rescued=report.rescued + load.rescued,
        replaced=report.replaced + sum(item.source_file in load.before for item in fresh),
        unchanged=report.unchanged + len(entry.objects) - len(fresh),
        reasons=tuple(sorted(counts.items())),
        before_start=report.before_start
        + sum(rows for item in fresh for day, rows in item.event_dates if day < lake_start),
        loads=(*report.loads, entry.load_id),
    )
