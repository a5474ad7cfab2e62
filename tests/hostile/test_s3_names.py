"""S3 keys that are impossible in a folder: each is loaded, or listed with the rule or reason that excludes it.

moto's server stores every key unchanged. versitygw lists some keys under names by which it does not find them.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from ingest.contracts.source import Retire
from ingest.ledger.ledger import Ledger
from ingest.settings import Settings
from ingest.steps.load import ingest_feed
from ingest.storage import listing
from ingest.storage.bucket import Bucket, s3_client
from ingest.storage.kinds.s3 import S3
from ingest.storage.landing import Landing
from ingest.storage.objects import ObjectChanged
from ingest.storage.store import Store
from ingest.upkeep.retire import retire
from tests.hostile.command import Lakehouse, counts, line
from tests.s3_servers import MOTO, SERVERS, serve_program

pytestmark = pytest.mark.s3
EMPTY_PARTS = ("/x", "x/", "x", "a//b.json", "//", "deep/er/", "/deep//er///x.json", "a//", "a/b.json")
UNLOADABLE = {
    "./x": "dot_segment",
    "../x": "dot_segment",
    "a/./b": "dot_segment",
    "a/../../b": "dot_segment",
    "tail/..": "dot_segment",
    "bell\x07.json": "control_character",
    "\x1b[2Jx": "control_character",
    "tab\t": "control_character",
    "del\x7f": "control_character",
}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of a server that accepts any key; each test creates its buckets."""
    program = shutil.which("moto_server")
    assert program is not None, "moto is in the lock"
    with serve_program(program, MOTO, tmp_path_factory.mktemp("moto") / "unused", ["ready"]) as variables:
        yield variables


@pytest.fixture
def house(moto: dict[str, str], tmp_path: Path) -> Lakehouse:
    """A lake on disk whose landing is a bucket of that server."""
    bucket = f"landing-{next(_numbers)}"
    s3_client(Settings.model_validate(moto)).create_bucket(Bucket=bucket)
    own = {"LANDING_URI": f"s3://{bucket}/in/{{bucket}}", "LAKE_URI": str(tmp_path / "home" / "lake")}
    return Lakehouse(tmp_path / "home", moto | own)


def landing(house: Lakehouse, feed: str = "events") -> Landing:
    options = Settings.model_validate(house.variables | {"LAKE_HOME": str(house.home)})
    return Landing(options.landing(contracts()[feed].source.bucket), options)


def put(house: Lakehouse, *keys: str, feed: str = "events", make: Callable[[str], bytes] = line) -> None:
    kind = landing(house, feed).kind
    assert isinstance(kind, S3)
    bucket = kind.bucket
    for key in keys:
        bucket._client.put_object(Bucket=bucket.name, Key=bucket.path(key), Body=make(key))


def names(house: Lakehouse) -> list[str]:
    state = Ledger(Store(str(house.home / "lake")), "events").state()
    return sorted(name.removeprefix("raw-events/") for name in state.objects)


def test_keys_with_empty_parts_load_under_their_own_names(house: Lakehouse) -> None:
    put(house, *EMPTY_PARTS)
    put(house, "marker/", "a/marker/", "/", make=lambda key: b"")

    done = house.lake("ingest", "events", "--json")

    report = done.said["feeds"][0]
    assert (done.code, report["objects"], report["rows"]) == (0, len(EMPTY_PARTS), len(EMPTY_PARTS)), done.err
    assert (counts(report["ignored"]), report["changed_meanwhile"]) == ({"folder_marker": 3}, 0)
    assert names(house) == sorted(EMPTY_PARTS)
    assert house.lake("ingest", "events", "--json").said["feeds"][0]["objects"] == 0
    verified = house.lake("verify", "events", "--deep", "--json")
    (verdict,) = verified.said
    assert (verified.code, verdict["waiting"], verdict["gone"], verdict["differences"]) == (0, 0, 0, [])
    assert "loaded" in house.lake("why", "raw-events//x").out
    assert "-" not in house.lake("verify", "events").out.splitlines()[1]


def test_key_that_is_renamed_by_a_slash_is_another_object(house: Lakehouse) -> None:
    put(house, "x", make=lambda key: line("same"))
    assert house.lake("ingest", "events").code == 0
    version = landing(house).find("x")
    assert version is not None
    assert landing(house).remove(version)
    put(house, "x/", "/x", make=lambda key: line("same"))

    assert house.lake("ingest", "events", "--json").said["feeds"][0]["objects"] == 2
    (verdict,) = house.lake("verify", "events", "--json").said
    assert (verdict["objects"], verdict["gone"], verdict["waiting"], verdict["rows"]) == (3, 1, 0, 3)


