"""Whatever the names of a landing's files: each is loaded, or listed with the rule or reason that excludes it."""

from __future__ import annotations

import ctypes
import os
import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.hostile.command import Lakehouse, counts, line

DATA = (
    "plain.json",
    "part#1",
    "part#00017",
    "d#x#2",
    "load_SUCCESS",
    "x_SUCCESS",
    "_SUCCESS.json",
    "copy.DS_Store",
    "[/red]x.jsonl",
    "[bold]",
    " spaced \"quoted\" 'single' {curly} (round).json",
    "back\\slash",
    "100%.json",
    "%2e%2e",
    "...",
    ".hidden",
    "a:b|c<d>e?f*g",
    "\u202egpj.exe",
    "nbsp\u00a0.json",
    "deep/er/ü 日本.json",
    "x" * 255,
)
ODD = {
    b"new\nline.json": "control_character",
    b"tab\t.json": "control_character",
    b"\x1b]0;title\x07.json": "control_character",
    b"delete\x7f.json": "control_character",
    b"caf\xe9.json": "not_utf8",
    b"\xff\xfe": "not_utf8",
    b"\xed\xa0\x80.json": "not_utf8",  # a surrogate, encoded
    b"odd\x01folder/plain.json": "control_character",
}


@pytest.fixture
def house(tmp_path: Path) -> Lakehouse:
    return Lakehouse(tmp_path / "home")


def put(folder: Path, name: str | bytes, content: bytes) -> None:
    path = os.path.join(os.fsencode(folder), name if isinstance(name, bytes) else os.fsencode(name))  # noqa: PTH118
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120  pathlib has no bytes
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(content)


def test_every_name_that_is_text_is_loaded_under_that_name(house: Lakehouse) -> None:
    for number, name in enumerate(DATA):
        put(house.bucket(), name, line(str(number)))

    done = house.lake("ingest", "events", "--json")

    report = done.said["feeds"][0]
    assert (done.code, report["objects"], report["rows"]) == (0, len(DATA), len(DATA)), done.err
    assert (report["ignored"], report["unloadable"]) == ([], [])
    (status,) = house.lake("status", "events", "--json").said
    assert (status["waiting"], status["objects"]) == (0, len(DATA))
    verified = house.lake("verify", "events", "--deep", "--json")
    assert (verified.code, verified.said[0]["differences"], verified.said[0]["gone"]) == (0, [], 0)
    for name in ("part#1", "[/red]x.jsonl", "load_SUCCESS"):
        assert house.lake("why", f"raw-events/{name}").out.startswith(f"raw-events/{name} (events): loaded\n")


def test_only_whole_base_names_are_ignored_and_each_is_counted_with_its_rule(house: Lakehouse) -> None:
    draft = ".lakemesh-draft-" + "0123456789abcdef" * 2
    for name in (
        "_SUCCESS",
        "2026/11/01/_SUCCESS",
        ".DS_Store",
        "deep/.DS_Store",
        f"deep/{draft}",
        "dir/_SUCCESS/data.json",
    ):
        put(house.bucket(), name, line(name))

    done = house.lake("ingest", "events", "--json")

    assert (done.code, done.said["feeds"][0]["objects"]) == (0, 1), done.err
    expected = {"_SUCCESS": 2, ".DS_Store": 2, ".lakemesh-draft-*": 1}
    assert counts(done.said["feeds"][0]["ignored"]) == expected
    for command in ("status", "verify"):
        result = house.lake(command, "events", "--json")
        assert (result.code, counts(result.said[0]["ignored"])) == (0, expected)
        assert "ignored by rule" in house.lake(command, "events").out
    assert "ignored by rule .DS_Store" in house.lake("why", "raw-events/deep/.DS_Store").out


