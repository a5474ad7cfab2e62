"""A lake with the models that are computed by key, and those that they read, planned once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.releases import buckets
from tests.home import Home, copy_home, copy_project, switch_rules_off, template, use_project
from tests.revenue_world import Revenue

KEPT = (
    *("seeds/currencies", "seeds/exchange_rates", "silver/engagement/users", "silver/revenue/accounts"),
    *("silver/revenue/exchange_rates", "silver/revenue/invoices", "silver/revenue/invoice_lines"),
    *("silver/revenue/invoice_refunds", "silver/revenue/subscription_changes", "silver/revenue/subscriptions"),
    *("gold/revenue/fct_invoices", "gold/revenue/fct_revenue_recognition", "gold/revenue/fct_subscription_lifecycle"),
)


@pytest.fixture(scope="session")
def by_key_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's SQLMesh side with these models alone; read-only."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "by_key")
    models = folder / "models"
    for path in models.glob("**/*.sql"):
        if path.relative_to(models).with_suffix("").as_posix() not in KEPT:
            path.unlink()
    for path in (folder / "audits").glob("*.sql"):
        if "standalone TRUE" in path.read_text():
            path.unlink()
    switch_rules_off(folder)
    return folder


@pytest.fixture
def by_key_models(by_key_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use that project for all plans, runs and cycles, and publish tables by key in several files."""
    monkeypatch.setattr(buckets, "ROWS", 2)
    return use_project(by_key_project, monkeypatch)


@pytest.fixture(scope="session")
def revenue_lake(by_key_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake with eight records of each revenue feed, planned."""
    with template(tmp_path_factory.mktemp("published"), by_key_project) as home:
        world = Revenue(home, 0)
        world.user()
        for made, feed in ((world.account, "accounts"), (world.change, "subscriptions"), (world.invoice, "invoices")):
            world.put(feed, *(made() for _ in range(8)))
        home.ingest()
        home.plan()
    return home


@pytest.fixture
def revenue(revenue_lake: Home, by_key_models: Path, home: Home) -> Revenue:
    """A copy of that lake."""
    return Revenue(copy_home(revenue_lake, home), 1)


@pytest.fixture
def branch(by_key_models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the project that a test may change, used for all plans, runs and cycles."""
    return use_project(shutil.copytree(by_key_models, tmp_path / "branch"), monkeypatch)
