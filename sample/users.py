"""Accounts: who registers on a date, from where, with which trial and subscription, and how loyal they stay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress

import numpy as np

from sample.days import DAY_MS, folder, midnight, stamps, times_of_day
from sample.devices import Devices, draw_devices
from sample.draw import Bytes, Floats, Ints, Stream, cumulative, generator, pick, uuid_texts, uuids
from sample.objects import USERS, SampleObject, Tally, encode, object_key
from sample.options import SampleOptions
from sample.trouble import late_accounts

HORIZON_DAYS = 30
"""After this many days an account plays no more."""
EVENTS_PER_USER = 15.0
PER_FILE = 500
COUNTRIES = ("mx", "co", "in", "th", "us", "br", "sa", "tr", "my", "ph")
_COUNTRIES = cumulative([58, 52, 48, 40, 38, 36, 36, 36, 34, 31])
_CHILDREN = cumulative([404, 4, 0, 1])
_TRIAL, _SUBSCRIBED = 0.30, 0.61  # the second of those that had a trial
_TRIAL_DAYS = np.array([7, 14])
_LONG_TRIAL = 0.53
_SUBSCRIPTION_DAYS = 30
# Minutes from registration to trial, and from the last minute for registering to midnight.
_TRIAL_AFTER, _DAY_LEFT = (5, 24), 30
# How much somebody plays is log-normal; how long they stay loyal, in days, exponential.
_ZEAL_SPREAD, _LOYAL_DAYS, _RETURN = 1.5, 10.0, 0.15
_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Users:
    """Accounts, as columns; times in milliseconds since 1970 UTC, -1 for never.

    Attributes:
        children: number of children.
        trial_ends: end of the trial, and start of the subscription.
        zeal: how much they play on the first day.
        loyalty: days of loyalty, the scale of its exponential decay.
    """

    ids: Bytes
    children: Ints
    countries: Ints
    registered: Ints
    trial_starts: Ints
    trial_ends: Ints
    subscription_ends: Ints
    zeal: Floats
    loyalty: Floats
    devices: Devices


@lru_cache(maxsize=HORIZON_DAYS + 20)
def cohort(options: SampleOptions, day: int) -> Users:
    """Those who register on a date."""
    rng = generator(options.seed, day, Stream.COHORT)
    count = max(1, round(options.events_per_day / EVENTS_PER_USER))
    ids, devices = uuids(rng, count), draw_devices(rng, count)
    registered = midnight(day) + np.minimum(times_of_day(rng, count), DAY_MS - _DAY_LEFT * _MINUTE)
    has_trial = rng.random(count) < _TRIAL
    has_subscription = has_trial & (rng.random(count) < _SUBSCRIBED)
    trial_starts = registered + rng.integers(*_TRIAL_AFTER, count) * _MINUTE
    trial_days = _TRIAL_DAYS[(rng.random(count) < _LONG_TRIAL).astype(np.int64)]
    trial_ends = trial_starts + trial_days * DAY_MS
    return Users(
        ids,
        1 + pick(rng, _CHILDREN, count),
        pick(rng, _COUNTRIES, count),
        registered,
        np.where(has_trial, trial_starts, -1),
        np.where(has_trial, trial_ends, -1),
        np.where(has_subscription, trial_ends + _SUBSCRIPTION_DAYS * DAY_MS, -1),
        np.exp(rng.normal(0, _ZEAL_SPREAD, count)),
        rng.exponential(_LOYAL_DAYS, count) + 0.5,
        devices,
    )


def appetite(users: Users, age_days: int) -> Floats:
    """How much each plays, that many days after registering."""
    if age_days == 0:
        return users.zeal
    fading: Floats = users.zeal * _RETURN * np.exp(-age_days / users.loyalty)
    return fading


def child_texts(ids: Bytes, numbers: Ints) -> list[str]:
    """The ids of children, by their parent's id and their number from 1."""
    children = ids.copy()
    children[:, 15] ^= numbers.astype(np.uint8)
    return uuid_texts(children)


def user_objects(options: SampleOptions, day: int) -> Iterator[SampleObject]:
    """The records of one date: who registered, whose subscription began, and who arrives after their events."""
    records = _records(cohort(options, day), subscribed=False)
    for trial_days in _TRIAL_DAYS.tolist():
        before = cohort(options, day - trial_days)
        began = (before.subscription_ends >= 0) & (before.trial_ends - before.trial_starts == trial_days * DAY_MS)
        records += compress(_records(before, subscribed=True), began.tolist())
    records += [
        {"user_id": text, "children_ids": [], "country_code": COUNTRIES[0]} for text in late_accounts(options, day)
    ]
    for number, start in enumerate(range(0, len(records), PER_FILE)):
        part = [json.dumps(record) for record in records[start : start + PER_FILE]]
        key = object_key(options, f"{folder(day)}/users", number, 3)
        yield SampleObject(USERS, key, encode(options, part), tally=Tally(users=len(part)))


def _records(users: Users, *, subscribed: bool) -> list[dict[str, object]]:
    """The accounts as the feed tells them; what was not reached is absent."""
    ids = uuid_texts(users.ids)
    children = [child_texts(users.ids, np.full(len(ids), number)) for number in range(1, len(_CHILDREN) + 1)]
    times = (users.registered, users.trial_starts, users.trial_ends, users.subscription_ends)
    registered, trial_starts, trial_ends, ends = (stamps(np.maximum(column, 0)) for column in times)
    records = []
    for number, text in enumerate(ids):
        record: dict[str, object] = {
            "user_id": text,
            "children_ids": [children[child][number] for child in range(users.children[number])],
            "country_code": COUNTRIES[users.countries[number]],
            "registration_at": registered[number],
        }
        if users.trial_starts[number] >= 0:
            record |= {"trial_start_at": trial_starts[number], "trial_end_at": trial_ends[number]}
        if subscribed and users.subscription_ends[number] >= 0:
            record |= {"subscription_start_at": trial_ends[number], "subscription_expire_at": ends[number]}
        records.append(record)
    return records