def test_key_that_cannot_be_named_is_reported_until_the_contract_ignores_it(house: Lakehouse) -> None:
    put(house, "good.json", "2026/11/01/good.json", *UNLOADABLE)
    expected = {reason: list(UNLOADABLE.values()).count(reason) for reason in UNLOADABLE.values()}

    done = house.lake("ingest", "events", "--json")

    assert (done.code, done.said["feeds"][0]["rows"]) == (1, 2), done.err
    assert counts(done.said["feeds"][0]["unloadable"]) == expected
    for command in ("ingest", "status", "verify"):
        result = house.lake(command, "events")
        assert (result.code, "AWS_ENDPOINT_URL" in result.err) == (1, False)
        shown = result.out + result.err
        assert "bell\\x07.json" in shown
        assert "../x" in shown
        assert [character for character in shown if ord(character) < 32 and character != "\n"] == []
    assert "cannot be loaded" in house.lake("why", "raw-events/../x").out

    ignoring = house.with_source("events", ignore=[".*/x", "a/.*", "tail/*", "*\\x*"])
    healed = ignoring.lake("ingest", "events", "--json")
    assert (healed.code, healed.err) == (0, "")
    assert sum(counts(healed.said["feeds"][0]["ignored"]).values()) == len(UNLOADABLE)
    assert ignoring.lake("verify", "events").code == 0


def test_prefix_without_any_object_is_misuse(house: Lakehouse) -> None:
    for command in ("ingest", "status", "verify"):
        done = house.lake(command, "events")
        assert done.code == 2
        assert "nothing found for events (s3://" in done.err
        assert "LANDING_URI" in done.err
    put(house, "", make=lambda key: b"")  # a marker of the folder shows that this is intended
    assert house.lake("ingest", "events").code == 0
    put(house, "x")
    assert house.lake("ingest", "events").code == 0
    mistyped = {"LANDING_URI": house.variables["LANDING_URI"].replace("/in/", "/ni/")}
    done = Lakehouse(house.home, house.variables | mistyped).lake("ingest")
    assert done.code == 2
    assert "events: s3://" in done.err
    assert "does not exist, but 1 of its objects are loaded" in done.err


