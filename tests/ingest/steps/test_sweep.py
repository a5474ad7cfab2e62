"""Listing only recent folders misses nothing for longer than the contract allows, whatever the order of arrival."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from ingest.contracts.contract import Contract, contracts
from ingest.errors import ConfigError
from ingest.ledger.ledger import Ledger
from ingest.records.report import FeedReport
from ingest.steps.load import ingest_feed
from ingest.steps.sweep import last_sweep, record_sweep
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from pipeline.cli.show_look import show_status
from tests.handle import feed_status
from tests.home import Home

NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


class Dated:
    """The feed of activities, under a contract that lists the folders of two days between sweeps a day apart."""

    def __init__(self, home: Home) -> None:
        self.home, self.now = home, NOON
        self.lake = Store(home.options.lake_uri, home.options)
        plain = contracts()["activities"]
        rules = {"date_prefix": "{date:%Y/%m/%d}/", "recent_days": 2, "full_sweep_hours": 24}
        self.contract: Contract = plain.model_copy(update={"source": plain.source.model_copy(update=rules)})

    def put(self, key: str, activity: str | None = None) -> None:
        self.home.put("activities", key, {"activity_id": activity or key})

    def ingest(self, **options: Any) -> FeedReport:
        landing = self.home.landing("activities")
        return ingest_feed(self.contract, landing, self.lake, dt.date(2021, 1, 1), now=lambda: self.now, **options)

    def loaded(self) -> set[str]:
        return {name.split("/", 1)[1] for name in Ledger(self.lake, "activities").state().objects}

    def swept_at(self) -> dt.datetime | None:
        found = last_sweep(self.lake, "activities")
        return found.started_at if found else None


@pytest.fixture(params=["home", pytest.param("conditional_home", marks=pytest.mark.s3)])
def dated(request: pytest.FixtureRequest) -> Dated:
    """On disk, and again on versitygw; swept at noon."""
    feed = Dated(request.getfixturevalue(request.param))
    feed.put("2026/03/10/m.json")
    feed.put("2026/01/05/old.json")
    assert (feed.ingest().scope, feed.swept_at()) == ("full", NOON)
    return feed


def test_between_sweeps_only_recent_folders_are_listed(dated: Dated, monkeypatch: pytest.MonkeyPatch) -> None:
    dated.put("2026/03/10/a.json")  # sorts before the loaded keys
    dated.put("2026/03/09/z.json")
    dated.now += HOUR
    listed = []
    original = Landing.listing
    monkeypatch.setattr(Landing, "listing", lambda self, prefix="": listed.append(prefix) or original(self, prefix))

    report = dated.ingest()

    assert (report.scope, report.objects) == ("recent", 2)
    assert sorted(listed) == ["2026/03/09", "2026/03/10"]
    assert dated.swept_at() == NOON


def test_nothing_is_missed_for_longer_than_the_hours_of_the_contract(dated: Dated) -> None:
    late = {"2026/01/01/lower.json", "2026/01/05/late.json", "loose.json", "0000/lowest.json", "2027/01/01/ahead.json"}
    for key in late:
        dated.put(key)
    dated.put("2026/01/05/old.json", "overwritten")

    for _ in range(23):
        dated.now += HOUR
        assert (dated.ingest().scope, dated.loaded() & late) == ("recent", set())
    dated.now += HOUR
    report = dated.ingest()

    assert (report.scope, report.objects, report.replaced) == ("full", 6, 1)
    assert late < dated.loaded()
    assert dated.swept_at() == NOON + 24 * HOUR


def test_the_recent_days_are_those_of_utc_and_advance(dated: Dated) -> None:
    dated.now = dt.datetime(2026, 3, 11, 1, tzinfo=dt.timezone(2 * HOUR)).astimezone(dt.UTC)  # still the 10th
    for day in ("08", "09", "10", "11"):
        dated.put(f"2026/03/{day}/x.json")
    assert dated.ingest().objects == 2
    dated.now += 2 * HOUR
    assert dated.ingest().objects == 1
    assert "2026/03/08/x.json" not in dated.loaded()


def test_sweep_on_demand(dated: Dated) -> None:
    dated.put("2025/01/01/x.json")
    dated.now += HOUR
    assert dated.ingest().objects == 0
    assert (dated.ingest(full=True).objects, dated.swept_at()) == (1, NOON + HOUR)


def test_time_of_a_sweep_is_that_of_its_listing(dated: Dated) -> None:
    dated.now += 24 * HOUR
    dated.put("2025/01/01/x.json")

    def progress(objects: int, size: int) -> None:
        dated.now += HOUR

    started = dated.now
    dated.ingest(progress=progress)
    assert dated.now > started
    assert dated.swept_at() == started


def test_sweep_that_crashed_or_left_objects_does_not_count(dated: Dated, monkeypatch: pytest.MonkeyPatch) -> None:
    dated.now += 24 * HOUR
    dated.put("2025/01/01/x.json")
    with monkeypatch.context() as crash:
        crash.setattr(Ledger, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            dated.ingest()
    assert dated.swept_at() == NOON

    def overwrite(objects: int, size: int) -> None:
        if objects < 0:
            dated.put("2025/01/01/x.json", "newer")

    report = dated.ingest(progress=overwrite)
    assert (report.objects, report.changed_meanwhile, dated.swept_at()) == (0, 1, NOON)
    assert (dated.ingest().objects, dated.swept_at()) == (1, NOON + 24 * HOUR)


def test_refused_overwrite_keeps_failing(dated: Dated) -> None:
    dated.contract = dated.contract.model_copy(update={"overwritten": "refuse"})
    dated.put("2026/01/05/old.json", "new")
    dated.now += 24 * HOUR
    for _ in range(2):
        assert dated.ingest().refused == 1
        dated.now += HOUR


LOCAL_TIME = b'{"started_at": "2026-03-10T12:00:00", "source": "", "position": 1}'


@pytest.mark.parametrize("content", [None, b"", b"no json", b"[]", b'{"started_at": 5}', LOCAL_TIME])
def test_lost_or_damaged_note_of_the_sweep_means_a_full_sweep(dated: Dated, content: bytes | None) -> None:
    if content is None:
        dated.lake.delete(["ledger/activities/_sweep"])
    else:
        dated.lake.put("ledger/activities/_sweep", content)
    dated.put("2025/01/01/x.json")
    assert (dated.ingest().scope, dated.loaded() >= {"2025/01/01/x.json"}) == ("full", True)


def test_note_of_another_place_of_a_longer_ledger_or_of_the_future_is_ignored(dated: Dated) -> None:
    landing, position = dated.home.landing("activities"), Ledger(dated.lake, "activities").position()
    moved = dated.contract.model_copy(
        update={"source": dated.contract.source.model_copy(update={"prefix": "elsewhere/"})}
    )
    for contract, at, number in (
        (moved, NOON, position),
        (dated.contract, NOON + HOUR, position),
        (dated.contract, NOON, position + 1),
    ):
        record_sweep(dated.lake, contract, landing, at, number)
        assert dated.ingest().scope == "full"
    assert dated.ingest().scope == "recent"


def test_status_shows_the_time_of_the_last_sweep(dated: Dated) -> None:
    status = feed_status(contracts()["activities"], dated.home.options)
    assert status.last_sweep_at == NOON
    assert "5 h ago" in show_status([status], NOON + 5 * HOUR)
    assert feed_status(contracts()["users"], dated.home.options).last_sweep_at is None


def test_error_on_one_folder_is_an_error(dated: Dated, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Landing, prefix: str = "") -> None:
        raise ConfigError(prefix)

    monkeypatch.setattr(Landing, "listing", refuse)
    with pytest.raises(ConfigError):
        dated.ingest()
