"""Checkpoints in levels: what they write follows what is new, and whatever happens to them the state is the log's."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.ledger import checkpoints as checkpoints_module
from ingest.ledger import ledger as ledger_module
from ingest.ledger import levels as levels_module
from ingest.ledger import objects as objects_module
from ingest.ledger.checkpoints import Checkpoints
from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile, files_table
from ingest.ledger.ledger import Ledger
from ingest.ledger.objects import CHANGED, NEW, SAME
from ingest.ledger.sources import LoadedObject, OffsetRange
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store

NOW = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 2)


class Killed(Exception):  # noqa: N818  stands for the end of a process
    pass


class Fragile(Store):
    """A store of which a write or delete of the checkpoints may be the last thing that a process does."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.left = math.inf
        self.written: list[tuple[str, bytes]] = []

    def _spend(self) -> None:
        if self.left <= 0:
            raise Killed
        self.left -= 1

    def put(self, key: str, data: bytes, headers: Any = None) -> None:
        self._spend()
        self.written.append((key, data))
        super().put(key, data, headers)

    def delete(self, keys: Any) -> None:
        for key in keys:
            self._spend()
            super().delete([key])


@pytest.fixture
def small() -> Iterator[None]:
    with small_limits():
        yield


def small_limits() -> Any:
    patch = pytest.MonkeyPatch()
    patch.setattr(ledger_module, "CHECKPOINT_ENTRIES", 1)
    patch.setattr(objects_module, "GROUP_ROWS", 4)
    patch.setattr(objects_module, "NAME_GROUPS", 2)
    patch.setattr(levels_module, "SMALL_ROWS", 0)
    return undone(patch)


