"""The sample resembles the data it represents; the figures are those of the reference sample, 7,817 events."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from sample.generate import generate
from sample.options import SampleOptions

STATUS = {"free": 0.814, "trial": 0.106, "subscribed": 0.047, "lapsed": 0.033}
TYPES = {"game": 0.607, "video": 0.240, "traceable": 0.136, "audiobook": 0.017}
COMPLETED = {"traceable": 0.862, "game": 0.685, "video": 0.396, "audiobook": 0.481}
SYSTEMS = {"iOS": 0.635, "Android": 0.363, "iPhone OS": 0.002}
APPS = {"7.40.0": 0.513, "7.39.0": 0.337, "7.41.0": 0.128, "7.41.1": 0.017}
SECONDS = {0.25: 20.8, 0.5: 58.4, 0.75: 108.3, 0.9: 157.4, 0.95: 217.7}


@dataclass
class Shown:
    """Events with their accounts, and the raw records."""

    events: list[dict[str, Any]]
    users: dict[str, dict[str, Any]]
    activities: list[dict[str, Any]]


@pytest.fixture(scope="module")
def shown() -> Shown:
    records: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in generate(SampleOptions(end=dt.date(2026, 11, 20), events=80_000, days=31, events_per_file=5000)):
        records[item.bucket] += [json.loads(line) for line in item.body.splitlines()]
    users = {record["user_id"]: record for record in records["raw-users"]}
    return Shown(records["raw-events"], users, records["raw-activities"])


def shares(values: list[Any]) -> dict[Any, float]:
    return {value: count / len(values) for value, count in Counter(values).items()}


def status(event: dict[str, Any], user: dict[str, Any]) -> str:
    at, begin = event["occurred_at"], user.get("trial_start_at")
    if user.get("subscription_start_at", "9") <= at <= user.get("subscription_expire_at", ""):
        return "subscribed"
    if begin is None or at < begin:
        return "free"
    return "trial" if at <= user["trial_end_at"] else "lapsed"


def test_fields_are_those_of_the_reference(shown: Shown) -> None:
    event = shown.events[0]
    assert list(event) == ["event_id", "name", "occurred_at", "user_id", "child_id", "data", "context"]
    data = ["activity_id", "source", "duration", "completed", "collection_id", "loading_time"]
    assert list(event["data"]) == data
    assert {name: list(part) for name, part in event["context"].items()} == {
        "device": ["device_id", "brand", "model"],
        "os": ["name", "version"],
        "app": ["version", "build"],
    }
    assert dt.datetime.strptime(event["occurred_at"], "%Y-%m-%d %H:%M:%S.%f")
    windows = ["trial_start_at", "trial_end_at", "subscription_start_at", "subscription_expire_at"]
    base = ["user_id", "children_ids", "country_code", "registration_at"]
    assert {tuple(user) for user in shown.users.values()} == {tuple(base + windows[:size]) for size in (0, 2, 4)}
    assert {tuple(activity) for activity in shown.activities} == {("activity_id", "name", "type", "subtype")}


def test_catalogue_has_its_kinds_and_its_gaps(shown: Shown) -> None:
    kinds = Counter(activity["type"] for activity in shown.activities)
    assert (kinds["video"], kinds["traceable"], kinds["game"]) == (722, 364, 316)
    assert len({activity["activity_id"] for activity in shown.activities}) == len(shown.activities) == 1492
    assert shares([activity["name"] is None for activity in shown.activities])[True] == pytest.approx(0.116, abs=0.03)
    assert shares([activity["subtype"] for activity in shown.activities])[""] == pytest.approx(0.070, abs=0.03)


def test_kinds_completion_systems_and_versions(shown: Shown) -> None:
    kind_of = {activity["activity_id"]: activity["type"] for activity in shown.activities}
    kinds = [kind_of[event["data"]["activity_id"]] for event in shown.events]
    assert shares(kinds) == pytest.approx(TYPES, abs=0.01)
    for kind, rate in COMPLETED.items():
        done = [event["data"]["completed"] for event, of in zip(shown.events, kinds, strict=True) if of == kind]
        assert np.mean(done) == pytest.approx(rate, abs=0.05 if kind == "audiobook" else 0.02)
    assert shares([event["context"]["os"]["name"] for event in shown.events]) == pytest.approx(SYSTEMS, abs=0.05)
    versions = shares([event["context"]["app"]["version"] for event in shown.events])
    assert {name: versions[name] for name in APPS} == pytest.approx(APPS, abs=0.05)
    assert shares([event["data"]["collection_id"] for event in shown.events])[""] == pytest.approx(0.882, abs=0.01)


def test_durations_have_the_median_and_the_tail(shown: Shown) -> None:
    seconds = np.array([event["data"]["duration"] for event in shown.events])
    for level, expected in SECONDS.items():
        assert np.quantile(seconds, level) == pytest.approx(expected, rel=0.1)
    assert np.mean(seconds == 0) == pytest.approx(252 / 7817, abs=0.02)
    assert np.mean(seconds > 3600) == pytest.approx(33 / 7817, rel=0.25)
    assert seconds.max() > 86_400
    assert seconds.min() == 0


def test_few_accounts_play_much_and_most_play_little(shown: Shown) -> None:
    counts = np.array(list(Counter(event["user_id"] for event in shown.events).values()))
    assert counts.mean() == pytest.approx(19.1, rel=0.2)
    assert 3 <= np.median(counts) <= 9  # 4
    assert 60 <= np.quantile(counts, 0.95) <= 130  # 103
    assert 130 <= np.quantile(counts, 0.99) <= 280  # 222
    days = Counter((event["user_id"], event["occurred_at"][:10]) for event in shown.events)
    assert np.quantile(list(days.values()), 0.9) == pytest.approx(17, rel=0.25)
    active = Counter(user for user, _ in days)
    assert np.quantile(list(active.values()), [0.75, 0.9]) == pytest.approx([3, 6], abs=1)


def test_plays_follow_each_other_in_sessions(shown: Shown) -> None:
    moments = defaultdict(list)
    for event in shown.events:
        moments[event["user_id"]].append(dt.datetime.fromisoformat(event["occurred_at"]).timestamp())
    gaps = np.concatenate([np.diff(sorted(part)) for part in moments.values()])
    assert np.quantile(gaps, [0.1, 0.25, 0.5]) == pytest.approx([15.7, 35.1, 82.8], rel=0.15)


def test_accounts_play_in_each_status_and_never_before_registration(shown: Shown) -> None:
    found = [status(event, shown.users[event["user_id"]]) for event in shown.events]
    assert shares(found) == pytest.approx(STATUS, abs=0.03)
    assert all(shown.users[event["user_id"]]["registration_at"] < event["occurred_at"] for event in shown.events)
    players = [shown.users[user] for user in {event["user_id"] for event in shown.events}]
    trials = [user for user in players if "trial_start_at" in user]
    assert len(trials) / len(players) == pytest.approx(123 / 409, abs=0.02)
    assert all(user["trial_end_at"] == user.get("subscription_start_at", user["trial_end_at"]) for user in trials)


def test_children_belong_to_their_account(shown: Shown) -> None:
    children = [event["child_id"] for event in shown.events]
    assert all(event["child_id"] in [None, *shown.users[event["user_id"]]["children_ids"]] for event in shown.events)
    assert 0.9 < sum(child is not None for child in children) / len(children) < 1


def test_popular_activities_have_their_share(shown: Shown) -> None:
    plays = sorted(Counter(event["data"]["activity_id"] for event in shown.events).values(), reverse=True)
    top = [sum(plays[:size]) / sum(plays) for size in (1, 10, 50)]
    assert top == pytest.approx([0.082, 0.394, 0.713], abs=0.04)
