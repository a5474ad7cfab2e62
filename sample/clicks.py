"""The objects of the shop's clicks: what arrived on a date, most of it clicked on it, with its trouble."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sample.captured import market
from sample.days import DAY_MS, dates_of, folder, stamps
from sample.draw import Bools, Ints, Stream, generator, uuid_texts
from sample.objects import CLICKS, SampleObject, Tally, encode, object_key
from sample.options import SampleOptions
from sample.steps import ADD, CHECKOUT, NONE, PURCHASE, REMOVE, SEARCH, TYPES, VIEW
from sample.stock import CURRENCIES
from sample.trouble import CLICK_FORMS, broken_click, delays_ms, draw_bad_lines
from sample.users import HORIZON_DAYS
from sample.visitors import AGENTS, COUNTRIES
from sample.visits import CHANNELS, CLICKS_PER_SESSION, Clicks, draw_clicks, session_count

SHOP = "https://shop.example.com"
_EXTENSION = ', "experiment": {"name": "new_cart", "arm": 2}'
_PAGES = {SEARCH: "/search", ADD: "/cart", REMOVE: "/cart", CHECKOUT: "/checkout", PURCHASE: "/checkout/done"}
_AGENTS = [f'"device": "{device}", "user_agent": {json.dumps(agent)}' for agent, device in AGENTS]
_UTM = ('"utm_source": ', ', "utm_medium": ', ', "utm_campaign": ')
_ADDRESSES = [
    "".join(name + json.dumps(value) for name, value in zip(_UTM, channel[:3], strict=True)) for channel in CHANNELS
]
_REFERRERS = [json.dumps(channel[3]) for channel in CHANNELS]


@dataclass(frozen=True, slots=True)
class _Sent:
    """Clicks as they are sent, as columns.

    Attributes:
        arrivals: the dates on which they arrive.
        is_late, is_extended, is_repeated: kinds of trouble.
    """

    clicks: Clicks
    arrivals: Ints
    is_late: Bools
    is_extended: Bools
    is_repeated: Bools

    def __len__(self) -> int:
        return len(self.arrivals)

    def __getitem__(self, places: Ints) -> _Sent:
        return _Sent(*(getattr(self, name)[places] for name in _Sent.__slots__))


def click_keys(options: SampleOptions, day: int) -> list[str]:
    """The keys of one date's objects, without generating them."""
    expected = session_count(options, day) * CLICKS_PER_SESSION
    files = -int(-expected // options.events_per_file)
    return [object_key(options, f"{folder(day)}/clickstream", number, 5) for number in range(files)]


def click_objects(options: SampleOptions, day: int) -> Iterator[SampleObject]:
    """The objects of one date: its clicks, and those of earlier dates that arrive on it."""
    keys = click_keys(options, day)
    earliest = day - HORIZON_DAYS + 1 if options.late else day - 1  # sessions pass midnight, copies follow a day later
    parts = [_carried(options, earlier).get(day) for earlier in range(earliest, day)]
    parts.append(_on_its_day(options, day))
    sent = [part for part in parts if part is not None]
    rng = generator(options.seed, day, Stream.CLICK_FILES)
    orders = [rng.permutation(len(part)) for part in sent]
    count = sum(map(len, sent))
    rng = generator(options.seed, day, Stream.BROKEN_CLICKS)
    bad = draw_bad_lines(rng, int(rng.binomial(count, options.malformed)), len(keys), CLICK_FORMS)
    groups = [np.array_split(order, len(keys)) for order in orders]
    for number, key in enumerate(keys):
        lines, tally = [], Tally()
        for part, shares in zip(sent, groups, strict=True):
            places = np.sort(shares[number])
            lines += _lines(part[places])
            tally += _tally(part[places])
        tally += Tally(broken=int((bad.objects == number).sum()) if lines else 0)
        yield SampleObject(
            CLICKS, key, encode(options, bad.mixed(number, lines, broken_click) if lines else []), tally=tally
        )


def _tally(sent: _Sent) -> Tally:
    first = ~sent.is_repeated
    return Tally(
        clicks=int(first.sum()),
        delayed=int((sent.is_late & first).sum()),
        extended=int((sent.is_extended & first).sum()),
        repeated=int(sent.is_repeated.sum()),
    )


@lru_cache(maxsize=2)
def _sent(options: SampleOptions, day: int) -> _Sent | None:
    """The clicks of the sessions of a date, with their copies; None if the shop was closed."""
    found = market(options, day)
    if found is None:
        return None
    clicks = draw_clicks(options, day, found)
    count, rng = len(clicks), generator(options.seed, day, Stream.CLICKS)
    is_late, is_extended, is_repeated = (
        rng.random(count) < share for share in (options.late, options.unknown_fields, options.duplicates)
    )
    delays = delays_ms(rng, np.full(count, HORIZON_DAYS - 1)) // DAY_MS
    is_next_day = rng.random(count) < 0.5
    # a session that began before midnight is sent when it ends with an order
    arrivals = np.maximum(dates_of(clicks.moments), day) + np.where(is_late, delays, 0)
    again = np.flatnonzero(is_repeated)
    places = np.concatenate([np.arange(count), again])
    arrivals = np.concatenate([arrivals, arrivals[again] + is_next_day[again]])
    return _Sent(clicks[places], arrivals, is_late[places], is_extended[places], np.arange(len(places)) >= count)


def _on_its_day(options: SampleOptions, day: int) -> _Sent | None:
    sent = _sent(options, day)
    return None if sent is None else sent[np.flatnonzero(sent.arrivals == day)]


@lru_cache(maxsize=HORIZON_DAYS + 2)
def _carried(options: SampleOptions, day: int) -> dict[int, _Sent]:
    """What is clicked on a date and arrives after it, by date of arrival."""
    sent = _sent(options, day)
    if sent is None:
        return {}
    later = sent[np.flatnonzero(sent.arrivals > day)]
    return {arrival: later[np.flatnonzero(later.arrivals == arrival)] for arrival in np.unique(later.arrivals).tolist()}


def _lines(sent: _Sent) -> list[str]:
    """Clicks as JSON."""
    clicks = sent.clicks
    pages = _pages(clicks.types, clicks.products)
    is_first = (clicks.places == 0).tolist()
    return [
        f'{{"event_id": "{event}", "visitor_id": "{visitor}", "customer_id": {customer}, '
        f'"event_type": "{TYPES[kind]}", '
        f'"product_id": {product}, "order_id": {order}, "quantity": {quantity}, "price": {price}, '
        f'"currency": {currency}, '
        f'"page": "{page}", "referrer": {_REFERRERS[channel] if first else previous}, '
        f'{_ADDRESSES[channel if first else 0]}, {_AGENTS[agent]}, "country_code": "{COUNTRIES[country]}", '
        f'"occurred_at": "{moment}"{extension}}}'
        for (
            event, visitor, customer, kind, product, order, quantity, price, currency, page, channel, first, previous,
            agent, country, moment, extension
        ) in zip(
            uuid_texts(clicks.ids),
            uuid_texts(clicks.visitors.ids),
            _texts(clicks.customers),
            clicks.types.tolist(),
            _texts(clicks.products),
            _texts(clicks.orders),
            _texts(clicks.quantities),
            ["null" if cents == NONE else f'"{cents // 100}.{cents % 100:02d}"' for cents in clicks.prices.tolist()],
            [
                "null" if cents == NONE else f'"{CURRENCIES[currency]}"'
                for cents, currency in zip(clicks.prices.tolist(), clicks.currencies.tolist(), strict=True)
            ],
            pages,
            clicks.channels.tolist(),
            is_first,
            [f'"{SHOP}{page}"' for page in _pages(clicks.types_before, clicks.products_before)],
            clicks.visitors.agents.tolist(),
            clicks.visitors.countries.tolist(),
            stamps(clicks.moments),
            [_EXTENSION if extended else "" for extended in sent.is_extended.tolist()],
            strict=True,
        )
    ]  # fmt: skip


def _texts(numbers: Ints) -> list[str]:
    return ["null" if number == NONE else str(number) for number in numbers.tolist()]


def _pages(types: Ints, products: Ints) -> list[str]:
    return [
        f"/products/{product}" if kind == VIEW else _PAGES[kind]
        for kind, product in zip(types.tolist(), products.tolist(), strict=True)
    ]
