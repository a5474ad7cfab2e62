"""What is clicked in the shop's sessions, step by step, without by whom and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sample.captured import Market
from sample.draw import Bools, Ints
from sample.orders import Placed
from sample.stock import shop_price, shop_prices

TYPES = ("view", "search", "add_to_cart", "remove_from_cart", "begin_checkout", "purchase")
VIEW, SEARCH, ADD, REMOVE, CHECKOUT, PURCHASE = range(6)
NONE = -1
"""In a column of numbers, for an absent one."""
_EXPRESS, _PUT_BACK = 0.1, 0.2
"""Share of orders without a cart, and of the others those with a product that is put back."""
_LENGTH, _BOT_LENGTH = 3.5, 6.2
_SEARCHED, _ADDED, _REMOVED, _CHECKED_OUT = 0.25, 0.25, 0.12, 0.25
"""Share of clicks that search, and of clicks after the view of a product, and after an addition to the cart."""
_Step = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Steps:
    """Clicks in sessions, one session after the other, as columns; NONE for an absent number.

    Attributes:
        lengths: clicks of each session.
        types: index into TYPES.
        quantities: pieces.
        prices: of a piece, minor units of the session's currency.
    """

    lengths: Ints
    types: Ints
    products: Ints
    orders: Ints
    quantities: Ints
    prices: Ints

    def __add__(self, other: Steps) -> Steps:
        return Steps(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in Steps.__slots__))


def looking_steps(rng: np.random.Generator, market: Market, is_bot: Bools, currencies: Ints) -> Steps:
    """Sessions without an order, of visitors with the given currencies; some leave a cart behind. Bots only look."""
    lengths = rng.geometric(1 / np.where(is_bot, _BOT_LENGTH, _LENGTH))
    count = int(lengths.sum())
    is_first = np.zeros(count, dtype=bool)
    is_first[np.cumsum(lengths) - lengths] = True
    follows = ~is_first & ~np.repeat(is_bot, lengths)
    types = np.where(rng.random(count) < _SEARCHED, SEARCH, VIEW)
    places = rng.integers(0, max(1, len(market.products)), count)
    quantities = np.full(count, NONE)

    added = np.flatnonzero(_apart(follows & (_before(types) == VIEW) & (rng.random(count) < _ADDED)))
    types[added] = ADD
    places[added] = places[added - 1]
    quantities[added] = rng.geometric(0.75, len(added))
    fate = rng.random(count)
    after_cart = follows & (_before(types) == ADD) & (types != ADD)
    removed = np.flatnonzero(after_cart & (fate < _REMOVED))
    types[removed] = REMOVE
    places[removed], quantities[removed] = places[removed - 1], quantities[removed - 1]
    types[after_cart & (fate >= 1 - _CHECKED_OUT)] = CHECKOUT

    has_product = (types != SEARCH) & (types != CHECKOUT)
    prices = shop_prices(market.prices[places], np.repeat(currencies, lengths))
    return Steps(
        lengths,
        types,
        np.where(has_product, market.products[places], NONE),
        np.full(count, NONE),
        quantities,
        np.where(has_product, prices, NONE),
    )


def buying_steps(rng: np.random.Generator, market: Market, orders: Sequence[Placed]) -> Steps:
    """A session for each order, which its purchase ends."""
    sessions = [_bought(rng, market, order) for order in orders]
    rows = [step for session in sessions for step in session]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return Steps(np.array([len(session) for session in sessions], dtype=np.int64), *columns)


def _bought(rng: np.random.Generator, market: Market, order: Placed) -> list[_Step]:
    pieces = sum(quantity for _, quantity, _ in order.items)
    end = [(CHECKOUT, NONE, NONE, NONE, NONE), (PURCHASE, NONE, order.order, pieces, NONE)]
    if rng.random() < _EXPRESS:
        product, _, price = order.items[0]
        return [(VIEW, product, NONE, NONE, price), *end]
    steps = []
    for product, quantity, price in order.items:
        steps += [(VIEW, product, NONE, NONE, price), (ADD, product, NONE, quantity, price)]
    if rng.random() < _PUT_BACK:
        place = int(rng.integers(0, len(market.products)))
        product, price = int(market.products[place]), shop_price(int(market.prices[place]), order.currency)
        steps += [(VIEW, product, NONE, NONE, price), (ADD, product, NONE, 1, price), (REMOVE, product, NONE, 1, price)]
    return steps + end


def _before(types: Ints) -> Ints:
    """The type of the click before each one; of the first one its own."""
    return types[np.maximum(np.arange(len(types)) - 1, 0)]


def _apart(mask: Bools) -> Bools:
    """The masked places whose neighbour before is not masked."""
    apart = mask.copy()
    apart[1:] &= ~mask[:-1]
    return apart
