"""A landing that is not where the settings point, and links that lead out of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ingest.contracts.contract import contracts
from tests.hostile.command import Done, Lakehouse, counts, line


@pytest.fixture
def house(tmp_path: Path) -> Lakehouse:
    return Lakehouse(tmp_path / "home")


def fill(house: Lakehouse, name: str = "good.json") -> Path:
    path = house.bucket() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(line(name))
    return path


def must_be_misuse(done: Done, *words: str) -> None:
    assert done.code == 2, done
    assert [word for word in words if word not in done.err] == [], done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["ingest", "status", "verify"])
def test_landing_that_is_missing_or_mistyped_is_misuse(house: Lakehouse, command: str) -> None:
    must_be_misuse(house.lake(command), "nothing found for", "LANDING_URI", "lake sample")
    fill(house)
    house.variables["LANDING_URI"] = str(house.home / "lnding" / "{bucket}")
    must_be_misuse(house.lake(command), "/lnding/raw-", "LANDING_URI")
    must_be_misuse(house.lake(command, "events"), "/lnding/raw-events", "LANDING_URI")
    house.variables["LANDING_URI"] = str(house.home / "landing" / "good.json" / "{bucket}")
    must_be_misuse(house.lake(command, "events"), "LANDING_URI")


@pytest.mark.parametrize("command", ["ingest", "status", "verify"])
def test_bucket_that_is_a_file_is_misuse_and_the_others_are_processed(house: Lakehouse, command: str) -> None:
    (house.bucket("raw-users").parent / "raw-events").write_bytes(line("a"))
    done = house.lake(command, "--json")
    must_be_misuse(done, "landing/raw-events is not a folder", "LANDING_URI")
    feeds = done.said["feeds"] if command == "ingest" else done.said
    assert sorted(feed["feed"] for feed in feeds) == sorted(set(contracts()) - {"events"})


def test_feed_without_data_yet_is_a_note_if_others_have_data(house: Lakehouse) -> None:
    fill(house)
    done = house.lake("ingest", "--json")
    assert (done.code, done.err) == (0, "")
    (note,) = done.said["notes"]
    assert "nothing in the landing yet for activities" in note
    assert "and 13 more feeds" in note
    for command in ("status", "verify"):
        assert "note: nothing in the landing yet" in house.lake(command).err


@pytest.mark.parametrize("moved", ["bucket", "landing"])
def test_landing_that_disappeared_is_misuse(house: Lakehouse, moved: str) -> None:
    fill(house)
    house.bucket("raw-users")
    assert house.lake("ingest").code == 0
    folder = house.bucket() if moved == "bucket" else house.bucket().parent
    folder.rename(house.home / "away")

    for command in ("ingest", "status", "verify"):
        done = house.lake(command, "--json")
        must_be_misuse(done, "events: ", "raw-events does not exist, but 1 of its objects are loaded", "LANDING_URI")
    assert not (house.home / "lake/ledger/users").exists()

    (house.home / "away").rename(folder)
    assert house.lake("verify").code == 0


LINKS = {
    "passwd.json": "/etc/passwd",
    "up.json": "../../../outside.json",
    "folder": "../../../outside",
    "chain.json": "chain2.json",
    "chain2.json": "../raw-events-not/x.json",
    "neighbour.json": "../raw-users/u.json",
    "absent.json": "/nowhere/at/all",
}


def test_links_out_of_the_bucket_are_refused_and_named(house: Lakehouse) -> None:
    fill(house)
    outside = house.home.parent / "outside"
    outside.mkdir()
    for path in (outside / "secret.json", house.home.parent / "outside.json", house.bucket("raw-users") / "u.json"):
        path.write_bytes(line("secret"))
    (house.bucket("raw-events-not") / "x.json").write_bytes(line("secret"))
    for name, target in LINKS.items():
        (house.bucket() / name).symlink_to(target)

    done = house.lake("ingest", "events", "--json")

    report = done.said["feeds"][0]
    assert (done.code, report["objects"], report["records"], report["rows"]) == (1, 1, 1, 1)
    assert counts(report["unloadable"]) == {"link_outside": len(LINKS)}
    for command in ("status", "verify"):
        result = house.lake(command, "events")
        assert result.code == 1
        assert (
            "link_outside 7 (absent.json, chain.json, chain2.json, folder, neighbour.json, …)"
            in result.out + result.err
        )
    assert "outside the bucket's folder" in house.lake("why", "raw-events/passwd.json").out
    assert house.lake("verify", "events", "--deep", "--json").said[0]["records"] == 1
    healed = house.with_source("events", ignore=[*LINKS]).lake("ingest", "events", "--json")
    assert (healed.code, len(healed.said["feeds"][0]["ignored"])) == (0, len(LINKS))


def test_links_within_the_bucket_load_and_loops_are_reported(house: Lakehouse) -> None:
    fill(house, "real/a.json")
    fill(house, "real/deep/b.json")
    bucket = house.bucket()
    (bucket / "link.json").symlink_to("real/a.json")
    (bucket / "latest").symlink_to("real")
    os.link(bucket / "real/a.json", bucket / "hard.json")
    (bucket / "self.json").symlink_to("self.json")
    (bucket / "ping.json").symlink_to("pong.json")
    (bucket / "pong.json").symlink_to("ping.json")
    (bucket / "real/up").symlink_to("..")
    (bucket / "dangling.json").symlink_to("real/none.json")

    done = house.lake("ingest", "events", "--json")

    report = done.said["feeds"][0]
    assert (done.code, report["objects"]) == (1, 6)
    assert counts(report["unloadable"]) == {"link_dangling": 1, "link_loop": 4, "link_nested": 1}
    assert house.lake("ingest", "events", "--json").said["feeds"][0]["objects"] == 0
    for name in ("link.json", "latest/deep/b.json", "hard.json"):
        assert "loaded" in house.lake("why", f"raw-events/{name}").out


def test_landing_and_bucket_may_be_links_themselves(house: Lakehouse) -> None:
    elsewhere = house.home.parent / "disk" / "raw-events"
    elsewhere.mkdir(parents=True)
    (elsewhere / "a.json").write_bytes(line("a"))
    house.bucket("raw-users").parent.joinpath("raw-events").symlink_to(elsewhere)
    assert house.lake("ingest", "events", "--json").said["feeds"][0]["objects"] == 1
    shutil.move(house.home / "landing", house.home.parent / "moved")
    (house.home / "landing").symlink_to(house.home.parent / "moved")
    (elsewhere / "b.json").write_bytes(line("b"))
    done = house.lake("ingest", "events", "--json")
    assert (done.code, done.said["feeds"][0]["objects"]) == (0, 1)
    assert house.lake("verify", "events", "--deep").code == 0