class undone:  # noqa: N801  a context manager
    """Undoes patches at the end of a block."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch

    def __enter__(self) -> None:
        """The patches are in place."""

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


def version(name: str, etag: str) -> LoadedObject:
    return LoadedObject(name, etag, f"h{etag}", 9, NOW, 2, 1, 1, ((DAY, 1),), 1, f"L{etag}")


def append(log: Ledger, state: LedgerState, *objects: LoadedObject, **fields: Any) -> None:
    number = state.position + 1
    entry = Entry(f"L{number}", NOW, objects, **fields)
    assert log.commit(entry, state.position) == number
    state.apply(number, entry)


def names_in(log: Ledger) -> list[str]:
    return sorted(item.key.rsplit("/", 1)[1] for item in log.store.list(f"{log.prefix}/_checkpoints"))


def rows_of(data: bytes) -> int:
    return int(pq.ParquetFile(io.BytesIO(data)).metadata.num_rows)


@pytest.mark.parametrize("replaced", [0, 3])
def test_checkpoints_write_what_is_new_and_now_and_then_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: int
) -> None:
    monkeypatch.setattr(levels_module, "SMALL_ROWS", 20)
    monkeypatch.setattr(ledger_module, "CHECKPOINT_ENTRIES", 1)
    store = Fragile(str(tmp_path))
    log, count, new = Ledger(store, "events"), 64, 10
    state, dice, written, most = log.state(), random.Random(1), [], 0
    for number in range(count):
        again = {f"b/{dice.randrange(number * new):06}" for _ in range(replaced)} if number else set()
        fresh = [f"b/{number * new + n:06}" for n in range(new)]
        append(log, state, *(version(name, str(number)) for name in (*again, *fresh)))
        store.written.clear()
        assert log.checkpoint(state)
        written.append(sum(rows_of(data) for key, data in store.written if key.endswith(".objects.parquet")))
        state = log.state()
        most = max(most, len(state.objects.levels))

    total = count * (new + replaced)
    assert len(state.objects) == count * new
    assert sum(written) <= total * 2 * math.log2(count)  # each name O(log N) times …
    assert sum(written) < count * total / 2 / 4  # … where rewriting all of them took half of count * total
    assert sorted(written)[count // 2] <= 6 * new + replaced  # the usual checkpoint
    assert most <= math.log2(count) + 1


def test_checkpoint_after_entries_without_objects_reuses_every_level(tmp_path: Path, small: None) -> None:
    store = Fragile(str(tmp_path))
    log = Ledger(store, "events")
    state = log.state()
    append(log, state, version("b/1", "1"))
    assert log.checkpoint(state)
    before = {name for name in names_in(log) if "objects" in name}
    store.written.clear()
    state = log.state()
    append(log, state, added=(LakeFile("bronze/events/1.parquet", 1, 1, DAY, None, ("L",), "{}"),))
    assert log.checkpoint(state)
    assert [key.rsplit(".", 2)[1] for key, _ in store.written] == ["checkpoint"]
    assert {name for name in names_in(log) if "objects" in name} == before
    assert (list(log.state().objects), len(log.live_files())) == (["b/1"], 1)


def test_feed_of_a_topic_has_no_levels(tmp_path: Path, small: None) -> None:
    log = Ledger(Store(str(tmp_path)), "clicks")
    state = log.state()
    span = OffsetRange("c", "t", "clicks", 0, 0, 9, 99, NOW, 10, 10, 0, 0, 0, ((DAY, 10),), 1, "L1")
    append(log, state, ranges=(span,))
    assert log.checkpoint(state)
    assert names_in(log) == ["00000000000000000001.checkpoint.parquet"]
    assert log.state() == state


def test_levels_of_any_boundaries_merge_to_the_same_bytes(tmp_path: Path, small: None) -> None:
    contents = []
    for stops in ({2, 3, 7, 12}, {12}, {5, 12}):
        store = Fragile(str(tmp_path / str(len(contents))))
        log = Ledger(store, "events")
        state, dice = log.state(), random.Random(7)
        for number in range(1, 13):
            append(log, state, *(version(f"b/{n}", str(number)) for n in dice.sample(range(15), 4)))
            if number == 12:
                levels_module.RATIO, ratio = 10**9, levels_module.RATIO
            if number in stops:
                assert log.checkpoint(state)
                state = log.state()
        levels_module.RATIO = ratio
        contents.append(store.written[-2])
    assert contents[0] == contents[1] == contents[2]


def test_superseded_files_are_deleted_and_those_in_use_stay(tmp_path: Path, small: None) -> None:
    log = Ledger(Store(str(tmp_path)), "events")
    state = log.state()
    readers: list[LedgerState] = []
    for number in range(30):
        append(log, state, version(f"b/{number:02}", "1"))
        assert log.checkpoint(state)
        state = log.state()
        readers = [*readers, state.copy()][-checkpoints_module.KEPT_CHECKPOINTS :]
        for reader in readers:  # opened before the last checkpoints
            assert len(reader.objects) == reader.position
    needed = {level.key.rsplit("/", 1)[1] for reader in readers for level in reader.objects.levels}
    tables = {f"{reader.position:020d}.checkpoint.parquet" for reader in readers}
    assert tables | needed <= set(names_in(log))
    rest = set(names_in(log)) - tables - needed
    assert all(int(name.split(".")[0]) >= readers[0].position for name in rest), "may belong to one being written"


def test_what_a_killed_checkpoint_left_is_pruned_later(tmp_path: Path, small: None) -> None:
    store = Fragile(str(tmp_path))
    log = Ledger(store, "events")
    state = log.state()
    for number in range(12):
        append(log, state, version(f"b/{number:02}", "1"))
        store.left = 2 if number == 11 else math.inf  # both files are written, nothing is deleted
        if number == 11:
            with pytest.raises(Killed):
                log.checkpoint(state)
        else:
            assert log.checkpoint(state)
            state = log.state()
    store.left = math.inf
    (tmp_path / log.prefix / "_checkpoints" / "00000000000000000003.0123456789abcdef.objects.parquet").touch()
    assert sum("checkpoint" in name for name in names_in(log)) == checkpoints_module.KEPT_CHECKPOINTS + 1
    log.prune_checkpoints()
    left = names_in(log)
    assert sum("checkpoint" in name for name in left) == checkpoints_module.KEPT_CHECKPOINTS
    assert not any("0123456789abcdef" in name for name in left)
    assert len(log.state().objects) == 12
    log.prune_checkpoints()
    assert names_in(log) == left


def test_writer_whose_levels_were_superseded_writes_the_newest_state(tmp_path: Path, small: None) -> None:
    log = Ledger(Store(str(tmp_path)), "events")
    state = log.state()
    append(log, state, version("b/0", "1"))
    assert log.checkpoint(state)
    slow = log.state()
    state = log.state()
    for number in range(1, 12):
        append(log, state, version(f"b/{number}", "1"))
        assert log.checkpoint(state)
        state = log.state()
    assert not Checkpoints(log.store, log.prefix).write(slow)
    slow.position += 20  # so that a checkpoint is due
    assert log.checkpoint(slow)
    assert sorted(log.state().objects) == sorted(f"b/{number}" for number in range(12))


def older_checkpoint(log: Ledger, state: LedgerState) -> None:
    """Write a checkpoint as programs do that know no levels."""
    folder = Path(log.store.uri) / log.prefix / "_checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "draft"  # the state may come from this very file
    state.objects.write(str(draft))
    draft.rename(folder / f"{state.position:020d}.objects.parquet")
    pq.write_table(files_table(list(state.files.values())), folder / f"{state.position:020d}.files.parquet")


def test_checkpoint_of_an_older_program_is_the_first_level(tmp_path: Path, small: None) -> None:
    log = Ledger(Store(str(tmp_path)), "events")
    state = log.state()
    append(log, state, *(version(f"b/{number}", "1") for number in range(30)))
    older_checkpoint(log, state)
    state = log.state()
    assert state.objects.recent_count == 0
    append(log, state, version("b/3", "2"), version("b/30", "2"))
    assert log.checkpoint(state)
    older, newer = log.state().objects.levels
    assert older.key.endswith("/00000000000000000001.objects.parquet")
    assert newer.rows() == 2
    assert log.state() == state
    assert log.state().objects["b/3"].etag == "2"


def test_older_programs_see_no_checkpoint_in_levels(tmp_path: Path, small: None) -> None:
    """They look for `<N>.files.parquet`, and take the number before the first dot of any other file."""
    log = Ledger(Store(str(tmp_path)), "events")
    state = log.state()
    append(log, state, version("b/1", "1"))
    assert log.checkpoint(state)
    assert not [name for name in names_in(log) if name.endswith(".files.parquet")]
    assert {name.split(".", 1)[0] for name in names_in(log)} == {f"{1:020d}"}
    assert log.numbers() == {1}


def replayed(log: Ledger, until: int) -> LedgerState:
    """The sum of all entries, without checkpoints."""
    state = LedgerState()
    for number, entry in log.entries(0):
        if number <= until:
            state.apply(number, entry)
    return state


def assert_same(found: LedgerState, expected: LedgerState) -> None:
    assert found == expected
    names = [f"b/{n}" for n in range(45)]
    known = dict(expected.objects)
    objects = found.objects
    assert dict(objects) == known
    assert len(objects) == len(known)
    assert sorted(objects) == sorted(known)
    assert objects.lookup(names) == known
    assert objects.sums("records", "dropped") == {"records": 2 * len(known), "dropped": 0}
    rows = pa.concat_tables(objects.tables(["source_file", "etag"])).to_pylist() if known else []
    assert {row["source_file"]: row["etag"] for row in rows} == {name: item.etag for name, item in known.items()}
    assert objects.unknown(pa.array(names)).to_pylist() == [name for name in names if name not in known]
    keys = pa.chunked_array([[name.removeprefix("b/") for name in names]], pa.string())
    etags = [known[name].etag if name in known and number % 2 else "other" for number, name in enumerate(names)]
    status = objects.status("b", keys, pa.chunked_array([etags])).tolist()
    assert status == [
        NEW if name not in known else SAME if number % 2 else CHANGED for number, name in enumerate(names)
    ]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("load"), st.lists(st.integers(0, 39), max_size=12, unique=True), st.booleans()),
        st.tuples(st.just("checkpoint"), st.integers(0, 2), st.just(None)),
        st.tuples(st.just("killed"), st.integers(0, 2), st.integers(0, 6)),
        st.tuples(st.just("lose"), st.integers(0, 9), st.just(None)),
        st.tuples(st.just("open"), st.integers(0, 2), st.just(None)),
        st.tuples(st.just("older"), st.just(None), st.just(None)),
        st.tuples(st.just("prune"), st.just(None), st.just(None)),
        st.tuples(st.just("rebuild"), st.integers(0, 39), st.just(None)),
    ),
    max_size=20,
)
"""What three writers do: loads and checkpoints from states of any age, of which some die between two files."""


@given(STEPS)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_history_of_checkpoints_gives_the_state_of_the_log(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any, Any]]
) -> None:
    with small_limits():
        root = tmp_path_factory.mktemp("lake")
        store = Fragile(str(root))
        log = Ledger(store, "events")
        folder = root / log.prefix / "_checkpoints"
        writers = [LedgerState() for _ in range(3)]
        reached: list[int] = []
        for kind, first, second in steps:
            if kind == "load":
                state = log.state()
                removed = tuple(sorted(state.files))[:1] if second else ()
                number = state.position + 1
                added = (LakeFile(f"bronze/events/{number}.parquet", 1, 1, DAY, None, ("L",), "{}"),)
                objects = (version(f"b/{name}", str(number)) for name in first)
                append(log, state, *objects, added=added, removed=removed, contract=f"C{number % 3}")
                reached.append(number)
            elif kind == "open":
                writers[first] = log.state()
            elif kind == "checkpoint":
                log.checkpoint(writers[first])
            elif kind == "killed":
                store.left = second
                try:
                    log.checkpoint(writers[first])
                except Killed:
                    writers[first] = LedgerState()
                store.left = math.inf
            elif kind == "lose" and folder.is_dir() and (names := sorted(path.name for path in folder.iterdir())):
                (folder / names[first % len(names)]).unlink()
                writers = [LedgerState() for _ in range(3)]  # all begin again
            elif kind == "older" and (state := log.state()).position:
                older_checkpoint(log, LedgerState(state.position, state.objects, state.files))
                (folder / f"{state.position:020d}.files.parquet").write_bytes(with_metadata(state))
            elif kind == "prune":
                log.prune_checkpoints()
            elif kind == "rebuild" and reached:
                begins = (max([*log.numbers(), *reached]) // 1000 + 1) * 1000 + 1
                entry = Entry(f"R{begins}", NOW, (version(f"b/{first}", str(begins)),), begins=begins)
                store.put_new(f"{log.prefix}/{begins:020d}.parquet", entry.to_bytes())
                reached = [begins]
                for path in root.glob("ledger/events/_checkpoints/*"):
                    path.unlink()
                writers = [LedgerState() for _ in range(3)]
        for position in reached:
            expected = replayed(log, position)
            assert log.state(position) == expected
            assert log.live(position).files == expected.files
        assert_same(log.state(), replayed(log, max(reached, default=0)))


def with_metadata(state: LedgerState) -> bytes:
    """The table of an older program's checkpoint, with its contract and time."""
    metadata = {b"lakemesh.contract": state.contract.encode(), b"lakemesh.next_offsets": json.dumps([]).encode()}
    if state.newest_object_at:
        metadata[b"lakemesh.newest_object_at"] = state.newest_object_at.isoformat().encode()
    table = files_table(list(state.files.values()))
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | metadata), sink)
    return sink.getvalue()
