"""An erasure withdraws the releases of before it, for good; everything else that readers have stays."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.errors import ConfigError
from ingest.settings import Settings
from ingest.storage.store import Store
from pipeline.releases import erasures
from pipeline.releases.catalog import write_catalog
from pipeline.releases.release import (
    Release,
    ReleaseFile,
    Releases,
    ReleaseTable,
    catalog_key,
    file_key,
    manifest_key,
    suspect_key,
)
from pipeline.releases.withdraw import withdraw, withdraw_of_role

NOW = dt.datetime(2026, 5, 1, 6, tzinfo=dt.UTC)
TABLE = "gold.plays"


class Killed(BaseException):
    """Ends a call as a signal would."""


class World:
    """Releases of one table, by month."""

    def __init__(self, folder: Path) -> None:
        self.published = Releases(Settings(lake_home=str(folder)))
        self.files: dict[str, ReleaseFile] = {}

    def publish(self, **changed: int) -> Release:
        """Publish the next release with new files for some months, by name as `m01`, with one value each."""
        number = max(self.published.numbers(), default=0) + 1
        for month, value in changed.items():
            self.files[month] = self.write(number, month, value)
        table = ReleaseTable(TABLE, "1", "", (("value", "BIGINT", ""),), tuple(self.files.values()))
        release = Release(number, NOW, "lake", {}, number, {TABLE: table})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "catalog.duckdb"
            write_catalog(self.published, path, release)
            self.published.store.put(catalog_key(number), path.read_bytes())
        self.published.store.put(manifest_key(number), release.to_json())
        self.published.point_to(number)
        return release

    def write(self, number: int, month: str, value: int) -> ReleaseFile:
        key = file_key(TABLE, number, month)
        path = self.published.store.stage(key)
        with duckdb.connect() as connection:
            connection.execute(f"COPY (SELECT {value}::BIGINT AS value) TO '{path}' (FORMAT parquet)")
        self.published.store.publish({key: path})
        return ReleaseFile(key, month, 1, path.stat().st_size)

    def keys(self) -> set[str]:
        return {item.key for item in self.published.store.list("tables")}

    def values(self, number: int | None = None) -> list[int]:
        with self.published.connect(number) as reader:
            return [value for (value,) in reader.execute(f"SELECT value FROM {TABLE} ORDER BY 1").fetchall()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Four releases: the third is without the person, whose value in January was 1; the second has it, too."""
    made = World(tmp_path)
    made.publish(m01=1, m02=2)
    made.publish(m03=3)
    made.publish(m01=10)
    made.publish(m04=4)
    return made


def test_releases_with_other_files_go_with_what_only_they_use(world: World) -> None:
    old = [world.published.get(number).tables[TABLE].files for number in (1, 2)]
    person = old[0][0].key
    world.published.store.put(suspect_key(1), b"{}")
    orphan = world.write(2, "m09", 1).key
    running = world.write(5, "m01", 11).key

    done = withdraw(world.published, 3, "r1", NOW)

    assert (done.numbers, done.has_current) == ((1, 2), True)
    assert world.published.numbers() == [3, 4]
    expected = {file.key for number in (3, 4) for file in world.published.get(number).tables[TABLE].files}
    assert world.keys() == expected | {running}, "a publication in progress keeps its file"
    assert {person, orphan}.isdisjoint(world.keys())
    states = {item.key for item in world.published.store.list("states")}
    assert states == {key(number) for number in (3, 4) for key in (manifest_key, catalog_key)}
    assert (world.values(3), world.values()) == ([2, 3, 10], [2, 3, 4, 10])


def test_older_release_whose_files_are_all_in_the_clean_one_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(m01=1)
    world.publish(m02=2)
    assert withdraw(world.published, 2, "r1", NOW).numbers == ()
    assert (world.published.numbers(), world.values(1)) == ([1, 2], [1])
    assert world.published.roll_back() == 1


def test_rollback_goes_to_the_clean_release_and_not_past_it(world: World) -> None:
    withdraw(world.published, 3, "r1", NOW)
    assert world.published.roll_back() == 3
    assert world.values() == [2, 3, 10]
    for refused in (lambda: world.published.roll_back(), lambda: world.published.roll_back(2)):
        with pytest.raises(ConfigError, match=r"withdrawn on 2026-05-01 by erasure r1.*`lake run`"):
            refused()
    assert world.published.pointer()["state"] == 3


def test_another_host_knows_it_before_anything_is_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(Store, "delete", killed)
    with pytest.raises(Killed):
        withdraw(world.published, 3, "r1", NOW)
    monkeypatch.undo()
    elsewhere = Releases(world.published.options)
    assert elsewhere.numbers() == [1, 2, 3, 4]
    with pytest.raises(ConfigError, match="release 1 was withdrawn"):
        elsewhere.roll_back(1)


