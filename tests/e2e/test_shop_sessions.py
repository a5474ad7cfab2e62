"""Sessions of random clicks that land in any order, with cycles between, are those of all clicks at once."""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.home import Home, use_project
from tests.shop_clicks import clicks_project, compute, must_be_right, must_pass_audits
from tests.shop_sessions import DAY, Record, click, moment, random_clicks

SHOPS = int(os.environ.get("SHOPS", "1"))
SPRING, AUTUMN = dt.date(2026, 3, 27), dt.date(2025, 10, 24)
"""Two days before the clocks change."""
DAYS = 6


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clicks_project(tmp_path_factory.mktemp("project") / "clicks")


@pytest.fixture(params=range(SHOPS))
def shop(
    request: pytest.FixtureRequest, home: Home, project: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Home, int]:
    use_project(project, monkeypatch)
    return home, request.param


def in_loads(lines: Sequence[Record], dice: random.Random) -> list[list[Record]]:
    """Three large loads in any order or by date, then small ones of clicks around midnights: each changes few dates."""
    waiting = list(lines)
    if dice.random() < 0.5:
        dice.shuffle(waiting)
    else:
        waiting.sort(key=lambda line: (moment(line["occurred_at"]).date(), dice.random()))
    near = [line for line in waiting if moment(line["occurred_at"]).hour in (0, 23) and "user_agent" in line]
    late = [dice.sample(near, dice.randrange(1, 4)) for _ in range(6)]
    waiting = [line for line in waiting if all(line is not other for load in late for other in load)]
    cuts = sorted(dice.sample(range(1, len(waiting)), 2))
    return [*(waiting[start:end] for start, end in zip([0, *cuts], [*cuts, len(waiting)], strict=True)), *late]


def test_sessions_are_those_of_all_clicks_after_each_cycle(
    shop: tuple[Home, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, number = shop
    dice = random.Random(f"loads {number}")
    first = (SPRING, AUTUMN)[number % 2]
    lines = random_clicks(number, first - DAY, DAYS + 1)  # one day before the history of the lake, too
    monkeypatch.setenv("LAKE_START", str(first))
    landing = in_loads(lines, dice)
    landed = []
    ends = sorted(dice.randrange(DAYS) for _ in landing[1:])  # some cycles on the same day, some after days without
    for place, (load, computed) in enumerate(zip(landing, [*ends, DAYS - 1], strict=True)):
        home.put("clickstream", f"{place:04}.json", *load)
        landed += load
        home.ingest("clickstream")
        last = first + computed * DAY
        now = dt.datetime.combine(last + DAY, dt.time(0, 5), dt.UTC)
        if place == 0:
            home.plan(execution_time=now)
        else:
            compute(home, now)
        found = must_be_right(home, landed, first, last)
    assert len(found) > 20
    must_pass_audits(home)


@pytest.fixture
def planned(home: Home, project: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Ten days of a visitor who comes at noon, and of two sessions around a midnight."""
    use_project(project, monkeypatch)
    monkeypatch.setenv("LAKE_START", "2026-03-01")
    noons = [click(f"c{day}", f"2026-03-{day:02}T12:00:00Z") for day in range(1, 11)]
    home.put("clickstream", "1.json", *noons, *NIGHT)
    home.ingest("clickstream")
    home.plan(execution_time="2026-03-11 00:05:00")
    return home


NIGHT = [
    click("before", "2026-03-05T23:40:00Z", visitor_id="v2", utm_medium="email"),
    click("after", "2026-03-06T00:15:00Z", "purchase", visitor_id="v2"),
]
SESSIONS = (
    "SELECT started_at::TEXT, clicks, purchases, channel FROM gold.fct_sessions "
    "WHERE visitor_key = MD5('v2') ORDER BY started_at"
)


@pytest.mark.parametrize(("at", "day"), [("2026-03-05T23:50:00Z", 5), ("2026-03-06T00:00:00Z", 6)])
def test_late_click_joins_two_sessions_over_midnight(planned: Home, at: str, day: int) -> None:
    assert planned.rows(SESSIONS) == [
        ("2026-03-05 23:40:00", 1, 0, "email"),
        ("2026-03-06 00:15:00", 1, 1, "direct"),
    ]
    planned.put("clickstream", "2.json", click("late", at, visitor_id="v2"))
    planned.ingest("clickstream")

    sessions, reports = (f"2026-03-0{day - 1} - 2026-03-0{day + after}" for after in (1, 2))
    assert previewed(planned) == {
        "silver.clickstream": f"2026-03-0{day} - 2026-03-0{day}",
        "silver.sessions": sessions,
        "gold.fct_sessions": sessions,
        "gold.rpt_funnel_daily": reports,
        "gold.rpt_conversion_daily": reports,
    }
    compute(planned, dt.datetime(2026, 3, 11, 10, tzinfo=dt.UTC))
    assert planned.rows(SESSIONS) == [("2026-03-05 23:40:00", 3, 1, "email")]
    rows = dict(planned.rows("SELECT business_date::TEXT, sessions FROM gold.rpt_conversion_daily"))
    assert [rows[f"2026-03-0{number}"] for number in (5, 6, 7)] == [1, 2, 1]
    must_pass_audits(planned)


def previewed(home: Home) -> dict[str, str]:
    """The dates that a plan as of the eleventh names, by model; a FULL model has none."""
    context = home.context()
    try:
        plan = context.plan("prod", no_prompts=True, skip_tests=True, execution_time="2026-03-11 10:00:00")
        return {
            item.snapshot_id.name.replace('"', "").split(".", 1)[1]: item.format_intervals()
            for item in plan.missing_intervals
        }
    finally:
        home.close(context)


def test_session_grows_when_the_next_date_arrives_and_not_before(planned: Home) -> None:
    """Also if the clicks after midnight come first, and the date of their own is computed without any further ones."""
    late = click("late", "2026-03-10T23:50:00Z", visitor_id="v3")
    planned.put("clickstream", "2.json", late)
    planned.ingest("clickstream")
    compute(planned, dt.datetime(2026, 3, 11, 1, tzinfo=dt.UTC))
    tonight = SESSIONS.replace("v2", "v3")
    assert planned.rows(tonight) == [("2026-03-10 23:50:00", 1, 0, "direct")]

    planned.put("clickstream", "3.json", click("on", "2026-03-11T00:10:00Z", "purchase", visitor_id="v3"))
    planned.ingest("clickstream")
    compute(planned, dt.datetime(2026, 3, 11, 2, tzinfo=dt.UTC))
    assert planned.rows(tonight) == [("2026-03-10 23:50:00", 2, 1, "direct")]

    compute(planned, dt.datetime(2026, 3, 12, 0, 5, tzinfo=dt.UTC))
    assert planned.rows(tonight) == [("2026-03-10 23:50:00", 2, 1, "direct")]
    assert planned.rows("SELECT COUNT(*) FROM silver.clickstream WHERE event_date = DATE '2026-03-11'") == [(1,)]
    must_pass_audits(planned)
