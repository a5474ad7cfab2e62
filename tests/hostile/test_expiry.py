"""Expiry of a feed: what is before the horizon goes and stays away, and every record stays accounted for."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from ingest.contracts.contract import contracts
from ingest.errors import ConfigError
from ingest.ledger.entry import Entry
from ingest.ledger.horizons import move_horizon, read_horizon, read_horizons
from ingest.ledger.ledger import Ledger
from ingest.ledger.touched import touched
from ingest.settings import settings
from ingest.steps.replay import replay
from ingest.upkeep.compact import compact
from ingest.upkeep.expire import Expirer, Expiry
from pipeline.cycle.recover import rebuild_ledgers
from pipeline.lake import Lake
from tests.engagement import play
from tests.handle import ingest_all
from tests.home import Home
from tests.hostile.test_erasure import accounted, rows, store

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
HORIZON = dt.date(2026, 3, 15)
OLD = ("2026-01-10", "2026-02-20", "2026-03-14")
KEPT = ("2026-03-15", "2026-04-01")
BAD = {"event_id": "bad", "user_id": "u1", "occurred_at": "soon"}


def expire(horizon: dt.date = HORIZON) -> Expiry:
    lake = Lake(settings())
    return Expirer(contracts()["events"], lake.store, lake.ledger("events"), horizon).run(NOW)


def dates(home: Home) -> list[str]:
    return [str(day) for (day,) in rows(home, "events", "event_date")]


@pytest.fixture
def loaded(home: Home) -> Home:
    for number in range(2):
        home.put("events", f"{number}.json", *(play(f"{number}-{day}", day) for day in (*OLD, *KEPT)), BAD)
    home.ingest("events")
    return home


def test_each_month_is_a_commit_and_every_record_stays_counted(loaded: Home) -> None:
    ledger = Lake(settings()).ledger("events")
    before = ledger.position()
    assert expire() == Expiry(HORIZON, rows=6, rejected=0)
    assert dates(loaded) == sorted([*KEPT] * 2)
    assert accounted(loaded, "events") == (4, 2, 6)
    entries = list(ledger.entries(before, ledger.position()))
    assert [entry.expires for _, entry in entries] == [HORIZON] * 3
    months = [{path.split("event_date=")[1][:7] for path in entry.removed} for _, entry in entries]
    assert months == [{"2026-01"}, {"2026-02"}, {"2026-03"}]
    delta = touched(ledger.state(before), entries)
    assert (delta.changed, delta.dates) == (True, frozenset())
    assert expire() == Expiry(HORIZON)
    assert ledger.position() == entries[-1][0]


def test_rejected_records_expire_by_the_day_of_their_load(loaded: Home) -> None:
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    assert expire(tomorrow).rejected == 2
    assert accounted(loaded, "events") == (0, 0, 12)


@pytest.mark.parametrize("how", ["late", "overwritten", "rebuilt", "replayed"])
def test_what_expired_does_not_return(how: str, loaded: Home) -> None:
    lacking = {"event_id": "e9", "user_id": "u1", "occurred_at": f"{OLD[0]} 10:00:00", "data": {}}  # its name
    loaded.put("events", "lacking.json", json.dumps(lacking).encode())
    loaded.ingest("events")
    expire()
    lake = Lake(settings())
    if how == "late":
        loaded.put("events", "late.json", play("late", OLD[1]), play("new", KEPT[1]))
        assert ingest_all("events").feeds[0].erased == 1
    elif how == "overwritten":
        loaded.put("events", "0.json", play("other", OLD[1]), play("new", KEPT[1]))
        loaded.ingest("events")
    elif how == "rebuilt":
        rebuild_ledgers(lake, ("events",), force=True)
        loaded.ingest("events")
    else:
        contract = contracts()["events"]
        columns = tuple(
            column.model_copy(update={"required": column.required and column.name != "name"})
            for column in contract.columns
        )
        loose = contract.model_copy(update={"columns": columns, "version": contract.version + 1})
        assert replay(loose, lake.store, lake.ledger("events"), NOW).replayed == 1
        assert lake.ledger("events").state().objects["raw-events/lacking.json"].erased == 1
    assert set(dates(loaded)) == set(KEPT)
    if how != "replayed":  # by a later contract
        accounted(loaded, "events")


def test_a_load_that_did_not_see_the_horizon_is_planned_again(loaded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded.put("events", "late.json", play("late", OLD[1]), play("new", KEPT[1]))
    commit, expiring = Ledger.commit, iter([True])

    def slow(self: Ledger, entry: Entry, seen: int) -> int:
        if entry.objects and not entry.expires and next(expiring, False):
            expire()
        return commit(self, entry, seen)

    monkeypatch.setattr(Ledger, "commit", slow)
    loaded.ingest("events")
    assert set(dates(loaded)) == set(KEPT)
    assert accounted(loaded, "events") == (5, 2, 7)


def test_an_expiry_looks_at_what_a_load_added_meanwhile(loaded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded.put("events", "late.json", play("late", "2026-03-01"))
    commit, loading = Ledger.commit, iter([True])
    monkeypatch.setattr("ingest.steps.loading.read_horizon", lambda *_: None)  # it had been read before it moved

    def slow(self: Ledger, entry: Entry, seen: int) -> int:
        if entry.expires and next(loading, False):
            loaded.ingest("events")
        return commit(self, entry, seen)

    monkeypatch.setattr(Ledger, "commit", slow)
    assert expire().rows == 7
    assert set(dates(loaded)) == set(KEPT)


def test_an_interrupted_expiry_goes_on(loaded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, count = Ledger.commit, iter(range(9))

    def killed(self: Ledger, entry: Entry, seen: int) -> int:
        if entry.expires and next(count) == 1:
            raise KeyboardInterrupt
        return commit(self, entry, seen)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            expire()
    loaded.put("events", "late.json", play("late", OLD[2]))
    loaded.ingest("events")
    assert expire().rows == 4
    assert set(dates(loaded)) == set(KEPT)
    assert accounted(loaded, "events") == (4, 2, 7)


def test_compaction_and_expiry_give_the_same_whichever_comes_first(loaded: Home) -> None:
    for number in range(4):
        loaded.put("events", f"more-{number}.json", play(f"more-{number}", OLD[2]), play(f"new-{number}", KEPT[0]))
        loaded.ingest("events")
    lake = Lake(settings())
    assert compact(lake.store, lake.ledger("events"), NOW).before > 0
    expire()
    assert compact(lake.store, lake.ledger("events"), NOW).before == 0
    assert accounted(loaded, "events") == (8, 2, 10)


def test_a_horizon_only_moves_forward_and_a_damaged_one_is_named(home: Home) -> None:
    lake = store(home)
    assert move_horizon(lake, "events", HORIZON) == HORIZON
    assert move_horizon(lake, "events", dt.date(2026, 1, 1)) == HORIZON
    assert read_horizons(lake) == {"events": HORIZON}
    assert read_horizon(lake, "users") is None
    lake.put("horizons/events.json", b"{}")
    with pytest.raises(ConfigError, match=r"horizons/events.json is damaged .*restore it from its back-up"):
        read_horizons(lake)
