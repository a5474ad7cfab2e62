"""Gaps in what was read of a topic: an operator accepted each, and an entry records it with the number of offsets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from enum import StrEnum

from ingest.ledger.sources import Partition


class Fault(StrEnum):
    """Why a topic does not continue where the ledger ends.

    `expired`: offsets were deleted before they were read. `cut`: the log ends before what was read of it. `replaced`:
    the topic of that name is another one, or in another cluster.
    """

    EXPIRED = "expired"
    CUT = "cut"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Gap:
    """A place where the ledger's offsets do not continue.

    Attributes:
        topic: the topic's name, for display.
        next_offset: where the ledger ended.
        resumes_at: where the next load begins; None if the topic was replaced, so that nothing follows.
        successor: cluster and topic id of what replaced it; empty otherwise.
    """

    fault: Fault
    cluster_id: str
    topic_id: str
    topic: str
    partition: int
    next_offset: int
    resumes_at: int | None
    successor: str = ""

    @property
    def place(self) -> Partition:
        """The partition."""
        return self.cluster_id, self.topic_id, self.partition

    @property
    def missing(self) -> int | None:
        """The number of offsets that were lost: unread ones, or read ones that a log lost; None if it is unknown."""
        return None if self.resumes_at is None else abs(self.resumes_at - self.next_offset)

    def __str__(self) -> str:
        place = f"{self.topic}/{self.partition}"
        if self.fault is Fault.EXPIRED:
            return (
                f"{place} begins at offset {self.resumes_at:,}, but was read up to {self.next_offset:,}: "
                f"{self.missing:,} offsets expired unread"
            )
        if self.fault is Fault.CUT:
            return (
                f"{place} ends at offset {self.resumes_at:,}, but was read up to {self.next_offset:,}: the broker lost "
                f"{self.missing:,} offsets and will give them to other messages"
            )
        return (
            f"{place} was read up to offset {self.next_offset:,} of topic id {self.topic_id} in cluster "
            f"{self.cluster_id}, but the topic now is {self.successor}: what that had beyond is lost"
        )


def gaps_text(gaps: Iterable[Gap]) -> str:
    """Return gaps as JSON."""
    return json.dumps([astuple(gap) for gap in gaps])


def gaps_of(text: str) -> tuple[Gap, ...]:
    """Return the gaps in a text of `gaps_text`."""
    return tuple(Gap(Fault(fault), *rest) for fault, *rest in json.loads(text))