@pytest.mark.parametrize("deletions", range(1, 8))
def test_call_that_is_killed_anywhere_is_finished_by_the_next(
    world: World, deletions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the n-th object is deleted."""
    left = [deletions]
    delete = Store.delete

    def one_by_one(store: Store, keys: Any) -> None:
        for key in keys:
            left[0] -= 1
            if not left[0]:
                raise Killed
            delete(store, [key])

    monkeypatch.setattr(Store, "delete", one_by_one)
    with pytest.raises(Killed):
        withdraw(world.published, 3, "r1", NOW)
    monkeypatch.undo()
    assert world.values() == [2, 3, 4, 10]

    done = withdraw(world.published, 3, "r1", NOW + dt.timedelta(hours=1))

    assert done.numbers == (1, 2)
    assert world.published.numbers() == [3, 4]
    assert len(world.keys()) == 4
    (record,) = erasures.recorded(world.published.store)
    assert (record.withdrawn, record.release, record.at) == ((1, 2), 3, NOW)


def test_two_erasures_are_both_named(world: World) -> None:
    withdraw(world.published, 3, "r1", NOW)
    withdraw(world.published, 4, "r2", NOW + dt.timedelta(days=1))
    assert [(item.request, item.withdrawn) for item in erasures.recorded(world.published.store)] == [
        ("r1", (1, 2)),
        ("r2", ()),
    ]
    world.publish(m01=100)
    withdraw(world.published, 5, "r3", NOW + dt.timedelta(days=2))
    assert world.published.numbers() == [5]
    for number, request in ((2, "r1"), (3, "r3"), (4, "r3")):
        with pytest.raises(ConfigError, match=f"release {number} was withdrawn on .* by erasure {request}"):
            world.published.roll_back(number)


def test_readers_of_an_older_release_keep_it_until_another_is_published(world: World) -> None:
    world.published.roll_back(2)
    with pytest.raises(ConfigError, match=r"readers get release 2, which is from before erasure r1.*`lake publish`"):
        withdraw(world.published, 3, "r1", NOW)
    assert (world.published.numbers(), world.values()) == ([1, 2, 3, 4], [1, 2, 3])
    assert erasures.recorded(world.published.store) == []


def test_release_that_readers_were_rolled_back_to_is_not_taken_for_one_without_the_person(world: World) -> None:
    """The cycle of an erasure says which release readers get, and after a rollback that is not the one that it made."""
    world.published.roll_back(2)
    with pytest.raises(ConfigError, match=r"rolled back to release 2, which may be from before erasure r1"):
        withdraw(world.published, 2, "r1", NOW)
    assert world.published.numbers() == [1, 2, 3, 4]


def between(published: Releases, when: str, act: Callable[[], object], patch: pytest.MonkeyPatch) -> None:
    """Let another process act once, right before or after this one writes the pointer or the record."""
    put, left = Store.put, [act]

    def meanwhile(store: Store, key: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        is_moment = key == "current.json" or key.startswith("erasures/")
        if is_moment and when == "before" and left:
            left.pop()()
        put(store, key, data, headers)
        if is_moment and when == "after" and left:
            left.pop()()

    patch.setattr(Store, "put", meanwhile)


@pytest.mark.parametrize("when", ["before", "after"])
def test_rollback_and_erasure_at_once_leave_readers_a_release_that_exists(
    world: World, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Releases(world.published.options)
    # GIVEN an erasure that comes between a rollback's checks and its pointer
    refused = []

    def erase() -> None:
        try:
            withdraw(other, 3, "r1", NOW)
        except ConfigError as error:
            refused.append(error)

    between(world.published, when, erase, monkeypatch)
    try:
        world.published.roll_back(2)
    except ConfigError as error:
        refused.append(error)
    monkeypatch.undo()
    # THEN one of both failed, and what readers get exists
    assert len(refused) == 1
    assert world.values() == ([2, 3, 4, 10] if world.published.pointer()["state"] == 4 else [1, 2, 3])


@pytest.mark.parametrize("when", ["before", "after"])
def test_rollback_in_the_midst_of_an_erasure(world: World, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Releases(world.published.options)
    refused = []

    def roll_back() -> None:
        try:
            other.roll_back(2)
        except ConfigError as error:
            refused.append(error)

    between(world.published, when, roll_back, monkeypatch)
    try:
        withdraw(world.published, 3, "r1", NOW)
    except ConfigError as error:
        refused.append(error)
    monkeypatch.undo()
    assert len(refused) == 1
    assert world.values() == ([2, 3, 4, 10] if world.published.pointer()["state"] == 4 else [1, 2, 3])


def test_role_that_is_behind_gets_nothing_rather_than_the_person(world: World, tmp_path: Path) -> None:
    behind = World(tmp_path / "role")
    behind.publish(m01=1)
    with pytest.raises(ConfigError, match=r"it has other objects and no role.json of that role"):
        withdraw_of_role(behind.published, "analyst", (1, 2))
    assert len(behind.keys()) == 1
    behind.published.store.put("role.json", b'{"role": "analyst"}')
    done = withdraw_of_role(behind.published, "analyst", (1, 2))
    assert (done.has_current, behind.published.numbers(), behind.keys()) == (False, [], set())
    with pytest.raises(ConfigError, match="nothing is published yet"):
        behind.published.attach()
    current = World(tmp_path / "other")
    for month in ("m01", "m02", "m03"):
        current.publish(**{month: 1})
    current.published.store.put("role.json", b'{"role": "other"}')
    assert withdraw_of_role(current.published, "other", (1, 2)).has_current
    assert (current.published.numbers(), current.values()) == ([3], [1, 1, 1])


def test_record_has_no_more_than_numbers_and_the_id(world: World) -> None:
    withdraw(world.published, 3, "r1", NOW)
    assert json.loads(world.published.store.get("erasures/r1.json")) == {
        "request": "r1",
        "release": 3,
        "withdrawn": [1, 2],
        "at": "2026-05-01 06:00:00+00:00",
    }
