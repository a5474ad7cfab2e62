"""Discovery, on disk and on a real S3 server: every object once, under its own name, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from ingest.ledger.state import LedgerState
from ingest.steps import load
from ingest.steps.discover import compare
from ingest.storage import listing
from ingest.storage.bucket import s3_client
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from tests.handle import feed_status, verify_feed
from tests.home import Home

NAMES = (
    "with space.json",
    "umlaut-ü/日本.json",
    "decomposed-e\u0301.json",
    "a%20b.json",
    "a+b=c&d.json",
    "q?x#y.json",
    "part#1",
    "load_SUCCESS",
    "x~{}^`|\"<>'.json",
    "a-b/z.json",  # sorts before a/…
    "a/z.json",
    "a.json",
)


def activity(name: str) -> dict[str, Any]:
    return {"activity_id": name}


@pytest.fixture(params=["home", pytest.param("conditional_home", marks=pytest.mark.s3)])
def anywhere(request: pytest.FixtureRequest) -> Any:
    """The project on disk, and again on versitygw."""
    return request.getfixturevalue(request.param)


def bronze(home: Home) -> list[tuple[str, str]]:
    from ingest.ledger.ledger import Ledger
    from pipeline.warehouse.bronze import bronze_query
    from pipeline.warehouse.duck import connect

    contract = contracts()["activities"]
    files = Ledger(Store(home.options.lake_uri, home.options), "activities").live_files()
    with connect(home.options) as connection:
        query = bronze_query(contract, home.options.lake_uri, files)
        return connection.execute(f"SELECT _source_file, activity_id FROM ({query}) ORDER BY 1, 2").fetchall()


def test_odd_names_arrive_once_and_unchanged(anywhere: Home) -> None:
    for name in NAMES:
        anywhere.put("activities", name, activity(name))

    assert anywhere.ingest("activities").feeds[0].objects == len(NAMES)

    assert bronze(anywhere) == sorted((f"raw-activities/{name}", name) for name in NAMES)
    assert anywhere.ingest("activities").feeds[0].objects == 0


def test_empty_object_is_loaded_once_and_has_no_record(anywhere: Home) -> None:
    anywhere.landing("activities").put("empty.json", b"")
    report = anywhere.ingest("activities").feeds[0]
    assert (report.objects, report.records) == (1, 0)
    assert anywhere.ingest("activities").feeds[0].objects == 0
    assert verify_feed(contracts()["activities"], anywhere.options, deep=True).differences == []


def test_later_keys_that_sort_lower_are_found(anywhere: Home) -> None:
    for name in ("m.json", "a/b.json", "0.json", "A.json"):
        anywhere.put("activities", name, activity(name))
        assert anywhere.ingest("activities").feeds[0].objects == 1
    assert len(bronze(anywhere)) == 4


@pytest.mark.s3
def test_key_that_ends_in_a_slash_is_no_object(conditional_home: Home) -> None:
    client = s3_client(conditional_home.options)
    for key in ("alone/", "full/", "full/deep/"):
        client.put_object(Bucket="raw-activities", Key=key, Body=b"")
    conditional_home.put("activities", "full/a.json", activity("a"))

    report = conditional_home.ingest("activities").feeds[0]

    assert (report.objects, report.changed_meanwhile) == (1, 0)
    contract = contracts()["activities"]
    assert verify_feed(contract, conditional_home.options).waiting == 0
    assert feed_status(contract, conditional_home.options).waiting == 0


def test_key_with_an_empty_part_is_no_file(home: Home) -> None:
    home.put("activities", "a/b.json", activity("a"))
    assert [home.landing("activities").find(key) for key in ("a//b.json", "/a/b.json", "a/./b.json")] == [None] * 3


@pytest.mark.parametrize("deed", ["deleted", "overwritten"])
def test_changes_between_list_and_get_are_left_for_the_next_run(
    anywhere: Home, deed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        anywhere.put("activities", f"{name}.json", activity(name))
    original: Callable[..., Any] = load.discover

    def discover(*args: Any, **options: Any) -> Any:
        found = original(*args, **options)
        monkeypatch.setattr(load, "discover", original)
        if deed == "deleted":
            anywhere.landing("activities").delete(["b.json"])
        else:
            anywhere.put("activities", "b.json", activity("new"))
        return found

    monkeypatch.setattr(load, "discover", discover)
    report = anywhere.ingest("activities").feeds[0]
    assert (report.objects, report.changed_meanwhile) == (2, 1)

    assert anywhere.ingest("activities").feeds[0].objects == (deed == "overwritten")
    assert [name for _, name in bronze(anywhere)] == (["a", "c"] if deed == "deleted" else ["a", "new", "c"])


@pytest.mark.s3
@pytest.mark.parametrize("page", [2, 7, 10_000])
def test_listing_by_many_threads_equals_the_plain_listing(
    conditional_home: Home, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = conditional_home.landing("activities")
    keys = [f"year=2026/{month:02d}/{day:02d}/{n}.json" for month in (1, 2, 3) for day in (1, 2) for n in range(3)]
    keys += ["year=2026/loose.json", "year=2026/02.json", "year=2026/02-x/ä b.json"]
    for key in keys:
        landing.put(key, key.encode())
    plain = sorted(landing.list(), key=lambda item: item.key)  # obstore's listing of plain keys
    monkeypatch.setattr(listing, "PAGE", page)
    monkeypatch.setattr(listing, "MIN_KEYS", 1)

    for prefix in ("", "year=2026", "year=2026/02"):
        expected = [item for item in plain if item.key.startswith(f"{prefix}/" if prefix else "")]
        assert landing.listing(prefix).sort_by("key").column("key").to_pylist() == [item.key for item in expected]

    found = compare(contracts()["activities"], landing, LedgerState()).versions(0)
    assert found == plain


@pytest.mark.s3
def test_small_and_flat_listings_use_no_threads(conditional_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    landing = conditional_home.landing("activities")
    for number in range(9):
        landing.put(f"{number}.json", b"{}")
    monkeypatch.setattr(listing, "PAGE", 3)
    monkeypatch.setattr(listing, "_folders", lambda *_: pytest.fail("asked for folders"))
    assert len(landing.listing()) == 9


def test_listing_of_a_missing_folder_is_empty(tmp_path: Path) -> None:
    assert len(Landing(str(tmp_path / "none")).listing("below")) == 0