def test_name_that_is_no_text_is_reported_escaped_until_the_contract_ignores_it(house: Lakehouse) -> None:
    put(house.bucket(), "good.json", line("good"))
    for name in ODD:
        put(house.bucket(), name, line("odd"))
    expected = dict(Counter(ODD.values()))

    done = house.lake("ingest", "events", "--json")

    assert (done.code, done.said["feeds"][0]["objects"]) == (1, 1)
    assert counts(done.said["feeds"][0]["unloadable"]) == expected
    for command in ("ingest", "status", "verify"):
        result = house.lake(command, "events")
        assert result.code == 1
        assert "AWS_ENDPOINT_URL" not in result.err
        shown = result.out + result.err
        assert "caf\\xe9.json" in shown
        assert "\\x1b]0;title\\x07.json" in shown
        assert [character for character in shown if ord(character) < 32 and character != "\n"] == []
    for command in ("status", "verify"):
        assert counts(house.lake(command, "events", "--json").said[0]["unloadable"]) == expected
    for typed in ("caf\\xe9.json", os.fsdecode(b"caf\xe9.json")):
        assert house.lake("why", f"raw-events/{typed}").out.endswith("a name that is not UTF-8\n")
    assert house.lake("why", os.fsdecode(b"raw-events/none\xe9")).err.startswith("error: raw-events/none\\xe9: neither")

    ignoring = house.with_source("events", ignore=["*\\x*", "odd*/*"])
    healed = ignoring.lake("ingest", "events", "--json")
    assert (healed.code, healed.err) == (0, "")
    assert sum(counts(healed.said["feeds"][0]["ignored"]).values()) == len(ODD)
    assert healed.said["feeds"][0]["ignored"][0]["reason"] == "source.ignore: *\\x*"
    verified = ignoring.lake("verify", "events", "--json")
    assert (verified.code, verified.said[0]["unloadable"]) == (0, [])


def test_patterns_of_the_contract_exclude_data_and_are_reported(house: Lakehouse) -> None:
    for name in ("a.json", "a.tmp", "deep/b.tmp", "_temporary/0/c.json", "part-1", "part-x"):
        put(house.bucket(), name, line(name))
    ignoring = house.with_source("events", ignore=["*.tmp", "_temporary/*", "part-[!0-9]"])

    done = ignoring.lake("ingest", "events", "--json")

    assert (done.code, done.said["feeds"][0]["rows"]) == (0, 2)
    expected = {"source.ignore: *.tmp": 2, "source.ignore: _temporary/*": 1, "source.ignore: part-[!0-9]": 1}
    assert counts(done.said["feeds"][0]["ignored"]) == expected
    assert counts(ignoring.lake("verify", "events", "--json").said[0]["ignored"]) == expected
    assert house.with_source("events", ignore=["*"]).lake("ingest", "events").code == 2
    assert house.with_source("events", ignore=["[z-a]"]).lake("contracts").code == 2


def test_pipes_sockets_and_devices_are_reported_and_never_block(house: Lakehouse) -> None:
    put(house.bucket(), "good.json", line("good"))
    os.mkfifo(house.bucket() / "pipe.json")
    here = Path.cwd()
    os.chdir(house.bucket())  # a socket's path may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket.json")
    finally:
        os.chdir(here)

    done = house.lake("ingest", "events", "--json")

    assert (done.code, done.said["feeds"][0]["rows"]) == (1, 1)
    assert counts(done.said["feeds"][0]["unloadable"]) == {"special_file": 2}
    assert "special_file 2 (pipe.json, socket.json)" in house.lake("verify", "events").out


def drop_capabilities() -> None:
    """Drop root's capability to read everything; no other user has it."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: effective from the next program on


def test_unreadable_files_are_reported_and_the_others_load(house: Lakehouse) -> None:
    for number in range(30):
        put(house.bucket(), f"{number:02}.json", line(str(number)))
        (house.bucket() / f"{number:02}.json").chmod(0o600 if number % 10 == 0 else 0)
    put(house.bucket(), "closed/x.json", line("x"))
    (house.bucket() / "closed").chmod(0)
    try:
        done = house.lake("ingest", "events", "--json", preexec_fn=drop_capabilities)
        again = house.lake("ingest", "events", "--json", preexec_fn=drop_capabilities)
    finally:
        (house.bucket() / "closed").chmod(0o700)

    report = done.said["feeds"][0]
    assert (done.code, report["rows"], len(report["stuck"])) == (1, 3, 27), done.err
    assert counts(report["unloadable"]) == {"permission_denied": 1}
    assert "01.json: permission denied" in report["stuck"][0][1]
    assert again.code == 1
    assert house.lake("ingest", "events", "--json").code == (0 if os.geteuid() == 0 else 1)


@pytest.mark.parametrize("seconds", [-315_619_200, 0, 15_000_000_000, 999_999_999_999])
def test_file_of_any_age_is_accounted_for(house: Lakehouse, seconds: int) -> None:
    """1960, 1970, 2445, and a year of five digits where the file system can represent it."""
    put(house.bucket(), "good.json", line("good"))
    put(house.bucket(), "odd.json", line("odd"))
    os.utime(house.bucket() / "odd.json", (seconds, seconds))

    report = house.lake("ingest", "events", "--json").said["feeds"][0]

    assert (report["objects"], report["records"], report["changed_meanwhile"]) == (2, 2, 0)
    assert house.lake("ingest", "events", "--json").said["feeds"][0]["objects"] == 0
    assert house.lake("verify", "events", "--deep", "--json").said[0]["differences"] == []
