"""Replay: once contract or parser accept a rejected record, it becomes a row exactly once, at its original position."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from ingest.contracts.contract import Contract, contracts
from ingest.errors import ConflictError, RetriableError
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import Group, Selection, bad_records, groups
from ingest.ledger.touched import Touched, touched
from ingest.steps.discard import discard
from ingest.steps.replay import Replay, replay

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


def lenient() -> Contract:
    """The fixed contract of events: the account may be missing."""
    contract = contracts()["events"]
    columns = [
        column.model_copy(update={"required": False}) if column.name == "user_id" else column
        for column in contract.columns
    ]
    return contract.model_copy(update={"columns": tuple(columns), "version": 2})


@pytest.fixture
def rejected(lake: Any, event: Callable[..., dict[str, Any]]) -> Any:
    """Two objects with a good line each, three lines without an account, and two that stay bad."""
    lake.put("events", "a.json", event("a1"), event("a2", user_id=None), b"{", event("a4", user_id=None))
    lake.put("events", "b.json", event("b1", "2026-01-05 10:00:00", user_id=None), event("b2"), b"[]")
    lake.ingest()
    return lake


def lines(lake: Any) -> list[tuple[str, str, int]]:
    return [(row["event_id"], row["_source_file"][-6:], row["_source_line"]) for row in lake.bronze()]


def test_quarantine_is_summarised_by_fault(rejected: Any) -> None:
    found = groups(rejected.store, rejected.ledger().state())
    assert found == [Group("missing_required", "user_id", 3, 2), Group("unparsable", None, 2, 2)]


def test_nothing_is_replayed_before_a_fix(rejected: Any) -> None:
    position = rejected.ledger().position()
    assert replay(contracts()["events"], rejected.store, rejected.ledger(), NOW) == Replay(5, 0)
    assert rejected.ledger().position() == position
    assert len(rejected.parquet()) == len(rejected.ledger().state().files)


def test_records_that_have_become_valid_become_rows_once(rejected: Any) -> None:
    ledger = rejected.ledger()
    before = ledger.state()

    assert replay(lenient(), rejected.store, ledger, NOW) == Replay(5, 3)

    assert lines(rejected) == [
        ("a1", "a.json", 1),
        ("a2", "a.json", 2),
        ("a4", "a.json", 4),
        ("b1", "b.json", 1),
        ("b2", "b.json", 2),
    ]
    assert [(bad["_source_line"], bad["reason"]) for bad in rejected.quarantine()] == [
        (3, "unparsable"),
        (3, "unparsable"),
    ]
    objects = ledger.state().objects
    assert {name[-6:]: (item.records, item.rows, item.quarantined) for name, item in objects.items()} == {
        "a.json": (4, 3, 1),
        "b.json": (3, 2, 1),
    }
    dates = frozenset({dt.date(2026, 1, 2), dt.date(2026, 1, 5)})
    assert touched(before, ledger.entries(before.position)) == Touched(True, dates)
    assert replay(lenient(), rejected.store, ledger, NOW) == Replay(2, 0)
    rejected.contracts["events"] = lenient()
    assert rejected.ingest().objects == 0


def test_only_the_named_reasons_are_replayed(rejected: Any) -> None:
    assert replay(lenient(), rejected.store, rejected.ledger(), NOW, Selection(["unparsable"])) == Replay(2, 0)
    assert replay(lenient(), rejected.store, rejected.ledger(), NOW, Selection(["missing_required"])) == Replay(3, 3)


def test_discarded_records_are_counted_and_never_replayed(rejected: Any) -> None:
    wanted = Selection(reasons=["missing_required"], objects=["raw-events/a.json"])
    before = rejected.ledger().state()

    assert discard(rejected.store, rejected.ledger(), NOW, "a test", wanted) == 2

    state = rejected.ledger().state()
    assert touched(before, rejected.ledger().entries(before.position)) == Touched(False, frozenset())
    assert [(record.line, record.discarded) for record in bad_records(rejected.store, state, Selection(), True)] == [
        (2, "a test"),
        (4, "a test"),
    ]
    assert state.objects["raw-events/a.json"].quarantined == 3
    assert replay(lenient(), rejected.store, rejected.ledger(), NOW) == Replay(3, 1)
    assert discard(rejected.store, rejected.ledger(), NOW, "again", wanted) == 0


def test_overwritten_object_also_loses_its_discarded_records(
    rejected: Any, event: Callable[..., dict[str, Any]]
) -> None:
    discard(rejected.store, rejected.ledger(), NOW, "all", Selection())
    rejected.put("events", "a.json", event("new"))
    rejected.ingest()
    kept = bad_records(rejected.store, rejected.ledger().state(), Selection(), True)
    assert {record.source_file for record in kept} == {"raw-events/b.json"}


def test_discard_during_an_overwriting_ingest_is_planned_again(
    rejected: Any, event: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Ledger.commit

    def meanwhile(self: Ledger, entry: Any, seen: int) -> int:
        monkeypatch.setattr(Ledger, "commit", real)
        rejected.put("events", "a.json", event("new"))
        rejected.ingest()
        return self.commit(entry, seen)

    monkeypatch.setattr(Ledger, "commit", meanwhile)
    assert discard(rejected.store, rejected.ledger(), NOW, "all", Selection()) == 2
    assert len(rejected.parquet()) > len(rejected.ledger().state().files)  # replaced files wait for maintenance


def test_overwritten_object_also_loses_its_replayed_rows(rejected: Any, event: Callable[..., dict[str, Any]]) -> None:
    replay(lenient(), rejected.store, rejected.ledger(), NOW)
    rejected.contracts["events"] = lenient()
    rejected.put("events", "a.json", event("new"))
    rejected.ingest()
    assert lines(rejected) == [("new", "a.json", 1), ("b1", "b.json", 1), ("b2", "b.json", 2)]


def test_crash_before_the_commit_replays_nothing(rejected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rejected.bronze(), rejected.quarantine()
    with monkeypatch.context() as crash:
        crash.setattr(Ledger, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            replay(lenient(), rejected.store, rejected.ledger(), NOW)
    assert (rejected.bronze(), rejected.quarantine()) == before
    assert replay(lenient(), rejected.store, rejected.ledger(), NOW) == Replay(5, 3)


def test_replay_whose_commit_was_not_answered_keeps_its_files(rejected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Ledger.commit

    def no_answer(self: Ledger, entry: Any, seen: int) -> int:
        original(self, entry, seen)
        raise RetriableError("no answer")

    with monkeypatch.context() as lost:
        lost.setattr(Ledger, "commit", no_answer)
        with pytest.raises(RetriableError):
            replay(lenient(), rejected.store, rejected.ledger(), NOW)
    assert (len(rejected.bronze()), len(rejected.quarantine())) == (5, 2)
    assert replay(lenient(), rejected.store, rejected.ledger(), NOW) == Replay(2, 0)


def test_object_overwritten_during_replay_is_planned_again(
    rejected: Any, event: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Ledger.commit

    def meanwhile(self: Ledger, entry: Any, seen: int) -> int:
        monkeypatch.setattr(Ledger, "commit", real)
        rejected.put("events", "a.json", event("new"))
        rejected.ingest()
        return self.commit(entry, seen)

    monkeypatch.setattr(Ledger, "commit", meanwhile)
    assert replay(lenient(), rejected.store, rejected.ledger(), NOW) == Replay(2, 1)
    assert lines(rejected) == [("new", "a.json", 1), ("b1", "b.json", 1), ("b2", "b.json", 2)]


def test_endless_conflict_ends_with_a_clear_error(rejected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "commit", lambda *_: (_ for _ in ()).throw(ConflictError("first")))
    with pytest.raises(RetriableError, match="other writers keep changing"):
        replay(lenient(), rejected.store, rejected.ledger(), NOW)
