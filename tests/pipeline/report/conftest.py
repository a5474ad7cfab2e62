"""Reports on a release whose rows are known."""

from __future__ import annotations

import pytest

from ingest.settings import PROJECT
from pipeline.metrics.definition import load_metrics
from pipeline.report.report import Report
from tests.known_release import TABLES, Published, publish, rows_of_tables


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The release; read-only."""
    rows = rows_of_tables()
    releases = publish(tmp_path_factory.mktemp("reports"), rows, TABLES)
    return Published(releases, releases.get(1), rows, load_metrics(PROJECT / "metrics"))


@pytest.fixture(scope="session")
def daily(published: Published) -> Report:
    """The daily report on it."""
    return published.report("daily")


@pytest.fixture(scope="session")
def weekly(published: Published) -> Report:
    """The weekly report on it."""
    return published.report("weekly")
