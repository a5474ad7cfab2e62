"""Back-ups of a small lake of files, records and ledgers, without models: what is copied, and what comes back."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from ingest.contracts.contract import contracts
from ingest.errors import ConfigError, RetriableError
from ingest.ledger.files import LakeFile
from ingest.ledger.identity import lake_id, restoring
from ingest.settings import Settings, settings
from ingest.storage.store import Store
from pipeline.backup import lake_objects
from pipeline.backup.contents import DamagedBackup, Writer
from pipeline.backup.manifest import LAKE, Copied
from pipeline.backup.place import Backups
from pipeline.cycle.backup import back_up, restore_backup
from pipeline.cycle.maintain import maintain_feed
from pipeline.lake import Lake
from tests.engagement import play
from tests.home import Home, copy_home, template


@pytest.fixture(scope="module")
def loaded_once(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake with two loads of events and one of users, a rejected record, and no release."""
    with template(tmp_path_factory.mktemp("loaded"), engagement_project) as home:
        for day in (1, 2):
            home.put("events", f"{day}.json", play(f"e{day}", f"2026-01-0{day}"), b"{broken")
            home.ingest("events")
        home.put("users", "users.json", {"user_id": "u1", "country_code": "fr"})
        home.ingest("users")
    return home


@pytest.fixture
def loaded(loaded_once: Home, home: Home) -> Home:
    return copy_home(loaded_once, home)


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "back-ups")


