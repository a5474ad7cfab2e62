"""The pipeline on Spark: the same gold as plain Python over the raw lines, and as DuckDB over the same landing."""

from __future__ import annotations

from tests.engagement import cycle, expected, gold, play, plays, seen
from tests.home import Home


def land(home: Home) -> None:
    """A play on each of three days, with its account and its activity."""
    for day in (1, 2, 3):
        home.put("events", f"{day}.json", play(f"e{day}", f"2026-01-0{day}"), play(f"f{day}", f"2026-01-0{day}", "u2"))
    home.put("users", "users.json", {"user_id": "u1", "country_code": "fr"})
    home.put("activities", "activities.json", {"activity_id": "a1", "name": "A", "type": "game"})


def test_late_changed_and_vanished_plays_reach_gold(spark_home: Home) -> None:
    home = spark_home
    land(home)
    home.ingest()
    home.plan()
    assert gold(home) == expected(home)
    assert cycle(home).outcome == "published"
    assert seen(home) == expected(home)

    home.put("events", "late.json", play("late", "2026-01-02"), play("new", "2026-01-05"))
    home.put("users", "late.json", {"user_id": "u2", "country_code": "us"})
    done = cycle(home)
    assert (done.outcome, done.errors) == ("published", [])
    assert seen(home) == gold(home) == expected(home)

    # all plays of one day move to another: nothing of the day may stay
    home.put("events", "3.json", play("e3", "2026-01-02"))
    done = cycle(home)
    assert (done.outcome, done.errors) == ("published", [])
    assert plays(seen(home)) == {"2026-01-01": 2, "2026-01-02": 4, "2026-01-05": 1}
    assert seen(home) == gold(home) == expected(home)
    assert cycle(home).outcome == "unchanged"
