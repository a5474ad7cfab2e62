"""Sales of a shop in plain Python, from the true versions of its rows and the definitions in docs/metrics.md.

Nothing is shared with the models: allocation, cancellation, refunds, versions and rates are computed again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sample.database import Database, Key, Row
from tests.revenue import Rates

UNKNOWN = "-1"
"""Key of the unknown member of a dimension."""
ALWAYS = dt.datetime(1900, 1, 1)


class Period(NamedTuple):
    """A version of a row while it held.

    Attributes:
        row: its columns; the last ones before where it was deleted.
    """

    row: Row
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    is_deleted: bool


class Sale(NamedTuple):
    """A row of gold.fct_sales."""

    order_id: int
    line_number: int
    event_type: str
    refund_id: int | None
    customer_key: str
    product_key: str
    currency: str
    business_date: dt.date
    business_hour: int
    event_at: dt.datetime
    quantity: int
    gross: Decimal
    discount: Decimal
    net: Decimal
    tax: Decimal
    shipping: Decimal
    cost: Decimal | None
    gross_reporting: Decimal
    discount_reporting: Decimal
    net_reporting: Decimal
    cost_reporting: Decimal | None
    profit_reporting: Decimal | None


FIRST_MEASURE = Sale._fields.index("quantity")


class Order(NamedTuple):
    """A row of gold.fct_orders."""

    order_id: int
    customer_key: str
    order_status: str
    is_first_order: bool | None
    item_count: int
    quantity: int
    gross: Decimal
    discount: Decimal
    net: Decimal
    tax: Decimal
    shipping: Decimal
    net_reporting: Decimal
    remaining_quantity: int
    remaining_net: Decimal
    remaining_tax: Decimal
    remaining_shipping: Decimal
    remaining_net_reporting: Decimal
    placed_at: dt.datetime
    paid_at: dt.datetime | None
    shipped_at: dt.datetime | None
    delivered_at: dt.datetime | None
    cancelled_at: dt.datetime | None


class Day(NamedTuple):
    """A row of gold.rpt_sales_daily."""

    business_date: dt.date
    category: str | None
    subcategory: str | None
    country_code: str | None
    events: int
    sold_quantity: int
    returned_quantity: int
    gross: Decimal
    discount: Decimal
    cancelled: Decimal
    refunded: Decimal
    net: Decimal
    costed_net: Decimal
    cost: Decimal
    profit: Decimal


def utc(moment: dt.datetime) -> dt.datetime:
    """A moment in UTC, without a zone."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment


def periods(database: Database, table: str, key: Key, created_at: str | None = None) -> list[Period]:
    """The versions of a row, deleted ones included, from when it was created if it says so."""
    found: list[Period] = []
    states = {utc(version.at): version.row for version in database.history.get((table, key), [])}
    for at, row in states.items():  # of several changes at one time the last one counts
        if found:
            found[-1] = found[-1]._replace(valid_to=at)
        if row is not None:
            created = utc(row[created_at]) if created_at else ALWAYS
            found.append(Period(row, at if found else min(created, at), None, is_deleted=False))
        elif found and not found[-1].is_deleted:
            found.append(Period(found[-1].row, at, None, is_deleted=True))
    return found


def allocate(amount: Decimal, weights: Sequence[Decimal], digits: int) -> list[Decimal]:
    """An amount in proportion to weights, to the minor unit; what is left goes to the greatest remainders."""
    total = sum(weights)
    if total == 0:
        return [amount, *(Decimal(0) for _ in weights[1:])]
    unit = Decimal(1).scaleb(-digits)
    exact = [Fraction(amount) * Fraction(weight) / Fraction(total) for weight in weights]
    parts = [math.floor(part / Fraction(unit)) * unit for part in exact]
    left = amount - sum(parts)
    for place in sorted(range(len(weights)), key=lambda place: (Fraction(parts[place]) - exact[place], place)):
        part = min(unit, left)
        parts[place] += part
        left -= part
    return parts


def converted(amount: Decimal, rate: Fraction) -> Decimal:
    """An amount times a rate, to six digits, halves away from zero."""
    millionths = Fraction(abs(amount)) * rate * 10**6
    rounded = Decimal(math.floor(millionths + Fraction(1, 2))).scaleb(-6)
    return rounded if amount >= 0 else -rounded


