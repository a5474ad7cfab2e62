"""Which files the keys of changed rows are read from."""

from __future__ import annotations

import datetime as dt

import pytest

from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from pipeline.warehouse.by_key.log import UnknownChangesError
from pipeline.warehouse.by_key.sources import moved_files

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def file(name: str) -> LakeFile:
    return LakeFile(name, 1, 1, NOW.date(), None, ("load",), "{}")


def load(added: str = "", removed: str = "", begins: int = 0) -> Entry:
    """A load that adds and removes files, each named by one letter; read without its objects."""
    return Entry(
        "load", NOW, added=tuple(map(file, added)), removed=tuple(removed), newest_object_at=NOW, begins=begins
    )


def compaction(added: str, removed: str) -> Entry:
    return Entry("compaction", NOW, added=tuple(map(file, added)), removed=tuple(removed))


def moved(*entries: Entry) -> str:
    return "".join(sorted(moved_files(enumerate(entries, 1))))


def test_loads_move_the_files_that_they_add_and_remove() -> None:
    assert moved(load("ab"), load("c", "x")) == "abcx"


def test_compaction_and_clean_up_move_nothing() -> None:
    assert moved(compaction("c", "ab"), Entry("clean", NOW, abandoned=("load",))) == ""


def test_rows_that_compaction_moved_after_a_load_are_found_in_its_file() -> None:
    assert moved(load("b"), compaction("c", "ab")) == "abc"


def test_rows_that_compaction_moved_before_they_were_removed_are_found_in_their_first_files() -> None:
    """The table was computed from a and b; c is live neither then nor now, and some of its rows are gone."""
    assert moved(compaction("c", "ab"), load("d", "c")) == "abcd"


def test_files_are_followed_through_several_compactions_and_others_are_left_out() -> None:
    entries = [compaction("c", "ab"), compaction("y", "x"), compaction("d", "c"), load("e", "d"), compaction("z", "y")]
    assert moved(*entries) == "abcde"


def test_a_rebuilt_log_moves_everything() -> None:
    with pytest.raises(UnknownChangesError):
        moved(load("a"), load("b", begins=2))
