"""A random small shop: every trouble that sales must survive, dense in time around midnights and changes of clocks."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sample.database import Database, Key, Row
from sample.shop import TABLES
from tests.revenue import Rates
from tests.shop_sales import Sales, utc

FIRST, LAST = dt.datetime(2026, 2, 20, tzinfo=dt.UTC), dt.datetime(2026, 4, 6, tzinfo=dt.UTC)
DENSE = (
    dt.datetime(2026, 2, 28, 22, 30, tzinfo=dt.UTC),
    dt.datetime(2026, 3, 28, 22, 30, tzinfo=dt.UTC),
    dt.datetime(2026, 3, 29, 0, 30, tzinfo=dt.UTC),
    dt.datetime(2026, 3, 31, 21, 30, tzinfo=dt.UTC),
)
"""In the hour after these much happens: in Berlin ends of months, midnights and the hour that does not exist."""
ACTIONS = {
    "place": 10,
    "register": 2,
    "move": 2,
    "write_to": 1,
    "leave": 1,
    "create": 1,
    "categorise": 2,
    "cost": 2,
    "withdraw": 1,
    "bring_back": 2,
    "correct_quantity": 2,
    "remove_item": 2,
    "renumber_item": 2,
    "date_back": 1,
    "delete_order": 1,
    "cancel": 4,
    "resume": 2,
    "refund": 6,
    "correct_refund": 2,
    "delete_refund": 1,
    "pay": 4,
    "ship": 4,
    "deliver": 3,
}
CURRENCIES = ("EUR", "EUR", "USD", "JPY")
COUNTRIES = ("DE", "FR", "US", None)
CATEGORIES = ("books", "games", "toys", None)


class RandomShop:
    """A shop that has closed.

    Attributes:
        weights: how often something is done, by action.
        first, last: when the first and the last may be done.
        dense: beginnings of hours in which much is.
        database: with every change that the connector wrote.
        done: how often something was done, by action.
    """

    weights: Mapping[str, int] = ACTIONS
    first, last, dense = FIRST, LAST, DENSE

    def __init__(self, seed: int, rates: Rates, digits: dict[str, int], zone: str, actions: int = 160) -> None:
        self.dice = random.Random(seed)
        self.database = Database("shop", TABLES, lambda: 8 * self.dice.randrange(1, 40))
        self.database.connect(self.first - dt.timedelta(days=1))
        self.done: dict[str, int] = defaultdict(int)
        self._digits = digits
        self._numbers: dict[str, int] = defaultdict(int)
        self._withdrawn: list[tuple[Key, Row]] = []
        self._of = rates, digits, zone
        self._trade(["register"] * 4 + ["create"] * 4 + ["place"] * 3, actions)

    def _trade(self, first: list[str], actions: int) -> None:
        """Do some actions, then others at random, and take back what nobody may have sold or paid back."""
        names, weights = list(self.weights), list(self.weights.values())
        chosen = [*first, *self.dice.choices(names, weights, k=actions)]
        for at, name in zip(self._times(len(chosen)), chosen, strict=True):
            transaction = self.database.begin()
            self._transaction, self._now = transaction, at
            getattr(self, f"_{name}")()
            self.done[name] += bool(transaction.writes)
            self.database.commit(transaction, at)
        self._correct_excess(Sales(self.database, *self._of))

    def _times(self, count: int) -> list[dt.datetime]:
        """Different whole seconds, in order."""
        found: set[dt.datetime] = set()
        while len(found) < count:
            if self.dice.random() < 0.5:
                start, seconds = self.dice.choice(self.dense), 3600
            else:
                start, seconds = self.first, int((self.last - self.first).total_seconds())
            found.add(start + dt.timedelta(seconds=self.dice.randrange(seconds)))
        return sorted(found)

    def _write(self, table: str, key: Key, row: Row | None) -> None:
        self.database.write(self._transaction, table, key, row)

    def _next(self, table: str) -> int:
        self._numbers[table] += 1
        return self._numbers[table]

    def _some(self, table: str, **columns: Any) -> tuple[Key, Row] | None:
        """Any row with some values."""
        found = [
            (key, row)
            for key, row in self.database.rows[table].items()
            if all(row[name] == value for name, value in columns.items())
        ]
        return self.dice.choice(found) if found else None

    def _change(self, table: str, **changed: Any) -> None:
        if found := self._some(table):
            self._write(table, found[0], found[1] | changed)

    def _amount(self, most: int) -> Decimal:
        return Decimal(self.dice.randrange(most)) / 100

    def _register(self) -> None:
        number = self._next("customers")
        row = {
            "customer_id": number,
            "email": f"{number}@example.com",
            "name": f"Customer {number}",
            "note": None,
            "country_code": self.dice.choice(COUNTRIES),
            "birth_date": None,
            "accepts_marketing": False,
            "interests": [],
            "created_at": self._now,
            "updated_at": utc(self._now),
        }
        self._write("customers", (number,), row)

    def _move(self) -> None:
        self._change("customers", country_code=self.dice.choice(COUNTRIES))

    def _write_to(self) -> None:
        self._change("customers", email="other@example.com", note="wrote")

    def _leave(self) -> None:
        if found := self._some("customers"):
            self._write("customers", found[0], None)

    def _create(self) -> None:
        number = self._next("products")
        row = {
            "product_id": number,
            "sku": f"S{number}",
            "name": f"Thing {number}",
            "is_active": True,
            "category": self.dice.choice(CATEGORIES),
            "subcategory": self.dice.choice(["a", "b", None]),
            "price": self._amount(5000),
            "cost": self.dice.choice([None, self._amount(3000), self._amount(3000)]),
            "currency": self.dice.choice(["EUR", "USD"]),
            "description": "text",
            "created_at": self._now,
        }
        self._write("products", (number,), row)

    def _categorise(self) -> None:
        self._change("products", category=self.dice.choice(CATEGORIES))

    def _cost(self) -> None:
        self._change("products", cost=self._amount(3000), currency=self.dice.choice(["EUR", "USD"]))

    def _withdraw(self) -> None:
        if found := self._some("products"):
            self._withdrawn.append(found)
            self._write("products", found[0], None)

    def _bring_back(self) -> None:
        if self._withdrawn:
            key, row = self._withdrawn.pop()
            self._write("products", key, row | {"category": self.dice.choice(CATEGORIES)})

    def _place(self) -> None:
        number = self._next("orders")
        customers, products = list(self.database.rows["customers"]), list(self.database.rows["products"])
        customer = self.dice.choice([*customers, *customers, *customers, (None,), (None,), (900,)])[0]
        currency = self.dice.choice(CURRENCIES)
        for line in range(1, self.dice.choice([1, 2, 3, 3, 4]) + 1):
            price = self._amount(20_000)
            if currency == "JPY":
                price = price.quantize(Decimal(1))
            item = {
                "order_id": number,
                "line_number": line,
                "product_id": self.dice.choice([*products * 4, (901,)])[0],
                "quantity": self.dice.randrange(1, 5),
                "unit_price": self.dice.choice([price, price, Decimal(0)]),
            }
            self._write("order_items", (number, line), item)
        row = {
            "order_id": number,
            "customer_id": customer,
            "currency": currency,
            "shipping_address": "High Street",
            "status": self.dice.choice(["pending", "pending", "pending", "cancelled"]),
            "discount_amount": Decimal(0),
            "ordered_at": self._now - dt.timedelta(seconds=self.dice.choice([0, 1, 60, 7200])),
        }
        if self.dice.random() < 0.05:  # an order without items
            for line in range(1, 5):
                self._write("order_items", (number, line), None)
        self._price(number, row)

    def _items(self, number: int) -> list[Row]:
        found = (self.database.row(self._transaction, "order_items", (number, line)) for line in range(1, 40))
        return [row for row in found if row]

    def _price(self, number: int, row: Row, *, is_other_discount: bool = True) -> None:
        """Write an order with the amounts of its items."""
        digits = Decimal(1).scaleb(-self._digits[row["currency"]])
        goods = sum((item["quantity"] * item["unit_price"] for item in self._items(number)), Decimal(0))
        shares = [Decimal(0), Decimal(0), Decimal("0.1"), Decimal("0.337"), Decimal(1)]
        discount = (goods * self.dice.choice(shares)).quantize(digits) if is_other_discount else row["discount_amount"]
        shipping = self.dice.choice([Decimal(0), Decimal("4.99"), Decimal("0.07")]).quantize(digits)
        tax = (self.dice.choice([Decimal("0.19"), Decimal("0.07")]) * (goods - discount + shipping)).quantize(digits)
        amounts = {"discount_amount": discount, "shipping_amount": shipping, "tax_amount": tax}
        total = goods - discount + shipping + tax
        self._write("orders", (number,), row | amounts | {"total_amount": total, "updated_at": utc(self._now)})

    def _priced_again(self, number: int) -> None:
        if order := self.database.rows["orders"].get((number,)):
            self._price(number, order)

    def _correct_quantity(self) -> None:
        if found := self._some("order_items"):
            self._write("order_items", found[0], found[1] | {"quantity": self.dice.randrange(1, 7)})
            self._priced_again(found[0][0])

    def _remove_item(self) -> None:
        if found := self._some("order_items"):
            self._write("order_items", found[0], None)
            self._priced_again(found[0][0])

    def _renumber_item(self) -> None:
        if found := self._some("order_items"):
            (number, line), row = found
            self.database.change_key(self._transaction, "order_items", (number, line), row | {"line_number": line + 5})
            self._priced_again(number)

    def _date_back(self) -> None:
        if found := self._some("orders"):
            at = found[1]["ordered_at"] + dt.timedelta(hours=self.dice.choice([-400, -3, 1]))
            self._write("orders", found[0], found[1] | {"ordered_at": at})

    def _delete_order(self) -> None:
        if found := self._some("orders"):
            for item in self._items(found[0][0]):
                self._write("order_items", (item["order_id"], item["line_number"]), None)
            self._write("orders", found[0], None)

    def _cancel(self) -> None:
        self._change("orders", status="cancelled")

    def _resume(self) -> None:
        if found := self._some("orders", status="cancelled"):
            self._write("orders", found[0], found[1] | {"status": "paid"})

    def _refund(self) -> None:
        found = self._some("order_items")
        if not found or (found[0][0],) not in self.database.rows["orders"]:
            return
        (order, line), item = found
        number, quantity = self._next("refunds"), self.dice.choice([0, 1, item["quantity"]])
        digits = Decimal(1).scaleb(-self._digits[self.database.rows["orders"][order,]["currency"]])
        share = self.dice.choice([Decimal(1), Decimal("0.8"), Decimal("0.31")])
        amount = (max(quantity, Decimal("0.2")) * item["unit_price"] * share).quantize(digits)
        row = {
            "refund_id": number,
            "order_id": order,
            "line_number": line,
            "quantity": quantity,
            "amount": amount,
            "tax_amount": (amount * Decimal("0.19")).quantize(digits),
            "refunded_at": self._now + dt.timedelta(days=self.dice.choice([0, 0, 30])),
        }
        self._write("refunds", (number,), row)

    def _correct_refund(self) -> None:
        if found := self._some("refunds"):
            self._write("refunds", found[0], found[1] | {"amount": Decimal(0), "quantity": 0})

    def _delete_refund(self) -> None:
        if found := self._some("refunds"):
            self._write("refunds", found[0], None)

    def _pay(self) -> None:
        if found := self._some("orders"):
            number = self._next("payments")
            status = self.dice.choice(["captured", "captured", "failed"])
            row = {
                "payment_id": number,
                "order_id": found[0][0],
                "method": "card",
                "status": status,
                "amount": found[1]["total_amount"],
                "currency": found[1]["currency"],
                "created_at": self._now,
                "captured_at": self._now if status == "captured" else None,
            }
            self._write("payments", (number,), row)

    def _ship(self) -> None:
        if found := self._some("orders"):
            number = self._next("shipments")
            row = {
                "shipment_id": number,
                "order_id": found[0][0],
                "carrier": "DHL",
                "created_at": self._now,
                "shipped_at": self.dice.choice([self._now, None]),
                "delivered_at": None,
            }
            self._write("shipments", (number,), row)

    def _deliver(self) -> None:
        self._change("shipments", delivered_at=self._now)

    def _correct_excess(self, sales: Sales) -> None:
        """Take back refunds of more than was sold, and of items that are gone, as the shop's accounts do at the end."""
        left: dict[tuple[int, int], list[Any]] = defaultdict(lambda: [0, Decimal(0), False])
        for sale in sales.sales:
            if sale.event_type != "cancellation":
                item = left[sale.order_id, sale.line_number]
                item[0], item[1], item[2] = item[0] + sale.quantity, item[1] + sale.net, True
        self._transaction = transaction = self.database.begin()
        for key, refund in list(self.database.rows["refunds"].items()):
            quantity, net, is_known = left[refund["order_id"], refund["line_number"]]
            is_left = not is_known and (refund["order_id"],) in self.database.rows["orders"]
            if quantity < 0 or net < 0 or is_left:
                self._write("refunds", key, None)
        self.done["correct_excess"] = len(transaction.writes)
        self.database.commit(transaction, self.last + dt.timedelta(hours=1))
