"""Retention: what a feed may not keep any longer goes, and nothing that was published of it changes."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ingest.contracts.contract import contracts
from ingest.ledger.holds import hold
from ingest.ledger.horizons import read_horizon
from ingest.settings import settings
from pipeline.cli import main
from pipeline.cycle.rebuild import rebuild
from pipeline.lake import Lake
from pipeline.warehouse.bronze import bronze_query
from tests.engagement import cycle, gold, play, plays, seen
from tests.handle import verify_feed
from tests.home import Home, copy_home, template

DAYS = 40
TODAY = dt.datetime.now(dt.UTC).date()
OLD, MIDDLE, NEW = (str(TODAY - dt.timedelta(days=days)) for days in (DAYS + 20, DAYS + 1, 5))
KEY = "a secret of many characters"


@pytest.fixture(scope="module")
def published(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A lake with a release, events of three dates among which two are too old."""
    with template(tmp_path_factory.mktemp("published"), engagement_project) as home:
        for day in (OLD, MIDDLE, NEW):
            records = [play(f"{user}-{day}", day, user) for user in ("u1", "u2", "u3")]
            home.put("events", f"{day}.json", *records, {"event_id": "bad", "user_id": "u1", "occurred_at": "soon"})
        home.put("users", "u.json", *({"user_id": user, "country_code": "fr"} for user in ("u1", "u2", "u3")))
        home.put("activities", "a.json", {"activity_id": "a1", "type": "game", "duration": 60})
        home.ingest()
        home.plan()
        assert cycle(home).outcome == "published"
        yield home


