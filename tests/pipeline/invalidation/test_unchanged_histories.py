"""Whatever a cycle left alone has the rows that computing it gives, after every cycle of a random history of days.

Days pass; users, activities and events arrive, some of them late; loads, plain `sqlmesh run` and cycles alternate;
cycles fail while models are computed. HISTORIES sets how many histories there are, HISTORY the number of the first.
"""

from __future__ import annotations

import datetime as dt
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmesh import Context

from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from tests.home import Home, copy_home, template

pytestmark = pytest.mark.usefixtures("engagement")

DAY = dt.timedelta(days=1)
STEPS = 14
FIRST, HISTORIES = int(os.environ.get("HISTORY", "1")), int(os.environ.get("HISTORIES", "1"))


@pytest.fixture(scope="module")
def published(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake that is planned and published."""
    with template(tmp_path_factory.mktemp("published"), engagement_project) as home:
        world = World(home, 0)
        for _ in range(3):
            world.user()
            world.activity()
            world.events()
        home.ingest()
        home.plan()
        assert world.cycle().outcome == "published"
    return home


class World:
    """A lake on a day that only moves on, and what can happen to it.

    Attributes:
        left_alone: how often a cycle left each model alone.
    """

    def __init__(self, home: Home, seed: int) -> None:
        self.home = home
        self.dice = random.Random(seed)
        self.now = dt.datetime.now(dt.UTC)
        self.left_alone: Counter[str] = Counter()
        self._objects = 0

    def _put(self, feed: str, record: dict[str, Any]) -> None:
        self._objects += 1
        self.home.put(feed, f"{self.now:%Y%m%d}-{self.dice.randrange(10**9)}-{self._objects}.json", record)

    def day(self) -> None:
        """Midnight passes, so every model is due."""
        self.now += DAY

    def user(self) -> None:
        """A user arrives or moves."""
        country = self.dice.choice(("fr", "de", "it"))
        self._put("users", {"user_id": f"u{self.dice.randrange(4)}", "country_code": country})

    def activity(self) -> None:
        """An activity arrives or gets another name."""
        name = f"name {self.dice.randrange(100)}"
        self._put("activities", {"activity_id": f"a{self.dice.randrange(3)}", "name": name, "type": "audiobook"})

    def events(self) -> None:
        """An event of one of the last days by the clock of ingest, which rejects records from the future."""
        at = dt.datetime.now(dt.UTC) - self.dice.randrange(1, 6) * DAY
        self._put(
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

    def load(self) -> None:
        """Load without computing."""
        self.home.ingest()

    def run(self) -> None:
        """Plain `sqlmesh run`, which knows nothing of what a cycle leaves alone."""
        context = self.home.context()
        try:
            context.run(skip_janitor=self.dice.random() < 0.5, execution_time=self.now, end=self.now)
        finally:
            self.home.close(context)

    def fail(self) -> None:
        """A cycle of which one model cannot be computed."""
        broken = self.dice.choice(("users", "activities", "activity_events", "fct_active_users_daily", "rpt_retention"))

        def refuse(evaluate: Callable[..., Any]) -> Callable[..., Any]:
            def evaluated(self: Any, snapshot: Any, *args: Any, **options: Any) -> Any:
                if f'"{broken}"' in snapshot.name:
                    raise RuntimeError("no memory")
                return evaluate(self, snapshot, *args, **options)

            return evaluated

        from sqlmesh.core.scheduler import Scheduler

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Scheduler, "evaluate", refuse(Scheduler.evaluate))
            self._cycle()

    def cycle(self) -> RunSummary:
        """A cycle, after which every table has the rows that computing it gives."""
        done = self._cycle()
        assert done.errors == []
        context = self.home.context()
        try:
            compare(context)
        finally:
            self.home.close(context)
        return done

    def _cycle(self) -> RunSummary:
        lake = Lake(self.home.options)
        done = run_cycle(lake, (), lambda _: lambda objects, size: None, now=lambda: self.now)
        self.left_alone.update(done.unchanged)
        return done


def compare(context: Context) -> None:
    """Compare the rows of every FULL model with those of its query over the tables that it reads."""
    for snapshot in context.snapshots.values():
        if not (snapshot.is_model and (snapshot.model.kind.is_full or snapshot.model.kind.is_custom)):
            continue
        names = ", ".join(f'"{name}"' for name in snapshot.model.columns_to_types_or_raise)
        query = snapshot.model.render_query_or_raise(snapshots=context.snapshots).sql("duckdb")
        stored, computed = (
            Counter(map(repr, context.engine_adapter.fetchall(f"SELECT {names} FROM {table}")))
            for table in (snapshot.table_name(), f"({query})")
        )
        assert stored == computed, snapshot.name


@pytest.mark.parametrize("seed", range(FIRST, FIRST + HISTORIES))
def test_what_is_left_alone_is_as_if_computed(published: Home, home: Home, seed: int) -> None:
    world = World(copy_home(published, home), seed)
    acts = [world.day, world.user, world.activity, world.events, world.load, world.run, world.fail, world.cycle]
    for _ in range(STEPS):
        world.dice.choices(acts, weights=(4, 1, 1, 2, 1, 1, 1, 4))[0]()
    world.day()
    world.cycle()
    world.day()
    world.cycle()
    assert world.left_alone, "nothing was left alone, so nothing is shown"
