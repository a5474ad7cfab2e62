"""The calendar and the clock: each date is due when it is over in UTC, wherever and whenever it is computed.

Each test states the rule that it guards and fails without it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import PROJECT, settings
from pipeline.releases.release import Releases
from tests.engagement import GOLD, cycle, expected, play, plays, seen
from tests.home import Home

ROLLUPS = {"weekly": "week_date", "monthly": "month_date", "yearly": "year_date"}


def at(text: str) -> dt.datetime:
    """A moment in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def land(home: Home, key: str, written: str, *records: dict[str, Any]) -> None:
    """Write an object of events with the given modification time, UTC."""
    home.put("events", key, *records)
    root = home.landing("events").root
    assert root is not None
    os.utime(root / key, (at(written).timestamp(),) * 2)


def first_day(day: dt.date, period: str) -> dt.date:
    """The first day of the week (Monday), month or year of a date."""
    if period == "weekly":
        return day - dt.timedelta(days=day.weekday())
    return day.replace(day=1) if period == "monthly" else day.replace(month=1, day=1)


def rollups(home: Home) -> dict[str, dict[dt.date, int]]:
    """Plays by week, month and year, as readers get them."""
    query = f"SELECT {{}}, SUM(activities_played)::INT FROM lake.{GOLD}_{{}} GROUP BY 1"
    with Releases(home.options).connect() as reader:
        return {name: dict(reader.execute(query.format(column, name)).fetchall()) for name, column in ROLLUPS.items()}


@pytest.mark.parametrize(
    "days",
    [
        pytest.param("2024-02-27 2024-02-28 2024-02-29 2024-03-01", id="leap_year", marks=pytest.mark.slow),
        pytest.param("2025-02-26 2025-02-27 2025-02-28 2025-03-01", id="common_year", marks=pytest.mark.slow),
        pytest.param("2024-12-30 2024-12-31 2025-01-01 2025-01-02", id="new_year"),
    ],
)
@pytest.mark.usefixtures("engagement")
def test_each_date_is_computed_once_it_is_over(home: Home, monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    """Rule: schedules, partitions, months and weeks follow the UTC calendar; today is not yet due."""
    first, second, third, fourth = days.split()
    monkeypatch.setenv("LAKE_START", first)
    settings.cache_clear()
    home = Home()
    home.put("users", "u.json", {"user_id": "u1", "country_code": "fr"})
    home.put("activities", "a.json", {"activity_id": "a1", "name": "A", "type": "game"})
    records = [play(f"{day}-{clock}", f"{day} {clock}") for day in days.split() for clock in ("00:00:00", "23:59:59")]
    land(home, "all.json", f"{fourth} 00:00:00", *records)
    home.ingest()
    home.plan(execution_time=f"{second} 12:00:00")

    computed: dict[str, list[str]] = {}
    for now in (f"{second} 23:59:59", f"{third} 00:00:01", f"{fourth} 00:00:01"):
        done = cycle(home, at(now))
        assert done.errors == []
        computed[now] = sorted(map(str, done.computed[GOLD].dates)) if GOLD in done.computed else []
        over = [day for day in days.split() if day < now[:10]]
        assert plays(seen(home)) == dict.fromkeys(over, 2)

    assert list(computed.values()) == [[], [second], [third]]
    for period, rows in rollups(home).items():
        counts = Counter(first_day(dt.date.fromisoformat(day), period) for day in (first, second, third))
        assert rows == {day: 2 * count for day, count in counts.items()}


def test_records_from_the_future_wait_for_their_date(running: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule: a date is never computed before it is over, whatever bronze has of it, and then with all of it."""
    today = dt.datetime.now(dt.UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    tomorrow, later = today + dt.timedelta(days=1), today + dt.timedelta(days=3)
    running.put("events", "now.json", play("now", f"{today:%Y-%m-%d} 00:00:00"), play("late", "2026-01-02"))
    ahead = dt.datetime.now(dt.UTC) + dt.timedelta(hours=23)
    running.put("events", "ahead.json", play("ahead", f"{ahead:%Y-%m-%d %H:%M:%S}"))

    done = cycle(running, today)

    assert (done.outcome, done.computed[GOLD].dates) == ("published", {dt.date(2026, 1, 2)})
    assert plays(seen(running)) == {"2026-01-01": 1, "2026-01-02": 2, "2026-01-03": 1}
    assert cycle(running, today).outcome == "unchanged"

    # WHEN the days and the deadlines for late records have passed
    monkeypatch.setattr("pipeline.invalidation.completeness.utc_now", lambda: later)
    assert cycle(running, tomorrow).computed[GOLD].dates == {today.date()}
    assert cycle(running, later).outcome == "published"
    assert seen(running) == expected(running)


ZONED = """
import datetime as dt, json, sys
from pathlib import Path
import pipeline.warehouse.project, tests.home
from sqlmesh.core.console import NoopConsole, set_console
from ingest.contracts.contract import contracts
from tests.engagement import GOLD, cycle
from tests.home import Home

pipeline.warehouse.project.PROJECT = tests.home.PROJECT = Path(sys.argv[2])
set_console(NoopConsole())
home = Home()
done = cycle(home, dt.datetime.fromisoformat(sys.argv[1]))
assert done.outcome == "published", done.errors
tables = (GOLD, "gold.activity_popularity_daily", GOLD + "_weekly", "silver.activity_events", "silver.users")
found = {table: home.rows(f"SELECT * FROM {table} ORDER BY ALL") for table in tables}
found["computed"] = sorted(map(str, done.computed[GOLD].dates))
found["modified"] = home.rows("SELECT _source_modified_at FROM silver.activity_events WHERE event_id = 'a'")
print(json.dumps(found, default=str))
"""


def test_time_zone_of_the_machine_has_no_effect(
    planned: Home, engagement_project: Path, clean_settings: Path, tmp_path: Path
) -> None:
    """Rule: every clock, session and cast is in UTC, whatever TZ says."""
    now = "2026-11-19T03:30:00+00:00"  # the day before in Los Angeles, the same afternoon on Kiritimati
    runs = {}
    for number, zone in enumerate(("UTC", "America/Los_Angeles", "Pacific/Kiritimati")):
        folder = tmp_path / str(number)
        shutil.copytree(planned.options_home, folder)
        environment = os.environ | {"LAKE_HOME": str(folder), "TZ": zone}
        midnight = [
            play("a", "2026-01-01 23:59:59"),
            play("b", "2026-01-02 00:00:00"),
            play("c", "2026-01-02T23:30:00-08:00"),
            play("d", "2026-01-03T05:00:00+14:00"),
        ]
        new = folder / "landing/raw-events/midnight.json"
        new.write_text("".join(json.dumps(record) + "\n" for record in midnight))
        os.utime(new, (at("2026-01-04 01:00:00").timestamp(),) * 2)
        command = [sys.executable, "-c", ZONED, now, str(engagement_project)]
        runs[zone] = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True)
    found = {zone: json.loads(process.communicate()[0]) for zone, process in runs.items()}

    assert found["America/Los_Angeles"] == found["UTC"]
    assert found["Pacific/Kiritimati"] == found["UTC"]
    assert found["UTC"]["computed"] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert found["UTC"]["modified"] == [["2026-01-04 01:00:00"]]