@pytest.fixture
def old(published: Home, engagement: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of it, and a retention of events."""
    limit(monkeypatch, "events")
    monkeypatch.setenv("LAKE_ERASURE_KEY", KEY)
    settings.cache_clear()
    return copy_home(published, Home())


def limit(patch: pytest.MonkeyPatch, feed: str) -> None:
    """Give a feed a retention."""
    contract = contracts()[feed]
    assert contract.personal
    personal = contract.personal.model_copy(update={"retention_days": DAYS})
    patch.setitem(contracts(), feed, contract.model_copy(update={"personal": personal}))


def lake(*arguments: str) -> Result:
    settings.cache_clear()
    return CliRunner().invoke(main, arguments)


def identifiers(feed: str, column: str) -> set[str]:
    """What bronze has."""
    handle = Lake(settings())
    query = bronze_query(contracts()[feed], handle.options.lake_uri, handle.ledger(feed).live_files())
    with handle.connect() as reader:
        return {value for (value,) in reader.execute(f"SELECT DISTINCT {column} FROM ({query})").fetchall()}


def events(home: Home) -> list[tuple[Any, ...]]:
    return home.rows("SELECT event_id FROM silver.activity_events ORDER BY 1")


def test_what_is_too_old_goes_and_published_numbers_stay(old: Home) -> None:
    before = gold(old)
    assert plays(before) == {OLD: 3, MIDDLE: 3, NEW: 3}
    done = lake("maintain")
    assert done.exit_code == 0, done.output
    assert f"events: 6 rows and 0 rejected records of before {TODAY - dt.timedelta(days=DAYS)} expired" in done.output
    verdict = verify_feed(contracts()["events"], settings(), deep=True)
    assert (verdict.differences, verdict.rows, verdict.quarantined, verdict.erased) == ([], 3, 3, 6)
    summary = cycle(old)
    assert (summary.errors, summary.outcome) == ([], "published")
    assert gold(old) == before
    assert seen(old) == before
    assert len(events(old)) == 3
    assert lake("maintain").exit_code == 0
    assert cycle(old).outcome == "unchanged"
    done = lake("audit", "--all")
    assert done.exit_code == 0, done.output


def test_a_late_event_of_an_expired_date_is_counted_and_marks_nothing(old: Home) -> None:
    before = gold(old)
    assert lake("maintain").exit_code == 0
    cycle(old)
    old.put("events", "late.json", play("late-1", OLD, "u2"), play("late-2", NEW, "u2"))
    summary = cycle(old)
    assert summary.errors == []
    assert plays(gold(old)) == {OLD: 3, MIDDLE: 3, NEW: 4}
    assert {key: value for key, value in gold(old).items() if str(key[0]) < NEW} == {
        key: value for key, value in before.items() if str(key[0]) < NEW
    }
    assert verify_feed(contracts()["events"], settings(), deep=True).erased == 7


def test_a_rebuild_takes_expired_dates_from_the_release_and_says_so(old: Home) -> None:
    before = gold(old)
    assert lake("maintain").exit_code == 0
    cycle(old)
    summary = rebuild(Lake(settings()))
    assert summary.errors == []
    assert any("have the rows of the newest release" in warning for warning in summary.warnings)
    assert gold(old) == before
    assert seen(old) == before


def test_a_new_version_of_a_model_keeps_the_rows_of_expired_dates(old: Home, branch: Path) -> None:
    before = gold(old)
    assert lake("maintain").exit_code == 0
    cycle(old)
    model = branch / "models" / "gold" / "engagement" / "activity_engagement_metrics.sql"
    text = model.read_text()
    model.write_text(text.replace("> @play_cap_seconds\n", ">= @play_cap_seconds\n", 1))
    assert model.read_text() != text
    old.plan()
    assert plays(gold(old)) == {NEW: 3}
    summary = cycle(old)
    assert summary.errors == []
    assert any("activity_engagement_metrics" in warning for warning in summary.warnings)
    assert gold(old) == before
    assert seen(old) == before


def test_records_wait_until_a_release_has_them(old: Home) -> None:
    old.put("events", "late.json", play("late-1", OLD, "u2"))
    old.ingest()
    done = lake("maintain")
    assert "retention waits until 1 loaded dates" in done.output
    assert read_horizon(Lake(settings()).store, "events") is None
    assert plays(gold(old))[OLD] == 3
    cycle(old)
    assert "events: 7 rows" in lake("maintain").output
    cycle(old)
    assert plays(gold(old)) == {OLD: 4, MIDDLE: 3, NEW: 3}


def test_a_legal_hold_keeps_the_records_of_its_person(old: Home) -> None:
    store = Lake(settings()).store
    hold(store, KEY, "case-1", "a dispute", {"user_id": ["u2"]}, dt.datetime.now(dt.UTC))
    done = lake("maintain")
    assert "events: 4 rows and 0 rejected" in done.output
    assert "a legal hold keeps 2" in done.output
    assert lake("maintain").exit_code == 0


def test_persons_who_were_long_inactive_leave_their_feeds(old: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their records are old, but so are those of persons whose events, or a related identifier, say otherwise."""
    limit(monkeypatch, "users")
    limit(monkeypatch, "accounts")
    long_ago = f"{OLD}T00:00:00Z"
    stamped = {"created_at": long_ago, "updated_at": long_ago}
    old.put("users", "old.json", {"user_id": "u4", "country_code": "be", **stamped}, {"user_id": "u3", **stamped})
    written = dt.datetime.fromisoformat(long_ago).timestamp()
    os.utime(Path(old.options.lake_home, "landing", "raw-users", "old.json"), (written, written))
    account = {"name": "A", "email": "a@b.example", **stamped}
    pairs = [("a1", "u3"), ("a4", "u4"), ("a5", None), ("a6", "u1")]
    old.put("accounts", "old.json", *({"account_id": one, "user_id": user, **account} for one, user in pairs))
    cycle(old)
    store = Lake(settings()).store
    hold(store, KEY, "case-1", "a dispute", {"account_id": ["a5"]}, dt.datetime.now(dt.UTC))
    before = gold(old)
    done = lake("maintain")
    assert done.exit_code == 0, done.output
    assert "accounts: 1 rows" in done.output
    assert (identifiers("users", "user_id"), identifiers("accounts", "account_id")) == (
        {"u1", "u2", "u3"},
        {"a1", "a5", "a6"},
    )
    for feed in ("users", "accounts"):
        assert verify_feed(contracts()[feed], settings(), deep=True).differences == []
    summary = cycle(old)
    assert summary.errors == []
    assert [row for (row,) in old.rows("SELECT DISTINCT user_id FROM silver.users ORDER BY 1")] == ["u1", "u2", "u3"]
    assert gold(old) == before
    done = lake("audit", "--all")
    assert done.exit_code == 0, done.output


def test_a_hold_that_cannot_be_read_keeps_everything(old: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(Lake(settings()).store, KEY, "case-1", "a dispute", {"user_id": ["u2"]}, dt.datetime.now(dt.UTC))
    monkeypatch.setenv("LAKE_ERASURE_KEY", "another secret of many characters")
    done = lake("maintain")
    assert done.exit_code == 2
    assert "legal hold case-1 was written with another LAKE_ERASURE_KEY" in done.output
    assert len(identifiers("events", "event_id")) == 9
