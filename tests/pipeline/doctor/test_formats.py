"""Formats: older ones are read, newer and damaged ones are named with what to do."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingest.contracts.contract import contracts
from ingest.ledger.format import VERSION_KEY
from ingest.settings import PROJECT, settings
from pipeline.doctor import formats
from pipeline.doctor.finding import Finding, Status
from pipeline.lake import Lake
from pipeline.releases.release import manifest_key
from tests.home import Home


def checked() -> dict[str, Finding]:
    return {item.object: item for item in formats.check(Lake(settings()))}


@pytest.fixture
def older(home: Home) -> Home:
    """A lake with releases of version 0.1."""
    home.options_home.mkdir(parents=True)
    with zipfile.ZipFile(PROJECT / "tests" / "data" / "lake_0_1.zip") as kept:
        kept.extractall(home.options_home)
    return home


def newest(home: Home, feed: str) -> Path:
    return max((Path(home.options.lake_uri) / "ledger" / feed).glob("*.parquet"))


def test_a_lake_of_an_older_version(older: Home) -> None:
    found = checked()
    assert {item.status for item in found.values()} == {Status.OK}
    assert found["ledger"].found == "format 2 of 3 feeds"


def test_a_ledger_of_the_first_format(home: Home) -> None:
    shutil.copytree(PROJECT / "tests" / "data" / "ledger_format_1", home.options.lake_uri)
    assert checked()["ledger"].found == "format 1 of 1 feeds, older than 2, which the next load writes"


def test_an_entry_of_a_newer_format_and_a_damaged_one(older: Home) -> None:
    path = newest(older, "users")
    table = pq.read_table(io.BytesIO(path.read_bytes()))
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | {VERSION_KEY: b"9"}), path)
    newest(older, "events").write_bytes(b"PAR1 cut short")

    found = checked()

    assert (found["ledger of users"].status, "format 9" in found["ledger of users"].found) == (Status.FAIL, True)
    assert "Lakemesh" in found["ledger of users"].next_step
    assert (found["ledger of events"].status, "is damaged" in found["ledger of events"].found) == (Status.FAIL, True)
    assert found["ledger"].found == "format 2 of 1 feeds"


def test_a_checkout_that_is_older_than_what_loaded(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = contracts()["users"]
    home.put("users", "a.json", {"user_id": "u1"})
    with monkeypatch.context() as patch:
        patch.setitem(contracts(), "users", newer.model_copy(update={"version": newer.version + 1}))
        home.ingest("users")

    found = checked()[f"contract of {newer.name}"]

    assert (found.status, found.expected) == (Status.FAIL, f"version {newer.version + 1} or later")


def test_a_release_of_a_newer_version_or_without_a_manifest(older: Home) -> None:
    releases = Lake(settings()).releases
    number = releases.pointer()["state"]
    about = f"releases ({releases.store.uri})"
    manifest = json.loads(releases.store.get(manifest_key(number)))
    releases.store.put(manifest_key(number), json.dumps(manifest | {"format": 9}).encode())
    assert (checked()[about].status, "format 9" in checked()[about].found) == (Status.FAIL, True)
    releases.store.delete([manifest_key(number)])
    assert (checked()[about].status, "no manifest" in checked()[about].found) == (Status.FAIL, True)
