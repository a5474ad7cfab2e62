"""All checks together: none stops or outlasts the others, no secret is shown, and nothing is changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.errors import RetriableError
from ingest.settings import settings
from pipeline.cli import main
from pipeline.doctor.examine import CHECKS, examine, is_failed
from pipeline.doctor.finding import Finding, Reporter
from pipeline.lake import Lake
from tests.home import Home


def test_checks_that_raise_or_never_end_leave_the_others(clean_settings: Path) -> None:
    never = threading.Event()
    report = Reporter("x")

    def hangs(lake: Lake) -> Iterator[Finding]:
        yield report.ok("before", "seen")
        never.wait()

    def raises(lake: Lake) -> Iterator[Finding]:
        yield report.ok("first", "seen")
        raise RetriableError("the store is away")

    def is_defect(lake: Lake) -> Iterator[Finding]:
        yield report.ok("first", "seen")
        raise ZeroDivisionError

    checks = {"hangs": hangs, "raises": raises, "is_defect": is_defect, "fine": lambda lake: [report.ok("all", "well")]}
    found = examine(settings(), checks, 0.3)
    never.set()

    assert [(item.object, str(item.status)) for item in found] == [
        ("before", "ok"),
        ("hangs", "fail"),
        ("first", "ok"),
        ("raises", "fail"),
        ("first", "ok"),
        ("is_defect", "fail"),
        ("all", "ok"),
    ]
    assert "no end after 0.3 s" in found[1].found
    assert "ZeroDivisionError" in found[5].found
    assert is_failed(found)


def test_no_secret_is_shown(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "hunter22hunter22")
    report = Reporter("x")
    shown = [report.fail("o hunter22hunter22", "f hunter22hunter22", "e hunter22hunter22", "n hunter22hunter22")]
    assert "hunter22" not in str(examine(settings(), {"x": lambda lake: shown}))


def contents(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in folder.rglob("*")}


def test_a_loaded_lake_is_left_as_it_was(home: Home) -> None:
    home.put("users", "a.json", {"user_id": "u1"})
    home.ingest("users")
    before = contents(home.options_home)

    shown = CliRunner().invoke(main, ["doctor", "--json"])

    assert shown.exit_code == 0, shown.stdout
    found = json.loads(shown.stdout)
    assert {item["check"] for item in found} == set(CHECKS)
    assert [item for item in found if item["status"] != "ok" and not (item["next_step"] and item["expected"])] == []
    assert contents(home.options_home) == before


def test_an_empty_folder_of_a_new_user_is_not_made(clean_settings: Path) -> None:
    shown = CliRunner().invoke(main, ["doctor"])
    assert shown.exit_code == 1
    assert "fail  rights: LANDING_URI: not there" in shown.stdout
    assert "      next: " in shown.stdout
    assert not clean_settings.exists()


def test_settings_that_cannot_be_read_are_a_finding(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_START", "soon")
    monkeypatch.setenv("LAKE_STRAT", "2026-01-01")
    settings.cache_clear()
    shown = CliRunner().invoke(main, ["doctor", "--json"])
    assert shown.exit_code == 1
    first, second = json.loads(shown.stdout)
    assert (first["status"], "'soon' is not a date" in first["found"]) == ("fail", True)
    assert (second["object"], "LAKE_START" in second["next_step"]) == ("LAKE_STRAT", True)