class Sales:
    """The sales of a shop.

    Attributes:
        sales, orders, days: rows of gold.fct_sales, gold.fct_orders and gold.rpt_sales_daily.
    """

    def __init__(self, database: Database, rates: Rates, digits: Mapping[str, int], zone: str) -> None:
        self._database, self._rates, self._digits, self._zone = database, rates, digits, ZoneInfo(zone)
        self._members: dict[str, Row] = {UNKNOWN: {}}
        self.sales: list[Sale] = []
        self.orders: list[Order] = []
        firsts: dict[int, tuple[dt.datetime, int]] = {}
        for (number,), row in database.rows["orders"].items():
            if row["customer_id"] is not None:
                place = (utc(row["ordered_at"]), number)
                firsts[row["customer_id"]] = min(place, firsts.get(row["customer_id"], place))
        first_orders = {number for _, number in firsts.values()}
        for (number,), row in sorted(database.rows["orders"].items()):
            sales = self._of_order(number, row)
            self.sales += sales
            is_first = None if row["customer_id"] is None else number in first_orders
            self.orders.append(self._order(number, row, sales, is_first=is_first))
        self.days = self._daily()

    def member(self, key: str) -> Row:
        """The version of a customer or product that has a surrogate key; without columns if it is unknown."""
        return self._members[key]

    def business_time(self, moment: dt.datetime) -> dt.datetime:
        """The time on the wall of the shop at a moment in UTC."""
        return moment.replace(tzinfo=dt.UTC).astimezone(self._zone).replace(tzinfo=None)

    def cancelled_at(self, number: int) -> dt.datetime | None:
        """When an order became cancelled for the last time, but not before it was placed; None if it is not."""
        since = None
        for period in periods(self._database, "orders", (number,), "ordered_at"):
            is_cancelled = period.row["status"] == "cancelled" and not period.is_deleted
            since = (since or period.valid_from) if is_cancelled else None
        return max(since, utc(self._database.rows["orders"][number,]["ordered_at"])) if since else None

    def _member(self, table: str, number: int | None, at: dt.datetime) -> str:
        """The surrogate key of the version in force at a moment."""
        for period in periods(self._database, table, (number,), "created_at"):
            if period.valid_from <= at and (period.valid_to is None or at < period.valid_to):
                key = hashlib.md5(f"{number}|{period.valid_from}".encode(), usedforsecurity=False).hexdigest()
                self._members[key] = period.row
                return key
        return UNKNOWN

    def _of_table(self, table: str, number: int) -> list[Row]:
        rows = self._database.rows[table]
        return [row for _, row in sorted(rows.items()) if row["order_id"] == number]

    def _of_order(self, number: int, order: Row) -> list[Sale]:
        items, placed, cancelled = (
            self._of_table("order_items", number),
            utc(order["ordered_at"]),
            self.cancelled_at(number),
        )
        month = self.business_time(placed).date().replace(day=1)
        rate, digits = self._rates.rate(order["currency"], month), self._digits[order["currency"]]
        customer = self._member("customers", order["customer_id"], placed)
        grosses = [item["quantity"] * item["unit_price"] for item in items]
        charged = -order["discount_amount"] + order["tax_amount"] + order["shipping_amount"]
        if not items or sum(grosses) + charged != order["total_amount"]:
            return []  # it waits for its items
        discounts = allocate(order["discount_amount"], grosses, digits) if items else []
        nets = [gross - discount for gross, discount in zip(grosses, discounts, strict=True)]
        taxes = allocate(order["tax_amount"], nets, digits) if items else []
        shippings = allocate(order["shipping_amount"], grosses, digits) if items else []
        found = []
        for item, gross, net, tax, shipping in zip(items, grosses, nets, taxes, shippings, strict=True):
            product = self._member("products", item["product_id"], placed)
            priced = self._members[product]

            def event(
                kind: str, refund: int | None, at: dt.datetime, quantity: int, gross: Decimal, net: Decimal,
                tax: Decimal, shipping: Decimal,
                item: Row = item, product: str = product, priced: Row = priced,
            ) -> Sale:  # fmt: skip
                when = self.business_time(at)
                gross_reporting, net_reporting = converted(gross, rate), converted(net, rate)
                cost = cost_reporting = profit = None
                if priced.get("cost") is not None:
                    cost = quantity * priced["cost"]
                    cost_reporting = converted(cost, self._rates.rate(priced["currency"], month))
                    profit = net_reporting - cost_reporting
                return Sale(
                    *(number, item["line_number"], kind, refund, customer, product, order["currency"]),
                    *(when.date(), when.hour, at, quantity, gross, gross - net, net, tax, shipping, cost),
                    *(gross_reporting, gross_reporting - net_reporting, net_reporting, cost_reporting, profit),
                )

            events = [event("sale", None, placed, item["quantity"], gross, net, tax, shipping)]
            for refund in self._of_table("refunds", number):
                at = utc(refund["refunded_at"])
                if refund["line_number"] == item["line_number"] and (cancelled is None or at < cancelled):
                    back = -refund["quantity"]
                    events.append(
                        event(
                            "refund",
                            refund["refund_id"],
                            at,
                            back,
                            back * item["unit_price"],
                            -refund["amount"],
                            -refund["tax_amount"],
                            Decimal(0),
                        )
                    )
            if cancelled is not None:
                left = [
                    None if values[0] is None else -sum(values)
                    for values in zip(*(sale[FIRST_MEASURE:] for sale in events), strict=True)
                ]
                if any(left):
                    when = self.business_time(cancelled)
                    moved = events[0]._replace(
                        event_type="cancellation",
                        event_at=cancelled,
                        business_date=when.date(),
                        business_hour=when.hour,
                    )
                    events.append(Sale(*moved[:FIRST_MEASURE], *left))
            found += events
        return found

    def _order(self, number: int, row: Row, sales: list[Sale], *, is_first: bool | None) -> Order:
        sold = [sale for sale in sales if sale.event_type == "sale"]

        def total(rows: list[Sale], name: str) -> Decimal:
            return sum((getattr(sale, name) for sale in rows), Decimal(0))

        def moments(table: str, column: str, *states: str) -> list[dt.datetime | None]:
            rows = self._of_table(table, number)
            rows = [item for item in rows if not states or item["status"] in states]
            return [utc(item[column]) if item[column] else None for item in rows]

        shipped = [at for at in moments("shipments", "shipped_at") if at]
        delivered = moments("shipments", "delivered_at")
        placed = utc(row["ordered_at"])
        return Order(
            *(number, self._member("customers", row["customer_id"], placed), row["status"], is_first, len(sold)),
            int(total(sold, "quantity")),
            *(total(sold, name) for name in ("gross", "discount", "net", "tax", "shipping", "net_reporting")),
            int(total(sales, "quantity")),
            *(total(sales, name) for name in ("net", "tax", "shipping", "net_reporting")),
            placed,
            min((at for at in moments("payments", "captured_at", "captured") if at), default=None),
            min(shipped, default=None),
            max((at for at in delivered if at), default=None) if None not in delivered else None,
            self.cancelled_at(number),
        )

    def _daily(self) -> list[Day]:
        groups: dict[tuple[Any, ...], list[Sale]] = defaultdict(list)
        for sale in self.sales:
            product, customer = self._members[sale.product_key], self._members[sale.customer_key]
            place = (product.get("category"), product.get("subcategory"), customer.get("country_code"))
            groups[(sale.business_date, *place)].append(sale)
        return [self._day(group, sales) for group, sales in groups.items()]

    @staticmethod
    def _day(group: tuple[Any, ...], sales: list[Sale]) -> Day:
        def total(name: str, *kinds: str) -> Any:
            values = [getattr(sale, name) for sale in sales if not kinds or sale.event_type in kinds]
            return sum((value for value in values if value is not None), 0)

        costed = sum((sale.net_reporting for sale in sales if sale.cost_reporting is not None), Decimal(0))
        return Day(
            *group,
            len(sales),
            total("quantity", "sale"),
            -total("quantity", "refund", "cancellation"),
            total("gross_reporting", "sale"),
            total("discount_reporting", "sale"),
            total("net_reporting", "cancellation"),
            total("net_reporting", "refund"),
            total("net_reporting"),
            costed,
            total("cost_reporting"),
            total("profit_reporting"),
        )
