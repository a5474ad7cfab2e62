"""Accounts: who registers on a date, from where, with which trial and subscription, and how loyal they stay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

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
_TRIAL, _SUBSCRIBED = 0.33, 0.61  # the second of those that had a trial
_TRIAL_DAYS = np.array([7, 14])
_LONG_TRIAL = 0.53
_SUBSCRIPTION_DAYS = 30
# Minutes from registration to trial, and from the last minute for registering to midnight.
_TRIAL_AFTER, _DAY_LEFT = (5, 24), 30
# How much somebody plays is log-normal up to a most; how long they stay loyal, in days, exponential.
_ZEAL_SPREAD, _ZEAL_MOST, _LOYAL_DAYS, _RETURN = 1.7, 30.0, 9.0, 0.16
# Those with a trial play less on a day, and stay longer.
_TRIAL_ZEAL, _TRIAL_LOYALTY = 0.38, 2.6
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
        np.minimum(np.exp(rng.normal(0, _ZEAL_SPREAD, count)), _ZEAL_MOST) * np.where(has_trial, _TRIAL_ZEAL, 1),
        rng.exponential(_LOYAL_DAYS, count) * np.where(has_trial, _TRIAL_LOYALTY, 1) + 0.5,
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


def user_keys(options: SampleOptions, day: int) -> list[str]:
    """The keys of one date's account objects, without making their records."""
    records = sum(len(chosen) for _, chosen, _ in _changes(options, day)) + len(late_accounts(options, day))
    return [object_key(options, f"{folder(day)}/users", number, 3) for number in range(-(-records // PER_FILE))]


def user_objects(options: SampleOptions, day: int) -> Iterator[SampleObject]:
    """The records of one date: who registered, whose subscription began, and who arrives after their events."""
    lines = [line for change in _changes(options, day) for line in _lines(*change)]
    lines += [
        json.dumps({"user_id": text, "children_ids": [], "country_code": COUNTRIES[0]})
        for text in late_accounts(options, day)
    ]
    for number, key in enumerate(user_keys(options, day)):
        part = lines[number * PER_FILE : (number + 1) * PER_FILE]
        yield SampleObject(USERS, key, encode(options, part), tally=Tally(users=len(part)))


def _changes(options: SampleOptions, day: int) -> list[tuple[Users, Ints, bool]]:
    """Whose records change on a date: (accounts, places among them, whether their subscription has begun)."""
    new = cohort(options, day)
    changes = [(new, np.arange(len(new.ids)), False)]
    for days in _TRIAL_DAYS.tolist():
        users = cohort(options, day - days)
        began = (users.subscription_ends >= 0) & (users.trial_ends - users.trial_starts == days * DAY_MS)
        changes.append((users, np.flatnonzero(began), True))
    return changes


def _lines(users: Users, chosen: Ints, subscribed: bool) -> Iterator[str]:
    """The chosen accounts as the feed tells them; what was not reached is absent."""
    ids, counts = users.ids[chosen], users.children[chosen].tolist()
    children = [child_texts(ids, np.full(len(ids), number)) for number in range(1, len(_CHILDREN) + 1)]
    times = (users.registered, users.trial_starts, users.trial_ends, users.subscription_ends)
    registered, trial_starts, trial_ends, ends = (stamps(np.maximum(column[chosen], 0)) for column in times)
    has_trial = (users.trial_starts[chosen] >= 0).tolist()
    countries = users.countries[chosen].tolist()
    for number, text in enumerate(uuid_texts(ids)):
        record: dict[str, object] = {
            "user_id": text,
            "children_ids": [children[child][number] for child in range(counts[number])],
            "country_code": COUNTRIES[countries[number]],
            "registration_at": registered[number],
        }
        if has_trial[number]:
            record |= {"trial_start_at": trial_starts[number], "trial_end_at": trial_ends[number]}
        if subscribed:
            record |= {"subscription_start_at": trial_ends[number], "subscription_expire_at": ends[number]}
        yield json.dumps(record)
