"""Ranges are joined by the date of their commit, without losing a count."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace

import pytest

from ingest.ledger import joined
from ingest.ledger.gaps import Fault, Gap
from ingest.ledger.joined import JoinedRanges
from ingest.ledger.sources import COUNTS, OffsetRange

START = dt.date(2026, 1, 1)


def span(first: int, last: int, partition: int = 0, **counts: int) -> OffsetRange:
    records = last - first + 1
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=first)
    events = ((START + dt.timedelta(days=first % 3), records),)
    made = OffsetRange(
        "c", "t", "clicks", partition, first, last, 9, at, records, records, 0, 0, 0, events, 1, f"L{first}"
    )
    return replace(made, **counts)


def test_any_order_of_days_keeps_every_count_and_survives_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joined, "DAYS", 5)
    dice, found = random.Random(1), JoinedRanges()
    ends, spans = {0: 0, 1: 0}, []
    for number in range(200):
        partition, size = dice.randint(0, 1), dice.randint(1, 9)
        spans.append(span(ends[partition], ends[partition] + size - 1, partition))
        ends[partition] += size
        found.add(START + dt.timedelta(days=number // 10 - dice.randint(0, 2)), spans[-1])
    for again in (found, JoinedRanges.parse(found.text())):
        for place, total in again.items():
            own = [one for one in spans if one.place == place]
            assert (total.first_offset, total.last_offset) == (0, ends[place[2]] - 1)
            assert all(getattr(total, name) == sum(getattr(one, name) for one in own) for name in COUNTS)
            days = again.days[place]
            assert len(days) == 5
            assert list(days) == sorted(days)
            assert all(one.is_conserved for one in days.values())
            assert sum(rows for one in days.values() for _, rows in one.event_dates) == total.rows
    assert JoinedRanges.parse(found.text()).days == found.days


def test_a_correction_changes_the_day_of_its_offset() -> None:
    found = JoinedRanges()
    found.add(START, span(0, 9, rows=7, quarantined=3))
    found.add(START + dt.timedelta(days=1), span(10, 19))
    fixed = replace(span(4, 4), last_offset=3, records=0, rows=2, quarantined=-2, event_dates=(), size=0)
    found.add(START + dt.timedelta(days=9), fixed)
    days = found.days["c", "t", 0]
    assert [(one.rows, one.quarantined) for one in days.values()] == [(9, 1), (10, 0)]
    assert found["c", "t", 0].is_conserved
    assert found["c", "t", 0].last_offset == 19


@pytest.mark.parametrize(("offset", "gaps"), [(25, 5), (15, -5)])
def test_a_gap_moves_the_end_and_is_counted(offset: int, gaps: int) -> None:
    found = JoinedRanges()
    found.add(START, span(0, 19))
    found.resume(Gap(Fault.EXPIRED, "c", "t", "clicks", 0, 20, offset), offset)
    assert (found["c", "t", 0].next_offset, found["c", "t", 0].gaps) == (offset, gaps)
    found.add(START, span(offset, offset + 9))
    assert found["c", "t", 0].is_conserved
