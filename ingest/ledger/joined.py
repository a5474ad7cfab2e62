"""What was read of each partition, joined: a stream makes thousands of ranges a day, and nobody reads them one by one.

The ranges that were committed on one UTC date are one; of each partition the newest DAYS are kept, and those before
are joined with the oldest of these.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from ingest.ledger.gaps import Gap
from ingest.ledger.sources import COUNTS, OffsetRange, Partition

DAYS = 400


class JoinedRanges(Mapping[Partition, OffsetRange]):
    """All that was read of each partition, as one range without the dates of its rows.

    Attributes:
        days: the same by the UTC date of the commit, in order, with the dates of the rows.
        since: the first entry with a range; 0 if there is none.
        object_entries: the entries after it that have objects: of thousands, those that a reader of objects reads.
    """

    def __init__(self) -> None:
        self.since = 0
        self.object_entries: list[int] = []
        self.days: dict[Partition, dict[dt.date, OffsetRange]] = {}
        self._totals: dict[Partition, OffsetRange] = {}

    def __getitem__(self, place: Partition) -> OffsetRange:
        return self._totals[place]

    def __iter__(self) -> Iterator[Partition]:
        return iter(self._totals)

    def __len__(self) -> int:
        return len(self._totals)

    def copy(self) -> JoinedRanges:
        """Return a copy that can be extended independently."""
        twin = JoinedRanges()
        twin.since, twin.object_entries = self.since, list(self.object_entries)
        twin.days = {place: dict(days) for place, days in self.days.items()}
        twin._totals = dict(self._totals)
        return twin

    def note(self, sequence: int, has_ranges: bool, has_objects: bool) -> None:
        """Note what an entry has."""
        if self.since and has_objects:
            self.object_entries.append(sequence)
        elif has_ranges and not self.since:
            self.since = sequence

    def add(self, day: dt.date, span: OffsetRange) -> None:
        """Add a range that was committed on a date, or a correction of what was committed before."""
        days = self.days.setdefault(span.place, {})
        if span.is_correction:
            day = self.day_of(span.place, span.first_offset)
        elif days:
            day = max(day, next(reversed(days)))  # a writer's clock may be behind
        days[day] = _joined(days.get(day), span)
        self._totals[span.place] = _joined(self._totals.get(span.place), replace(span, event_dates=()))
        if len(days) > DAYS:
            first, second = islice(days, 2)
            days[second] = _joined(days.pop(first), days[second])

    def resume(self, gap: Gap, offset: int) -> None:
        """Continue a partition at an offset after or, where a log was cut, before its end."""
        if before := self._totals.get(gap.place):
            days, lost = self.days[gap.place], offset - gap.next_offset
            newest = next(reversed(days))
            days[newest] = replace(days[newest], last_offset=offset - 1, gaps=days[newest].gaps + lost)
            self._totals[gap.place] = replace(before, last_offset=offset - 1, gaps=before.gaps + lost)

    def day_of(self, place: Partition, offset: int) -> dt.date:
        """Return the date on which an offset of a partition was committed; the newest for one that is not there yet."""
        days = self.days[place]
        return next((day for day in reversed(days) if days[day].first_offset <= offset), next(iter(days)))

    def correction(
        self,
        source_file: str,
        etag: str,
        offset: int,
        load_id: str,
        rows: int = 0,
        quarantined: int = 0,
        erased: int = 0,
        skipped: int = 0,
        event_dates: Mapping[dt.date, int] | None = None,
    ) -> OffsetRange:
        """Return a correction of what was committed on the date of an offset; the counts are changes.

        Raises:
            KeyError: nothing was read of that partition.
        """
        known = self.named(source_file, etag)
        if known is None:
            raise KeyError(f"{source_file} of {etag}")
        return replace(
            known,
            first_offset=offset,
            last_offset=offset - 1,
            load_id=load_id,
            size=0,
            records=0,
            rows=rows,
            quarantined=quarantined,
            nulls=0,
            gaps=0,
            dropped=0,
            erased=erased,
            skipped=skipped,
            event_dates=tuple(sorted((event_dates or {}).items())),
        )

    def named(self, source_file: str, etag: str) -> OffsetRange | None:
        """Return the partition that records are of, by their `_source_file` and `_source_etag`; None if unknown."""
        return next((one for one in self._totals.values() if (one.name, one.etag) == (source_file, etag)), None)

    def text(self) -> str:
        """Return the ranges as JSON."""
        rows = []
        for days in self.days.values():
            for day, span in days.items():
                dates = [[date.isoformat(), rows] for date, rows in span.event_dates]
                values = (getattr(span, name) for name in _NAMES)
                rows.append([day.isoformat(), dates, span.modified_at.isoformat(), *values])
        content = {"since": self.since, "object_entries": self.object_entries, "days": rows}
        return json.dumps(content, separators=(",", ":"))

    @staticmethod
    def parse(text: str) -> JoinedRanges:
        """Return the ranges in a text."""
        found, content = JoinedRanges(), json.loads(text)
        found.since, found.object_entries = content["since"], content["object_entries"]
        for day, dates, modified_at, *values in content["days"]:
            events = tuple((dt.date.fromisoformat(date), rows) for date, rows in dates)
            named = dict(zip(_NAMES, values, strict=True))
            span = OffsetRange(**named, modified_at=dt.datetime.fromisoformat(modified_at), event_dates=events)
            found.add(dt.date.fromisoformat(day), span)
        return found


_NAMES = [name for name in OffsetRange.__slots__ if name not in ("modified_at", "event_dates")]


def _joined(before: OffsetRange | None, span: OffsetRange) -> OffsetRange:
    """Join a range with the one before it."""
    if before is None:
        return span
    counts = {name: getattr(before, name) + getattr(span, name) for name in COUNTS}
    days = Counter(dict(before.event_dates))
    days.update(dict(span.event_dates))
    events = tuple(sorted((day, rows) for day, rows in days.items() if rows))
    if span.is_correction:
        return replace(before, event_dates=events, **counts)
    newest = max(before.modified_at, span.modified_at)
    return replace(span, first_offset=before.first_offset, modified_at=newest, event_dates=events, **counts)
