"""A random database of customers, its changes as the connector tells them, and its true history."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

from sample.database import Database, LockedError, Row, Table, Transaction

OPENED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LAST = 99
"""A customer who is there before the last snapshot: of an empty table a snapshot says nothing."""


class Customers:
    """A database whose transactions interleave, roll back, and change few customers again and again.

    Attributes:
        database: what became of it.
        kinds: number of changes by kind.
    """

    def __init__(self, seed: int, steps: int, loses_place: bool) -> None:
        """
        Args:
            steps: number of things that happen.
            loses_place: whether the connector is down at times and misses what commits then. Otherwise it runs from
                the beginning on, and at most reads everything again.
        """
        self._dice = random.Random(seed)
        self._now = OPENED
        self._people = self._dice.randrange(2, 6)
        table = Table("customers", ("customer_id",), ("note",))
        self.database = Database("shop", [table], lambda: self._dice.randrange(8, 200))
        self._open: list[Transaction] = []
        if not loses_place:
            self.database.connect(self._later())
        for _ in range(steps):
            self._step(loses_place)
        for transaction in self._open:
            self.database.commit(transaction, self._later())
        if not self.database.is_connected:
            last = self.database.begin()
            self.database.write(last, "customers", (LAST,), self._row(LAST))
            self.database.commit(last, self._later())
            self.database.connect(self._later())

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows that are there at the end, by key."""
        return sorted((shown(row) for row in self.database.rows["customers"].values()), key=lambda row: row[0])

    def history(self) -> list[tuple[Any, ...]]:
        """The versions that anybody could have seen: row, since when, until when, whether deleted; by key."""
        found = []
        for versions in self.database.history.values():
            seen: list[tuple[Any, dt.datetime, bool]] = []
            row: tuple[Any, ...] = ()
            for version in versions:
                row = shown(version.row) if version.row else row
                is_deleted, at = version.row is None, version.at.replace(tzinfo=None)
                if seen and seen[-1][1] == at:  # replaced before anybody could see it
                    seen.pop()
                if not is_deleted or (seen and not seen[-1][2]):
                    seen.append((row, at, is_deleted))
            ends = [*(at for _, at, _ in seen[1:]), None]
            found += [(*row, at, end, gone) for (row, at, gone), end in zip(seen, ends, strict=False)]
        return sorted(found, key=lambda version: (version[0], version[-3]))

    def _later(self) -> dt.datetime:
        self._now += dt.timedelta(microseconds=self._dice.choice((1, 1000, 10**6)))
        return self._now

    def _row(self, number: int) -> Row:
        return {
            "customer_id": number,
            "name": self._dice.choice(("Ann", "Bo", "Cy")),
            "note": self._dice.choice((None, "long " * 5, "longer " * 5)),
            "accepts_marketing": self._dice.choice((None, True, False)),
        }

    def _step(self, loses_place: bool) -> None:
        dice, database = self._dice, self.database
        chance = dice.random()
        if loses_place and chance < 0.10:
            if chance < 0.02 and database.is_connected:
                database.disconnect()
            elif not database.is_connected:
                database.connect(self._later())
        elif chance < 0.12:
            if database.is_connected:
                database.connect(self._later())  # lost its place, and missed nothing
        elif chance < 0.3:
            if len(self._open) < 4:
                self._open.append(database.begin())
        elif self._open and chance < 0.75:
            try:
                self._write(dice.choice(self._open), dice.randrange(self._people))
            except LockedError:
                return
        elif self._open:
            transaction = self._open.pop(dice.randrange(len(self._open)))
            if dice.random() < 0.2:
                database.rollback(transaction)
            else:
                database.commit(transaction, self._later())

    def _write(self, transaction: Transaction, number: int) -> None:
        dice, database, key = self._dice, self.database, (number,)
        chance = dice.random()
        current = database.row(transaction, "customers", key)
        if chance < 0.02:
            database.truncate(transaction, "customers")
        elif chance < 0.1 and current:
            other = (number + 1) % self._people
            database.change_key(transaction, "customers", key, current | {"customer_id": other})
        elif chance < 0.3:
            database.write(transaction, "customers", key, None)
        else:
            row = self._row(number)
            if current and dice.random() < 0.5:
                row["note"] = current["note"]
            database.write(transaction, "customers", key, row)


def shown(row: Row) -> tuple[Any, ...]:
    """The columns that are compared."""
    return tuple(row[name] for name in ("customer_id", "name", "note", "accepts_marketing"))
