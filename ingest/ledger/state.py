"""The state of a feed: the sum of its ledger's entries up to a position."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace

from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.joined import JoinedRanges
from ingest.ledger.objects import KnownObjects
from ingest.ledger.sources import Partition


@dataclass(slots=True)
class LedgerState:
    """The sum of entries 1..position.

    Attributes:
        objects: the current version of each source object.
        files: live files by path.
        newest_object_at: when the newest object ever loaded was written; None before the first.
        next_offsets: for each partition of the topic that is read, the offset at which the next load begins.
        ranges: all that was read of each partition, those of topics that were replaced included.
        contract: the contract of the newest loads; empty when it was never recorded (see evolution.py).
        forgets: the tombstones whose persons were taken out of the feed.
    """

    position: int = 0
    objects: KnownObjects = field(default_factory=KnownObjects)
    files: dict[str, LakeFile] = field(default_factory=dict)
    newest_object_at: dt.datetime | None = None
    next_offsets: dict[Partition, int] = field(default_factory=dict)
    ranges: JoinedRanges = field(default_factory=JoinedRanges)
    contract: str = ""
    forgets: frozenset[str] = frozenset()

    def apply(self, sequence: int, entry: Entry) -> None:
        """Advance the state by one entry."""
        if entry.begins == sequence:
            self.objects, self.files, self.next_offsets, self.newest_object_at = KnownObjects(), {}, {}, None
            self.forgets, self.ranges = frozenset(), JoinedRanges()
        else:
            assert sequence == self.position + 1
        self.objects.update(entry.objects)
        for path in entry.removed:
            del self.files[path]
        self.files.update((file.path, file) for file in entry.added)
        self.ranges.note(sequence, bool(entry.ranges), entry.has_objects)
        for gap in entry.gaps:
            if gap.resumes_at is not None:
                self.next_offsets[gap.place] = gap.resumes_at
                self.ranges.resume(gap, gap.resumes_at)
        for span in entry.ranges:
            self.ranges.add(entry.committed_at.date(), span)
            if not span.is_correction:
                self.next_offsets[span.place] = span.next_offset
        for gap in entry.gaps:
            if gap.resumes_at is None:
                self.next_offsets.pop(gap.place, None)
        times = [at for at in (self.newest_object_at, entry.newest_object_at) if at]
        self.newest_object_at = max(times, default=None)
        self.contract = entry.contract or self.contract
        self.forgets |= entry.forgets
        self.position = sequence

    def copy(self) -> LedgerState:
        """Return a state that can be advanced independently of this one."""
        objects, files = self.objects.copy(), dict(self.files)
        offsets, ranges = dict(self.next_offsets), self.ranges.copy()
        return replace(self, objects=objects, files=files, next_offsets=offsets, ranges=ranges)

    def bronze_files(self) -> list[LakeFile]:
        """Return the live bronze files in path order."""
        return sorted(
            (file for path, file in self.files.items() if path.startswith("bronze/")), key=lambda file: file.path
        )
