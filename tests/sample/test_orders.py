"""The shop's tables agree with each other: totals to the cent, refunds within what was sold, payments of totals."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from decimal import Decimal

import pytest

from sample.database import Row
from sample.money import allocated, cents, sold
from sample.options import SampleOptions
from sample.shop import Shop

OPTIONS = SampleOptions(dt.date(2026, 5, 31), events=1, days=31, orders=310, accounts=0)


@pytest.fixture(scope="module")
def shop() -> Shop:
    """A shop that was open from January to May."""
    found = Shop(OPTIONS)
    assert sum(map(len, found.days())) > 10_000
    return found


def rows(shop: Shop, table: str) -> list[Row]:
    return list(shop.database.rows[table].values())


def versions(shop: Shop, table: str) -> list[list[Row | None]]:
    """The versions of each row."""
    histories = (found for (name, _), found in shop.database.history.items() if name == table)
    return [[version.row for version in history] for history in histories]


def items(shop: Shop) -> dict[int, list[Row]]:
    """The items of each order, by line number."""
    found: dict[int, list[Row]] = defaultdict(list)
    for row in sorted(rows(shop, "order_items"), key=lambda row: row["line_number"]):
        found[row["order_id"]].append(row)
    return found


def share(values: list[bool]) -> float:
    return sum(values) / len(values)


def test_totals_are_what_the_items_add_up_to(shop: Shop) -> None:
    of_order = items(shop)
    for row in rows(shop, "orders"):
        goods = sum(item["unit_price"] * item["quantity"] for item in of_order[row["order_id"]])
        due = goods - row["discount_amount"] + row["shipping_amount"] + row["tax_amount"]
        assert row["total_amount"] == due > 0
        assert due == due.quantize(Decimal("0.01"))


def test_some_buy_as_guests_and_some_in_another_currency(shop: Shop) -> None:
    orders = rows(shop, "orders")
    assert share([row["customer_id"] is None for row in orders]) == pytest.approx(0.15, abs=0.03)
    assert 0.1 < share([row["currency"] == "USD" for row in orders]) < 0.35
    assert {row["currency"] for row in orders} == {"EUR", "USD"}
    assert len({(row["category"], row["subcategory"]) for row in rows(shop, "products")}) > 10


def test_refunds_are_never_more_than_was_sold_of_an_item(shop: Shop) -> None:
    of_order, taken = items(shop), defaultdict(list)
    for row in rows(shop, "refunds"):
        taken[row["order_id"], row["line_number"]].append(row)
    assert max(map(len, taken.values())) > 1
    for (order, line), refunds in taken.items():
        (item,) = (item for item in of_order[order] if item["line_number"] == line)
        net, tax = sold(shop.database.rows["orders"][order,], of_order[order])[line]
        assert sum(refund["quantity"] for refund in refunds) <= item["quantity"]
        assert sum(cents(refund["amount"]) for refund in refunds) <= net
        assert sum(cents(refund["tax_amount"]) for refund in refunds) <= tax


def test_there_are_refunds_of_every_kind(shop: Shop) -> None:
    refunds, of_order, orders = rows(shop, "refunds"), items(shop), shop.database.rows["orders"]
    assert any(row["quantity"] == 0 and row["amount"] > 0 for row in refunds), "money alone"
    assert any(row["refunded_at"].month != orders[row["order_id"],]["ordered_at"].month for row in refunds)
    bought = {(item["order_id"], item["line_number"]): item for found in of_order.values() for item in found}
    sold_as = [(row, bought[row["order_id"], row["line_number"]]) for row in refunds]
    assert any(0 < row["quantity"] < item["quantity"] for row, item in sold_as), "some of the pieces"
    histories = versions(shop, "refunds")
    assert any(history[-1] is None for history in histories), "deleted"
    assert any(None not in history and len(history) > 1 for history in histories), "corrected"
    products = shop.database.rows["products"]
    assert any((item["product_id"],) not in products for _, item in sold_as), "no longer sold"


def test_orders_end_in_every_way(shop: Shop) -> None:
    ends = Counter(
        (*dict.fromkeys(row["status"] for row in history if row), history[-1]["status"])
        for history in versions(shop, "orders")
        if history[-1]
    )
    assert ends["pending", "cancelled", "cancelled"], "before it was paid"
    assert ends["pending", "paid", "cancelled", "cancelled"], "after it was paid"
    assert ends["pending", "paid", "shipped", "delivered", "cancelled", "cancelled"], "after a refund"
    assert ends["pending", "paid", "cancelled", "shipped", "delivered", "delivered"], "reinstated"
    assert any(history[-1] is None for history in versions(shop, "orders")), "deleted"


def test_captured_payments_are_what_orders_cost(shop: Shop) -> None:
    payments, orders = rows(shop, "payments"), shop.database.rows["orders"]
    captured = [row for row in payments if row["status"] == "captured"]
    assert len({row["order_id"] for row in captured}) == len(captured) > 1000
    for row in captured:
        order = orders[row["order_id"],]
        assert (row["amount"], row["currency"]) == (order["total_amount"], order["currency"])
        assert order["ordered_at"] < row["created_at"] <= row["captured_at"]
    assert {row["status"] for row in payments} >= {"captured", "failed", "voided"}
    failed = {row["order_id"] for row in payments if row["status"] == "failed"}
    assert failed & {row["order_id"] for row in captured}


def test_shipments_go_on_in_order(shop: Shop) -> None:
    shipments = rows(shop, "shipments")
    assert len({row["order_id"] for row in shipments}) == len(shipments) > 1000
    delivered = [row for row in shipments if row["delivered_at"]]
    assert share([row in delivered for row in shipments]) > 0.8
    assert all(row["created_at"] <= row["shipped_at"] <= row["delivered_at"] for row in delivered)


def test_prices_of_items_are_those_of_their_currency(shop: Shop) -> None:
    """EUR 100 and USD 112 are the same price, whatever the rates of the day."""
    database = shop.database
    listed = {
        product: {cents(version.row["price"]) for version in history if version.row}
        for (table, (product, *_)), history in database.history.items()
        if table == "products"
    }
    for item in rows(shop, "order_items"):
        price, prices = cents(item["unit_price"]), listed[item["product_id"]]
        is_euro = database.rows["orders"][item["order_id"],]["currency"] == "EUR"
        assert price in (prices if is_euro else {(amount * 112 + 50) // 100 for amount in prices})


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (1, [1, 2], [0, 1]),
        (5, [0, 0], [5, 0]),
        (0, [3, 4], [0, 0]),
        (100, [333, 333, 334], [33, 33, 34]),
    ],
)
def test_what_rounding_leaves_goes_to_the_greatest_remainders(
    total: int, weights: list[int], expected: list[int]
) -> None:
    assert allocated(total, weights) == expected
