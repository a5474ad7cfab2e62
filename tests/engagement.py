"""Plays of the engagement feeds and the gold they must yield, computed in plain Python; see tests/rebuilt.py."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.releases.release import Releases
from tests import rebuilt
from tests.home import Home

GOLD = "gold.activity_engagement_metrics"
DAILY = (
    "SELECT date, country_code, subscription_status, activity_type, SUM(activities_played)::BIGINT, "
    "SUM(completed_plays)::BIGINT, ROUND(SUM(total_time_spent), 6), ROUND(SUM(capped_time_spent), 6) "
    f"FROM {{schema}}{GOLD} GROUP BY 1, 2, 3, 4"
)
Row = tuple[Any, ...]


def play(name: str, at: str, user: str = "u1", **data: Any) -> dict[str, Any]:
    """An event of the feed `events`.

    Args:
        at: a UTC date, which stands for 10:00, or a date and time.
    """
    return {
        "event_id": name,
        "name": "activity_exit",
        "occurred_at": at if len(at) > 10 else f"{at} 10:00:00",
        "user_id": user,
        "data": {"activity_id": "a1", "duration": 60.0, "completed": True, "collection_id": ""} | data,
        "context": {"os": {"name": "iOS", "version": "1"}, "app": {"version": "1"}},
    }


def cycle(home: Home, now: dt.datetime | None = None) -> RunSummary:
    """`lake run` in this process.

    Args:
        now: the time of its clock; the real time by default.
    """
    clock = {"now": lambda: now} if now else {}
    return run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None, **clock)


def expected(home: Home) -> dict[Row, Row]:
    """(date, country, status, type) → sums, from the raw lines."""
    return rebuilt.daily(Path(home.options.lake_home) / "landing")


def gold(home: Home) -> dict[Row, Row]:
    """The same from production in the warehouse."""
    return {row[:4]: row[4:] for row in home.rows(DAILY.format(schema=""))}


def seen(home: Home, number: int | None = None) -> dict[Row, Row]:
    """The same as readers get it, from the current release or the given one."""
    with Releases(home.options).connect(number) as reader:
        return {row[:4]: row[4:] for row in reader.execute(DAILY.format(schema="lake.")).fetchall()}


def plays(rows: dict[Row, Row]) -> dict[str, int]:
    """Plays by date."""
    found: dict[str, int] = {}
    for (day, *_), (count, *_) in rows.items():
        found[str(day)] = found.get(str(day), 0) + count
    return dict(sorted(found.items()))
