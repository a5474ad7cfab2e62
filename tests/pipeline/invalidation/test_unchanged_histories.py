"""Whatever a cycle left alone has the rows that computing it gives, after every cycle of a random history of days.

Days pass; users, activities and events arrive, some of them late; loads, plain `sqlmesh run` and cycles alternate;
cycles fail while models are computed. HISTORIES sets how many histories there are, HISTORY the number of the first.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from tests.home import Home, copy_home, template
from tests.world import DAY, World

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


class Engagement(World):
    """Users, activities and events."""

    MODELS = ("users", "activities", "activity_events", "fct_active_users_daily", "rpt_retention")

    def activity(self) -> None:
        """An activity arrives or gets another name."""
        name = f"name {self.dice.randrange(100)}"
        self.put("activities", {"activity_id": f"a{self.dice.randrange(3)}", "name": name, "type": "audiobook"})

    def events(self) -> None:
        """An event of one of the last days by the clock of ingest, which rejects records from the future."""
        at = dt.datetime.now(dt.UTC) - self.dice.randrange(1, 6) * DAY
        self.put(
            "events",
            {
                "event_id": f"e{self.dice.randrange(10**9)}",
                "name": "activity_exit",
                "occurred_at": f"{at:%Y-%m-%d %H:%M:%S}",
                "user_id": f"u{self.dice.randrange(4)}",
                "child_id": "c",
                "data": {"activity_id": f"a{self.dice.randrange(3)}", "duration": 60, "completed": True},
                "context": {"os": {"name": "iOS", "version": "1"}, "app": {"version": "1"}},
            },
        )


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
