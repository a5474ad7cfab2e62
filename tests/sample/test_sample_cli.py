"""`lake sample` as people and scripts call it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.settings import settings
from pipeline.cli import main
from pipeline.cli.sample import yesterday


def lake(*arguments: str) -> Result:
    settings.cache_clear()
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_summary_for_machines_is_exact(clean_settings: Path) -> None:
    result = lake("sample", "--events", "300", "--days", "3", "--end", "2026-11-20", "--malformed", "0.1", "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    summary = json.loads(result.stdout)
    landed = list((clean_settings / "landing").rglob("*.json"))
    assert summary["objects"] == len(landed)
    assert summary["bytes"] == sum(path.stat().st_size for path in landed)
    events = sum(path.read_bytes().count(b"\n") for path in landed if "raw-events" in path.parts)
    assert events == summary["tally"]["events"] + summary["tally"]["malformed"]
    again = json.loads(lake("sample", "--events", "300", "--days", "3", "--end", "2026-11-20", "--json").stdout)
    assert (again["objects"], again["existing"]) == (0, len(landed))


def test_sample_ends_yesterday_by_default(clean_settings: Path) -> None:
    first = yesterday()
    assert lake("sample", "--events", "30", "--days", "2").exit_code == 0
    folders = {
        path.parent.relative_to(clean_settings / "landing/raw-events") for path in clean_settings.rglob("events-*")
    }
    last = max(dt.date(*map(int, folder.parts)) for folder in folders)
    assert first <= last <= yesterday()


def test_compressed_objects_have_a_gzip_suffix(clean_settings: Path) -> None:
    assert lake("sample", "--events", "30", "--days", "2", "--compress").exit_code == 0
    landed = [path for path in (clean_settings / "landing").rglob("*") if path.is_file()]
    assert landed
    assert all(path.name.endswith(".json.gz") for path in landed)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--events", "0"),
        ("--events", "many"),
        ("--days", "0"),
        ("--seed", "-1"),
        ("--end", "2026-13-01"),
        ("--end", "2010-01-01"),
        ("--late", "1.5"),
        ("--events-per-file", "0"),
    ],
)
def test_bad_options_are_exit_2_and_write_nothing(clean_settings: Path, arguments: tuple[str, str]) -> None:
    result = lake("sample", *arguments)
    assert result.exit_code == 2
    assert "error" in result.stderr.lower()
    assert not clean_settings.exists()
