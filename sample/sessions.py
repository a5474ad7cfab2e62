"""Sessions: which users play on a date, the number of consecutive plays, and their times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sample.days import DAY_MS, midnight, times_of_day
from sample.devices import Devices
from sample.draw import Bytes, Ints, Stream, cumulative, generator, pick
from sample.options import SampleOptions
from sample.users import HORIZON_DAYS, cohort, play_weights

# Plays per session: log-normal (median, spread) with a maximum. Seconds between plays: log-normal (median, spread).
_LENGTH, _LENGTH_SPREAD, _LONGEST = 1.6, 1.3, 150
_GAP_SECONDS, _GAP_SPREAD = 75.0, 0.95
_SETTLE_MS = 60_000  # first play at least this long after registration


@dataclass(frozen=True, slots=True)
class Sessions:
    """Plays in sessions, as columns.

    Attributes:
        users: id of the user.
        children: number of the user's children.
        ages: days since registration.
        moments: when each play ended, milliseconds since 1970 UTC, within the date.
    """

    users: Bytes
    children: Ints
    ages: Ints
    moments: Ints
    devices: Devices


def draw_sessions(options: SampleOptions, day: int, count: int) -> Sessions:
    """`count` plays of one date, grouped by session."""
    rng = generator(options.seed, day, Stream.SESSIONS)
    cohorts = [cohort(options, day - age) for age in range(HORIZON_DAYS)]
    shares = cumulative(np.concatenate([play_weights(users, age) for age, users in enumerate(cohorts)]))
    lengths = np.exp(rng.normal(np.log(_LENGTH), _LENGTH_SPREAD, count))  # more sessions than needed
    lengths = np.clip(np.ceil(lengths), 1, _LONGEST).astype(np.int64)
    ends = np.cumsum(lengths)
    lengths = lengths[: int(np.searchsorted(ends, count)) + 1]
    lengths[-1] -= lengths.sum() - count
    players = pick(rng, shares, len(lengths))
    starts = midnight(day) + times_of_day(rng, len(lengths))
    registered = np.concatenate([users.registered for users in cohorts])[players]
    starts = np.maximum(starts, registered + _SETTLE_MS)

    gaps = np.exp(rng.normal(np.log(_GAP_SECONDS), _GAP_SPREAD, count)) * 1000
    passed = np.cumsum(gaps)
    first = np.cumsum(lengths) - lengths
    offsets = passed - np.repeat(passed[first] - gaps[first], lengths)
    left = midnight(day) + DAY_MS - 1 - starts
    longest = offsets[first + lengths - 1]
    squeeze = np.minimum(1.0, left / longest)  # a session ends before midnight
    moments = np.repeat(starts, lengths) + (offsets * np.repeat(squeeze, lengths)).astype(np.int64)

    chosen = np.repeat(players, lengths)
    sizes = np.array([len(users.ids) for users in cohorts])
    ages = np.repeat(np.arange(HORIZON_DAYS), sizes)[chosen]
    fields = ("ids", "is_named", "models", "platforms", "apps")
    devices = Devices(*(np.concatenate([getattr(users.devices, name) for users in cohorts])[chosen] for name in fields))
    return Sessions(
        np.concatenate([users.ids for users in cohorts])[chosen],
        np.concatenate([users.children for users in cohorts])[chosen],
        ages,
        moments,
        devices,
    )
