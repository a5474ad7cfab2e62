"""A shop and its database: customers register, order, change their minds; the connector writes every change.

The shop opens on 1 January of the year of the sample's first date.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import count

import numpy as np

from sample.database import Database, LockedError, Row, Table, Transaction
from sample.days import DAY_MS, date_of, midnight, times_of_day
from sample.draw import Stream, generator
from sample.options import SampleOptions

TABLES = (
    Table("customers", ("customer_id",), ("note",)),
    Table("products", ("product_id",), ("description",)),
    Table("orders", ("order_id",)),
    Table("order_items", ("order_id", "line_number")),
)
_PRODUCTS = 60
_MOST_OPEN_MS = 20_000
"""How long a transaction stays open at most, in milliseconds."""
_ROLLED_BACK, _CANCELLED, _MISTAKEN, _REMOVED = 0.04, 0.06, 0.01, 0.05
_NEW_CUSTOMERS, _EDITED, _REPRICED, _LEFT = 0.4, 0.2, 0.1, 0.02
"""Per order: customers who register, edit themselves, leave; and products that get another price."""
_DOWN_MS = 3 * 3_600_000
_TAX = Decimal("0.19")
_COUNTRIES = ("DE", "FR", "GB", "NL", "US")
_CATEGORIES = ("books", "games", "kitchen", "garden", "toys")
_FIRST = "Ada Bruno Chiara Daan Elif Farah Greta Hana Iris Jules Kenji Lena Mateo Noor Olga Paul Rosa Sora".split()
_LAST = "Abe Bakker Costa Dubois Evans Fischer García Haas Ito Jansen Keller López Meyer Núñez Okada Smith".split()
_TEXT = "A thing for every day, made to last. "
_NOTE = "Called about a delivery that came late. "
_ORIGIN = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(order=True, slots=True)
class _Action:
    """Something that happens at a moment, in milliseconds since 1970 UTC."""

    moment: int
    number: int
    run: Callable[[int], None] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Written:
    """A record of the connector: the date on which it was written, its table, and itself."""

    day: int
    table: str
    record: Row


class Shop:
    """The shop on its dates, up to the last one of a sample."""

    def __init__(self, options: SampleOptions) -> None:
        self.options = options
        self.first_day = dt.date(dt.date.fromordinal(options.first_day).year, 1, 1).toordinal()
        self._rng = generator(options.seed, self.first_day, Stream.SHOP)
        self.database = Database("shop", TABLES, lambda: 8 * int(self._rng.integers(1, 40)))
        self._actions: list[_Action] = []
        self._numbers = count()
        self._customers = self._orders = 0

    def days(self) -> Iterator[list[Written]]:
        """What the connector writes on each date from the opening on, in order."""
        self._at(midnight(self.first_day) + 1, self._open)
        written = 0
        for day in range(self.first_day, self.options.last_day + 1):
            self._plan_day(day)
            while self._actions and date_of(self._actions[0].moment) <= day:
                action = heapq.heappop(self._actions)
                action.run(action.moment)
            records = self.database.records[written:]
            written = len(self.database.records)
            yield [Written(day, record["topic"].rsplit(".", 1)[1], record) for record in records]

    def _at(self, moment: int, run: Callable[[int], None]) -> None:
        heapq.heappush(self._actions, _Action(moment, next(self._numbers), run))

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def _plan_day(self, day: int) -> None:
        rng, options = self._rng, self.options
        orders = int(rng.poisson(options.orders / options.days))
        for moment in np.sort(times_of_day(rng, orders)).tolist():
            at = midnight(day) + int(moment)
            if self._chance(_NEW_CUSTOMERS):
                self._within(at, self._register)
            self._within(at + int(rng.integers(0, 5000)), self._order)
            for share, work in ((_EDITED, self._edit), (_REPRICED, self._reprice), (_LEFT, self._leave)):
                if self._chance(share):
                    self._within(at + int(rng.integers(0, 9000)), work)
        if self._chance(options.reloads):
            self._within(midnight(day) + 4 * 3_600_000, self._reload)
        if self._chance(options.resnapshots):
            at = midnight(day) + int(rng.integers(0, DAY_MS - _DOWN_MS - 1))
            self._at(at, lambda moment: self.database.disconnect())
            self._at(at + _DOWN_MS, lambda moment: self.database.connect(_time(moment)))

    def _within(self, at: int, work: Callable[[Transaction, int], None]) -> None:
        """Do some work in a transaction of its own, which commits, or rolls back, some seconds later."""

        def begin(moment: int) -> None:
            transaction = self.database.begin()
            until = moment + int(self._rng.integers(1, _MOST_OPEN_MS))
            try:
                work(transaction, moment)
            except LockedError:
                self.database.rollback(transaction)
                self._at(until, begin)
                return
            if self._chance(_ROLLED_BACK):
                self._at(until, lambda moment: self.database.rollback(transaction))
                return
            self._at(until, lambda moment: self.database.commit(transaction, _time(moment)))

        self._at(at, begin)

    def _open(self, moment: int) -> None:
        transaction = self.database.begin()
        for number in range(1, _PRODUCTS + 1):
            self.database.write(transaction, "products", (number,), self._product(number, moment))
        for _ in range(20):
            self._register(transaction, moment)
        self.database.commit(transaction, _time(moment))
        self.database.connect(_time(moment + 1000))

    def _product(self, number: int, moment: int) -> Row:
        price = Decimal(int(self._rng.integers(199, 19_999))) / 100
        return {
            "product_id": number,
            "sku": f"SKU-{number:05d}",
            "name": f"Thing {number}",
            "category": _CATEGORIES[number % len(_CATEGORIES)],
            "price": price,
            "cost": (price * Decimal("0.55")).quantize(Decimal("0.01")),
            "currency": "EUR",
            "is_active": True,
            "description": _TEXT * int(self._rng.integers(60, 90)),
            "created_at": _time(moment),
        }

    def _register(self, transaction: Transaction, moment: int) -> None:
        self._customers += 1
        rng = self._rng
        names = [words[int(rng.integers(0, len(words)))] for words in (_FIRST, _LAST)]
        born = dt.date(1950, 1, 1) + dt.timedelta(days=int(rng.integers(0, 20_000)))
        row = {
            "customer_id": self._customers,
            "email": f"{names[0].lower()}.{self._customers}@example.com",
            "name": " ".join(names),
            "country_code": _COUNTRIES[int(rng.integers(0, len(_COUNTRIES)))],
            "birth_date": born if self._chance(0.7) else None,
            "accepts_marketing": self._chance(0.5),
            "interests": [name for name in _CATEGORIES if self._chance(0.3)],
            "note": _NOTE * int(rng.integers(60, 90)) if self._chance(0.2) else None,
            "created_at": _time(moment),
            "updated_at": _time(moment).replace(tzinfo=None),
        }
        self.database.write(transaction, "customers", (self._customers,), row)

    def _order(self, transaction: Transaction, moment: int) -> None:
        customer = self._some("customers")
        products = sorted(number for (number,) in self.database.rows["products"])
        if customer is None or not products:
            return
        self._orders += 1
        order, rng, goods = self._orders, self._rng, Decimal(0)
        chosen = rng.choice(products, size=min(len(products), 1 + int(rng.geometric(0.5))), replace=False)
        for line, product in enumerate(chosen.tolist(), 1):
            price = self.database.rows["products"][product,]["price"]
            quantity = int(rng.geometric(0.6))
            goods += price * quantity
            item = {
                "order_id": order,
                "line_number": line,
                "product_id": product,
                "quantity": quantity,
                "unit_price": price,
            }
            self.database.write(transaction, "order_items", (order, line), item)
        discount = (goods / 10).quantize(Decimal("0.01")) if self._chance(0.2) else Decimal("0.00")
        shipping = Decimal("0.00") if goods > 50 else Decimal("4.90")
        row = {
            "order_id": order,
            "customer_id": customer[0],
            "status": "pending",
            "currency": "EUR",
            "discount_amount": discount,
            "shipping_amount": shipping,
            "tax_amount": ((goods - discount + shipping) * _TAX).quantize(Decimal("0.01")),
            "shipping_address": f"{int(rng.integers(1, 200))} High Street",
            "ordered_at": _time(moment),
            "updated_at": _time(moment).replace(tzinfo=None),
        }
        self.database.write(transaction, "orders", (order,), row)
        self._plan_life(order, moment)

    def _plan_life(self, order: int, moment: int) -> None:
        """What happens to an order after it is placed."""
        rng = self._rng
        at = moment + 60_000 + int(rng.integers(0, 600_000))
        if self._chance(_MISTAKEN):
            self._within(at, lambda transaction, moment: self._delete(transaction, order))
            return
        if self._chance(_REMOVED):
            self._within(at, lambda transaction, moment: self._remove_item(transaction, order))
        states = ["cancelled"] if self._chance(_CANCELLED) else ["paid", "shipped", "delivered"]
        for status in states:
            at += int(rng.integers(60_000, 2 * DAY_MS if status != "paid" else 900_000))
            self._within(at, partial(self._proceed, order, status))

    def _proceed(self, order: int, status: str, transaction: Transaction, moment: int) -> None:
        row = self.database.row(transaction, "orders", (order,))
        if row is not None:
            changed = {"status": status, "updated_at": _time(moment).replace(tzinfo=None)}
            self.database.write(transaction, "orders", (order,), row | changed)

    def _items(self, transaction: Transaction, order: int) -> list[Row]:
        lines = range(1, 20)
        found = (self.database.row(transaction, "order_items", (order, line)) for line in lines)
        return [row for row in found if row is not None]

    def _delete(self, transaction: Transaction, order: int) -> None:
        for item in self._items(transaction, order):
            self.database.write(transaction, "order_items", (order, item["line_number"]), None)
        self.database.write(transaction, "orders", (order,), None)

    def _remove_item(self, transaction: Transaction, order: int) -> None:
        """Remove the first item; the others move up, which changes their keys."""
        items = self._items(transaction, order)
        if len(items) < 2:
            return
        self.database.write(transaction, "order_items", (order, items[0]["line_number"]), None)
        for item in items[1:]:
            moved = item | {"line_number": item["line_number"] - 1}
            self.database.change_key(transaction, "order_items", (order, item["line_number"]), moved)

    def _edit(self, transaction: Transaction, moment: int) -> None:
        customer = self._some("customers")
        row = self.database.row(transaction, "customers", customer) if customer else None
        if customer is None or row is None:
            return
        changed: Row = {"updated_at": _time(moment).replace(tzinfo=None)}
        match int(self._rng.integers(0, 4)):
            case 0:
                changed["country_code"] = _COUNTRIES[int(self._rng.integers(0, len(_COUNTRIES)))]
            case 1:
                changed["interests"] = [name for name in _CATEGORIES if self._chance(0.3)]
            case 2:
                changed["note"] = _NOTE * int(self._rng.integers(60, 90))
            case _:
                changed["accepts_marketing"] = not row["accepts_marketing"]
        self.database.write(transaction, "customers", customer, row | changed)

    def _reprice(self, transaction: Transaction, moment: int) -> None:
        product = self._some("products")
        row = self.database.row(transaction, "products", product) if product else None
        if product is not None and row is not None:
            factor = Decimal(int(self._rng.integers(80, 125))) / 100
            changed = {"price": (row["price"] * factor).quantize(Decimal("0.01"))}
            self.database.write(transaction, "products", product, row | changed)

    def _leave(self, transaction: Transaction, moment: int) -> None:
        customer = self._some("customers")
        if customer:
            self.database.write(transaction, "customers", customer, None)

    def _reload(self, transaction: Transaction, moment: int) -> None:
        """Reload the catalogue as a careless job does: empty the table, then insert everything."""
        rows = dict(self.database.rows["products"])
        self.database.truncate(transaction, "products")
        for key, row in rows.items():
            self.database.write(transaction, "products", key, row)

    def _some(self, table: str) -> tuple[int, ...] | None:
        keys = list(self.database.rows[table])
        return keys[int(self._rng.integers(0, len(keys)))] if keys else None


def _time(moment: int) -> dt.datetime:
    return _ORIGIN + dt.timedelta(milliseconds=moment)
