"""The shop's clicks as columns: sessions of visitors who look around, and of those who order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sample.captured import Market
from sample.days import DAY_MS, count_of, midnight, times_of_day
from sample.draw import Bools, Bytes, Ints, Stream, cumulative, generator, pick, uuids
from sample.options import SampleOptions
from sample.orders import Placed
from sample.steps import NONE, buying_steps, looking_steps
from sample.stock import CURRENCIES
from sample.visitors import US, Visitors, bots, customers_browsers, joined, people

CLICKS_PER_SESSION = 4.0
# Source, medium and campaign of the address, and the page before it, of a session's first click; and its weight.
_CHANNELS = (
    (None, None, None, None, 30),
    (None, None, None, "https://www.google.com/", 22),
    (None, None, None, "https://www.bing.com/search", 4),
    (None, None, None, "https://l.instagram.com/", 5),
    (None, None, None, "https://blog.example.org/things-that-last", 3),
    ("google", "cpc", "brand", "https://www.google.com/", 14),
    ("newsletter", "email", "weekly", None, 8),
    ("facebook", "paid_social", "retargeting", "https://www.facebook.com/", 5),
    ("pinterest", "social", "pins", "https://www.pinterest.com/", 2),
    ("bestlist", "affiliate", "summer", "https://bestlist.example.net/kitchen", 3),
    ("adnetwork", "display", "summer", "https://news.example.com/", 2),
    ("partner", None, None, None, 2),
)
CHANNELS = tuple(channel for *channel, _ in _CHANNELS)
_CHANNEL_SHARES = cumulative([weight for *_, weight in _CHANNELS])
_BUYERS_SEEN = 0.9
"""Share of orders whose clicks are there."""
_BOTS, _CUSTOMERS, _LOGGED_IN = 0.065, 0.2, 0.6
"""Of the other sessions: those of bots, those of customers, and of the latter the ones with a login."""
# Seconds between clicks: log-normal (median, spread); a share of them is so many times as long.
_GAP_SECONDS, _GAP_SPREAD, _PAUSES, _PAUSE = 35.0, 1.0, 0.01, 40


@dataclass(frozen=True, slots=True)
class Clicks:
    """Clicks, as columns; NONE for an absent number.

    Attributes:
        customers: who is logged in.
        places: number of the click within its session, from 0.
        types: index into TYPES, of the click and of the one before; likewise `products`.
        prices: minor units of the currency.
        currencies: index into CURRENCIES.
        channels: index into CHANNELS, of the session.
        moments: milliseconds since 1970 UTC.
    """

    ids: Bytes
    visitors: Visitors
    customers: Ints
    places: Ints
    types: Ints
    types_before: Ints
    products: Ints
    products_before: Ints
    orders: Ints
    quantities: Ints
    prices: Ints
    currencies: Ints
    channels: Ints
    moments: Ints

    def __len__(self) -> int:
        return len(self.moments)

    def __getitem__(self, places: Ints) -> Clicks:
        return Clicks(*(getattr(self, name)[places] for name in Clicks.__slots__))


def session_count(options: SampleOptions, day: int) -> int:
    """The approximate number of sessions that begin on a date."""
    return count_of(options, day, options.sessions_per_day)


def draw_clicks(options: SampleOptions, day: int, market: Market) -> Clicks:
    """Draw the sessions that begin on a date, and those whose purchase is an order of the date."""
    rng = generator(options.seed, day, Stream.VISITS)
    orders = [order for order in market.placed if rng.random() < _BUYERS_SEEN]
    looking = max(0, session_count(options, day) - len(orders)) if len(market.products) else 0
    is_bot = np.concatenate([np.zeros(len(orders), dtype=bool), rng.random(looking) < _BOTS])
    is_buying = np.arange(len(is_bot)) < len(orders)
    customers = np.concatenate([_buyers(orders), _lookers(rng, market, is_bot[len(orders) :])])
    visitors = _visitors(rng, options, day, customers, is_bot)
    currencies = (visitors.countries == US).astype(np.int64)
    currencies[: len(orders)] = [CURRENCIES.index(order.currency) for order in orders]

    steps = buying_steps(rng, market, orders)
    steps += looking_steps(rng, market, is_bot[len(orders) :], currencies[len(orders) :])
    lengths, count = steps.lengths, len(steps.types)
    first, session = np.cumsum(lengths) - lengths, np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(count) - first[session]
    latest = np.where(is_buying, lengths - 1, lengths)  # a buyer is logged in before the purchase
    logins = (rng.random(len(lengths)) * latest).astype(np.int64)
    logins[~is_buying & (rng.random(len(lengths)) >= _LOGGED_IN)] = DAY_MS  # never
    before = np.maximum(np.arange(count) - 1, 0)
    return Clicks(
        uuids(rng, count),
        visitors[session],
        np.where(places >= logins[session], customers[session], NONE),
        places,
        steps.types,
        steps.types[before],
        steps.products,
        steps.products[before],
        steps.orders,
        steps.quantities,
        steps.prices,
        currencies[session],
        pick(rng, _CHANNEL_SHARES, len(lengths))[session],
        _moments(rng, day, steps.lengths, orders),
    )


def _buyers(orders: Sequence[Placed]) -> Ints:
    return np.array([NONE if order.customer is None else order.customer for order in orders], dtype=np.int64)


def _lookers(rng: np.random.Generator, market: Market, is_bot: Bools) -> Ints:
    """The customers of sessions without an order; NONE for most."""
    is_customer = ~is_bot & (rng.random(len(is_bot)) < _CUSTOMERS)
    if not len(market.customers):
        return np.full(len(is_bot), NONE)
    chosen = market.customers[rng.integers(0, len(market.customers), len(is_bot))]
    return np.where(is_customer, chosen, NONE)


def _visitors(rng: np.random.Generator, options: SampleOptions, day: int, customers: Ints, is_bot: Bools) -> Visitors:
    """The visitor of each session: a customer comes with the same cookie each time."""
    known = np.flatnonzero(customers != NONE)
    others, automatic = np.flatnonzero((customers == NONE) & ~is_bot), np.flatnonzero(is_bot)
    parts = [
        customers_browsers(options, customers[known]),
        people(rng, options, day, len(others)),
        bots(rng, len(automatic)),
    ]
    return joined(parts)[np.argsort(np.concatenate([known, others, automatic]))]


def _moments(rng: np.random.Generator, day: int, lengths: Ints, orders: Sequence[Placed]) -> Ints:
    """When each click happens: a session with an order ends when that is placed, whenever it began."""
    count = int(lengths.sum())
    gaps = np.exp(rng.normal(np.log(_GAP_SECONDS), _GAP_SPREAD, count)) * 1000
    gaps[rng.random(count) < _PAUSES] *= _PAUSE
    passed = np.cumsum(gaps)
    ends = np.cumsum(lengths) - 1
    session = np.repeat(np.arange(len(lengths)), lengths)
    since_first = (passed - passed[(ends - lengths + 1)[session]]).astype(np.int64)
    starts = midnight(day) + times_of_day(rng, len(lengths))
    starts[: len(orders)] = [order.moment for order in orders]
    starts[: len(orders)] -= since_first[ends[: len(orders)]]
    moments: Ints = starts[session] + np.minimum(since_first, DAY_MS - 1)
    return moments
