"""A random shop over fifteen months with little per day: customers who come back, the ways they came, and the spend."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

from tests.random_shop import ACTIONS, RandomShop
from tests.shop_sales import utc
from tests.shop_sessions import DAY, MEDIA, MICROSECOND, Record, click

START = dt.date(2025, 1, 1)
"""First date that the lake computes; before that, there are only clicks."""
ENDS = (dt.date(2026, 5, 11), dt.date(2026, 4, 30), dt.date(2026, 4, 29))
"""Last dates that lakes compute: in a month, on its last date, and before that."""
WINDOW = 30 * DAY


class LongShop(RandomShop):
    """Few customers and products, so that they meet again, and orders on both sides of the ends of months."""

    first, last = dt.datetime(2025, 2, 10, tzinfo=dt.UTC), dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
    dense = (
        dt.datetime(2025, 3, 31, 21, 30, tzinfo=dt.UTC),
        dt.datetime(2025, 10, 31, 22, 30, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 31, 22, 30, tzinfo=dt.UTC),
        dt.datetime(2026, 4, 30, 21, 30, tzinfo=dt.UTC),
    )
    weights = ACTIONS | {"place": 70, "pay": 50, "register": 7, "create": 4, "withdraw": 3}

    def _place(self) -> None:
        """Some products are bought together more often than others."""
        number = self._numbers["orders"] + 1
        super()._place()
        if (partner := self._partner(number)) is not None:
            found = max(line for order, line in self._lines(number) if order == number)
            key = (number, found)
            row = self.database.row(self._transaction, "order_items", key)
            assert row is not None
            self._write("order_items", key, row | {"product_id": partner})

    def _lines(self, number: int) -> list[tuple[int, int]]:
        return [(number, item["line_number"]) for item in self._items(number)]

    def _partner(self, number: int) -> int | None:
        items = self._items(number)
        if len(items) < 2 or self.dice.random() < 0.4 or items[0]["product_id"] > 900:
            return None
        partner = int(items[0]["product_id"]) ^ 1
        return partner if (partner,) in self.database.rows["products"] else None


def random_growth(number: int) -> tuple[LongShop, list[Record], list[Record]]:
    """A shop, the clicks of its customers, and the exports of its spend in the order in which they land."""
    from tests.e2e.test_shop_sales import DIGITS, RATES, ZONE

    shop = LongShop(number, RATES, DIGITS, ZONE, actions=900)
    dice = random.Random(f"growth {number}")
    return shop, clicks_of(shop, dice), exports(dice)


def clicks_of(shop: RandomShop, dice: random.Random) -> list[Record]:
    """Clicks on and around the boundaries of attribution, of the customers of orders."""
    records: list[Record] = []
    exact = (dt.timedelta(0), WINDOW)
    for row in shop.database.rows["orders"].values():
        placed = utc(row["ordered_at"])
        for _ in range(dice.randrange(3)):
            before = dice.choice((*exact, dice.choice(exact) + MICROSECOND, dice.choice(exact) - MICROSECOND))
            at = placed - dice.choice((before, before, before, dice.random() * WINDOW))
            for _ in range(dice.choice((1, 1, 2))):  # two sessions at one moment
                fields: dict[str, Any] = {
                    "visitor_id": f"v{len(records)}",
                    "customer_id": dice.choice((row["customer_id"],) * 5 + (1, None)),
                    "utm_medium": dice.choice(
                        ("cpc", "paid_social", "email", "display", "organic", None, None, *MEDIA)
                    ),
                }
                records.append(click(f"c{len(records)}", at, **fields))
    return records


def exports(dice: random.Random) -> list[Record]:
    """Rows of spend, some of them exported again, later or with an older time."""
    found: list[Record] = []
    for _ in range(150):
        day = START + dice.randrange(500) * DAY
        row = {
            "spend_date": dice.choice((day, day.replace(day=1), day.replace(day=1) - DAY)),
            "channel": dice.choice(("paid_search", "paid_social", "email", "direct", "display")),
            "campaign": dice.choice("ab"),
            "amount": dice.choice((Decimal(0), Decimal(dice.randrange(40_000)) / 100)),
            "currency": dice.choice(("EUR", "USD")),
            "impressions": 10,
            "clicks": 1,
            "exported_at": dt.datetime.combine(day, dt.time(6)),
        }
        found.append(row)
        if dice.random() < 0.3:
            hours = dt.timedelta(hours=dice.choice((-2, 0, 3)))
            found.append(
                row | {"amount": Decimal(dice.randrange(40_000)) / 100, "exported_at": row["exported_at"] + hours}
            )
    return found
