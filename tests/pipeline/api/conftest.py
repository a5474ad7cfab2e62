"""Servers for several tests: one without keys, one with keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

for _module in ("mcp", "jwt", "uvicorn"):
    pytest.importorskip(_module, reason=f"serve: {_module} is not installed, the extra `serve`")

from tests.pipeline.api.serving import SECRET, Server, World, entries, serving, world


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
