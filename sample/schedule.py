"""What happens in a shop, in the order of time: each piece of work in a transaction of its own."""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

import numpy as np

from sample.database import Database, Key, LockedError, Table, Transaction
from sample.days import date_of

_MOST_OPEN_MS = 20_000
"""How long a transaction stays open at most, in milliseconds."""
_ROLLED_BACK = 0.04
_ORIGIN = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
T = TypeVar("T")
Work = Callable[[Transaction, int], None]
"""Writes in a transaction at a moment, in milliseconds since 1970 UTC."""


@dataclass(order=True, slots=True)
class _Action:
    """Something that happens at a moment."""

    moment: int
    number: int
    run: Callable[[int], None] = field(compare=False)


class Schedule:
    """The shop's database and what is still to happen in it.

    Attributes:
        rng: the source of all chance; drawn from in the order of time, so that a day depends on no later one.
    """

    def __init__(self, rng: np.random.Generator, tables: Iterable[Table]) -> None:
        self.rng = rng
        self.database = Database("shop", tables, lambda: 8 * int(rng.integers(1, 40)))
        self._actions: list[_Action] = []
        self._numbers = count()

    def run(self, day: int) -> None:
        """Let everything happen that is planned for a date or before, and what follows from it."""
        while self._actions and date_of(self._actions[0].moment) <= day:
            action = heapq.heappop(self._actions)
            action.run(action.moment)

    def at(self, moment: int, run: Callable[[int], None]) -> None:
        """Plan something that is no transaction."""
        heapq.heappush(self._actions, _Action(moment, next(self._numbers), run))

    def within(self, at: int, work: Work) -> None:
        """Plan work in a transaction of its own, which commits, or rolls back, some seconds later."""

        def begin(moment: int) -> None:
            transaction = self.database.begin()
            until = moment + self.between(1, _MOST_OPEN_MS)
            try:
                work(transaction, moment)
            except LockedError:
                self.database.rollback(transaction)
                self.at(until, begin)
                return
            if self.chance(_ROLLED_BACK):
                self.at(until, lambda moment: self.database.rollback(transaction))
                return
            self.at(until, lambda moment: self.database.commit(transaction, time_of(moment)))

        self.at(at, begin)

    def chance(self, share: float) -> bool:
        """Whether something with this probability happens."""
        return bool(self.rng.random() < share)

    def between(self, low: int, high: int) -> int:
        """Draw a whole number from `low` to before `high`."""
        return int(self.rng.integers(low, high))

    def one(self, choices: Sequence[T]) -> T:
        """Draw one of some values."""
        return choices[self.between(0, len(choices))]

    def some(self, table: str, highest: int) -> Key | None:
        """Draw a committed row's key, whole numbers from 1 to `highest`; None if there is no row."""
        rows = self.database.rows[table]
        while rows:
            if (key := (self.between(1, highest + 1),)) in rows:
                return key
        return None


def time_of(moment: int) -> dt.datetime:
    """The time of milliseconds since 1970 UTC."""
    return _ORIGIN + dt.timedelta(milliseconds=moment)


def moment_of(at: dt.datetime) -> int:
    """Milliseconds since 1970 UTC of a time."""
    return (at - _ORIGIN) // dt.timedelta(milliseconds=1)
