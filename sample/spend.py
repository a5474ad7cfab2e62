"""What the shop's advertising costs: each platform exports it daily, and restates the last dates in every export."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sample.captured import shop_days
from sample.days import HOUR, MINUTE, folder, midnight, stamp
from sample.draw import Stream, generator
from sample.objects import SPEND, SampleObject, Tally, encode, object_key
from sample.options import SampleOptions
from sample.trouble import SPEND_FORMS, broken_spend, delays_ms
from sample.users import HORIZON_DAYS

HEADER = "spend_date,channel,campaign,amount,currency,impressions,clicks,exported_at"
RESTATED_DAYS = 3
"""Each export has the dates before it, of which the newest are not final: late clicks are added, false ones removed."""
_KNOWN = (0.9, 0.98, 1.0)
"""What is known of a date after one day, two and three, on average."""
_NO_SPEND, _ORDERS = 0.04, 2


@dataclass(frozen=True, slots=True)
class Platform:
    """An advertising platform, which bills in a currency.

    Attributes:
        campaigns: channel and campaign, with impressions of a date with _ORDERS orders.
        click_rate: clicks per impression.
        click_cents: price of a click.
    """

    name: str
    currency: str
    campaigns: tuple[tuple[str, str, int], ...]
    click_rate: float
    click_cents: float


PLATFORMS = (
    Platform("google", "EUR", (("paid_search", "brand", 700), ("display", "brand", 1500)), 0.04, 38.0),
    Platform("facebook", "USD", (("paid_social", "retargeting", 1800),), 0.012, 62.0),
    Platform("adnetwork", "USD", (("display", "summer", 5000),), 0.002, 45.0),
    Platform("bestlist", "EUR", (("affiliate", "summer", 260),), 0.06, 30.0),
    Platform("newsletter", "EUR", (("email", "weekly", 400),), 0.08, 4.0),
)
"""Campaigns are named as in the addresses of the visits, channels as in seeds/channel_groups.csv."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """An object that arrives.

    Attributes:
        place: names it within the folder of its date.
    """

    place: str
    lines: list[str]
    tally: Tally


def spend_keys(options: SampleOptions, day: int) -> list[str]:
    """The keys of the objects of one date."""
    arriving = _arrivals(options).get(day, [])
    return [object_key(options, f"{folder(day)}/{sent.place}", 0, 3, "csv") for sent in arriving]


def spend_objects(options: SampleOptions, day: int) -> Iterator[SampleObject]:
    """The objects of one date: the exports of every platform, and those of earlier dates that arrive on it."""
    for key, sent in zip(spend_keys(options, day), _arrivals(options).get(day, []), strict=True):
        yield SampleObject(SPEND, key, encode(options, sent.lines), tally=sent.tally)


@lru_cache(maxsize=2)
def _arrivals(options: SampleOptions) -> dict[int, list[_Sent]]:
    """The objects by date of arrival."""
    found: dict[int, list[_Sent]] = defaultdict(list)
    days = shop_days(options)
    for day in days[1:]:
        for number in range(len(PLATFORMS)):
            for arrival, sent in _sent(options, days.start, day, number):
                found[arrival].append(sent)
    return dict(found)


def _sent(options: SampleOptions, first_day: int, day: int, number: int) -> list[tuple[int, _Sent]]:
    """The objects of a platform's export of a date, and the dates on which they arrive."""
    rng = generator(options.seed, day, Stream.SPEND_FILES, number + 1)
    is_late, is_extended, is_repeated = (
        bool(rng.random() < share) for share in (options.late, options.unknown_fields, options.duplicates)
    )
    days = int(delays_ms(rng, np.array([HORIZON_DAYS - 1]))[0] // (24 * HOUR)) if is_late else 0
    next_day = int(rng.random() < 0.5)
    exported_at = midnight(day) + 4 * HOUR + int(rng.integers(0, 90)) * MINUTE
    rows = [
        line
        for age in range(1, RESTATED_DAYS + 1)
        if day - age >= first_day
        for line in _lines(options, day - age, number, age, stamp(exported_at))
    ]
    is_broken = rng.random(len(rows)) < options.malformed
    forms = rng.integers(0, SPEND_FORMS, len(rows)).tolist()
    lines = [HEADER + ",cost_center" * is_extended, *(row + ",M7" * is_extended for row in rows)]
    broken = [broken_spend(row, form) for row, form, bad in zip(rows, forms, is_broken, strict=True) if bad]
    count = len(rows)
    tally = Tally(spend=count, delayed=count * (days > 0), extended=count * is_extended, broken=len(broken))
    name = f"{PLATFORMS[number].name}-of-{dt.date.fromordinal(day)}"
    found = [(day + days, _Sent(name, lines + [row + ",M7" * is_extended for row in broken], tally))]
    if is_repeated:
        found.append((day + days + next_day, _Sent(f"{name}-again", lines, Tally(repeated=count))))
    return found


def _lines(options: SampleOptions, day: int, number: int, age: int, exported_at: str) -> Iterator[str]:
    """A date's rows in an export some days later."""
    platform = PLATFORMS[number]
    rng = generator(options.seed, day, Stream.SPEND, number + 1)
    for channel, campaign, average in platform.campaigns:
        shown = int(rng.poisson(average * options.orders / options.days / _ORDERS)) if rng.random() >= _NO_SPEND else 0
        clicked, cents = int(rng.binomial(shown, platform.click_rate)), platform.click_cents * rng.uniform(0.8, 1.25)
        known = [*(share * rng.uniform(0.97, 1.02) for share in _KNOWN[:-1]), 1.0][age - 1]
        clicks = round(clicked * known)
        amount = f"{round(clicks * cents) / 100:.2f}"
        yield (
            f"{dt.date.fromordinal(day)},{channel},{campaign},{amount},{platform.currency},"
            f"{round(shown * known)},{clicks},{exported_at}"
        )
