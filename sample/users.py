"""Users of the app: registration date, country, trial, subscription, activity and loyalty."""

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
"""After this many days an account stops playing."""
EVENTS_PER_USER = 15.0
PER_FILE = 500
COUNTRIES = ("mx", "co", "in", "th", "us", "br", "sa", "tr", "my", "ph")
_COUNTRIES = cumulative([58, 52, 48, 40, 38, 36, 36, 36, 34, 31])
_CHILDREN = cumulative([404, 4, 0, 1])
_TRIAL, _SUBSCRIBED = 0.33, 0.61  # the second as a share of those with a trial
_TRIAL_DAYS = np.array([7, 14])
_LONG_TRIAL = 0.53
_SUBSCRIPTION_DAYS = 30
# Minutes from registration to trial, and from the latest registration to midnight.
_TRIAL_AFTER, _DAY_LEFT = (5, 24), 30
# Play intensity is log-normal with a maximum; loyalty in days is exponential.
_INTENSITY_SPREAD, _MAX_INTENSITY, _LOYAL_DAYS, _RETURN = 1.7, 30.0, 9.0, 0.16
# Users with a trial play less per day and stay longer.
_TRIAL_INTENSITY, _TRIAL_LOYALTY = 0.38, 2.6
_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Users:
    """Accounts, as columns; times in milliseconds since 1970 UTC, -1 for never.

    Attributes:
        children: number of children.
        trial_ends: end of the trial, and start of the subscription.
        intensity: relative number of plays on the first day.
        loyalty: scale of the exponential decay of plays, in days.
    """

    ids: Bytes
    children: Ints
    countries: Ints
    registered: Ints
    trial_starts: Ints
    trial_ends: Ints
    subscription_ends: Ints
    intensity: Floats
    loyalty: Floats
    devices: Devices


@lru_cache(maxsize=HORIZON_DAYS + 20)
def cohort(options: SampleOptions, day: int) -> Users:
    """The users who register on a date."""
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
        np.minimum(np.exp(rng.normal(0, _INTENSITY_SPREAD, count)), _MAX_INTENSITY)
        * np.where(has_trial, _TRIAL_INTENSITY, 1),
        rng.exponential(_LOYAL_DAYS, count) * np.where(has_trial, _TRIAL_LOYALTY, 1) + 0.5,
        devices,
    )


def play_weights(users: Users, age_days: int) -> Floats:
    """The relative number of plays of each user, that many days after registration."""
    if age_days == 0:
        return users.intensity
    weights: Floats = users.intensity * _RETURN * np.exp(-age_days / users.loyalty)
    return weights


def child_texts(ids: Bytes, numbers: Ints) -> list[str]:
    """The ids of children, derived from the parent's id and the child's number from 1."""
    children = ids.copy()
    children[:, 15] ^= numbers.astype(np.uint8)
    return uuid_texts(children)


def user_keys(options: SampleOptions, day: int) -> list[str]:
    """The keys of one date's user objects, without generating their records."""
    records = sum(len(chosen) for _, chosen, _ in _changes(options, day)) + len(late_accounts(options, day))
    return [object_key(options, f"{folder(day)}/users", number, 3) for number in range(-(-records // PER_FILE))]


def user_objects(options: SampleOptions, day: int) -> Iterator[SampleObject]:
    """The user records of one date: registrations, new subscriptions, and records that arrive after their events."""
    lines = [line for change in _changes(options, day) for line in _lines(*change)]
    lines += [
        json.dumps({"user_id": text, "children_ids": [], "country_code": COUNTRIES[0]})
        for text in late_accounts(options, day)
    ]
    for number, key in enumerate(user_keys(options, day)):
        part = lines[number * PER_FILE : (number + 1) * PER_FILE]
        yield SampleObject(USERS, key, encode(options, part), tally=Tally(users=len(part)))


def _changes(options: SampleOptions, day: int) -> list[tuple[Users, Ints, bool]]:
    """The changes on a date: (users, indices of the changed ones, whether their subscription has begun)."""
    new = cohort(options, day)
    changes = [(new, np.arange(len(new.ids)), False)]
    for days in _TRIAL_DAYS.tolist():
        users = cohort(options, day - days)
        began = (users.subscription_ends >= 0) & (users.trial_ends - users.trial_starts == days * DAY_MS)
        changes.append((users, np.flatnonzero(began), True))
    return changes


def _lines(users: Users, chosen: Ints, subscribed: bool) -> Iterator[str]:
    """The records of the chosen users; fields without a value yet are absent."""
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
