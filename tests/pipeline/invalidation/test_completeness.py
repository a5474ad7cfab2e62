"""A day waits until its feed is complete by the contract or its deadline passes; everything else proceeds."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from ingest.contracts.source import Completeness
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.invalidation import completeness
from pipeline.lake import Lake
from pipeline.releases.release import Releases
from tests.handle import judge
from tests.home import Home

pytestmark = pytest.mark.usefixtures("engagement")

GOLD = "gold.activity_engagement_metrics"
DAY = dt.date(2026, 2, 3)


def at(hours: float) -> dt.datetime:
    """The given number of hours after the end of DAY."""
    return dt.datetime(2026, 2, 4, tzinfo=dt.UTC) + dt.timedelta(hours=hours)


def event(name: str, day: str) -> dict[str, Any]:
    return {
        "event_id": name,
        "name": "activity_exit",
        "occurred_at": f"{day} 10:00:00",
        "user_id": "u1",
        "data": {"activity_id": "a1", "duration": 60, "completed": True, "collection_id": ""},
        "context": {"os": {"name": "iOS", "version": "1"}, "app": {"version": "1"}},
    }


class Clocked:
    """A home whose clock and object times the test sets."""

    def __init__(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self._monkeypatch = home, monkeypatch

    def put(self, hours: float, key: str, *records: dict[str, Any]) -> None:
        self.home.put("events", key, *records)
        path = Path(self.home.options.landing(contracts()["events"].source.bucket), key)
        os.utime(path, (at(hours).timestamp(),) * 2)

    def set_clock(self, hours: float) -> None:
        self._monkeypatch.setattr(completeness, "utc_now", lambda: at(hours))

    def set_rule(self, **rule: Any) -> None:
        """Replace the contract's completeness rule."""
        agreed = contracts()["events"].model_copy(update={"completeness": Completeness(**rule)})
        self._monkeypatch.setitem(contracts(), "events", agreed)

    def cycle(self, hours: float) -> RunSummary:
        self.set_clock(hours)
        return run_cycle(Lake(self.home.options), (), lambda _: lambda objects, size: None, now=lambda: at(hours))

    def plays(self) -> dict[str, int]:
        with Releases(self.home.options).connect() as reader:
            return dict(
                reader.execute(f"SELECT date::TEXT, SUM(activities_played)::INT FROM {GOLD} GROUP BY 1").fetchall()
            )

    def judge(self, hours: float, *days: dt.date) -> completeness.Verdict:
        self.set_clock(hours)
        return judge(contracts()["events"], days or (DAY,), self.home.options)


@pytest.fixture
def clocked(home: Home, monkeypatch: pytest.MonkeyPatch) -> Clocked:
    """Two days, the second without a sign that it is complete; planned half an hour after it."""
    found = Clocked(home, monkeypatch)
    home.put("users", "u.json", {"user_id": "u1", "country_code": "fr"})
    home.put("activities", "a.json", {"activity_id": "a1", "name": "Song", "type": "audiobook"})
    found.put(-1, "1.json", event("e1", "2026-02-02"), event("e2", "2026-02-03"))
    home.ingest()
    found.set_clock(0.5)
    home.plan(execution_time=at(0.5))
    return found


def test_a_day_waits_for_an_object_from_after_its_end(clocked: Clocked) -> None:
    waiting = clocked.cycle(0.5)
    assert (waiting.outcome, waiting.exit_code, clocked.plays()) == ("published", 0, {"2026-02-02": 1})
    assert waiting.held["silver.activity_events"] == waiting.held[GOLD] == [DAY]

    clocked.put(0.6, "2.json", event("e3", "2026-02-03"))
    complete = clocked.cycle(0.7)
    assert (complete.outcome, complete.held, complete.warnings) == ("published", {}, [])
    assert clocked.plays() == {"2026-02-02": 1, "2026-02-03": 2}


def test_late_data_of_other_days_is_published_while_a_day_waits(clocked: Clocked) -> None:
    clocked.cycle(0.5)
    clocked.put(-0.5, "late.json", event("late", "2026-02-02"))
    clocked.home.put("users", "u2.json", {"user_id": "u2", "country_code": "de"})

    summary = clocked.cycle(0.6)

    assert (summary.outcome, clocked.plays()) == ("published", {"2026-02-02": 2})
    assert clocked.home.rows("SELECT COUNT(*) FROM silver.users") == [(2,)], "a FULL model goes on"
    assert summary.held[GOLD] == [DAY]


def test_after_its_deadline_a_day_is_computed_with_a_warning(clocked: Clocked) -> None:
    clocked.cycle(0.5)
    passed = clocked.cycle(6.1)
    assert (passed.outcome, passed.held) == ("published", {})
    assert clocked.plays() == {"2026-02-02": 1, "2026-02-03": 1}
    assert any("events: 2026-02-03 passed the deadline of 21,600 s" in warning for warning in passed.warnings)

    clocked.put(7, "late.json", event("late", "2026-02-03"))
    assert clocked.cycle(8).outcome == "published"
    assert clocked.plays()["2026-02-03"] == 2, "late data recomputes the day"


def test_a_day_waits_for_its_end_marker(clocked: Clocked) -> None:
    clocked.set_rule(marker="{date:%Y/%m/%d}/_SUCCESS", deadline_seconds=86400)
    clocked.put(0.2, "2.json", event("e3", "2026-02-03"))
    assert clocked.cycle(0.5).held[GOLD] == [DAY]
    assert clocked.plays() == {"2026-02-02": 1}

    clocked.home.landing("events").put("2026/02/03/_SUCCESS", b"")
    assert clocked.cycle(0.7).held == {}
    assert clocked.plays() == {"2026-02-02": 1, "2026-02-03": 2}


def test_verdicts(clocked: Clocked) -> None:
    assert clocked.judge(0.5).withheld == {DAY}
    assert clocked.judge(5.9).withheld == {DAY}
    assert clocked.judge(6.0).forced == {DAY}
    assert clocked.judge(24 * 8).forced == frozenset(), "reported long ago"
    assert clocked.judge(0.5, dt.date(2026, 2, 1)).withheld == frozenset()
    clocked.put(1.0, "2.json", event("e3", "2026-02-03"))
    clocked.home.ingest()
    assert clocked.judge(1.1) == completeness.Verdict()
    clocked.set_rule(after_seconds=7200, deadline_seconds=21600)
    assert clocked.judge(1.1).withheld == {DAY}, "an hour after the end is not two"


def test_the_newest_object_is_read_from_checkpoints_too(clocked: Clocked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.ledger.ledger.CHECKPOINT_ENTRIES", 2)
    clocked.put(1.0, "2.json", event("e3", "2026-02-03"))
    clocked.home.ingest()
    clocked.put(-2.0, "3.json", event("e4", "2026-02-01"))
    clocked.home.ingest()
    assert list(Path(clocked.home.options.lake_uri).glob("ledger/events/_checkpoints/*.checkpoint.parquet"))
    assert clocked.judge(1.1) == completeness.Verdict()
