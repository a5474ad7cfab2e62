"""A retired object was loaded, is still the same version, and stays explained; nothing else leaves the landing."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ingest.contracts.contract import Contract, contracts
from ingest.contracts.source import Retire
from ingest.errors import ConfigError, RetriableError
from ingest.ledger.ledger import Ledger
from ingest.ledger.objects import KnownObjects
from ingest.ledger.sources import LoadedObject
from ingest.storage.bucket import Bucket, s3_client
from ingest.storage.kinds.disk import Disk
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from ingest.upkeep import retire as retiring
from ingest.upkeep.clean import Cleaning
from ingest.upkeep.compact import Compaction
from ingest.upkeep.retire import Retirement, plan_retirement, retire
from pipeline.checks.verify import FeedVerdict
from pipeline.cli import main
from pipeline.cli.show_look import show_verdicts
from pipeline.cli.show_upkeep import show_maintenance
from pipeline.cycle.maintain import Maintenance, maintain_feed
from pipeline.dev.init_s3 import create_buckets
from pipeline.lake import Lake
from pipeline.warehouse.bronze import bronze_query
from pipeline.warehouse.duck import connect
from tests.handle import object_history, verify_feed
from tests.home import Home

LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=31)
NAMES = ["a.json", "deep/ü b+c%20d.json", "empty.json"]


class Old:
    """Three loaded objects that are 31 days old at LATER."""

    def __init__(self, home: Home, action: str = "delete") -> None:
        self.home, self.lake = home, Store(home.options.lake_uri, home.options)
        self.landing = home.landing("activities")
        self.contract = self.by(action)
        for name in NAMES[:2]:
            home.put("activities", name, {"activity_id": name})
        self.landing.put("empty.json", b"")
        home.ingest("activities")
        self.content = {name: self.landing.get(name) for name in NAMES}
        if self.landing.root is None:
            create_buckets(home.options, ["raw-archive"])

    def by(self, action: str) -> Contract:
        plain = contracts()["activities"]
        rule = Retire(after_days=30, action=action, to="raw-archive/old" if action == "move" else None)
        return plain.model_copy(update={"source": plain.source.model_copy(update={"retire": rule})})

    @property
    def archive(self) -> Landing:
        return Landing(self.home.options.landing("raw-archive"), self.home.options)

    def retire(self, now: dt.datetime = LATER, **options: Any) -> Retirement:
        return retire(self.contract, self.landing, self.lake, self.archive, now, **options)

    def plan(self) -> list[str]:
        return [item.key for item in plan_retirement(self.contract, self.landing, self.lake, LATER)]

    def names(self, store: Store | None = None) -> list[str]:
        return sorted(item.key for item in (store or self.landing).list())

    def verify(self) -> FeedVerdict:
        return verify_feed(self.contract, self.home.options, deep=True)


@pytest.fixture(params=["home", pytest.param("conditional_home", marks=pytest.mark.s3)])
def old(request: pytest.FixtureRequest) -> Old:
    """On disk, and again on versitygw."""
    return Old(request.getfixturevalue(request.param))


@pytest.fixture
def local(home: Home) -> Old:
    return Old(home)


def moved(old: Old) -> Old:
    old.contract = old.by("move")
    return old


def test_nothing_is_retired_without_a_rule_in_the_contract(local: Old) -> None:
    local.contract = contracts()["activities"]
    assert all(contract.source.retire is None for contract in contracts().values())
    assert (local.plan(), local.retire()) == ([], Retirement())


def test_loaded_objects_are_deleted_and_explained(old: Old) -> None:
    assert old.retire(dt.datetime.now(dt.UTC)) == Retirement("delete")
    assert old.plan() == NAMES

    done = old.retire()

    assert (done.objects, done.bytes, done.changed) == (3, sum(map(len, old.content.values())), 0)
    assert old.names() == []
    verdict = old.verify()
    assert (verdict.objects, verdict.rows, verdict.retired, verdict.gone, verdict.waiting) == (3, 2, 3, 0, 0)
    assert verdict.differences == []
    assert "retired" in show_verdicts([verdict])
    state = object_history("raw-activities/a.json", old.home.options).state
    assert state.startswith("retired from the landing on ")
    assert state.endswith("(delete); its rows stay")
    assert old.home.ingest("activities").feeds[0].objects == 0
    assert old.retire() == Retirement("delete")


def test_moved_objects_keep_their_bytes_and_are_not_read_again(old: Old) -> None:
    assert moved(old).retire().objects == 3
    assert old.names() == []
    assert {name: old.archive.get(f"old/raw-activities/{name}") for name in NAMES} == old.content
    assert old.home.ingest("activities").feeds[0].objects == 0
    assert (old.verify().retired, old.verify().gone) == (3, 0)
    assert (
        "(move to raw-archive/old/raw-activities/a.json)"
        in object_history("raw-activities/a.json", old.home.options).state
    )


def test_moved_files_keep_their_time(local: Old) -> None:
    before = {item.key: item.modified_at for item in local.landing.list()}
    moved(local).retire()
    after = {item.key.removeprefix("old/raw-activities/"): item.modified_at for item in local.archive.list()}
    assert after == before


def test_waiting_or_overwritten_objects_stay(old: Old) -> None:
    old.home.put("activities", "a.json", {"activity_id": "new"})
    old.home.put("activities", "waiting.json", {"activity_id": "w"})
    assert old.retire().objects == 2
    assert old.names() == ["a.json", "waiting.json"]
    assert (old.verify().retired, old.verify().waiting) == (2, 2)
    old.home.ingest("activities")
    assert old.retire().objects == 2
    assert old.verify().retired == 4


@pytest.mark.parametrize("action", ["delete", "move", "tag"])
def test_object_overwritten_just_before_its_deletion_stays(
    old: Old, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if action == "tag" and old.landing.root is not None:
        pytest.skip("files have no tags")
    old.contract = old.by(action)
    real: Callable[..., Any] = retiring._retire_one

    def meanwhile(contract: Any, landing: Any, target: Any, version: Any) -> bool:
        if version.key == "a.json":
            old.home.put("activities", "a.json", {"activity_id": "new"})
        return bool(real(contract, landing, target, version))

    monkeypatch.setattr(retiring, "_retire_one", meanwhile)
    done = old.retire()

    assert (done.objects, done.changed) == (2, 1)
    assert json.loads(old.landing.get("a.json"))["activity_id"] == "new"
    assert old.home.ingest("activities").feeds[0].replaced == 1
    assert old.verify().differences == []


@pytest.mark.s3
def test_delete_and_copy_are_conditional_where_supported(conditional_home: Home) -> None:
    old = Old(conditional_home)
    bucket, version = old.landing.kind.bucket, old.landing.find("a.json")
    assert bucket is not None
    assert version is not None
    old.home.put("activities", "a.json", {"activity_id": "new"})
    assert not bucket.delete("a.json", version.etag)
    assert not bucket.copy("a.json", version.etag, version.size, Bucket("s3://raw-archive", old.home.options), "x")
    assert (old.names(old.archive), "a.json" in old.names()) == ([], True)


@pytest.mark.s3
def test_large_object_is_copied_in_parts(conditional_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Old(conditional_home)
    monkeypatch.setattr("ingest.storage.bucket.COPY_BYTES", 1)
    assert moved(old).retire().objects == 3
    assert old.archive.get("old/raw-activities/a.json") == old.content["a.json"]


@pytest.mark.parametrize("action", ["delete", "move"])
def test_crash_before_or_after_any_action_is_harmless(old: Old, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old.contract = old.by(action)
    monkeypatch.setattr(retiring, "THREADS", 1)
    remove, copy = (Landing, "remove"), (retiring, "_copy")
    for place in (remove, copy) if action == "move" else (remove,):
        with monkeypatch.context() as crash:
            crash.setattr(*place, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
            with pytest.raises(KeyboardInterrupt):
                old.retire()
        assert old.names() == NAMES
        verdict = old.verify()
        assert (verdict.retired, verdict.gone, verdict.differences) == (0, 0, [])
        assert old.home.ingest("activities").feeds[0].objects == 0
    assert old.retire().objects == 3
    assert (old.names(), old.verify().retired) == ([], 3)
    if action == "move":
        assert {name: old.archive.get(f"old/raw-activities/{name}") for name in NAMES} == old.content


def test_object_lost_otherwise_is_not_reported_as_retired(local: Old) -> None:
    local.landing.delete(["a.json"])
    local.retire()
    verdict = local.verify()
    assert (verdict.retired, verdict.gone) == (2, 1)
    local.home.put("activities", NAMES[1], {"activity_id": "came back with new content"})
    local.home.ingest("activities")
    local.landing.delete([NAMES[1]])
    verdict = local.verify()
    assert (verdict.retired, verdict.gone) == (1, 2)


def test_object_without_another_copy_of_its_bytes_stays(local: Old) -> None:
    local.landing.put("broken.json.gz", b"\x1f\x8b\x08\x00broken")
    local.home.put("activities", "bad.json", b"{", {"activity_id": "b"})
    local.home.ingest("activities")
    assert local.retire().objects == 4
    assert local.names() == ["broken.json.gz"]


def test_object_whose_records_are_not_accounted_for_stays(local: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    real = KnownObjects.lookup

    def one_short(self: KnownObjects, names: Any) -> dict[str, LoadedObject]:
        found = real(self, names)
        return {key: replace(item, records=item.records + key.endswith("a.json")) for key, item in found.items()}

    monkeypatch.setattr(KnownObjects, "lookup", one_short)
    assert local.plan() == NAMES[1:]


def test_nothing_is_retired_while_a_file_of_the_lake_is_missing(local: Old) -> None:
    (file, *_) = Ledger(local.lake, "activities").live_files()
    Path(local.home.options.lake_uri, file.path).unlink()
    with pytest.raises(RetriableError, match="no source object of engagement/activities is retired"):
        local.retire()
    assert local.names() == NAMES


def test_copy_of_another_size_stops_retirement_before_any_deletion(local: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    local.home.put("activities", "a.json", {"activity_id": "longer than before"})
    local.home.ingest("activities")
    real = Disk.read
    monkeypatch.setattr(Disk, "read", lambda self, version: iter(list(real(self, version))[1:]))
    with pytest.raises(RetriableError, match="the copy is 0 bytes"):
        moved(local).retire()
    assert "a.json" in local.names()


def test_many_objects_are_retired_in_batches(local: Old) -> None:
    assert [local.retire(limit=2).objects for _ in range(3)] == [2, 1, 0]


@pytest.mark.s3
def test_tags_are_added_once_and_other_tags_stay(conditional_home: Home) -> None:
    old = Old(conditional_home, "tag")
    client = s3_client(old.home.options)
    place = {"Bucket": "raw-activities", "Key": "a.json"}
    client.put_object_tagging(**place, Tagging={"TagSet": [{"Key": "team", "Value": "x"}]})

    assert old.retire().objects == 3

    tags = {item["Key"]: item["Value"] for item in client.get_object_tagging(**place)["TagSet"]}
    assert tags == {"team": "x", "lakemesh-loaded": "true"}
    assert old.retire().objects == 0
    assert old.home.ingest("activities").feeds[0].objects == 0
    old.landing.delete(["a.json"])  # the bucket's lifecycle deletes it
    assert (old.verify().retired, old.verify().gone) == (1, 0)
    old.home.put("activities", NAMES[1], {"activity_id": "new"})
    old.home.ingest("activities")
    assert old.retire().objects == 1


def test_tags_on_disk_are_a_clear_error(local: Old) -> None:
    local.contract = local.by("tag")
    with pytest.raises(
        ConfigError, match="raw-activities: objects here have no tags; retire them by `delete` or `move`"
    ):
        local.retire()


@pytest.mark.s3
def test_missing_archive_is_a_clear_error(conditional_home: Home) -> None:
    old = moved(Old(conditional_home))
    s3_client(old.home.options).delete_bucket(Bucket="raw-archive")
    with pytest.raises(ConfigError, match="no such bucket"):
        old.retire()
    assert old.names() == NAMES


def test_maintain_retires_and_its_dry_run_only_lists(local: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        os.utime(Path(local.home.options.landing("raw-activities"), name), (0, 0))
    local.home.ingest("activities")
    local.contract = local.by("move")
    monkeypatch.setattr("ingest.contracts.contract.select", lambda _: [local.contract])

    shown = CliRunner().invoke(main, ["maintain", "--dry-run"])
    assert shown.exit_code == 0
    assert [line.split(maxsplit=2)[2] for line in shown.stdout.splitlines()] == [
        f"raw-activities/{name}  ->  raw-archive/old/raw-activities/{name}" for name in NAMES
    ]
    rows = [
        json.loads(line) for line in CliRunner().invoke(main, ["maintain", "--dry-run", "--json"]).stdout.splitlines()
    ]
    assert [(row["action"], row["object"]) for row in rows] == [("move", f"raw-activities/{name}") for name in NAMES]
    assert local.names() == NAMES

    done = maintain_feed(Lake(local.home.options), local.contract, dt.timedelta(0))
    assert (done.retirement.objects, local.names()) == (3, [])
    assert "activities: 3 source objects" in show_maintenance([done])
    assert CliRunner().invoke(main, ["maintain", "--dry-run"]).stdout == ""


@pytest.mark.s3
@pytest.mark.parametrize("action", ["delete", "move"])
def test_store_that_deletes_without_condition_is_reported(s3_home: Home, action: str) -> None:
    old = Old(s3_home, action)
    done = old.retire()
    assert (done.objects, done.conditional, old.names()) == (3, False, [])
    assert old.verify().retired == 3
    shown = show_maintenance([Maintenance("activities", Compaction(), Cleaning(), done)])
    assert "has no conditional deletes" in shown


@pytest.mark.s3
def test_probe_of_conditional_deletes_leaves_nothing_behind(conditional_home: Home) -> None:
    old = Old(conditional_home)
    before = old.names(old.lake)
    assert old.lake.honours_conditional_delete()
    assert old.names(old.lake) == before


@pytest.mark.s3
def test_no_version_is_lost_while_producers_overwrite(conditional_home: Home) -> None:
    old, over = Old(conditional_home), threading.Event()
    last: dict[str, str] = {}

    def produce() -> None:
        for number in range(400):
            key = f"{number % 50}.json"
            last[key] = f"version {number}"
            old.home.put("activities", key, {"activity_id": last[key]})
            time.sleep(0.01)
        over.set()

    producer = threading.Thread(target=produce)
    producer.start()
    retired = 0
    while not over.is_set():
        old.home.ingest("activities")
        retired += old.retire().objects
    producer.join()
    old.home.ingest("activities")

    files = Ledger(old.lake, "activities").live_files()
    with connect(old.home.options) as connection:
        query = bronze_query(old.contract, old.home.options.lake_uri, files)
        rows = connection.execute(f"SELECT split_part(_source_file, '/', 2), activity_id FROM ({query})").fetchall()
    assert {key: value for key, value in rows if key in last} == last
    assert retired > 3
    assert (old.verify().gone, old.verify().waiting) == (0, 0)
