"""The guarantees of one ingest: each record once, nothing partly visible, nothing lost."""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import os
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingest.contracts.contract import contracts
from ingest.errors import ConfigError, RetriableError
from ingest.limits import Limits
from ingest.steps import attempt, load, loading, write
from ingest.steps.load import ingest_feed
from ingest.steps.read import MAX_CONSECUTIVE_STUCK
from ingest.storage.landing import Landing
from ingest.storage.objects import StoredObject
from ingest.storage.store import Store


def test_every_record_arrives_once_with_its_lineage(lake: Any, event: Any) -> None:
    lake.put("events", "2026/01/02/a.json", event("e1"), b"", event("e2", "2026-01-03T01:00:00+02:00"))

    report = lake.ingest()

    rows = lake.bronze()
    assert (report.objects, report.records, report.rows, report.quarantined) == (1, 2, 2, 0)
    assert [(row["event_id"], row["_source_file"], row["_source_line"]) for row in rows] == [
        ("e1", "raw-events/2026/01/02/a.json", 1),
        ("e2", "raw-events/2026/01/02/a.json", 3),
    ]
    assert rows[1]["occurred_at"] == dt.datetime(2026, 1, 2, 23)
    assert [row["event_date"] for row in rows] == [dt.date(2026, 1, 2)] * 2
    assert {row["_load_id"] for row in rows} == set(report.loads)
    assert rows[0]["data"]["duration"] == 1.5
    assert rows[0]["context"]["os"] == {"name": "iOS", "version": "14.2"}


