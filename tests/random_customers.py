"""A random shop over eighteen months: what befalls its customers, dense in time around the ends of months."""

from __future__ import annotations

import datetime as dt

from sample.database import Key, Row
from tests.random_shop import ACTIONS, RandomShop
from tests.revenue import Rates

ENDS = (1, 1), (2, 1), (4, 1), (4, 2), (7, 1), (10, 1), (11, 1), (12, 31)


class LongShop(RandomShop):
    """A shop that has closed after eighteen months."""

    weights = ACTIONS | {
        "place": 40, "register": 6, "move": 3, "leave": 3, "come_back": 3, "rename": 1, "hand_over": 2, "date_back": 2,
        "cancel": 8, "resume": 2, "delete_order": 2, "correct_refund": 1, "pay": 1, "ship": 1, "deliver": 1,
    }  # fmt: skip
    first, last = dt.datetime(2025, 1, 5, tzinfo=dt.UTC), dt.datetime(2026, 6, 20, tzinfo=dt.UTC)
    dense = tuple(
        dt.datetime(year, month, day, tzinfo=dt.UTC) - dt.timedelta(hours=hours)
        for year in (2025, 2026)
        for month, day in ENDS
        for hours in (1, 2)
        if (2025, 1) < (year, month) < (2026, 6)
    )

    def __init__(self, seed: int, rates: Rates, digits: dict[str, int], zone: str, actions: int = 400) -> None:
        self._left: list[tuple[Key, Row]] = []  # who was deleted, by key and last row
        super().__init__(seed, rates, digits, zone, actions)

    def _leave(self) -> None:
        if found := self._some("customers"):
            self._left.append(found)
            self._write("customers", found[0], None)

    def _come_back(self) -> None:
        """A customer who was deleted registers under the same number."""
        if self._left:
            key, row = self._left.pop(self.dice.randrange(len(self._left)))
            self._write("customers", key, row | {"created_at": self._now})

    def _rename(self) -> None:
        """A customer gets another number, which orders do not follow."""
        if found := self._some("customers"):
            number = self._next("customers")
            self.database.change_key(self._transaction, "customers", found[0], found[1] | {"customer_id": number})

    def _hand_over(self) -> None:
        """An order gets another customer, or none."""
        customers = [key[0] for key in self.database.rows["customers"]]
        self._change("orders", customer_id=self.dice.choice([*customers, None]))
