"""The report of one ingest of one feed, and the callback for its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ingest.storage.names import NotLoaded

Progress = Callable[[int, int], None]
"""Called with (objects, bytes) as they are read."""


@dataclass(frozen=True, slots=True)
class FeedReport:
    """The result of one ingest of one feed.

    Attributes:
        objects: committed object versions.
        bytes: their stored size.
        records: non-blank records in them = rows + quarantined + erased + skipped.
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
        ignored: objects that a rule ignores, by rule.
        unloadable: objects that cannot be loaded, by reason.
        before_start: bronze rows dated before LAKE_START, which no model covers.
        position: the ledger's position afterwards.
        loads: ids of the committed loads.
        scope: what was considered: `full`, `recent` folders, `hinted` objects or `listed` versions.
        hinted: objects that hints named.
        absent: hinted objects that do not exist.
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
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether no object in scope is left for the next run or needs an operator's attention."""
        return not (self.changed_meanwhile or self.refused or self.stuck or self.unloadable)
