"""A change propagates downstream date by date, and further where a model declares dependence on other dates."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pipeline.invalidation.propagation import DAY_MS, Dates, Stale, frozen_before, stale_versions

END = (dt.date(2026, 2, 1) - dt.date(1970, 1, 1)).days * DAY_MS


def day(number: int) -> dt.date:
    return dt.date(2026, 1, number)


def dates(*numbers: int) -> Dates:
    return Dates(frozenset(map(day, numbers)))


def snapshot(*parents: str, kind: str = "INCREMENTAL_BY_TIME_RANGE", tags: tuple[str, ...] = ()) -> tuple[str, Any]:
    body = {
        "node": {"kind": {"name": kind}, "tags": list(tags)},
        "parents": [{"name": parent, "identifier": "1"} for parent in parents],
    }
    return "v", body


def walk(changed: dict[str, Dates], **snapshots: tuple[str, Any]) -> dict[str, Stale]:
    found = stale_versions({(name, "1"): item for name, item in snapshots.items()}, changed)
    return {name: stale for (name, _), stale in found.items()}


EVENTS = '"warehouse"."bronze"."events"'


def test_dates_reach_all_descendants_and_no_siblings() -> None:
    found = walk(
        {"bronze.events": dates(3)},
        silver=snapshot(EVENTS),
        view=snapshot("silver", kind="VIEW"),
        gold=snapshot("view"),
        whole=snapshot("gold", kind="FULL"),
        other=snapshot('"warehouse"."bronze"."users"'),
        kept=("v", {"node": {"kind": {"name": "FULL", "disable_restatement": True}}, "parents": [
            {"name": "silver", "identifier": "1"}]}),
    )  # fmt: skip
    assert found == {"silver": Stale(dates(3)), "gold": Stale(dates(3)), "whole": Stale(None)}


def test_window_and_onward_extend_the_dates_and_are_inherited() -> None:
    found = walk(
        {"bronze.events": dates(3, 20)},
        silver=snapshot(EVENTS),
        rolling=snapshot("silver", tags=("gold", "affects_2_days")),
        below=snapshot("rolling"),
        balance=snapshot("silver", tags=("affects_onward",)),
        last=snapshot("balance", tags=("affects_1_days",)),
    )
    assert found["silver"] == Stale(dates(3, 20))
    assert found["rolling"] == found["below"] == Stale(dates(3, 4, 5, 20, 21, 22))
    assert found["balance"].dates == Dates(frozenset(map(day, (3, 20))), onward=day(3))
    assert found["last"].dates is not None
    assert found["last"].dates.onward == day(3)


def test_days_before_extend_the_dates_alone_and_with_others() -> None:
    found = walk(
        {"bronze.clicks": dates(3, 20)},
        sessions=snapshot('"warehouse"."bronze"."clicks"', tags=("affects_1_days_before", "affects_1_days")),
        below=snapshot("sessions", tags=("affects_1_days",)),
        before=snapshot('"warehouse"."bronze"."clicks"', tags=("affects_2_days_before",)),
    )
    assert found["sessions"] == Stale(dates(2, 3, 4, 19, 20, 21))
    assert found["below"] == Stale(dates(2, 3, 4, 5, 19, 20, 21, 22))
    assert found["before"] == Stale(dates(1, 2, 3, 18, 19, 20))
    balance = Dates(frozenset({day(9)}), onward=day(20)).widened(("affects_1_days_before",))
    assert balance == Dates(dates(8, 9).days, onward=day(19))
    always = Dates(onward=dt.date(1970, 1, 1))
    assert always.widened(("affects_1_days_before",)) == always


def test_each_version_is_walked_by_its_own_parents() -> None:
    old = ("old", {"node": {"kind": {"name": "INCREMENTAL_BY_TIME_RANGE"}}, "parents": []})
    new = ("new", {"node": {"kind": {"name": "INCREMENTAL_BY_TIME_RANGE"}}, "parents": [
        {"name": EVENTS, "identifier": "1"}]})  # fmt: skip
    found = stale_versions({("model", "1"): old, ("model", "2"): new}, {"bronze.events": dates(1)})
    assert found == {("model", "new"): Stale(dates(1))}


def test_ranges_join_contiguous_dates_and_end_with_the_history() -> None:
    start = (day(1) - dt.date(1970, 1, 1)).days * DAY_MS
    assert dates(1, 2, 4).ranges(END) == [(start, start + 2 * DAY_MS), (start + 3 * DAY_MS, start + 4 * DAY_MS)]
    assert dates(1, 31).ranges(start + 5 * DAY_MS) == [(start, start + DAY_MS)]
    assert Dates(frozenset({day(1), day(9)}), onward=day(5)).ranges(END) == [
        (start, start + DAY_MS),
        (start + 4 * DAY_MS, END),
    ]
    assert Dates(onward=dt.date(2027, 1, 1)).ranges(END) == []


def test_dates_before_the_horizon_of_any_feed_above_are_never_stale() -> None:
    users = '"warehouse"."bronze"."users"'
    snapshots = {
        "silver": snapshot(EVENTS),
        "people": snapshot(users),
        "both": snapshot("silver", "people"),
        "rolling": snapshot("silver", tags=("affects_2_days",)),
        "below": snapshot("rolling"),
        "onward": snapshot("silver", tags=("affects_onward",)),
        "whole": snapshot("both", kind="FULL"),
    }
    named = {(name, "1"): item for name, item in snapshots.items()}
    found = {
        name: stale
        for (name, _), stale in stale_versions(
            named, {"bronze.users": dates(1, 5, 9), "bronze.events": dates(4)}, {"bronze.events": day(5)}
        ).items()
    }
    assert found == {
        "people": Stale(dates(1, 5, 9)),
        "silver": Stale(dates()),
        "both": Stale(dates(5, 9)),
        "rolling": Stale(Dates()),
        "below": Stale(Dates()),
        "onward": Stale(Dates(onward=day(5))),
        "whole": Stale(None),
    }
    assert frozen_before({key: body for key, (_, body) in named.items()}, {"bronze.events": day(5)}) == {
        ("silver", "1"): day(5),
        ("both", "1"): day(5),
        ("rolling", "1"): day(7),
        ("below", "1"): day(7),
        ("onward", "1"): day(5),
        ("whole", "1"): day(5),
    }
