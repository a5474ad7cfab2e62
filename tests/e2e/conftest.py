"""A lake with production planned, built once and copied per test; one domain only, to keep plans and runs fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engagement import cycle, play
from tests.home import Home, copy_home, template


@pytest.fixture(scope="session")
def planned(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake with a play on each of the first three days of 2026, planned."""
    with template(tmp_path_factory.mktemp("planned"), engagement_project) as home:
        for day in (1, 2, 3):
            home.put("events", f"{day}.json", play(f"e{day}", f"2026-01-0{day}"))
        home.put("users", "users.json", {"user_id": "u1", "country_code": "fr"})
        home.put("activities", "activities.json", {"activity_id": "a1", "name": "A", "type": "game"})
        home.ingest()
        home.plan()
    return home


@pytest.fixture
def production(planned: Home, engagement: Path, home: Home) -> Home:
    """A copy of that lake, without a release."""
    return copy_home(planned, home)


@pytest.fixture
def running(production: Home) -> Home:
    """The same lake after its first cycle."""
    assert cycle(production).outcome == "published"
    return production
