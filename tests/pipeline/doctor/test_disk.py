"""Disks: a full one, one without inodes, and a home that others can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.settings import settings
from pipeline.doctor import disk
from pipeline.doctor.finding import Finding, Status
from pipeline.lake import Lake
from tests.small_disk import remount, small_disk


def checked(monkeypatch: pytest.MonkeyPatch, home: Path, **variables: str) -> dict[str, Finding]:
    monkeypatch.setenv("LAKE_HOME", str(home))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return {item.object: item for item in disk.check(Lake(settings()))}


def test_a_small_disk(clean_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk", 400) as home:
        home.chmod(0o700)
        about = f"LAKE_HOME ({home})"
        found = checked(monkeypatch, home)[about]
        assert (found.status, "LAKE_LOAD_BYTES" in found.expected) == (Status.WARN, True)
        assert checked(monkeypatch, home, LAKE_LOAD_BYTES="1000000")[about].status is Status.OK

        (home / "warehouse.duckdb").write_bytes(bytes(210 << 20))
        found = checked(monkeypatch, home)[about]
        assert (found.status, found.expected) == (Status.FAIL, "at least 256.0 MiB")

        remount(home, "rw,nr_inodes=500")
        assert checked(monkeypatch, home)[f"{about}, inodes"].status is Status.FAIL


def test_who_may_enter_the_home(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean_settings.mkdir(mode=0o755)
    clean_settings.chmod(0o755)
    about = f"LAKE_HOME ({clean_settings}), mode"
    found = checked(monkeypatch, clean_settings)[about]
    assert (found.status, f"chmod 700 {clean_settings}" in found.next_step) == (Status.WARN, True)
    clean_settings.chmod(0o750)
    assert checked(monkeypatch, clean_settings, LAKE_FOLDER_MODE="0750")[about].status is Status.OK


def test_a_home_that_is_not_there_is_looked_at_where_it_will_be(
    clean_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = checked(monkeypatch, clean_settings, LAKE_LOAD_BYTES="1000")
    assert {item.status for item in found.values()} == {Status.OK}
    assert not clean_settings.exists()
