"""A local landing is listed as by object_store, and never read outside its folder, whatever becomes a link."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pytest
from obstore.store import LocalStore

from ingest.contracts.source import Source, glob_regex
from ingest.storage import local
from ingest.storage.landing import Landing
from ingest.storage.names import LISTED, classify, key_problem
from ingest.storage.objects import ObjectChanged, StoredObject


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "landing" / "raw"
    (folder / "deep" / "er").mkdir(parents=True)
    for name in ("a.json", "deep/b.json", "deep/er/ü %20+.json", "~x", "a:b", "back\\slash", "empty"):
        (folder / name).write_bytes(name.encode() if name != "empty" else b"")
    (folder / "link.json").symlink_to("deep/b.json")
    (folder / "linked").symlink_to("deep")
    return folder


def rows(table: pa.Table) -> list[dict[str, Any]]:
    return table.sort_by("key").to_pylist()


@pytest.mark.parametrize("prefix", ["", "deep", "deep/er", "linked", "none"])
def test_listing_has_the_keys_and_versions_of_object_store(bucket: Path, prefix: str) -> None:
    listed = rows(Landing(str(bucket)).listing(prefix))
    expected = [
        {
            "key": meta["path"],
            "etag": str(meta["e_tag"]).strip('"'),
            "size": meta["size"],
            "modified_at": meta["last_modified"],
            "problem": None,
        }
        for batch in (obstore.list(LocalStore(bucket), prefix=prefix or None) if prefix != "none" else ())
        for meta in batch
    ]
    assert listed == sorted(expected, key=lambda row: row["key"])


def test_listing_in_batches_is_the_listing(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bucket / "odd\n").touch()
    (bucket / "loop").symlink_to(".")
    whole = rows(local.scan(str(bucket)))
    monkeypatch.setattr(local, "BATCH", 2)
    assert rows(local.scan(str(bucket))) == whole
    assert [row["problem"] for row in whole if row["problem"]] == ["link_loop", "control_character"]


def test_links_between_folders_are_walked_once_each(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "x.json").touch()
        for other in range(12):
            (tmp_path / f"{number}" / f"to-{other}").symlink_to(f"../{other}")
    table = local.scan(str(tmp_path))
    reasons = table.column("problem").value_counts().to_pylist()
    assert {item["values"]: item["counts"] for item in reasons} == {
        None: 12 + 12 * 11,
        "link_loop": 12,
        "link_nested": 12 * 11 * 12,
    }


def exchanged(bucket: Path, outside: Path) -> dict[str, Callable[[], object]]:
    """Replacements of deep/b.json between its listing and its opening."""

    def link_file(target: Path) -> None:
        (bucket / "deep/b.json").unlink()
        (bucket / "deep/b.json").symlink_to(target)

    def link_folder(target: Path) -> None:
        shutil.move(bucket / "deep", bucket / "aside")
        (bucket / "deep").symlink_to(target)

    def pipe() -> None:
        (bucket / "deep/b.json").unlink()
        os.mkfifo(bucket / "deep/b.json")

    return {
        "link to a file": lambda: link_file(outside / "b.json"),
        "link to a file, relative": lambda: link_file(Path("../../../outside/b.json")),
        "link to a folder": lambda: link_folder(outside),
        "pipe": pipe,
        "folder": lambda: ((bucket / "deep/b.json").unlink(), (bucket / "deep/b.json").mkdir()),
        "file in place of the folder": lambda: (shutil.rmtree(bucket / "deep"), (bucket / "deep").touch()),
        "nothing": lambda: (bucket / "deep/b.json").unlink(),
    }


@pytest.mark.parametrize("deed", list(exchanged(Path(), Path())))
def test_object_replaced_after_the_listing_is_not_read(
    bucket: Path, deed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when it matches the listed version: here any two files have the same etag."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.json").write_bytes(b"secret")
    monkeypatch.setattr(local, "etag_of", lambda status: "same")
    landing = Landing(str(bucket))
    listed = landing.find("deep/b.json")
    assert listed is not None
    exchanged(bucket, outside)[deed]()

    with pytest.raises(ObjectChanged):
        list(landing.read(listed))
    assert landing.find("deep/b.json") is None
    assert not landing.remove(listed)
    assert (outside / "b.json").read_bytes() == b"secret"


@pytest.mark.parametrize("deed", list(exchanged(Path(), Path())))
def test_folder_that_is_kept_open_leads_nowhere_else(
    bucket: Path, deed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listed version may still be read from where it was listed, but nothing that took its place."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.json").write_bytes(b"secret")
    (bucket / "deep/first.json").write_bytes(b"first")
    monkeypatch.setattr(local, "etag_of", lambda status: "same")
    landing = Landing(str(bucket))
    before, listed = landing.find("deep/first.json"), landing.find("deep/b.json")
    assert before is not None
    assert listed is not None
    content = (bucket / "deep/b.json").read_bytes()
    with landing.reading_in_turn():
        assert b"".join(landing.read(before)) == b"first"
        exchanged(bucket, outside)[deed]()
        if deed == "link to a folder":  # the folder is still there, under another name
            assert b"".join(landing.read(listed)) == content
        else:
            with pytest.raises(ObjectChanged):
                list(landing.read(listed))


def test_files_read_in_turn_are_those_read_one_by_one(tmp_path: Path) -> None:
    for place in ("a.json", "x/a.json", "x/y/a.json", "x/b.json", "z.json"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(place)
    (tmp_path / "link").symlink_to("x")
    landing = Landing(str(tmp_path))
    names = ["x/a.json", "x/b.json", "x/y/a.json", "a.json", "link/a.json", "link/b.json", "z.json", "x/a.json"]
    open_before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    with landing.reading_in_turn():
        for name in names:
            version = landing.find(name)
            assert version is not None
            assert b"".join(landing.read(version)).decode() == name.replace("link", "x")
    assert not open_before or len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_keys_never_leave_the_bucket(bucket: Path, tmp_path: Path) -> None:
    (tmp_path / "landing" / "secret").touch()
    landing = Landing(str(bucket))
    for key in (
        "../secret",
        "deep/../a.json",
        "/a.json",
        "deep//b.json",
        "a.json/",
        "",
        ".",
        "a\0b",
        "x" * 5000,
        "deep",
    ):
        assert landing.inspect(key) is None, key
        assert landing.listed_at(key) is None


@pytest.mark.parametrize(
    ("target", "reason"),
    [("/etc/passwd", "link_outside"), ("/none", "link_outside"), ("none", "link_dangling"), ("odd", "link_loop")],
)
def test_single_lookup_of_a_link_matches_the_listing(bucket: Path, target: str, reason: str) -> None:
    (bucket / "odd").symlink_to(target)
    landing = Landing(str(bucket))
    seen = landing.inspect("odd")
    assert seen is not None
    assert (seen[1], landing.find("odd")) == (reason, None)
    assert [row["problem"] for row in rows(landing.listing()) if row["key"] == "odd"] == [reason]


def test_deleting_a_link_keeps_its_target(bucket: Path) -> None:
    landing = Landing(str(bucket))
    for key in ("link.json", "linked/b.json"):
        version = landing.find(key)
        assert version is not None
        stale = StoredObject(key, "0-0-0", version.size, version.modified_at)
        assert (landing.remove(stale), landing.remove(version), landing.find(key)) == (False, True, None)
        assert (bucket / "deep/b.json").exists() == (key == "link.json")


def test_times_beyond_the_calendar_are_clamped_to_it() -> None:
    for seconds, year in ((-(10**11), 1), (0, 1970), (10**12, 9999)):
        status = os.stat_result((0, 5, 0, 0, 0, 0, 7, 0, seconds, 0), {"st_mtime_ns": seconds * 10**9})
        assert local.modified_at(status).year == year


@pytest.mark.parametrize(
    ("pattern", "keys", "others"),
    [
        ("*.tmp", ["a.tmp", "deep/b.tmp", ".tmp"], ["a.tmp.json", "tmp"]),
        ("_temporary/*", ["_temporary/a", "_temporary/"], ["a/_temporary/b"]),
        ("part-[0-9]?", ["part-1a", "part-99"], ["part-a1", "part-1"]),
        ("[!a-c]", ["d", "!"], ["a", "dd"]),
        ("[]a]", ["]", "a"], ["b", "[]a]"]),
        ("[[]/red]x", ["[/red]x"], ["/red]x"]),
        ("a[", ["a["], ["a"]),
        ("(a|b)+\\d.$", ["(a|b)+\\d.$"], ["a", "aa1x"]),
        ("caf\\xe9?", ["caf\\xe9s"], ["café"]),
        ("*" * 40 + "x" + "*" * 40 + "y", ["xy", "a x b y"], ["x" * 30_000]),
        ("ü?", ["üb"], ["ub"]),
    ],
)
def test_patterns_of_ignore(pattern: str, keys: list[str], others: list[str]) -> None:
    source = Source(bucket="raw", prefix="in/", ignore=(pattern,))
    table = pa.Table.from_pylist([{"key": f"in/{key}", "size": 1} for key in [*keys, *others]], schema=LISTED)
    found = classify(source, table)
    assert sorted(found.table.column("key").to_pylist()) == sorted(f"in/{key}" for key in others)
    assert [(item.reason, item.objects) for item in found.ignored] == [(f"source.ignore: {pattern}", len(keys))]


@pytest.mark.parametrize("pattern", ["", "*", "***", "[z-a]"])
def test_pattern_that_ignores_everything_or_is_invalid_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="ignore"):
        Source(bucket="raw", ignore=(pattern,))
    assert isinstance(glob_regex(pattern), str)


def test_many_objects_are_counted_and_few_named() -> None:
    keys = [f"{number:04}/_SUCCESS" for number in range(1000)]
    table = pa.Table.from_pylist([{"key": key, "size": 0} for key in reversed(keys)], schema=LISTED)
    (rule,) = classify(Source(bucket="raw"), table).ignored
    assert (rule.objects, rule.examples) == (1000, tuple(keys[:5]))
    assert str(rule).endswith("0004/_SUCCESS, …)")
    assert key_problem("deep/_SUCCESS") is None
