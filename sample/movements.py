"""What goes into the shop's two stocks and out of them, from what commits in its database.

Orders take pieces out when they are placed, whether or not there are any; refunds and cancellations bring them back.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count, groupby

import numpy as np

from sample.database import Committed
from sample.days import DAY_MS, HOUR, midnight
from sample.draw import Stream, generator
from sample.schedule import moment_of

WAREHOUSE, STORE = LOCATIONS = ("warehouse", "store")
_FROM_STORE = 0.25
_OPENING = {WAREHOUSE: (3, 16), STORE: (1, 6)}
"""Pieces with which a product begins."""
_LOW, _RECEIVED = 3, (4, 15)
_FORGOTTEN, _AT_ONCE = 0.35, 0.1
"""Shares of low stocks that are ordered only once they are out, and of receipts that are booked with the last sale."""
_STORE_LOW, _MOVED = 1, (2, 7)
_COUNTED = 0.03
"""Share of sales after which the pieces are counted, and some are too few or too many."""


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement of a product in a stock.

    Attributes:
        number: its identifier.
        quantity: pieces that came, negative if they went.
        level: pieces in the stock after it.
        order: of a sale or return, else None.
        moment: milliseconds since 1970 UTC.
    """

    number: int
    product: int
    location: str
    kind: str
    quantity: int
    level: int
    order: int | None
    moment: int


@dataclass(slots=True)
class _Order:
    """What an order has taken.

    Attributes:
        items: product and pieces by line.
        refunded: line and pieces by refund.
        taken: pieces by product that have left the stock and not come back.
        is_open: whether it exists and is not cancelled.
    """

    location: str
    items: dict[int, tuple[int, int]] = field(default_factory=dict)
    refunded: dict[int, tuple[int, int]] = field(default_factory=dict)
    taken: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    is_open: bool = False

    def wanted(self, product: int) -> int:
        """Pieces of a product that the customer has by now."""
        lines = {line: pieces for line, (number, pieces) in self.items.items() if number == product}
        back = sum(pieces for line, pieces in self.refunded.values() if line in lines)
        return max(0, sum(lines.values()) - back) if self.is_open else 0


class Movements:
    """The stocks of a shop, date by date from its opening on."""

    def __init__(self, seed: int) -> None:
        self._seed, self._rng = seed, np.random.default_rng(0)
        self._levels: dict[tuple[int, str], int] = defaultdict(int)
        self._orders: dict[int, _Order] = {}
        self._order_of: dict[int, int] = {}
        self._awaited: set[tuple[int, str]] = set()
        self._forgotten: set[tuple[int, str]] = set()
        self._planned: list[tuple[int, int, Callable[[int], None]]] = []
        self._places, self._numbers = count(), count(1)
        self._found: list[Movement] = []

    def of_day(self, day: int, committed: Iterable[Committed]) -> list[Movement]:
        """The movements of a date, in order, from what commits on it; the dates must follow each other."""
        self._rng, self._found = generator(self._seed, day, Stream.MOVEMENTS), []
        for at, changes in groupby(committed, key=lambda change: change.version.at):
            moment = moment_of(at)
            self._until(moment)
            self._commit(moment, list(changes))
        self._until(midnight(day + 1) - 1)
        return self._found

    def _until(self, moment: int) -> None:
        while self._planned and self._planned[0][0] <= moment:
            at, _, run = heapq.heappop(self._planned)
            run(at)

    def _plan(self, moment: int, run: Callable[[int], None]) -> None:
        heapq.heappush(self._planned, (moment, next(self._places), run))

    def _commit(self, moment: int, changes: list[Committed]) -> None:
        """Bring the stocks to where a transaction leaves its orders."""
        touched: dict[int, str] = {}
        for change in changes:
            table, key, row = change.table, change.key, change.version.row
            if table == "products" and row is not None and (key[0], WAREHOUSE) not in self._levels:
                for location in LOCATIONS:
                    self._move(moment, key[0], location, "receipt", self._between(*_OPENING[location]))
            if table not in ("orders", "order_items", "refunds"):
                continue
            number = row["order_id"] if row else self._order_of[key[0]] if table == "refunds" else key[0]
            order = self._orders.get(number) or self._orders.setdefault(number, _Order(self._location()))
            touched[number] = table
            if table == "orders":
                order.is_open = row is not None and row["status"] != "cancelled"
            elif table == "order_items":
                order.items.pop(key[1], None)
                if row is not None:
                    order.items[key[1]] = (row["product_id"], row["quantity"])
            else:
                order.refunded.pop(key[0], None)
                if row is not None:
                    order.refunded[key[0]] = (row["line_number"], row["quantity"])
                    self._order_of[key[0]] = number
        for number, table in touched.items():
            self._settle(moment, number, table)

    def _settle(self, moment: int, number: int, table: str) -> None:
        """Move what an order takes or gives back. A refund that is corrected is a correction of the stock."""
        order = self._orders[number]
        for product in sorted({product for product, _ in order.items.values()} | order.taken.keys()):
            pieces = order.wanted(product) - order.taken[product]
            if not pieces:
                continue
            order.taken[product] += pieces
            kind = "return" if pieces < 0 else "adjustment" if table == "refunds" else "sale"
            self._move(moment, product, order.location, kind, -pieces, None if kind == "adjustment" else number)
            if kind == "sale":
                self._after_sale(moment, product, order.location)

    def _after_sale(self, moment: int, product: int, location: str) -> None:
        stock = product, location
        if self._chance(_COUNTED):
            wrong = -self._between(1, 3) if self._chance(0.7) else self._between(1, 3)
            self._plan(moment + self._between(HOUR, 9 * HOUR), lambda at: self._move(at, *stock, "adjustment", wrong))
        level = self._levels[stock]
        if location == STORE and level <= _STORE_LOW and self._levels[product, WAREHOUSE] > _LOW:
            self._plan(moment + self._between(HOUR, 20 * HOUR), lambda at: self._transfer(at, product))
        if level > _LOW or stock in self._awaited or (stock in self._forgotten and level > 0):
            return
        if stock not in self._forgotten and level > 0 and self._chance(_FORGOTTEN):
            self._forgotten.add(stock)
            return
        days = (5, 12) if stock in self._forgotten else (2, 9)
        self._forgotten.discard(stock)
        self._awaited.add(stock)
        at = moment if self._chance(_AT_ONCE) else moment + self._between(days[0] * DAY_MS, days[1] * DAY_MS)
        self._plan(at, lambda moment: self._receive(moment, product, location))

    def _receive(self, moment: int, product: int, location: str) -> None:
        self._awaited.discard((product, location))
        self._move(moment, product, location, "receipt", self._between(*_RECEIVED))

    def _transfer(self, moment: int, product: int) -> None:
        pieces = self._between(*_MOVED)
        if self._levels[product, WAREHOUSE] >= pieces:
            self._move(moment, product, WAREHOUSE, "transfer", -pieces)
            self._move(moment, product, STORE, "transfer", pieces)

    def _move(self, moment: int, product: int, location: str, kind: str, pieces: int, order: int | None = None) -> None:
        self._levels[product, location] += pieces
        level = self._levels[product, location]
        self._found.append(Movement(next(self._numbers), product, location, kind, pieces, level, order, moment))

    def _location(self) -> str:
        return STORE if self._chance(_FROM_STORE) else WAREHOUSE

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def _between(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high))
