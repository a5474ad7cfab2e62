"""The shop's catalogue: products, their prices, and what leaves and joins it."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from sample.database import Row, Transaction
from sample.draw import Ints
from sample.schedule import Schedule, time_of

PRODUCTS = 60
CATEGORIES = {
    "books": ("crime", "poetry", "travel"),
    "games": ("board", "cards"),
    "kitchen": ("pots", "knives", "bakeware"),
    "garden": ("tools", "seeds"),
    "toys": ("wooden", "plush", "outdoor"),
}
CURRENCIES = ("EUR", "USD")
_CENTS_PER_EURO = (100, 112)
"""List prices are in euros; the shop's prices in another currency follow from them, not from a day's rate."""
_LOWEST, _HIGHEST = Decimal("0.99"), Decimal("999.99")
_TEXT = "A thing for every day, made to last. "
_CENT = Decimal("0.01")


def shop_price(cents: int, currency: str) -> int:
    """The price in a currency, in its minor units, of a list price in cents."""
    return (cents * _CENTS_PER_EURO[CURRENCIES.index(currency)] + 50) // 100


def shop_prices(cents: Ints, currencies: Ints) -> Ints:
    """Like `shop_price`, of columns; currencies are indices into CURRENCIES."""
    prices: Ints = (cents * np.array(_CENTS_PER_EURO)[currencies] + 50) // 100
    return prices


class Stock:
    """The table of products."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._count = 0

    def open(self, transaction: Transaction, moment: int) -> None:
        """Fill the catalogue."""
        for _ in range(PRODUCTS):
            self._introduce(transaction, moment)

    def _introduce(self, transaction: Transaction, moment: int) -> None:
        self._count += 1
        number, names = self._count, tuple(CATEGORIES)
        category = names[number % len(names)]
        price = Decimal(self._schedule.between(199, 19_999)) / 100
        row = {
            "product_id": number,
            "sku": f"SKU-{number:05d}",
            "name": f"Thing {number}",
            "category": category,
            "subcategory": CATEGORIES[category][number // len(names) % len(CATEGORIES[category])],
            "price": price,
            "cost": (price * Decimal("0.55")).quantize(_CENT),
            "currency": CURRENCIES[0],
            "is_active": True,
            "description": _TEXT * self._schedule.between(60, 90),
            "created_at": time_of(moment),
        }
        self._schedule.database.write(transaction, "products", (number,), row)

    def reprice(self, transaction: Transaction, moment: int) -> None:
        """Give a product another price."""
        key = self._schedule.some("products", self._count)
        row = self._schedule.database.row(transaction, "products", key) if key else None
        if key is not None and row is not None:
            factor = Decimal(self._schedule.between(80, 125)) / 100
            price = min(max((row["price"] * factor).quantize(_CENT), _LOWEST), _HIGHEST)
            self._schedule.database.write(transaction, "products", key, row | {"price": price})

    def replace(self, product: int, transaction: Transaction, moment: int) -> None:
        """Delete a product, which has been sold, and introduce another."""
        for key in self._rows():
            self._schedule.database.row(transaction, "products", key)  # not while the catalogue is reloaded
        self._schedule.database.write(transaction, "products", (product,), None)
        self._introduce(transaction, moment)

    def reload(self, transaction: Transaction, moment: int) -> None:
        """Reload the catalogue as a careless job does: empty the table, then insert everything."""
        rows = self._rows()
        self._schedule.database.truncate(transaction, "products")
        for key, row in rows.items():
            self._schedule.database.write(transaction, "products", key, row)

    def _rows(self) -> dict[tuple[int, ...], Row]:
        return dict(self._schedule.database.rows["products"])
