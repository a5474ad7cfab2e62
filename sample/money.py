"""Amounts of an order, and what of them is each item's: docs/metrics.md."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from sample.database import Row

_CENT = Decimal("0.01")
_TAX, _DISCOUNT = Decimal("0.19"), Decimal("0.1")
_SHIPPING, _SHIPPED_FREE = Decimal("4.90"), 50


def order_amounts(items: Sequence[Row], is_discounted: bool) -> Row:
    """Discount, shipping, tax and total of an order: goods less discount, with shipping and tax, exactly."""
    goods = sum((item["unit_price"] * item["quantity"] for item in items), Decimal("0.00"))
    discount = (goods * _DISCOUNT).quantize(_CENT) if is_discounted else Decimal("0.00")
    shipping = Decimal("0.00") if goods > _SHIPPED_FREE else _SHIPPING
    tax = ((goods - discount + shipping) * _TAX).quantize(_CENT)
    return {
        "discount_amount": discount,
        "shipping_amount": shipping,
        "tax_amount": tax,
        "total_amount": goods - discount + shipping + tax,
    }


def sold(order: Row, items: Sequence[Row]) -> dict[int, tuple[int, int]]:
    """Net revenue and tax of each item in minor units, by line number."""
    gross = [cents(item["unit_price"] * item["quantity"]) for item in items]
    discounts = allocated(cents(order["discount_amount"]), gross)
    net = [amount - discount for amount, discount in zip(gross, discounts, strict=True)]
    taxes = allocated(cents(order["tax_amount"]), net)
    return {item["line_number"]: pair for item, pair in zip(items, zip(net, taxes, strict=True), strict=True)}


def allocated(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a total in proportion to weights; what rounding down leaves goes to the greatest remainders.

    >>> allocated(10, [1, 1, 1])
    [4, 3, 3]
    """
    whole = sum(weights)
    if not whole:
        return [total if place == 0 else 0 for place in range(len(weights))]
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: (-(total * weights[place] % whole), place))
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return parts


def cents(amount: Decimal) -> int:
    """An amount in minor units."""
    return int(amount * 100)


def amount_of(minor: int) -> Decimal:
    """An amount of minor units, with two digits."""
    return (Decimal(minor) / 100).quantize(_CENT)
