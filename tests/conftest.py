"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.settings import settings
from pipeline.local_s3 import project_buckets, serve


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables that lead to one S3 server for the whole session; name your buckets so that nobody shares them."""
    with serve(tmp_path_factory.mktemp("s3-server"), ["shared"]) as variables:
        yield variables


@pytest.fixture
def s3_lake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A server of the test's own with the project's buckets, and the environment set to it and to `tmp_path`."""
    dotenv = tmp_path / "dotenv"
    dotenv.touch()
    with serve(tmp_path / "s3", project_buckets()) as variables:
        for name in [
            name for name in os.environ if name.startswith("AWS_") or name in {"WAREHOUSE_PATH", "STATE_PATH"}
        ]:
            monkeypatch.delenv(name)
        variables |= {"LAKE_HOME": str(tmp_path / "home"), "SQLMESH_DOTENV_PATH": str(dotenv)}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        yield variables
    settings.cache_clear()
