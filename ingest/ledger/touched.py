"""Which event dates a series of ledger entries changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from ingest.ledger.entry import Entry
from ingest.ledger.state import LedgerState


@dataclass(frozen=True, slots=True)
class Touched:
    """The rows that entries add or remove.

    Attributes:
        changed: whether any row appeared or disappeared; compaction and objects without rows change nothing.
        dates: event dates of those rows; empty for entity feeds.
        begins: whether a rebuilt log begins among the entries, so that rows of any date may have disappeared.
        load_id: load of the last entry; empty when there is none.
    """

    changed: bool
    dates: frozenset[dt.date]
    begins: bool = False
    load_id: str = field(default="", compare=False)


def touched(state: LedgerState, entries: Iterable[tuple[int, Entry]]) -> Touched:
    """Return what `entries` change.

    Args:
        state: the state before the entries; it is advanced.
        entries: the entries in order.
    """
    changed = begins = False
    load_id = ""
    dates: set[dt.date] = set()
    for sequence, entry in entries:
        begins = begins or entry.begins == sequence
        load_id = entry.load_id
        known = state.objects.lookup(item.source_file for item in entry.objects)
        for item in entry.objects:
            before = known.get(item.source_file)
            if before and (before.content_hash, before.load_id) == (item.content_hash, item.load_id):
                # only seen again, or some of its quarantined records were replayed
                changed = changed or before.rows != item.rows
                dates.update(day for day, _ in set(before.event_dates) ^ set(item.event_dates))
                continue
            for version in (before, item):
                changed = changed or (version is not None and version.rows > 0)
                dates.update(day for day, _ in (version.event_dates if version else ()))
        if entry.forgets:  # rows may have stayed without the person
            bronze = [file for file in entry.added if file.path.startswith("bronze/")]
            changed = changed or bool(bronze)
            dates.update(file.event_date for file in bronze if file.event_date)
        for span in entry.ranges:
            changed = changed or span.rows != 0
            dates.update(day for day, _ in span.event_dates)
        state.apply(sequence, entry)
    return Touched(changed or begins, frozenset(dates), begins, load_id)
