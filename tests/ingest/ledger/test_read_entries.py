"""Entries in memory: none is read twice, a changed one is read again, and they are bounded."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.ledger.entry import Entry
from ingest.ledger.ledger import Ledger
from ingest.ledger.read_entries import ReadEntries
from ingest.ledger.sources import LoadedObject
from ingest.storage.store import Store

NOW = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)


def entry(number: int, objects: int = 1) -> Entry:
    load = f"20260110T{number:06}-{number:012x}"
    names = (f"raw/{number}-{place}.json" for place in range(objects))
    items = (LoadedObject(name, "1", "0" * 64, 1, NOW, 1, 1, 0, (), 1, load) for name in names)
    return Entry(load, NOW, tuple(items))


@pytest.fixture
def log(tmp_path: Path) -> Ledger:
    found = Ledger(Store(str(tmp_path)), "events")
    for number in range(3):
        found.commit(entry(number), number)
    return found


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are read, as they are read."""
    keys: list[str] = []
    get = Store.get

    def noted(store: Store, key: str) -> bytes:
        keys.append(key)
        return get(store, key)

    monkeypatch.setattr(Store, "get", noted)
    return keys


def test_an_entry_is_read_once_by_all_ledgers_of_a_feed(log: Ledger, read: list[str]) -> None:
    first = log.state()
    assert len(read) == 3
    log.commit(entry(3), 3)
    again = Ledger(log.store, "events").state()
    assert [key for key in read[3:] if key.endswith("3.parquet")] == []
    assert len(read) == 4
    assert (first.position, again.position, len(again.objects)) == (3, 4, 4)


def test_without_its_objects_it_is_another_one(log: Ledger) -> None:
    assert len(log.state().objects) == 3
    assert len(log.live().objects) == 0
    assert len(log.state().objects) == 3


def test_an_entry_that_was_overwritten_is_read_again(log: Ledger, read: list[str]) -> None:
    log.state()
    before = log.entry(2)
    renamed = replace(before, objects=tuple(replace(item, source_file="raw/hidden") for item in before.objects))
    log.store.put(f"{log.prefix}/{2:020d}.parquet", renamed.to_bytes())
    read.clear()
    assert "raw/hidden" in log.state().objects
    assert read == [f"{log.prefix}/{2:020d}.parquet"]


def test_entries_that_were_not_asked_for_longest_give_way() -> None:
    entries = ReadEntries(most_items=10)
    for number in range(4):
        entries.add(("", str(number), "", True), entry(number, objects=2))
        entries.get(("", "0", "", True))
    assert [number for number in range(4) if entries.get(("", str(number), "", True))] == [0, 2, 3]


def test_an_entry_that_is_too_large_is_not_kept() -> None:
    entries = ReadEntries(most_items=10)
    entries.add(("", "0", "", True), entry(0, objects=1))
    entries.add(("", "1", "", True), entry(1, objects=10))
    assert entries.get(("", "1", "", True)) is None
    assert entries.get(("", "0", "", True)) is not None
