"""Checkpoints save reading and change nothing: with, without or with half of one, the ledger is the same."""

from __future__ import annotations

import datetime as dt
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from ingest.errors import ConfigError
from ingest.ledger import checkpoints as checkpoints_module
from ingest.ledger import ledger
from ingest.ledger import objects as known
from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.ledger.objects import CHANGED, NEW, SAME, KnownObjects
from ingest.ledger.sources import LoadedObject
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store

NOW = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 2)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "CHECKPOINT_ENTRIES", 3)
    monkeypatch.setattr(checkpoints_module, "KEPT_CHECKPOINTS", 2)
    monkeypatch.setattr(known, "GROUP_ROWS", 4)


def history(store: Store, entries: int) -> dict[int, LedgerState]:
    """Random commits with a checkpoint whenever one is due; yields the writer's state after each."""
    dice = random.Random(3)
    log, state = Ledger(store, "events"), LedgerState()
    states = {0: state.copy()}
    for number in range(1, entries + 1):
        names = dice.sample([f"b/{n}" for n in range(12)], dice.randint(0, 5))
        removed = tuple(path for path in state.files if dice.random() < 0.2)
        objects = tuple(
            LoadedObject(name, f"e{number}", f"h{number}", number, NOW, 2, 1, 1, ((DAY, 1),), 1, f"L{number}")
            for name in names
        )
        added = (LakeFile(f"bronze/events/{number}.parquet", 1, 100, DAY, None, (f"L{number}",), "{}"),)
        entry = Entry(f"L{number}", NOW, objects, added, removed)
        assert log.commit(entry, state.position) == number
        state.apply(number, entry)
        log.checkpoint(state)
        states[number] = state.copy()
    return states


def status(objects: KnownObjects, names: list[str], etags: list[str]) -> list[int]:
    """The ledger's records of listed objects of bucket `b`."""
    keys = pa.chunked_array([[name.removeprefix("b/") for name in names]], pa.string())
    return objects.status("b", keys, pa.chunked_array([etags], pa.string())).tolist()


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name.lstrip("0") for path in (folder / "ledger/events/_checkpoints").iterdir())


def test_every_position_reads_the_same_with_and_without_checkpoints(tmp_path: Path) -> None:
    states = history(Store(str(tmp_path)), 14)
    assert [name for name in checkpoints(tmp_path) if "objects" not in name] == [
        "12.checkpoint.parquet",
        "9.checkpoint.parquet",
    ]
    for _ in range(2):
        log = Ledger(Store(str(tmp_path)), "events")
        for position, state in states.items():
            assert log.state(position) == state
            assert log.live_files(position) == state.bronze_files()
        assert log.position() == 14
        assert log.state() == states[14]
        shutil.rmtree(tmp_path / "ledger/events/_checkpoints", ignore_errors=True)


def test_checkpoint_that_was_cut_short_is_not_used(tmp_path: Path) -> None:
    states = history(Store(str(tmp_path)), 7)
    (tmp_path / "ledger/events/_checkpoints/00000000000000000006.checkpoint.parquet").unlink()
    assert Ledger(Store(str(tmp_path)), "events").state() == states[7]


def test_known_objects_are_the_same_from_columns_and_from_entries(tmp_path: Path) -> None:
    states = history(Store(str(tmp_path)), 8)
    read = Ledger(Store(str(tmp_path)), "events").state().objects
    assert read.recent_count < len(read)
    names = [f"b/{n}" for n in range(14)]
    etags = [states[8].objects[name].etag if name in states[8].objects else "" for name in names]
    etags[0], etags[1] = "other", etags[1]
    expected = [
        NEW if name not in states[8].objects else SAME if states[8].objects[name].etag == etag else CHANGED
        for name, etag in zip(names, etags, strict=True)
    ]
    assert CHANGED in expected
    assert NEW in expected
    for objects in (read, states[8].objects):
        assert status(objects, names, etags) == expected
        assert objects.lookup(names) == dict(states[8].objects)
        assert sorted(objects) == sorted(states[8].objects)
        assert len(objects) == len(states[8].objects)


def test_nothing_is_known_at_the_start() -> None:
    objects = KnownObjects()
    assert status(objects, ["b/x"], ["1"]) == [NEW]
    assert status(objects, [], []) == []
    assert (len(objects), objects.lookup(["b/x"]), list(objects)) == (0, {}, [])


@pytest.mark.s3
def test_checkpoints_work_on_s3(s3_lake: dict[str, str]) -> None:
    store = Store("s3://lake/checkpoints")
    states = history(store, 8)
    log = Ledger(Store("s3://lake/checkpoints"), "events")
    for position, state in states.items():
        assert log.state(position) == state
    assert status(log.state().objects, ["b/none"], ["1"]) == [NEW]


def test_errors_of_a_damaged_checkpoint_and_entry_state_the_remedy(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    history(store, 8)
    log = Ledger(store, "events")
    for kind, read in (("objects", lambda: list(log.state().objects)), ("checkpoint", log.live_files)):
        path = max(tmp_path.glob(f"ledger/events/_checkpoints/*.{kind}.parquet"))
        data = path.read_bytes()
        path.write_bytes(data[:-20] + b"x" * 20)
        with pytest.raises(ConfigError, match=rf"\.{kind}\.parquet is damaged .*delete it"):
            read()
        path.write_bytes(data)
    entry = tmp_path / "ledger/events/00000000000000000007.parquet"
    entry.write_bytes(entry.read_bytes()[:100])
    with pytest.raises(ConfigError, match=r"0007\.parquet is damaged .*lake ledger rebuild"):
        list(log.entries(0))


def test_objects_of_another_bucket_are_different_objects(tmp_path: Path) -> None:
    history(Store(str(tmp_path)), 8)
    objects = Ledger(Store(str(tmp_path)), "events").state().objects
    keys, etags = pa.chunked_array([["1"]]), pa.chunked_array([[objects["b/1"].etag]])
    assert objects.status("b", keys, etags).tolist() == [SAME]
    assert objects.status("c", keys, etags).tolist() == [NEW]