def test_many_threads_list_the_same_keys(house: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [*EMPTY_PARTS, *UNLOADABLE, *(f"day/{number}/a b+c%20.json" for number in range(20)), "/", "day//1"]
    put(house, *keys)
    plain = landing(house).listing().sort_by("key").to_pylist()
    assert sorted(row["key"] for row in plain if row["problem"] is None) == sorted(set(keys) - set(UNLOADABLE))
    for page in (1, 2, 7):
        monkeypatch.setattr(listing, "PAGE", page)
        monkeypatch.setattr(listing, "MIN_KEYS", 0.01)
        assert landing(house).listing().sort_by("key").to_pylist() == plain
        below = landing(house).listing("day").sort_by("key").to_pylist()
        assert [row["key"] for row in below] == sorted(key for key in keys if key.startswith("day/"))


def test_hints_recent_folders_and_retirement_handle_the_same_keys(house: Lakehouse, tmp_path: Path) -> None:
    place, lake, plain = landing(house), Store(str(house.home / "lake")), contracts()["events"]
    day = dt.datetime.now(dt.UTC)
    dated = {"date_prefix": "{date:%Y/%m/%d}/", "recent_days": 2, "ignore": ("*.tmp",)}
    contract = plain.model_copy(update={"source": plain.source.model_copy(update=dated)})

    def ingest(**options: Any) -> Any:
        return ingest_feed(contract, place, lake, dt.date(2021, 1, 1), **options)

    put(house, "first.json")
    assert ingest().scope == "full"
    put(
        house, f"{day:%Y/%m/%d}//x", f"{day:%Y/%m/%d}/", f"{day:%Y/%m/%d}/x.tmp", f"{day:%Y/%m/%d}/./y", "/hinted", "x/"
    )
    recent = ingest()
    assert (recent.scope, recent.objects) == ("recent", 2)
    assert [item.reason for item in (*recent.ignored, *recent.unloadable)] == ["source.ignore: *.tmp", "dot_segment"]
    put(house, "marker/", make=lambda key: b"")
    hinted = ingest(hints=["/hinted", "x/", "x", "hinted", "marker/", "none.tmp"])
    assert (hinted.scope, hinted.objects, hinted.absent) == ("hinted", 2, 3)
    assert [item.reason for item in hinted.ignored] == ["folder_marker"]

    archive = Landing(f"{place.uri}-archive/raw", place_options(house))
    for action, target in (("move", "raw-archive/old"), ("delete", None)):
        rule = Retire(after_days=1, action=action, to=target)
        retiring = contract.model_copy(update={"source": contract.source.model_copy(update={"retire": rule})})
        later = day + dt.timedelta(days=3)
        done = retire(retiring, place, lake, archive, later, limit=3 if action == "move" else 100)
        assert done.objects == (3 if action == "move" else 2)
    assert sorted(archive.listing().column("key").to_pylist()) == sorted(
        f"old/raw-events/{key}" for key in ("/hinted", f"{day:%Y/%m/%d}//x", f"{day:%Y/%m/%d}/")
    )


def place_options(house: Lakehouse) -> Settings:
    return Settings.model_validate(house.variables | {"LAKE_HOME": str(house.home)})


def test_version_of_an_odd_key_that_was_overwritten_is_not_read(house: Lakehouse) -> None:
    put(house, "a//b")
    place = landing(house)
    listed = place.find("a//b")
    assert listed is not None
    assert b"".join(place.read(listed)) == line("a//b")
    put(house, "a//b", make=lambda key: line("newer"))
    with pytest.raises(ObjectChanged):
        list(place.read(listed))
    assert not place.remove(listed)


def test_key_that_the_store_lists_but_cannot_read_is_reported(tmp_path: Path) -> None:
    """versitygw answers a listing with U+FFFD for characters that XML cannot contain."""
    program = shutil.which("versitygw")
    if program is None:
        pytest.skip(f"versitygw is not installed: go install {SERVERS['versitygw'].package}")
    with serve_program(program, SERVERS["versitygw"], tmp_path / "objects", ["raw-events"]) as variables:
        house = Lakehouse(tmp_path / "home", variables | {"LAKE_URI": str(tmp_path / "home" / "lake")})
        put(house, "good.json", "ctrl\x01.json", "\x1besc.json", "tab\t.json", "/lead.json", "a//b.json", "./dot.json")

        for objects in (4, 0):
            done = house.lake("ingest", "events", "--json")
            report = done.said["feeds"][0]
            assert (done.code, report["objects"], len(report["stuck"]), report["changed_meanwhile"]) == (
                1,
                objects,
                2,
                0,
            )
            assert counts(report["unloadable"]) == {"control_character": 1}
            assert "the store lists this key and version, but does not return it" in done.err
        assert house.lake("verify", "events", "--json").said[0]["gone"] == 0
        assert names(house) == ["a/b.json", "dot.json", "good.json", "lead.json"]  # as this store returns them
        assert house.with_source("events", ignore=["*\ufffd*", "*\\x*"]).lake("ingest", "events").code == 0


ROOT = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</ListBucketResult>'
ITEM = "<Contents><Key>{}</Key><LastModified>2026-01-02T03:04:05.123456789Z</LastModified><Size>5</Size></Contents>"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a&amp;b%20+c", "a&b%20+c"),
        ("in/\x01", "in/\ufffd"),
        ("in/&#x1;&#27;&#9;", "in/\ufffd\ufffd\t"),
        ("<![CDATA[<x>]]>", "<x>"),
    ],
)
def test_listing_of_a_store_that_encodes_no_keys_is_read(text: str, key: str) -> None:
    from ingest.storage.page import parse_page

    page = parse_page(ROOT.format(ITEM.format(text)).encode(), "")
    assert (page.keys, page.etags, page.sizes, page.token) == ([key], [""], [5], None)
    (row,) = listing._columns(page).to_pylist()
    assert row["modified_at"] == dt.datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=dt.UTC)
    encoded = parse_page(ROOT.format("<EncodingType>url</EncodingType>" + ITEM.format("a+b%2Bc%FF")).encode(), "")
    assert encoded.keys == ["a b+c\udcff"]
    assert listing._columns(encoded).column("problem").to_pylist() == ["not_utf8"]


@pytest.mark.parametrize(
    "body",
    [b"", b"<Error/>", b"<ListBucketResult><Contents>", ROOT.format("<IsTruncated>true</IsTruncated>").encode()],
)
def test_incomplete_listing_is_an_error(body: bytes) -> None:
    from ingest.storage.page import parse_page

    with pytest.raises((ValueError, SyntaxError)):
        parse_page(body, "")
    with pytest.raises(ValueError, match="expected keys below in/"):
        parse_page(ROOT.format(ITEM.format("out/x")).encode(), "in/")
    assert json.dumps(parse_page(ROOT.format("").encode(), "in/").keys) == "[]"
    assert Bucket("s3://b/in", Settings()).path("/x") == "in//x"