def other_home(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Lake:
    """The handle on an empty lake elsewhere, which the settings then name."""
    monkeypatch.setenv("LAKE_HOME", str(folder))
    settings.cache_clear()
    return Lake(settings())


def contents(lake: str) -> dict[str, bytes]:
    """What is in a lake, without what the lake notes about its back-ups and without checkpoints."""
    root = Path(lake)
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {key: data for key, data in found.items() if not key.startswith("backed_up/") and "_checkpoints" not in key}


def files_in(place: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (Path(place) / "objects").rglob("*") if path.is_file()}


def test_a_lake_comes_back_byte_by_byte(
    loaded: Home, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = back_up(Lake(loaded.options), place)
    assert (taken.about.number, dict(taken.about.positions)) == (1, {"events": 2, "users": 1})
    assert taken.about.state == "duckdb"
    lake = other_home(monkeypatch, tmp_path / "other")
    restored = restore_backup(lake, place, None)
    assert restored.has_state
    assert contents(lake.options.lake_uri) == contents(loaded.options.lake_uri)
    assert lake_id(lake.store) == lake_id(Store(loaded.options.lake_uri))
    loaded = Home()
    loaded.put("events", "3.json", play("e3", "2026-01-03"))
    assert loaded.ingest("events").exit_code == 0
    assert lake.ledger("events").position() == 3  # old numbers continue


def test_a_second_backup_puts_no_content_and_a_third_only_what_is_new(loaded: Home, place: str) -> None:
    first = back_up(Lake(loaded.options), place)
    before = files_in(place)
    second = back_up(Lake(loaded.options), place)
    assert (second.about.number, second.put_objects, second.put_bytes) == (2, 0, 0)
    assert second.objects == first.objects
    assert files_in(place) == before
    loaded.put("events", "3.json", play("e3", "2026-01-03"))
    loaded.ingest("events")
    third = back_up(Lake(loaded.options), place)
    new = {item.key for item in Backups(place, loaded.options).get(3).of(LAKE)} - {
        item.key for item in Backups(place, loaded.options).get(2).of(LAKE)
    }
    assert {key.split("/")[0] for key in new} >= {"bronze", "ledger"}
    assert 0 < third.put_objects <= len(new) + 4  # and the state, the applied position, the last sweep
    full = back_up(Lake(loaded.options), place, full=True)
    assert full.put_objects > third.put_objects


def test_an_overwritten_record_is_of_each_backup_as_it_was(
    loaded: Home, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(Lake(loaded.options), place)
    old = Path(loaded.options.lake_uri, "settled/events").read_bytes()
    loaded.put("events", "3.json", play("e3", "2026-01-03"))
    loaded.ingest("events")
    back_up(Lake(loaded.options), place)
    lake = other_home(monkeypatch, tmp_path / "other")
    restore_backup(lake, place, 1)
    assert lake.store.get("settled/events") == old
    assert lake.ledger("events").position() == 2


@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_damage_is_found_by_hash_and_the_lake_stays_closed(
    harm: str, loaded: Home, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(Lake(loaded.options), place)
    item = next(item for item in Backups(place, loaded.options).get().of(LAKE) if item.key.startswith("bronze/"))
    path = Path(place, item.object)
    content = path.read_bytes()
    if harm == "changed":
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    else:
        path.unlink()
    lake = other_home(monkeypatch, tmp_path / "other")
    with pytest.raises(DamagedBackup, match=item.sha256):
        restore_backup(lake, place, None)
    assert lake.store.find(item.key) is None
    assert restoring(lake.store)
    home = Home()
    home.put("events", "3.json", play("e3", "2026-01-03"))
    summary_error = "run the same `lake restore` again"
    with pytest.raises(ConfigError, match=summary_error):
        home.ingest()
    path.write_bytes(content)
    assert restore_backup(lake, place, None).about.number == 1
    assert home.ingest("events").exit_code == 0


def test_a_damaged_manifest_is_named(loaded: Home, place: str) -> None:
    back_up(Lake(loaded.options), place)
    (path,) = (Path(place) / "backups").iterdir()
    data = path.read_bytes()
    path.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    with pytest.raises(ConfigError, match=r"jsonl\.gz is damaged"):
        Backups(place, loaded.options).get()


@pytest.mark.parametrize("what", ["lake", "state", "warehouse"])
def test_nothing_is_mixed_with_what_is_there(
    what: str, loaded: Home, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(Lake(loaded.options), place)
    lake = other_home(monkeypatch, tmp_path / "other")
    options: Settings = lake.options
    there = {
        "lake": Path(options.lake_uri, "bronze/x"),
        "state": Path(options.state_path),
        "warehouse": Path(options.warehouse_path),
    }[what]
    there.parent.mkdir(parents=True)
    there.write_bytes(b"x")
    with pytest.raises(ConfigError, match=f"{there.parent if what == 'lake' else there}|is not empty"):
        restore_backup(lake, place, None)
    assert there.read_bytes() == b"x"
    assert not restoring(lake.store)


def test_a_place_within_the_lake_is_refused(loaded: Home) -> None:
    for place in (f"{loaded.options.lake_uri}/back-ups", loaded.options.lake_home):
        with pytest.raises(ConfigError, match="not lost with it"):
            back_up(Lake(loaded.options), place)


def test_an_unknown_backup_is_named(loaded: Home, place: str) -> None:
    with pytest.raises(ConfigError, match="has not a back-up; expected one of: none"):
        restore_backup(Lake(loaded.options), place, None)
    back_up(Lake(loaded.options), place)
    with pytest.raises(ConfigError, match="has not back-up 7; expected one of: 1"):
        restore_backup(Lake(loaded.options), place, 7)


def test_pruning_deletes_only_what_no_kept_backup_has(
    loaded: Home, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(Lake(loaded.options), place)
    loaded.put("events", "1.json", play("e1", "2026-01-01", duration=5.0))  # the old version is replaced
    loaded.ingest("events")
    back_up(Lake(loaded.options), place)
    before = len(files_in(place))
    taken = back_up(Lake(loaded.options), place, keep=1)
    assert taken.pruned.numbers == (1, 2)
    assert len(files_in(place)) == before - taken.pruned.objects
    assert taken.pruned.objects > 0
    lake = other_home(monkeypatch, tmp_path / "other")
    assert restore_backup(lake, place, None).about.number == 3
    source = contents(loaded.options.lake_uri)
    files = {key for key in source if key.startswith(("bronze/events/", "quarantine/events/"))}
    dead = files - set(Lake(loaded.options).ledger("events").live().files)
    assert dead
    assert contents(lake.options.lake_uri) == {key: data for key, data in source.items() if key not in dead}


def test_an_interrupted_pruning_is_finished_by_the_next_backup(loaded: Home, place: str) -> None:
    for _ in range(2):
        back_up(Lake(loaded.options), place)
        loaded.put("events", "1.json", play("e1", "2026-01-01", duration=float(_)))
        loaded.ingest("events")
    backups = Backups(place, loaded.options)
    backups.store.put("sweeping", b"")  # as a process that was killed after the manifest went
    backups.store.delete([f"backups/{1:020d}.jsonl.gz"])
    only = {item.object for item in backups.get(2).objects.values()}
    assert len(files_in(place)) > len(only)
    back_up(Lake(loaded.options), place, keep=5)
    used = {item.object for number in backups.numbers() for item in backups.get(number).objects.values()}
    assert {str(Path(place, key)) for key in used} == set(files_in(place))


def test_of_two_backups_at_once_both_are_whole(
    loaded: Home, place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The one that loses its number starts again from the manifest of the other, also if that one pruned."""
    back_up(Lake(loaded.options), place)
    add = Backups.add
    others = []

    def after_another(self: Backups, backup: object) -> bool:
        monkeypatch.setattr(Backups, "add", add)
        loaded.put("events", "4.json", play("e4", "2026-01-04"))
        loaded.ingest("events")
        others.append(back_up(Lake(loaded.options), place, keep=1))
        return add(self, backup)  # type: ignore[arg-type]

    monkeypatch.setattr(Backups, "add", after_another)
    taken = back_up(Lake(loaded.options), place)
    assert (others[0].about.number, taken.about.number) == (2, 3)
    lake = other_home(monkeypatch, tmp_path / "other")
    restore_backup(lake, place, None)
    assert contents(lake.options.lake_uri) == contents(loaded.options.lake_uri)


def test_files_that_are_replaced_while_they_are_copied_are_looked_up_again(
    loaded: Home, place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An overwritten object and a clean-up delete files between the ledger that named them and their copy."""
    lake = Lake(loaded.options)
    copied = lake_objects._copied
    done = []

    def after_maintenance(store: Store, writer: Writer, files: Iterable[LakeFile]) -> Iterator[Copied]:
        files = list(files)
        if not done and any(file.path.startswith("bronze/events") for file in files):
            done.append(1)
            loaded.put("events", "1.json", play("e1", "2026-01-01", duration=5.0))
            loaded.ingest("events")
            maintain_feed(lake, contracts()["events"], dt.timedelta(0))
        return copied(store, writer, files)

    monkeypatch.setattr(lake_objects, "_copied", after_maintenance)
    names = set(lake.ledger("events").live().files)
    taken = back_up(lake, place)
    there = set(lake.ledger("events").live().files)
    assert done
    assert any(not Path(loaded.options.lake_uri, name).exists() for name in names - there)
    assert taken.about.positions["events"] == lake.ledger("events").position()
    other = other_home(monkeypatch, tmp_path / "other")
    restore_backup(other, place, None)
    assert set(other.ledger("events").live().files) == there


def test_a_lake_that_lacks_a_live_file_is_not_backed_up(loaded: Home, place: str) -> None:
    path = next(Path(loaded.options.lake_uri).glob("bronze/events/**/*.parquet"))
    path.unlink()
    with pytest.raises(RetriableError, match=r"events: files that its ledger names are missing.*lake verify --deep"):
        back_up(Lake(loaded.options), place)
    assert Backups(place, loaded.options).numbers() == []


def test_the_lake_knows_where_it_was_backed_up(loaded: Home, place: str) -> None:
    back_up(Lake(loaded.options), place)
    (noted,) = Path(loaded.options.lake_uri, "backed_up").iterdir()
    assert json.loads(noted.read_text())["uri"] == place


@pytest.mark.parametrize(
    ("published", "landing", "expected"),
    [
        ("s3://published", "s3://{bucket}", ()),
        ("s3://lake/published", "s3://{bucket}", ("published",)),
        ("s3://lake/published", "s3://lake/landing/{bucket}", ("published", "landing/")),
        ("s3://lake-published", "s3://lake-{bucket}", ()),
    ],
)
def test_releases_and_landing_within_the_lake_are_no_records(
    published: str, landing: str, expected: tuple[str, ...]
) -> None:
    assert lake_objects.others_within("s3://lake", published, landing) == expected


def test_every_object_of_a_lake_is_a_file_of_the_ledger_a_record_or_made_again(loaded: Home) -> None:
    """A record of a new kind is copied without being listed anywhere."""
    lake = Lake(loaded.options)
    lake.store.put("of_a_new_kind/x.json", b"{}")
    records = {item.key for item in (*lake_objects.early_records(lake.store), *lake_objects.late_records(lake.store))}
    assert "of_a_new_kind/x.json" in records
    assert {"settled/events", "settled/users"} <= records
    others = set(contents(loaded.options.lake_uri)) - records
    assert {key.split("/")[0] for key in others} == {"bronze", "quarantine", "ledger", "_lake_id"}
