"""The ledger: one number per commit, one state per position."""

from __future__ import annotations

import datetime as dt
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.errors import ConfigError, ConflictError, LostLedger
from ingest.ledger import ledger as ledger_module
from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.ledger.sources import LoadedObject, OffsetRange
from ingest.ledger.state import LedgerState
from ingest.ledger.touched import Touched, touched
from ingest.storage.store import Store

NOW = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 2)
FORMAT_1 = Path(__file__).parents[2] / "data/ledger_format_1"
"""Three entries and a checkpoint at the second, as the last version with format 1 wrote them."""


def loaded(name: str, load_id: str = "L1", days: tuple[dt.date, ...] = (DAY,), etag: str = "1") -> LoadedObject:
    dates = tuple((day, 1) for day in days)
    return LoadedObject(name, etag, f"hash-{load_id}", 10, NOW, len(days) + 1, len(days), 1, dates, 1, load_id)


def file(path: str, load_id: str = "L1") -> LakeFile:
    return LakeFile(path, 1, 100, DAY, DAY, (load_id,), '{"a":"TEXT"}')


def entry(load_id: str, *names: str, **fields: Any) -> Entry:
    return Entry(load_id, NOW, tuple(loaded(name, load_id) for name in names), **fields)


def span(partition: int, first: int, last: int, load_id: str = "L1") -> OffsetRange:
    count = last - first + 1
    dates = ((DAY, count - 3),)
    return OffsetRange(
        "c", "t", "clicks", partition, first, last, 99, NOW, count - 2, count - 3, 1, 1, 1, dates, 1, load_id
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store(str(tmp_path)), "events")


def test_entry_round_trips() -> None:
    whole = Entry(
        "L1",
        NOW,
        (loaded("b/x"), loaded("b/y", days=())),
        (file("bronze/events/a.parquet"), replace(file("bronze/events/b.parquet"), event_date=None)),
        ("bronze/events/old.parquet",),
        ("L0",),
        (span(0, 0, 9), span(1, 5, 9)),
    )
    assert Entry.from_bytes(whole.to_bytes(), "entry") == whole


def test_entry_of_a_newer_format_is_refused() -> None:
    table = pq.read_table(pa.BufferReader(entry("L1", "b/x").to_bytes()))
    table = table.replace_schema_metadata({"lakemesh.ledger_format": "4"})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    with pytest.raises(ConfigError, match="ledger format 4, this version reads 1 to 3"):
        Entry.from_bytes(sink.getvalue().to_pybytes(), "entry")


def test_records_and_offsets_are_conserved() -> None:
    whole = loaded("b/x")
    assert whole.is_conserved
    assert not replace(whole, rows=0, event_dates=()).is_conserved
    assert replace(whole, rows=0, quarantined=0, dropped=1, erased=1, event_dates=()).is_conserved
    assert replace(whole, records=3, skipped=1).is_conserved
    assert span(0, 0, 9).is_conserved
    assert not replace(span(0, 0, 9), last_offset=10).is_conserved
    assert not replace(span(0, 0, 9), quarantined=0).is_conserved


@pytest.mark.parametrize("position", [1, 2, 3])
def test_ledger_of_format_1_is_still_read(position: int) -> None:
    state = Ledger(Store(str(FORMAT_1)), "events").state(position)
    names = ["b/x", "b/y", "b/z"][:position]
    assert sorted(state.objects) == names
    assert state.objects.lookup(names) == {name: loaded(name, f"L{n}") for n, name in enumerate(names, 1)}
    live = [1] if position == 1 else [2] if position == 2 else [2, 3]
    assert list(state.files) == [f"bronze/events/{number}.parquet" for number in live]
    assert (state.newest_object_at, state.next_offsets) == (NOW, {})


def test_ledger_of_format_1_continues_in_format_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(FORMAT_1, tmp_path / "lake")
    ledger = Ledger(Store(str(tmp_path / "lake")), "events")
    known = replace(loaded("b/y", "L4"), rows=0, quarantined=0, dropped=2, event_dates=())
    ledger.commit(Entry("L4", NOW, (known,), ranges=(span(0, 0, 9, "L4"),)), 3)
    monkeypatch.setattr(ledger_module, "CHECKPOINT_ENTRIES", 1)
    assert ledger.checkpoint(ledger.state())

    state = Ledger(ledger.store, "events").state()
    assert dict(state.objects) == {"b/x": loaded("b/x"), "b/y": known, "b/z": loaded("b/z", "L3")}
    assert state.next_offsets == {("c", "t", 0): 10}


