"""Pages at the end of a cycle: written after the release, never in its way, tried again."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import PROJECT
from pipeline.cycle import up_to_date
from pipeline.cycle.cycle import publish_only, run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.portal import assets
from pipeline.portal.publication import FOLDER
from pipeline.portal.script import read_data_file
from tests.home import Home, copy_project, keep_domain, template, use_project

BOARD = """
title: Play
question: How much is played?
owner: engagement
filters: [country_code]
tiles:
  - {kind: number, metrics: [plays]}
"""


def _event(name: str, day: str) -> dict[str, Any]:
    return {
        "event_id": name,
        "name": "activity_exit",
        "occurred_at": f"{day} 10:00:00",
        "user_id": "u1",
        "child_id": "c",
        "data": {"activity_id": "a1", "duration": 60, "completed": True, "collection_id": ""},
        "context": {"os": {"name": "iOS", "version": "1"}, "app": {"version": "1"}},
    }


def _cycle(home: Home) -> RunSummary:
    return run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None)


def _release(home: Home) -> dict[str, Any]:
    """What the pages say of the current release."""
    found: dict[str, Any] = read_data_file((Path(home.options.published_uri) / FOLDER / "current.js").read_bytes())
    return found


def _plays(home: Home) -> int:
    """Plays of all days, from the files of the current page."""
    (page,) = _release(home)["pages"]
    files = [Path(home.options.published_uri) / FOLDER / key for key in (page["file"], *page["years"].values())]
    cubes = [cube for file in files for cube in read_data_file(file.read_bytes())["cubes"]]
    return sum(sum(cube["parts"]["plays"]["data"]) for cube in cubes if cube["dimension"] is None)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the models, metrics and one page of engagement alone."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "board")
    keep_domain(folder, "engagement")
    (folder / "metrics").mkdir()
    shutil.copy(PROJECT / "metrics" / "engagement.yaml", folder / "metrics")
    (folder / "dashboards").mkdir()
    (folder / "dashboards" / "play.yaml").write_text(BOARD, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def lake(board: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A lake that is planned and published once, with its pages; the tests continue its life in order."""
    pytest.importorskip("vl_convert", reason="Chromium: vl-convert-python is not installed, the extra `portal`")
    with template(tmp_path_factory.mktemp("lake"), board) as home, pytest.MonkeyPatch.context() as patch:
        use_project(board, patch)
        home.put("users", "u.json", {"user_id": "u1", "country_code": "fr"})
        home.put("activities", "a.json", {"activity_id": "a1", "name": "Song", "type": "audiobook"})
        home.put("events", "1.json", _event("e1", "2026-01-05"), _event("e2", "2026-01-20"))
        home.ingest()
        home.plan()
        yield home


def test_a_release_comes_with_its_pages_and_an_idle_cycle_writes_none(lake: Home) -> None:
    first = _cycle(lake)
    assert (first.outcome, first.warnings) == ("published", [])
    assert first.pages is not None
    assert first.pages.pages == ("play",)
    assert (_release(lake)["number"], _plays(lake)) == (1, 2)
    assert {feed["feed"] for feed in _release(lake)["feeds"]} >= {"events", "users"}
    assert _cycle(lake).due_at is not None, "nothing is new or due"
    up_to_date.forget(lake.options)
    again = _cycle(lake)
    assert again.outcome == "unchanged"
    assert again.pages is not None
    assert again.pages.files == ()


def test_a_folder_that_cannot_be_written_never_holds_back_a_release(lake: Home) -> None:
    folder = Path(lake.options.published_uri) / FOLDER
    kept = folder.rename(folder.with_name("kept"))
    folder.write_text("a file instead of a folder")
    lake.put("events", "2.json", _event("e3", "2026-02-03"))
    blocked = _cycle(lake)
    assert (blocked.outcome, blocked.state, blocked.exit_code) == ("published", 2, 0)
    (warning,) = blocked.warnings
    assert warning.startswith("the pages of the release could not be written, the next cycle tries again: ")
    folder.unlink()
    kept.rename(folder)
    repeated = _cycle(lake)
    assert (repeated.outcome, repeated.warnings) == ("unchanged", [])
    assert (_release(lake)["number"], _plays(lake)) == (2, 3), "although nothing new is published"


def test_without_the_extra_it_is_noted_once(lake: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "is_installed", lambda: False)
    for expected in (["no pages are written for releases; install the extra `portal` for them: make setup-portal"], []):
        summary = publish_only(Lake(lake.options), dt.datetime.now(dt.UTC))
        assert (summary.warnings, summary.exit_code) == (expected, 0)
