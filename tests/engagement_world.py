"""Random histories of the engagement feeds; see tests/world.py."""

from __future__ import annotations

import datetime as dt

from tests.world import DAY, World


class Engagement(World):
    """Users, activities and events."""

    MODELS = ("users", "activities", "activity_events", "fct_active_users_daily", "rpt_retention")

    def activity(self) -> None:
        """An activity arrives or gets another name."""
        name = f"name {self.dice.randrange(100)}"
        self.put("activities", {"activity_id": f"a{self.dice.randrange(3)}", "name": name, "type": "audiobook"})

    def events(self) -> None:
        """An event of one of the last days, also by the clock of ingest, which rejects records from the future."""
        at = min(self.now, dt.datetime.now(dt.UTC)) - self.dice.randrange(1, 6) * DAY
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