def test_entry_commits_the_offsets_of_its_ranges(ledger: Ledger) -> None:
    ledger.commit(Entry("L1", NOW, ranges=(span(0, 0, 9), span(1, 0, 4))), 0)
    ledger.commit(Entry("L2", NOW, ranges=(span(0, 10, 19, "L2"),)), 1)

    assert ledger.state().next_offsets == {("c", "t", 0): 20, ("c", "t", 1): 5}
    assert ledger.state(1).next_offsets == {("c", "t", 0): 10, ("c", "t", 1): 5}
    assert ledger.state().newest_object_at == NOW


def test_second_of_two_writers_with_the_same_partition_plans_again(ledger: Ledger) -> None:
    ledger.commit(Entry("L1", NOW, ranges=(span(0, 0, 9),)), 0)
    ledger.commit(Entry("L2", NOW, ranges=(span(1, 0, 9, "L2"),)), 0)
    with pytest.raises(ConflictError):
        ledger.commit(Entry("L3", NOW, ranges=(span(0, 0, 5, "L3"),)), 0)


def test_state_at_a_position_ignores_later_entries(ledger: Ledger) -> None:
    ledger.commit(entry("L1", "b/x", added=(file("bronze/events/1.parquet"),)), 0)
    ledger.commit(entry("L2", "b/y", added=(file("bronze/events/2.parquet"),), removed=("bronze/events/1.parquet",)), 1)

    assert ledger.state(0) == LedgerState()
    assert list(ledger.state(1).files) == ["bronze/events/1.parquet"]
    assert list(ledger.state().files) == ["bronze/events/2.parquet"]
    assert (ledger.position(), sorted(ledger.state().objects)) == (2, ["b/x", "b/y"])


def test_concurrent_writers_get_different_numbers_and_lose_nothing(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda n: ledger.commit(entry(f"L{n}", f"b/{n}"), 0), range(40)))

    assert sorted(numbers) == list(range(1, 41))
    assert len(ledger.state().objects) == 40


def test_second_of_two_writers_with_the_same_object_plans_again(ledger: Ledger) -> None:
    ledger.commit(entry("L1", "b/x"), 0)
    with pytest.raises(ConflictError):
        ledger.commit(entry("L2", "b/y", "b/x"), 0)
    assert ledger.position() == 1


def test_second_of_two_writers_that_remove_the_same_file_plans_again(ledger: Ledger) -> None:
    ledger.commit(entry("L1", "b/x", added=(file("bronze/events/1.parquet"),)), 0)
    ledger.commit(entry("L2", "b/y", removed=("bronze/events/1.parquet",)), 1)
    with pytest.raises(ConflictError):
        ledger.commit(entry("L3", "b/z", removed=("bronze/events/1.parquet",)), 1)


def test_abandoned_load_can_no_longer_commit(ledger: Ledger) -> None:
    ledger.commit(Entry("cleaner", NOW, abandoned=("L1",)), 0)
    with pytest.raises(ConflictError):
        ledger.commit(entry("L1", "b/x"), 0)


def test_commit_whose_answer_was_lost_is_recognised(ledger: Ledger) -> None:
    first = entry("L1", "b/x")
    assert ledger.commit(first, 0) == 1
    assert ledger.commit(first, 0) == 1
    assert ledger.position() == 1


def test_missing_entry_is_a_clear_error(ledger: Ledger, tmp_path: Path) -> None:
    for number in range(3):
        ledger.commit(entry(f"L{number}", f"b/{number}"), number)
    (tmp_path / "ledger/events/00000000000000000002.parquet").unlink()
    with pytest.raises(ConfigError, match=r"00000000000000000002\.parquet is missing"):
        ledger.state()


def test_position_beyond_the_end_is_a_clear_error(ledger: Ledger) -> None:
    ledger.commit(entry("L1", "b/x"), 0)
    with pytest.raises(ConfigError, match="ends at entry 1, but entry 5 was read"):
        ledger.state(5)