def test_buffered_rows_are_written_in_large_row_groups_and_are_bounded(
    lake: Any, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, rows in (("FAIR_GROUP_ROWS", 5), ("SOFT_BUFFER_ROWS", 10), ("BUFFER_ROWS", 40)):
        monkeypatch.setattr(write, name, rows)
    monkeypatch.setattr(loading, "CHUNK_BYTES", 1)
    add, held = write.LoadWriter.add, []

    def watched(self: write.LoadWriter, parsed: Any) -> None:
        add(self, parsed)
        held.append(dict(self._buffered_rows))

    monkeypatch.setattr(write.LoadWriter, "add", watched)
    days = [f"2026-01-0{1 + n % 3}" for n in range(20)] + [f"2026-02-{1 + n % 25:02}" for n in range(20)]
    for place, day in enumerate(days):
        lake.put("events", f"{place:02}.json", *(event(f"{place}-{n}", f"{day} 01:00:00") for n in range(3)))

    assert lake.ingest().rows == len(lake.bronze()) == 120
    assert all(sum(rows.values()) <= 10 or max(rows.values()) < 5 for rows in held)
    assert 10 < max(sum(rows.values()) for rows in held) <= 40
    early = [pq.read_metadata(path) for path in lake.parquet() if "2026-01-" in str(path)]
    assert all(file.num_row_groups > 1 and file.row_group(0).num_rows >= 5 for file in early)


def test_a_second_run_adds_nothing(lake: Any, event: Any) -> None:
    lake.put("events", "a.json", event())
    first = lake.ingest()
    second = lake.ingest()

    assert (second.objects, second.position) == (0, first.position)
    assert len(lake.bronze()) == 1


def test_a_feed_without_data_is_an_empty_table(lake: Any) -> None:
    assert lake.ingest("users").position == 0
    assert lake.bronze("users") == []


def test_later_key_that_sorts_lower_is_found(lake: Any, event: Any) -> None:
    lake.put("events", "m.json", event("e1"))
    lake.ingest()
    lake.put("events", "a.json", event("e2"))
    lake.ingest()

    assert [row["event_id"] for row in lake.bronze()] == ["e2", "e1"]


@pytest.mark.parametrize("key", ["with space.json", "umlaut-ü/日本.json", "percent%20encoded.json", "a+b=c&d.json"])
def test_odd_names_are_kept_unchanged(lake: Any, event: Any, key: str) -> None:
    lake.put("events", key, event())
    lake.ingest()

    assert [row["_source_file"] for row in lake.bronze()] == [f"raw-events/{key}"]
    assert lake.ingest().objects == 0


def test_gzip_is_recognised_by_content_and_all_members_are_read(lake: Any, event: Any) -> None:
    import json

    members = [gzip.compress(json.dumps(event(f"e{n}")).encode() + b"\n") for n in range(3)]
    lake.landing("events").put("named-plain.json", b"".join(members))

    assert lake.ingest().rows == 3


def test_truncated_gzip_is_quarantined_as_a_whole_and_retried_when_it_changes(lake: Any, event: Any) -> None:
    import json

    whole = gzip.compress(b"".join(json.dumps(event(f"e{n}")).encode() + b"\n" for n in range(500)))
    lake.landing("events").put("a.json.gz", whole[:-20])
    lake.put("events", "b.json", event("other"))

    report = lake.ingest()
    assert (report.rows, report.quarantined) == (1, 1)
    assert [(row["reason"], row["_source_file"]) for row in lake.quarantine()] == [
        ("corrupt_object", "raw-events/a.json.gz")
    ]
    assert lake.ingest().objects == 0

    lake.landing("events").put("a.json.gz", whole)
    report = lake.ingest()
    assert (report.rows, report.replaced) == (500, 1)
    assert lake.quarantine() == []


def test_overwritten_object_shows_only_its_new_rows(lake: Any, event: Any) -> None:
    lake.put("events", "a.json", event("e1"), event("e2", "2026-01-05 00:00:00"), b"broken")
    lake.put("events", "b.json", event("e3"))
    lake.ingest()
    lake.put("events", "a.json", event("e1", "2026-01-04 00:00:00"))

    report = lake.ingest()

    assert (report.objects, report.replaced) == (1, 1)
    assert [(row["event_id"], row["event_date"].day) for row in lake.bronze()] == [("e1", 4), ("e3", 2)]
    assert lake.quarantine() == []
    state = lake.ledger().state()
    assert sum(file.rows for file in state.bronze_files()) == 2


def test_object_rewritten_with_the_same_bytes_changes_nothing(lake: Any, event: Any) -> None:
    lake.put("events", "a.json", event("e1"))
    lake.ingest()
    before = lake.ledger().state().files
    lake.put("events", "a.json", event("e1"))

    report = lake.ingest()

    assert (report.objects, report.unchanged) == (0, 1)
    assert lake.ledger().state().files == before
    assert lake.ingest().unchanged == 0


def test_records_equal_rows_plus_quarantined_for_every_object(lake: Any, event: Any) -> None:
    for number in range(20):
        bad = [b"{", b'{"event_id": 5}', b"[]"] if number % 3 == 0 else []
        lake.put("events", f"{number}.json", *(event(f"e{number}-{n}") for n in range(number)), *bad)
    lake.ingest()

    bronze, quarantine = lake.bronze(), lake.quarantine()
    for item in lake.ledger().state().objects.values():
        rows = sum(row["_source_file"] == item.source_file for row in bronze)
        rejected = sum(row["_source_file"] == item.source_file for row in quarantine)
        assert (item.records, item.rows, item.quarantined) == (rows + rejected, rows, rejected)
        assert sum(count for _, count in item.event_dates) == rows


def test_crash_before_the_commit_leaves_nothing_visible(lake: Any, event: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put("events", "a.json", event())

    def die(*_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ingest.ledger.ledger.Ledger.commit", die)
        with pytest.raises(KeyboardInterrupt):
            lake.ingest()
    assert lake.bronze() == []
    assert lake.ingest().rows == 1


def test_ingester_that_lost_the_race_for_an_object_does_not_load_it_twice(
    lake: Any, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put("events", "a.json", event("e1"))
    lake.put("events", "b.json", event("e2"))
    original, raced = attempt.Attempt.run, []

    def run(self: Any, progress: Any) -> Any:
        result = original(self, progress)
        if not raced:
            raced.append(True)
            lake.ingest()  # another ingester commits the same objects first
        return result

    monkeypatch.setattr(attempt.Attempt, "run", run)
    report = lake.ingest()

    assert (report.objects, report.position) == (0, 1)
    assert len(lake.bronze()) == 2
    assert len(lake.parquet()) == 1, "the loser's files are gone"


def test_lost_answer_of_the_store_is_no_lost_race(lake: Any, event: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put("events", "a.json", event())
    original = Store.put_new

    def lose_the_answer(self: Store, key: str, data: bytes) -> bool:
        original(self, key, data)
        return original(self, key, data)  # a client's retry after a lost answer

    monkeypatch.setattr(Store, "put_new", lose_the_answer)
    report = lake.ingest()

    assert (report.rows, report.position) == (1, 1)
    assert len(lake.bronze()) == 1


@pytest.mark.parametrize("error", [RetriableError("no answer"), KeyboardInterrupt()], ids=["no answer", "Ctrl-C"])
def test_commit_whose_outcome_is_unknown_keeps_its_files(
    lake: Any, event: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    lake.put("events", "a.json", event("e1"), b"bad")
    original = Store.put_new

    def no_answer(self: Store, key: str, data: bytes) -> bool:
        original(self, key, data)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put_new", no_answer)
        with pytest.raises(type(error)):
            lake.ingest()

    assert (lake.ingest().objects, lake.ledger().position()) == (0, 1)
    assert [row["event_id"] for row in lake.bronze()] == ["e1"]
    assert len(lake.quarantine()) == 1


def test_object_deleted_after_it_was_listed_is_left_out_and_reported(
    lake: Any, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put("events", "a.json", event("e1"))
    lake.put("events", "b.json", event("e2"))
    original = load.discover

    def discover(*args: Any) -> Any:
        found = original(*args)
        (lake.home / "landing/raw-events/a.json").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(load, "discover", discover)
    report = lake.ingest()

    assert (report.rows, report.changed_meanwhile) == (1, 1)
    assert [row["event_id"] for row in lake.bronze()] == ["e2"]


class Stubborn(Landing):
    """A landing that lists some objects and fails to return them: at once, or after a number of blocks."""

    def __init__(self, uri: str, keys: set[str], blocks: int = 0) -> None:
        super().__init__(uri)
        self.keys, self.blocks = keys, blocks

    def read(self, version: StoredObject) -> Iterator[bytes]:
        if version.key not in self.keys:
            return super().read(version)
        return self._give_up(version)

    def _give_up(self, version: StoredObject) -> Iterator[bytes]:
        yield from itertools.islice(super().read(version), self.blocks)
        raise RetriableError(f"{version.key}: the disk is worn out")


@pytest.mark.parametrize(("blocks", "held"), [(0, 64 << 20), (3, 64 << 20), (3, 2000)])
def test_stuck_object_blocks_no_other_and_is_loaded_once_it_can_be_read(
    lake: Any, event: Any, monkeypatch: pytest.MonkeyPatch, blocks: int, held: int
) -> None:
    monkeypatch.setattr("ingest.steps.read.BLOCK_BYTES", 1000)
    monkeypatch.setattr("ingest.storage.kinds.disk.BLOCK_BYTES", 1000)
    monkeypatch.setattr("ingest.steps.read.BUFFER_BYTES", held)
    for name in ("a", "b", "c"):
        lake.put("events", f"{name}.json", *(event(f"{name}{n}") for n in range(20)))
    monkeypatch.setattr(lake, "landing", lambda _: Stubborn(f"{lake.home}/landing/raw-events", {"b.json"}, blocks))

    report = lake.ingest()

    assert (report.objects, report.rows) == (2, 40)
    assert report.stuck == (("raw-events/b.json", "b.json: the disk is worn out"),)
    monkeypatch.undo()
    assert lake.ingest().rows == 20
    assert len({row["event_id"] for row in lake.bronze()}) == len(lake.bronze()) == 60


def test_store_that_returns_no_object_at_all_ends_the_ingest(
    lake: Any, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {f"{n:02}.json" for n in range(MAX_CONSECUTIVE_STUCK + 2)}
    for key in keys:
        lake.put("events", key, event(key))
    monkeypatch.setattr(lake, "landing", lambda _: Stubborn(f"{lake.home}/landing/raw-events", keys))
    with pytest.raises(RetriableError, match="worn out"):
        lake.ingest()
    assert lake.parquet() == []


def test_loads_are_bounded_and_each_commits_separately(lake: Any, event: Any) -> None:
    for number in range(7):
        lake.put("events", f"{number}.json", event(f"e{number}"))
    report = lake.ingest(limits=Limits(load_objects=3))
    assert (report.rows, len(report.loads), report.position) == (7, 3, 3)
    for number in range(7, 9):
        lake.put("events", f"{number}.json", event(f"e{number}"))
    assert len(lake.ingest(limits=Limits(load_bytes=1)).loads) == 2
    assert len(lake.bronze()) == 9


def test_rows_older_than_the_start_are_counted(lake: Any, event: Any) -> None:
    lake.put("events", "a.json", event("e1", "2020-12-31 23:59:59"), event("e2"))

    report = lake.ingest()

    assert (report.rows, report.before_start) == (2, 1)


def test_large_object_is_streamed_with_right_line_numbers(
    lake: Any, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.steps.read.BLOCK_BYTES", 1000)
    monkeypatch.setattr("ingest.storage.kinds.disk.BLOCK_BYTES", 1000)
    lake.put("events", "a.json", *(event(f"e{n}") for n in range(50)), b"bad", event("last"))

    assert lake.ingest().rows == 51
    assert {row["event_id"]: row["_source_line"] for row in lake.bronze()}["last"] == 52
    assert [row["_source_line"] for row in lake.quarantine()] == [51]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere, a read-only folder cannot be made")
def test_unwritable_lake_is_a_clear_error(lake: Any, event: Any) -> None:
    lake.put("events", "a.json", event())
    (lake.home / "lake").mkdir()
    (lake.home / "lake").chmod(0o500)
    with pytest.raises(ConfigError, match="expected a folder that this user can read and write"):
        lake.ingest()


def test_lake_that_is_a_file_is_a_clear_error(lake: Any, event: Any) -> None:
    lake.put("events", "a.json", event())
    (lake.home / "lake").write_text("not a folder")
    with pytest.raises((ConfigError, RetriableError), match="expected a folder"):
        lake.ingest()


def test_overwritten_object_that_the_contract_refuses_keeps_its_old_rows(lake: Any, event: Any) -> None:
    lake.put("events", "a.json", event("old"))
    lake.ingest()
    lake.put("events", "a.json", event("new"))
    lake.put("events", "b.json", event("other"))
    contract = contracts()["events"].model_copy(update={"overwritten": "refuse"})

    for objects in (1, 0):
        report = ingest_feed(contract, lake.landing("events"), lake.store, dt.date(2021, 1, 1))
        assert (report.objects, report.refused) == (objects, 1)

    assert [row["event_id"] for row in lake.bronze()] == ["old", "other"]
