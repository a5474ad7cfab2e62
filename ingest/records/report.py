"""The report of one ingest of one feed, and the callback for its progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ingest.storage.names import NotLoaded

Progress = Callable[[int, int], None]
"""Called with (objects, bytes) as they are read."""


@dataclass(frozen=True, slots=True)
class FeedReport:
    """The result of one ingest of one feed.

    Attributes:
        objects: committed object versions.
        bytes: their stored size.
        messages: committed messages of the topic.
        records: non-blank records in objects and messages = rows + quarantined + erased + skipped.
        dropped: objects whose version was dropped before; their records are not loaded again.
        rescued: rows with fields that the contract does not know.
        replaced: objects that replaced an older version.
        unchanged: objects with a new etag but the same content.
        refused: overwritten objects that the contract does not accept.
        changed_meanwhile: objects left for the next run because they changed while they were read.
        stuck: objects that the store lists but fails to return, or that hit a defect of Lakemesh, each with its error;
            left for the next run.
        reasons: quarantined records by reason.
        erased: records of persons who are forgotten, which were not loaded.
        skipped: records that never become rows, by kind.
        warnings: rows by constraint with policy warn that they violate; a row may violate several.
        nulls: messages without a value.
        gaps: offsets of the topic without a message: control records, aborted transactions, compaction.
        accepted: gaps that were recorded because the operator accepted them.
        begins: partitions of which nothing was read before and whose oldest messages had expired.
        ignored: objects that a rule ignores, by rule.
        unloadable: objects that cannot be loaded, by reason.
        before_start: bronze rows dated before LAKE_START, which no model covers.
        position: the ledger's position afterwards.
        loads: ids of the committed loads.
        scope: what was considered: `full`, `recent` folders, `hinted` objects or `listed` versions.
        hinted: objects that hints named.
        absent: hinted objects that do not exist.
        landing_bytes: stored size of what the feed has in the landing; None unless everything was listed.
    """

    feed: str
    objects: int = 0
    bytes: int = 0
    records: int = 0
    rows: int = 0
    quarantined: int = 0
    dropped: int = 0
    rescued: int = 0
    replaced: int = 0
    unchanged: int = 0
    refused: int = 0
    changed_meanwhile: int = 0
    stuck: tuple[tuple[str, str], ...] = ()
    reasons: tuple[tuple[str, int], ...] = ()
    skipped: tuple[tuple[str, int], ...] = ()
    warnings: tuple[tuple[str, int], ...] = ()
    erased: int = 0
    before_start: int = 0
    position: int = 0
    loads: tuple[str, ...] = ()
    scope: str = "full"
    hinted: int = 0
    absent: int = 0
    messages: int = 0
    nulls: int = 0
    gaps: int = 0
    accepted: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()
    landing_bytes: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether no object in scope is left for the next run or needs an operator's attention."""
        return not (self.changed_meanwhile or self.refused or self.stuck or self.unloadable)

    def with_topic(self, other: FeedReport) -> FeedReport:
        """The report with that of the feed's topic."""
        return replace(
            self,
            bytes=self.bytes + other.bytes,
            messages=other.messages,
            records=self.records + other.records,
            rows=self.rows + other.rows,
            quarantined=self.quarantined + other.quarantined,
            nulls=other.nulls,
            gaps=other.gaps,
            accepted=other.accepted,
            begins=other.begins,
            rescued=self.rescued + other.rescued,
            erased=self.erased + other.erased,
            before_start=self.before_start + other.before_start,
            reasons=added_counts(self.reasons, dict(other.reasons)),
            skipped=added_counts(self.skipped, dict(other.skipped)),
            warnings=added_counts(self.warnings, dict(other.warnings)),
            loads=(*self.loads, *other.loads),
            position=other.position,
        )


def added_counts(before: tuple[tuple[str, int], ...], counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return counts by name, with those of one more load."""
    return tuple(sorted((Counter(dict(before)) + Counter(counts)).items()))