def test_log_that_lost_its_end_to_a_checkpoint_is_a_clear_error(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        ledger.commit(entry(f"L{number}", f"b/{number}"), number)
    monkeypatch.setattr(ledger_module, "CHECKPOINT_ENTRIES", 1)
    assert ledger.checkpoint(ledger.state())
    (tmp_path / "ledger/events/00000000000000000003.parquet").unlink()
    for read in (ledger.position, ledger.state, ledger.live):
        with pytest.raises(LostLedger, match="ends at entry 2, but entry 3 was read"):
            read()


def begun_again(ledger: Ledger, tmp_path: Path, number: int) -> None:
    """A log of which only the first entry of a rebuilt one is left."""
    for path in (tmp_path / "ledger/events").glob("0*.parquet"):
        path.unlink()
    first = entry("R1", "b/kept", added=(file("bronze/events/kept.parquet"),))
    ledger.store.put(f"ledger/events/{number:020d}.parquet", replace(first, begins=number).to_bytes())


def test_rebuilt_log_starts_at_its_stated_position(ledger: Ledger, tmp_path: Path) -> None:
    for number in range(3):
        ledger.commit(entry(f"L{number}", f"b/{number}", added=(file(f"bronze/events/{number}.parquet"),)), number)
    begun_again(ledger, tmp_path, 1001)
    assert ledger.commit(entry("L9", "b/new"), ledger.position()) == 1002

    assert (ledger.first(), ledger.position(), ledger.numbers()) == (1001, 1002, {1001, 1002})
    assert sorted(ledger.state().objects) == ["b/kept", "b/new"]
    assert list(ledger.state(1001).files) == ["bronze/events/kept.parquet"]
    assert [number for number, _ in ledger.entries(0)] == [number for number, _ in ledger.entries(3)] == [1001, 1002]
    assert [number for number, _ in ledger.entries(1001)] == [1002]
    assert ledger.state(3) == LedgerState(), "what an entry of the old log showed is not known any more"
    assert (ledger.load_at(3), ledger.load_at(1002)) == ("", "L9")


def test_rebuilt_log_hides_earlier_entries_and_changes_every_date(ledger: Ledger, tmp_path: Path) -> None:
    ledger.commit(entry("L1", "b/x", added=(file("bronze/events/1.parquet"),)), 0)
    before = ledger.state()
    begun_again(ledger, tmp_path, 1001)

    found = touched(before, ledger.entries(1))

    assert (found.changed, found.begins, found.load_id) == (True, True, "R1")
    assert list(before.files) == ["bronze/events/kept.parquet"]
    assert sorted(before.objects) == ["b/kept"]


def test_entry_written_while_the_log_was_rebuilt_is_void(ledger: Ledger, tmp_path: Path) -> None:
    begun_again(ledger, tmp_path, 1001)
    ledger.store.put("ledger/events/00000000000000000004.parquet", entry("L4", "b/late").to_bytes())
    assert sorted(ledger.state().objects) == ["b/kept"]
    assert ledger.first() == 1001


def test_rebuilt_log_continues_from_checkpoints(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_again(ledger, tmp_path, 1001)
    monkeypatch.setattr(ledger_module, "CHECKPOINT_ENTRIES", 1)
    assert ledger.checkpoint(ledger.state())
    ledger.commit(entry("L9", "b/new"), 1001)
    assert sorted(ledger.state().objects) == ["b/kept", "b/new"]
    (tmp_path / "ledger/events/00000000000000001001.parquet").unlink()
    with pytest.raises(LostLedger, match="lacks entry 1001"):
        ledger.state()


def test_touched_dates_are_those_shown_and_those_hidden() -> None:
    old, new, other = dt.date(2026, 1, 1), dt.date(2026, 1, 2), dt.date(2026, 1, 3)
    state = LedgerState()
    state.apply(1, Entry("L1", NOW, (loaded("b/x", "L1", (old,)), loaded("b/y", "L1", (other,)))))
    replaced = Entry("L2", NOW, (loaded("b/x", "L2", (new,)),))
    seen_again = Entry("L3", NOW, (replace(state.objects["b/y"], etag="2"),))

    assert touched(state.copy(), [(2, replaced)]) == Touched(True, frozenset({old, new}))
    assert touched(state.copy(), [(2, seen_again)]) == Touched(False, frozenset())
    compacted = Entry("L4", NOW, added=(file("bronze/events/1.parquet"),))
    assert touched(state.copy(), [(2, compacted)]) == Touched(False, frozenset())
    assert touched(state.copy(), [(2, Entry("L5", NOW, ranges=(span(0, 0, 9),)))]) == Touched(True, frozenset({DAY}))
