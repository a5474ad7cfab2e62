"""Visitors of the shop: cookies, browsers and countries; and bots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sample.draw import Bytes, Floats, Ints, Stream, cumulative, generator, pick, uuids
from sample.options import SampleOptions

_MAC, _WINDOWS = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5"
# Browser, device, weight.
_BROWSERS = (
    (f"{_WINDOWS} {_WEBKIT} Chrome/126.0.0.0 Safari/537.36", "desktop", 24),
    (f"{_MAC} {_SAFARI} Safari/605.1.15", "desktop", 9),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "desktop", 4),
    (f"{_WINDOWS} {_WEBKIT} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0", "desktop", 7),
    (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {_SAFARI} Mobile/15E148 Safari/604.1", "mobile", 26),
    (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {_WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36", "mobile", 22),
    (f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {_SAFARI} Mobile/15E148 Safari/604.1", "tablet", 6),
    (f"Mozilla/5.0 (Linux; Android 13; SM-X200) {_WEBKIT} Chrome/125.0.0.0 Safari/537.36", "tablet", 2),
)
_BOTS = (
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "mobile", 38),
    ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "desktop", 20),
    ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "desktop", 14),
    ("Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", "desktop", 8),
    ("python-requests/2.32.3", "desktop", 8),
    ("curl/8.7.1", "desktop", 3),
    (f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT} HeadlessChrome/126.0.0.0 Safari/537.36", "desktop", 5),
    (None, "desktop", 4),
)
AGENTS = tuple((agent, device) for agent, device, _ in (*_BROWSERS, *_BOTS))
"""User agents and their devices; None for a bot that states none."""
_BROWSER_SHARES, _BOT_SHARES = (cumulative([weight for *_, weight in group]) for group in (_BROWSERS, _BOTS))
COUNTRIES = ("DE", "FR", "GB", "NL", "US", "ES", "PL")
US = COUNTRIES.index("US")
_COUNTRY_SHARES = cumulative([26, 16, 15, 12, 22, 5, 4])
_BLOCK = 1000
_COME_BACK_DAYS, _MEAN_AGE = 20, 2.5
_PER_SESSION = 0.6
"""New visitors of a date, per session."""


@dataclass(frozen=True, slots=True)
class Visitors:
    """Visitors, as columns.

    Attributes:
        agents: index into AGENTS.
        countries: index into COUNTRIES.
    """

    ids: Bytes
    agents: Ints
    countries: Ints

    def __getitem__(self, places: Ints) -> Visitors:
        return Visitors(self.ids[places], self.agents[places], self.countries[places])


def joined(parts: list[Visitors]) -> Visitors:
    """All visitors of several parts."""
    return Visitors(*(np.concatenate([getattr(part, name) for part in parts]) for name in Visitors.__slots__))


def people(rng: np.random.Generator, options: SampleOptions, day: int, count: int) -> Visitors:
    """Draw who comes on a date: visitors that are new on it, or were on one of the days before."""
    ages = np.minimum(rng.exponential(_MEAN_AGE, count).astype(np.int64), _COME_BACK_DAYS - 1)
    cohorts = [_cohort(options, day - age) for age in range(_COME_BACK_DAYS)]
    size = len(cohorts[0].ids)
    return joined(cohorts)[ages * size + rng.integers(0, size, count)]


def customers_browsers(options: SampleOptions, customers: Ints) -> Visitors:
    """The visitors that the given customers are."""
    blocks = {block: _block(options.seed, block) for block in np.unique(customers // _BLOCK).tolist()}
    if not blocks:
        return _draw(generator(options.seed, 0, Stream.CUSTOMER_VISITORS), 0, _BROWSER_SHARES)
    starts = {block: place * _BLOCK for place, block in enumerate(blocks)}
    first = np.array([starts[block] for block in (customers // _BLOCK).tolist()])
    return joined(list(blocks.values()))[first + customers % _BLOCK]


def bots(rng: np.random.Generator, count: int) -> Visitors:
    """Draw bots, each with a cookie of its own."""
    found = _draw(rng, count, _BOT_SHARES)
    return Visitors(found.ids, found.agents + len(_BROWSERS), found.countries)


@lru_cache(maxsize=_COME_BACK_DAYS + 2)
def _cohort(options: SampleOptions, day: int) -> Visitors:
    count = max(1, round(options.sessions_per_day * _PER_SESSION))
    return _draw(generator(options.seed, day, Stream.VISITORS), count, _BROWSER_SHARES)


@lru_cache(maxsize=1000)
def _block(seed: int, block: int) -> Visitors:
    return _draw(generator(seed, block, Stream.CUSTOMER_VISITORS), _BLOCK, _BROWSER_SHARES)


def _draw(rng: np.random.Generator, count: int, agents: Floats) -> Visitors:
    return Visitors(uuids(rng, count), pick(rng, agents, count), pick(rng, _COUNTRY_SHARES, count))
