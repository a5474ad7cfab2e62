"""Servers for several tests: one without keys, one with keys."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli.serve import EXTRA
from tests.pipeline.api.serving import SECRET, Server, World, entries, serving, world


class Skipped(pytest.Module):
    """A test file that needs what is not installed."""

    def collect(self) -> Iterator[pytest.Item]:
        pytest.skip("serve: the extra `serve` is not installed", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Skip the files of this folder without the extra, before they import it."""
    is_missing = any(importlib.util.find_spec(name) is None for name in EXTRA)
    return Skipped.from_parent(parent, path=module_path) if is_missing else None


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Release 1; read-only."""
    return world(tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="session")
def open_server(shared: World) -> Iterator[Server]:
    """A server without keys."""
    with serving(shared) as server:
        yield server


@pytest.fixture(scope="session")
def keyed(shared: World) -> Iterator[Server]:
    """A server with keys and tokens."""
    variables = {"LAKE_API_KEYS": entries(), "LAKE_JWT_KEY": SECRET, "LAKE_JWT_AUDIENCE": "lake"}
    with serving(shared, **variables) as server:
        yield server


@pytest.fixture
def own_world(tmp_path: Path) -> World:
    """Release 1 of a test's own."""
    return world(tmp_path)
