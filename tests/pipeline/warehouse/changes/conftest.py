"""A lake with the models of the shop alone, planned before anything happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.home import Home, copy_project, keep_histories, template, use_project


@pytest.fixture(scope="session")
def shop_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's SQLMesh side with these models; read-only."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "shop")
    keep_histories(folder)
    return folder


@pytest.fixture
def shop_models(shop_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use that project for all plans, runs and cycles."""
    return use_project(shop_project, monkeypatch)


@pytest.fixture(scope="session")
def empty_shop(shop_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake without changes, planned."""
    with template(tmp_path_factory.mktemp("empty"), shop_project) as home:
        home.plan()
    return home
