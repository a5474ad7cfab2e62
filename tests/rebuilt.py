"""The expected content of silver and gold, computed from the raw lines in plain Python without the SQL."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

CAP_SECONDS = 3600
WEEK, MONTH = 7, 28
"""Days of the windows in which active users are counted."""
Row = tuple[Any, ...]


def records(bucket: Path) -> list[tuple[tuple[float, str, int], dict[str, Any]]]:
    """(version order, record) of every JSON object in a landing bucket; the order is modification time, name, line."""
    found = []
    for path in sorted(bucket.rglob("*.json")):
        modified = path.stat().st_mtime_ns / 1e9
        name = f"{bucket.name}/{path.relative_to(bucket)}"
        for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                found.append(((modified, name, number), record))
    return found


def latest(bucket: Path, key: str) -> dict[str, dict[str, Any]]:
    """The newest version of each entity."""
    newest: dict[str, tuple[tuple[float, str, int], dict[str, Any]]] = {}
    for order, record in records(bucket):
        if record.get(key) is not None and (record[key] not in newest or newest[record[key]][0] < order):
            newest[record[key]] = (order, record)
    return {name: record for name, (_, record) in newest.items()}


def events(bucket: Path, skew: dt.timedelta) -> dict[tuple[str, dt.date], dict[str, Any]]:
    """The newest version of each event within its date, without those rejected by the contract."""
    newest: dict[tuple[str, dt.date], tuple[tuple[float, str, int], dict[str, Any]]] = {}
    for order, record in records(bucket):
        if any(record.get(name) is None for name in ("event_id", "name", "occurred_at", "user_id")):
            continue
        at = time_of(record["occurred_at"])
        if at > dt.datetime.fromtimestamp(order[0], dt.UTC).replace(tzinfo=None) + skew:
            continue
        key = (record["event_id"], at.date())
        if key not in newest or newest[key][0] < order:
            newest[key] = (order, record)
    return {key: record for key, (_, record) in newest.items()}


def active_days(landing: Path, skew: dt.timedelta = dt.timedelta(days=1)) -> dict[Row, set[dt.date]]:
    """(kind of user, identifier, country) → the dates on which the account or child left an activity."""
    users = latest(landing / "raw-users", "user_id")
    found: dict[Row, set[dt.date]] = defaultdict(set)
    for (_, day), event in events(landing / "raw-events", skew).items():
        if event["name"] == "activity_exit":
            country = users.get(event["user_id"], {}).get("country_code")
            found["account", event["user_id"], country].add(day)
            if event.get("child_id"):
                found["child", (event["user_id"], event["child_id"]), country].add(day)
    return dict(found)


def active_users(days: dict[Row, set[dt.date]], last: dt.date) -> set[Row]:
    """(date, kind, country, daily, weekly and monthly active users, active days of them) up to a date."""
    found: dict[Row, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for (kind, _, country), active in days.items():
        for end in {day + dt.timedelta(days=n) for day in active for n in range(MONTH)}:
            ages = [(end - day).days for day in active if 0 <= (end - day).days < MONTH]
            counts = found[end, kind, country]
            counts[0] += 0 in ages
            counts[1] += min(ages) < WEEK
            counts[2] += 1
            counts[3] += len(ages)
    return {(*key, *counts) for key, counts in found.items() if key[0] <= last}


def retention(days: dict[Row, set[dt.date]], last: dt.date) -> set[Row]:
    """(date of first activity, kind, days later, users, users active on exactly that day) up to a date."""
    found: dict[Row, list[int]] = defaultdict(lambda: [0, 0])
    for (kind, _, _), active in days.items():
        for number in (1, 7, 30):
            day = min(active) + dt.timedelta(days=number)
            if day <= last:
                found[min(active), kind, number][0] += 1
                found[min(active), kind, number][1] += day in active
    return {(*key, *counts) for key, counts in found.items()}


def time_of(text: str) -> dt.datetime:
    """A timestamp of a record, UTC."""
    at = dt.datetime.fromisoformat(text)
    return at.astimezone(dt.UTC).replace(tzinfo=None) if at.tzinfo else at


def status(at: dt.datetime, user: dict[str, Any]) -> str:
    """Subscription status of an account at a moment."""

    def within(name: str, end: str) -> bool:
        first, last = user.get(name), user.get(end)
        return bool(first and last) and time_of(str(first)) <= at <= time_of(str(last))

    if within("subscription_start_at", "subscription_expire_at"):
        return "subscribed"
    if within("trial_start_at", "trial_end_at"):
        return "trial"
    trial = user.get("trial_start_at")
    return "free" if not trial or at < time_of(trial) else "lapsed"


def enriched(landing: Path, skew: dt.timedelta = dt.timedelta(days=1)) -> set[Row]:
    """(event_id, date, user_id, country_code, subscription_status, activity_type) of every play."""
    users, activities = latest(landing / "raw-users", "user_id"), latest(landing / "raw-activities", "activity_id")
    rows = set()
    for (event_id, day), event in events(landing / "raw-events", skew).items():
        if event["name"] == "activity_exit":
            user = users.get(event["user_id"], {})
            activity = activities.get(event["data"]["activity_id"], {})
            state = status(time_of(event["occurred_at"]), user)
            rows.add((event_id, day, event["user_id"], user.get("country_code"), state, activity.get("type")))
    return rows


def daily(landing: Path, skew: dt.timedelta = dt.timedelta(days=1)) -> dict[Row, Row]:
    """(date, country, status, type) → (plays, completed plays, seconds, capped seconds)."""
    plays = events(landing / "raw-events", skew)
    found: dict[Row, list[float]] = defaultdict(lambda: [0, 0, 0.0, 0.0])
    for event_id, day, _, country, state, kind in enriched(landing, skew):
        data = plays[event_id, day]["data"]
        sums = found[day, country, state, kind]
        sums[0] += 1
        sums[1] += bool(data["completed"])
        sums[2] += data["duration"]
        sums[3] += min(data["duration"], CAP_SECONDS)
    return {key: (int(a), int(b), round(c, 6), round(d, 6)) for key, (a, b, c, d) in found.items()}
