"""The same options give the same bytes, and a date never depends on the surrounding dates."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import subprocess
import sys
import tracemalloc
from collections import Counter
from typing import Any

import pytest

from ingest.settings import PROJECT
from sample.generate import batches, generate
from sample.objects import REVENUE, SampleObject, Tally
from sample.options import RATES, SampleOptions

TROUBLE = dict.fromkeys(RATES, 0.1)
EARLIER = {
    0.0: "d57e816f698b7e886e6d4e99431e861992ae21b985aafaab66fc6ab9b3e30100",
    0.1: "839c03d2d66bed23e2fda9442e0db11fb0237ac60c2a52feb7fea7ed533cd02b",
}
"""Digests of events, users and activities before accounts existed, by fault rate."""
_DIGEST = """
import datetime as dt, hashlib
from sample.generate import generate
from sample.options import RATES, SampleOptions
options = SampleOptions(end=dt.date(2026, 11, 20), events=600, days=4, accounts=20, **dict.fromkeys(RATES, 0.1))
digest = hashlib.sha256()
for item in generate(options):
    digest.update(item.key.encode() + item.body + (item.revised or b""))
print(digest.hexdigest())
"""


def by_name(options: SampleOptions) -> dict[tuple[str, str], SampleObject]:
    objects = list(generate(options))
    named = {(item.bucket, item.key): item for item in objects}
    assert len(named) == len(objects)
    return named


def bodies(options: SampleOptions) -> dict[tuple[str, str], tuple[bytes, bytes | None]]:
    return {name: (item.body, item.revised) for name, item in by_name(options).items()}


def test_each_process_generates_the_same_bytes() -> None:
    digests = {
        subprocess.run([sys.executable, "-c", _DIGEST], capture_output=True, text=True, check=True, cwd=PROJECT).stdout
        for _ in range(2)
    }
    assert len(digests) == 1


@pytest.mark.parametrize(("rate", "digest"), EARLIER.items())
def test_accounts_change_no_other_feed(options: Any, rate: float, digest: str) -> None:
    found = hashlib.sha256()
    for item in generate(options(accounts=5, **dict.fromkeys(RATES, rate))):
        if item.bucket not in REVENUE:
            found.update(f"{item.bucket}/{item.key}\n".encode() + item.body + (item.revised or b""))
    assert found.hexdigest() == digest


@pytest.mark.parametrize("rates", [{}, TROUBLE], ids=["plain", "troubled"])
def test_moving_the_end_adds_only_the_new_day(options: Any, rates: dict[str, float]) -> None:
    today, tomorrow = options(**rates), options(end=dt.date(2026, 11, 21), **rates)
    before, after = bodies(today), bodies(tomorrow)
    added = after.keys() - before.keys()
    assert {(bucket, key[:11]) for bucket, key in added} == {
        ("raw-events", "2026/11/21/"),
        ("raw-users", "2026/11/21/"),
    }
    assert all(after[name] == before[name] for name in after.keys() & before.keys())


def test_a_longer_history_keeps_the_dates(options: Any) -> None:
    short, long = bodies(options(**TROUBLE)), bodies(options(events=1200, days=8, **TROUBLE))
    assert short.items() <= long.items()


def test_another_seed_is_another_population_under_other_keys(options: Any) -> None:
    one, two = by_name(options()), by_name(options(seed=2))
    assert not one.keys() & two.keys()
    ids = [{line[:60] for item in part.values() for line in item.body.splitlines()} for part in (one, two)]
    assert {line for line in ids[0] & ids[1] if not line.startswith(b'{"activity_id"')} == set()


def test_compressed_objects_have_the_same_lines(options: Any) -> None:
    plain, packed = by_name(options()), by_name(options(compress=True))
    assert [f"{key}.gz" for _, key in plain] == [key for _, key in packed]
    assert [item.body for item in plain.values()] == [gzip.decompress(item.body) for item in packed.values()]
    assert {item.body[4:8] for item in packed.values()} == {bytes(4)}  # the header has no time of compression


def test_line_faults_do_not_change_the_events(options: Any) -> None:
    plain = {line for item in generate(options()) for line in item.body.splitlines()}
    troubled = {line for item in generate(options(duplicates=0.2, malformed=0.2)) for line in item.body.splitlines()}
    assert plain <= troubled


def test_tally_matches_the_objects(options: Any) -> None:
    lines: Counter[str] = Counter()
    ids: Counter[bytes] = Counter()
    total = Tally()
    for item in generate(options(duplicates=0.3)):
        total += item.tally
        lines[item.bucket] += item.body.count(b"\n")
        if item.bucket == "raw-events":
            ids.update(line[14:50] for line in item.body.splitlines())
    assert lines == {
        "raw-activities": total.activities,
        "raw-users": total.users,
        "raw-events": total.events + total.duplicates,
    }
    assert len(ids) == total.events
    assert 0 < total.corrected < total.duplicates


def test_total_deviates_by_less_than_one_days_events(options: Any) -> None:
    for days in (7, 30, 90):
        total = sum(item.tally.events for item in generate(options(events=100 * days, days=days, events_per_file=1000)))
        assert abs(total - 100 * days) < 100


@pytest.mark.parametrize(("events", "days"), [(1, 1), (1, 30), (5, 3), (40, 2)])
def test_tiny_samples_work_with_all_faults_at_once(options: Any, events: int, days: int) -> None:
    for rate in (0.5, 1.0):
        objects = by_name(options(events=events, days=days, **dict.fromkeys(RATES, rate)))
        assert all(item.body for item in objects.values())


def test_objects_have_at_most_the_configured_records(options: Any) -> None:
    sizes = [item.tally.events for item in generate(options(events=2000)) if item.bucket == "raw-events"]
    assert max(sizes) <= 20
    assert min(sizes) >= 15


def test_keys_are_known_before_the_objects_are_made(options: Any) -> None:
    for batch in batches(options(**TROUBLE)):
        assert [item.key for item in batch.draw()] == batch.keys


def test_memory_does_not_grow_with_the_number_of_days() -> None:
    def peak(days: int) -> int:
        tracemalloc.start()
        for _ in generate(SampleOptions(end=dt.date(2026, 11, 20), events=2000 * days, days=days, seed=days)):
            pass
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(12) < 1.5 * peak(3)
