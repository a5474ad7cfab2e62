"""The shop's customers: they register, edit themselves and leave."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sample.database import Row, Transaction
from sample.schedule import Schedule, time_of
from sample.stock import CATEGORIES

COUNTRIES = ("DE", "FR", "GB", "NL", "US")
_FIRST = "Ada Bruno Chiara Daan Elif Farah Greta Hana Iris Jules Kenji Lena Mateo Noor Olga Paul Rosa Sora".split()
_LAST = "Abe Bakker Costa Dubois Evans Fischer García Haas Ito Jansen Keller López Meyer Núñez Okada Smith".split()
# Of so many customers one has an account as well, with the same address.
_WITH_ACCOUNT = 3
_NOTE = "Called about a delivery that came late. "


def currency_of(country: str) -> str:
    """The currency in which the shop sells to a country."""
    return "USD" if country == "US" else "EUR"


class Buyers:
    """The table of customers."""

    def __init__(self, schedule: Schedule, addresses: Sequence[str]) -> None:
        """
        Args:
            addresses: e-mail addresses of accounts, which some customers use here too.
        """
        self._schedule, self._addresses = schedule, addresses
        self._count = 0

    def some(self) -> Row | None:
        """Draw a customer; None if there is none."""
        key = self._schedule.some("customers", self._count)
        return self._schedule.database.rows["customers"][key] if key else None

    def register(self, transaction: Transaction, moment: int) -> None:
        """Write a new customer."""
        self._count += 1
        draw = self._schedule
        names = [draw.one(words) for words in (_FIRST, _LAST)]
        born = dt.date(1950, 1, 1) + dt.timedelta(days=draw.between(0, 20_000))
        row = {
            "customer_id": self._count,
            "email": self._address(names[0]),
            "name": " ".join(names),
            "country_code": draw.one(COUNTRIES),
            "birth_date": born if draw.chance(0.7) else None,
            "accepts_marketing": draw.chance(0.5),
            "interests": [name for name in CATEGORIES if draw.chance(0.3)],
            "note": _NOTE * draw.between(60, 90) if draw.chance(0.2) else None,
            "created_at": time_of(moment),
            "updated_at": time_of(moment).replace(tzinfo=None),
        }
        draw.database.write(transaction, "customers", (self._count,), row)

    def _address(self, first_name: str) -> str:
        """The address of the newest customer: that of an account for every third one, as long as there are any."""
        number, rest = divmod(self._count, _WITH_ACCOUNT)
        if rest == 0 and number <= len(self._addresses):
            return self._addresses[number - 1]
        return f"{first_name.lower()}.{self._count}@example.com"

    def edit(self, transaction: Transaction, moment: int) -> None:
        """Change a column of a customer."""
        draw = self._schedule
        key = draw.some("customers", self._count)
        row = draw.database.row(transaction, "customers", key) if key else None
        if key is None or row is None:
            return
        changed: Row = {"updated_at": time_of(moment).replace(tzinfo=None)}
        match draw.between(0, 4):
            case 0:
                changed["country_code"] = draw.one(COUNTRIES)
            case 1:
                changed["interests"] = [name for name in CATEGORIES if draw.chance(0.3)]
            case 2:
                changed["note"] = _NOTE * draw.between(60, 90)
            case _:
                changed["accepts_marketing"] = not row["accepts_marketing"]
        draw.database.write(transaction, "customers", key, row | changed)

    def leave(self, transaction: Transaction, moment: int) -> None:
        """Delete a customer."""
        if key := self._schedule.some("customers", self._count):
            self._schedule.database.write(transaction, "customers", key, None)
