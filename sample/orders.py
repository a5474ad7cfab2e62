"""The shop's orders: how they are placed, and what happens to them afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from sample.buyers import COUNTRIES, Buyers, currency_of
from sample.database import Row, Transaction
from sample.days import DAY_MS, date_of
from sample.fulfilment import Payments, Shipments
from sample.money import amount_of, cents, order_amounts
from sample.returns import Refunds, items_of
from sample.schedule import Schedule, moment_of, time_of
from sample.stock import Stock, shop_price

GUESTS = 0.15
_DISCOUNTED = 0.2
_CANCELLED, _MISTAKEN, _REMOVED = 0.06, 0.01, 0.05
_CANCELLED_PAID, _REINSTATED, _PAID_BACK = 0.05, 0.3, 0.7
"""Share of orders that are cancelled once they are paid; of those, the ones that are reinstated; of the rest, the ones
whose items are refunded."""
_REFUNDED, _AGAIN, _CANCELLED_REFUNDED = 0.15, 0.2, 0.15
"""Share of delivered orders of which something is refunded; of those, the ones with a second refund, and the ones that
are cancelled afterwards."""
_OUTLIVED = 40
"""Every so many orders, a product that was ordered leaves the catalogue, and its pieces come back later."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order as it was placed.

    Attributes:
        customer: None for a guest.
        moment: when it was placed, milliseconds since 1970 UTC.
        items: product, pieces, and price of one piece in minor units of the currency.
    """

    order: int
    customer: int | None
    currency: str
    moment: int
    items: tuple[tuple[int, int, int], ...]


class Orders:
    """The tables of orders and their items."""

    def __init__(self, schedule: Schedule, stock: Stock, buyers: Buyers) -> None:
        self._schedule, self._stock, self._buyers = schedule, stock, buyers
        self._payments, self._shipments = Payments(schedule), Shipments(schedule)
        self._refunds = Refunds(schedule)
        self._count = self._shown = 0

    def place(self, transaction: Transaction, moment: int) -> None:
        """A customer or a guest orders some products; what becomes of the order is planned."""
        draw = self._schedule
        products = sorted(number for (number,) in draw.database.rows["products"])
        buyer = None if draw.chance(GUESTS) else self._buyers.some()
        if not products:
            return
        self._count += 1
        order = self._count
        currency = currency_of(buyer["country_code"] if buyer else draw.one(COUNTRIES))
        chosen = draw.rng.choice(products, size=min(len(products), 1 + int(draw.rng.geometric(0.5))), replace=False)
        items = []
        for line, product in enumerate(chosen.tolist(), 1):
            listed = cents(draw.database.rows["products"][product,]["price"])
            item: Row = {
                "order_id": order,
                "line_number": line,
                "product_id": product,
                "quantity": int(draw.rng.geometric(0.6)),
                "unit_price": amount_of(shop_price(listed, currency)),
            }
            items.append(item)
            draw.database.write(transaction, "order_items", (order, line), item)
        row = {
            "order_id": order,
            "customer_id": buyer["customer_id"] if buyer else None,
            "status": "pending",
            "currency": currency,
            **order_amounts(items, draw.chance(_DISCOUNTED)),
            "shipping_address": f"{draw.between(1, 200)} High Street",
            "ordered_at": time_of(moment),
            "updated_at": time_of(moment).replace(tzinfo=None),
        }
        draw.database.write(transaction, "orders", (order,), row)
        self._plan(order, moment)

    def placed(self, day: int) -> Iterator[Placed]:
        """The orders that were placed and committed on a date, which is over; each date once, in order."""
        first, self._shown = self._shown + 1, self._count
        history = self._schedule.database.history
        for order in range(first, self._count + 1):
            versions = history.get(("orders", (order,)))
            row = versions[0].row if versions else None
            if row is None or date_of(moment := moment_of(row["ordered_at"])) != day:
                continue
            items = []
            for line in range(1, 20):
                for version in history.get(("order_items", (order, line)), ())[:1]:
                    item = version.row or {}
                    items.append((item["product_id"], item["quantity"], cents(item["unit_price"])))
            yield Placed(order, row["customer_id"], row["currency"], moment, tuple(items))

    def _plan(self, order: int, moment: int) -> None:
        """What happens to an order after it is placed."""
        draw = self._schedule
        at = moment + 60_000 + draw.between(0, 600_000)
        outlived = order % _OUTLIVED == 0
        if not outlived and draw.chance(_MISTAKEN):
            draw.within(at, partial(self._delete, order))
            return
        if not outlived and draw.chance(_REMOVED):
            draw.within(at, partial(self._remove_item, order))
        at = self._payments.plan(order, at + draw.between(60_000, 300_000))
        if not outlived and draw.chance(_CANCELLED):
            draw.within(at + draw.between(60_000, 2 * DAY_MS), partial(self._cancel, order))
            return
        at += draw.between(60_000, 900_000)
        draw.within(at, partial(self._proceed, order, "paid"))
        if not outlived and draw.chance(_CANCELLED_PAID):
            at += draw.between(600_000, DAY_MS)
            draw.within(at, partial(self._cancel, order))
            if not draw.chance(_REINSTATED):
                if draw.chance(_PAID_BACK):
                    draw.within(at + draw.between(60_000, 2 * DAY_MS), partial(self._pay_back, order))
                return
            at += draw.between(3_600_000, 2 * DAY_MS)
            draw.within(at, partial(self._proceed, order, "paid"))
        draw.within(at + draw.between(60_000, 3_600_000), partial(self._pack, order))
        for status in ("shipped", "delivered"):
            at += draw.between(3_600_000, 2 * DAY_MS)
            draw.within(at, partial(self._proceed, order, status))
        if outlived:
            self._outlive(order, at)
        elif draw.chance(_REFUNDED):
            at = self._refunds.plan(order, at)
            if draw.chance(_AGAIN):
                self._refunds.plan(order, at)
            if draw.chance(_CANCELLED_REFUNDED):
                draw.within(at + draw.between(3_600_000, 3 * DAY_MS), partial(self._cancel, order))

    def _outlive(self, order: int, at: int) -> None:
        """The first product of an order leaves the catalogue; then its pieces come back."""

        def leaves(transaction: Transaction, moment: int) -> None:
            if items := items_of(self._schedule, transaction, order):
                self._stock.replace(items[0]["product_id"], transaction, moment)

        def comes_back(transaction: Transaction, moment: int) -> None:
            if items := items_of(self._schedule, transaction, order):
                self._refunds.give_back(transaction, order, items[0]["line_number"], items, moment)

        self._schedule.within(at + DAY_MS, leaves)
        self._schedule.within(at + self._schedule.between(2 * DAY_MS, 5 * DAY_MS), comes_back)

    def _proceed(self, order: int, status: str, transaction: Transaction, moment: int) -> None:
        if self._set_status(transaction, order, status, moment):
            self._payments.capture(transaction, order, moment)
            if status in ("shipped", "delivered"):
                self._shipments.proceed(transaction, order, f"{status}_at", moment)

    def _cancel(self, order: int, transaction: Transaction, moment: int) -> None:
        if self._set_status(transaction, order, "cancelled", moment):
            self._payments.void(transaction, order)

    def _set_status(self, transaction: Transaction, order: int, status: str, moment: int) -> bool:
        row = self._schedule.database.row(transaction, "orders", (order,))
        if row is not None:
            changed = {"status": status, "updated_at": time_of(moment).replace(tzinfo=None)}
            self._schedule.database.write(transaction, "orders", (order,), row | changed)
        return row is not None

    def _pack(self, order: int, transaction: Transaction, moment: int) -> None:
        if self._schedule.database.row(transaction, "orders", (order,)) is not None:
            self._shipments.pack(transaction, order, moment)

    def _pay_back(self, order: int, transaction: Transaction, moment: int) -> None:
        self._refunds.pay_back(transaction, order, items_of(self._schedule, transaction, order), moment)

    def _delete(self, order: int, transaction: Transaction, moment: int) -> None:
        for item in items_of(self._schedule, transaction, order):
            self._schedule.database.write(transaction, "order_items", (order, item["line_number"]), None)
        self._schedule.database.write(transaction, "orders", (order,), None)

    def _remove_item(self, order: int, transaction: Transaction, moment: int) -> None:
        """Remove the first item before anything is paid; the others move up, which changes their keys."""
        database = self._schedule.database
        items, row = items_of(self._schedule, transaction, order), database.row(transaction, "orders", (order,))
        if len(items) < 2 or row is None or self._payments.exist(transaction, order):
            return
        database.write(transaction, "order_items", (order, items[0]["line_number"]), None)
        for item in items[1:]:
            moved = item | {"line_number": item["line_number"] - 1}
            database.change_key(transaction, "order_items", (order, item["line_number"]), moved)
        changed = order_amounts(items[1:], row["discount_amount"] > Decimal(0))
        changed["updated_at"] = time_of(moment).replace(tzinfo=None)
        database.write(transaction, "orders", (order,), row | changed)
