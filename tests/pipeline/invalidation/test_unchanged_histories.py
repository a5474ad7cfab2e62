"""Whatever a cycle left alone has the rows that computing it gives, after every cycle of a random history of days.

Days pass; users, activities and events arrive, some of them late; loads, plain `sqlmesh run` and cycles alternate;
cycles fail while models are computed. HISTORIES sets how many histories there are, HISTORY the number of the first.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.engagement_world import Engagement
from tests.home import Home, copy_home, template

pytestmark = pytest.mark.usefixtures("engagement")

STEPS = 14
FIRST, HISTORIES = int(os.environ.get("HISTORY", "1")), int(os.environ.get("HISTORIES", "1"))


@pytest.fixture(scope="module")
def published(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake that is planned and published."""
    with template(tmp_path_factory.mktemp("published"), engagement_project) as home:
        world = Engagement(home, 0)
        for _ in range(3):
            world.user()
            world.activity()
            world.events()
        home.ingest()
        home.plan()
        assert world.cycle().outcome == "published"
    return home


@pytest.mark.parametrize("seed", range(FIRST, FIRST + HISTORIES))
def test_what_is_left_alone_is_as_if_computed(published: Home, home: Home, seed: int) -> None:
    world = Engagement(copy_home(published, home), seed)
    acts = [world.day, world.user, world.activity, world.events, world.load, world.run, world.fail, world.cycle]
    for _ in range(STEPS):
        world.dice.choices(acts, weights=(4, 1, 1, 2, 1, 1, 1, 4))[0]()
    world.day()
    world.cycle()
    world.day()
    world.cycle()
    assert world.left_alone, "nothing was left alone, so nothing is shown"
