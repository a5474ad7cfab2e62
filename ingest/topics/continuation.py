"""Where a load continues in a topic: the ledger's offsets compared with the broker's. Pure functions, no broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ingest.ledger.gaps import Fault, Gap
from ingest.ledger.sources import OffsetRange, Partition
from ingest.topics.topic import Topic


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of one partition that wait to be read: from `first` up to, not including, `end`."""

    partition: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where a load continues.

    Attributes:
        gaps: what lies between the ledger's offsets and the broker's; nothing may be read unless they are accepted.
        spans: what waits, gaps left out; partitions without anything to read have none.
        begins: partitions of which nothing was read yet, with the offset at which they begin.
    """

    gaps: tuple[Gap, ...]
    spans: tuple[Span, ...]
    begins: tuple[tuple[int, int], ...]


def continuation(
    topic: Topic, next_offsets: Mapping[Partition, int], ranges: Mapping[Partition, OffsetRange]
) -> Continuation:
    """Compare the offsets of the ledger with those of the broker.

    A topic that was never read begins with its oldest message. A partition that was added later begins with offset 0.

    Args:
        next_offsets, ranges: see LedgerState.
    """
    read = {place[:2] for place in next_offsets}
    is_other = bool(read) and read != {topic.identity}
    gaps: list[Gap] = []
    spans: list[Span] = []
    begins: list[tuple[int, int]] = []
    if is_other:
        successor = f"id {topic.topic_id} in cluster {topic.cluster_id}"
        for place, offset in sorted(next_offsets.items()):
            if place[:2] != topic.identity:
                name = ranges[place].topic if place in ranges else topic.name
                gaps.append(Gap(Fault.REPLACED, *place[:2], name, place[2], offset, None, successor))
    for partition in topic.partitions:
        place = (*topic.identity, partition.number)
        start = next_offsets.get(place)
        if start is None:
            if place in ranges:  # the topic that another one replaced is back
                start = ranges[place].next_offset
            elif read:
                start = 0
            else:
                start = partition.first
            begins.append((partition.number, start))
        gap = None
        if partition.first > start:
            gap = Gap(Fault.EXPIRED, *topic.identity, topic.name, partition.number, start, partition.first)
        elif partition.end < start:
            gap = Gap(Fault.CUT, *topic.identity, topic.name, partition.number, start, partition.end)
        if gap:
            gaps.append(gap)
            start = gap.resumes_at or 0
        if partition.stable > start:
            spans.append(Span(partition.number, start, partition.stable))
    return Continuation(tuple(gaps), tuple(spans), tuple(begins))
