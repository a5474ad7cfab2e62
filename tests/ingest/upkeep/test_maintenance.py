"""Compaction and cleaning: readers never notice, crashes are harmless, and slow loads are abandoned."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from typing import Any

import pytest

from ingest.errors import ConflictError
from ingest.ledger.ledger import Ledger
from ingest.upkeep import compact as compaction
from ingest.upkeep.clean import GRACE, Cleaning, clean, load_of
from ingest.upkeep.compact import Compaction, compact

NOW = dt.datetime.now(dt.UTC)
LATER = NOW + GRACE + dt.timedelta(days=1)  # the tests of other files may take an hour before these


@pytest.fixture
def small_files(lake: Any, event: Callable[..., dict[str, Any]]) -> Any:
    """Six loads, each with one file for each of two dates and one of bad lines."""
    for number in range(6):
        lake.put(
            "events",
            f"{number}.json",
            event(f"a{number}"),
            event(f"b{number}", "2026-01-03 10:00:00"),
            b"{",
            event(f"c{number}", extra=number),
        )
        lake.ingest()
    return lake


def everything(lake: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return lake.bronze(), lake.quarantine()


def test_compacted_bronze_reads_the_same_from_fewer_files(small_files: Any) -> None:
    before, position = everything(small_files), small_files.ledger().position()
    assert len(small_files.ledger().state().files) == 18

    done = compact(small_files.store, small_files.ledger(), NOW)

    assert (done.before, done.after) == (18, 3)
    assert everything(small_files) == before
    assert (
        len(small_files.ledger().live_files(position)) == 12
    )  # a reader that holds the old position sees the old files
    assert compact(small_files.store, small_files.ledger(), NOW) == Compaction()
    assert small_files.ingest().objects == 0


def test_object_overwritten_after_compaction_loses_only_its_old_rows(small_files: Any, event: Any) -> None:
    compact(small_files.store, small_files.ledger(), NOW)
    small_files.put("events", "3.json", event("new"))
    small_files.ingest()
    found = sorted(row["event_id"] for row in small_files.bronze())
    expected = [f"{kind}{number}" for kind in "abc" for number in range(6) if number != 3] + ["new"]
    assert found == sorted(expected)
    assert len(small_files.quarantine()) == 5


def test_compaction_that_lost_a_file_to_another_writer_changes_nothing(
    small_files: Any, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = compaction._join

    def meanwhile(*arguments: Any) -> int:
        monkeypatch.setattr(compaction, "_join", real)
        small_files.put("events", "3.json", event("new"))
        small_files.ingest()
        return real(*arguments)

    monkeypatch.setattr(compaction, "_join", meanwhile)
    files = len(small_files.parquet())
    assert compact(small_files.store, small_files.ledger(), NOW) == Compaction()
    assert [row["event_id"] for row in small_files.bronze() if row["_source_file"].endswith("3.json")] == ["new"]
    assert len(small_files.parquet()) >= files


def test_crash_in_compaction_leaves_only_invisible_files(small_files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(small_files)
    with monkeypatch.context() as crash:
        crash.setattr(Ledger, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            compact(small_files.store, small_files.ledger(), NOW)
    assert everything(small_files) == before
    assert len(small_files.parquet()) == 18 + 3


def test_replaced_files_are_deleted_after_the_grace_time_and_not_before(small_files: Any) -> None:
    compact(small_files.store, small_files.ledger(), NOW)
    before = everything(small_files)
    assert clean(small_files.store, small_files.ledger(), small_files.landed, dt.datetime.now(dt.UTC)) == Cleaning()

    done = clean(small_files.store, small_files.ledger(), small_files.landed, LATER)

    assert done.files == 18
    assert everything(small_files) == before
    assert len(small_files.parquet()) == 3
    assert clean(small_files.store, small_files.ledger(), small_files.landed, LATER) == Cleaning()


def test_orphan_of_a_crash_is_deleted_and_its_load_abandoned(small_files: Any) -> None:
    load_id = "20260101T000000-0123456789ab"
    orphan = small_files.parquet()[0].with_name(f"{load_id}-0.parquet")
    orphan.write_bytes(b"half a file")
    young = orphan.with_name("20260102T000000-0123456789ab-0.parquet")
    young.write_bytes(b"still being written")
    os.utime(orphan, (0, 0))

    assert clean(small_files.store, small_files.ledger(), small_files.landed, NOW).files == 1

    assert not orphan.exists()
    assert young.exists()
    position = small_files.ledger().position()
    ((_, entry),) = small_files.ledger().entries(position - 1)
    assert entry.abandoned == (load_id,)
    assert len(small_files.bronze()) == 18


def test_slow_load_that_was_abandoned_cannot_commit_but_loads_again(
    lake: Any, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put("events", "a.json", event("a"))
    real = Ledger.commit

    def cleaned_meanwhile(self: Ledger, entry: Any, seen: int) -> int:
        monkeypatch.setattr(Ledger, "commit", real)
        for path in lake.parquet():
            os.utime(path, (0, 0))
        assert clean(lake.store, Ledger(lake.store, "events"), lake.landed, NOW).files == 1
        with pytest.raises(ConflictError):
            return self.commit(entry, seen)
        return self.commit(entry, seen)

    monkeypatch.setattr(Ledger, "commit", cleaned_meanwhile)
    report = lake.ingest()
    assert (report.objects, [row["event_id"] for row in lake.bronze()]) == (1, ["a"])


def test_file_names_contain_their_load() -> None:
    assert load_of("quarantine/events/ingest_date=2026-01-10/20260110T120000-0123456789ab.parquet") == (
        "20260110T120000-0123456789ab"
    )
