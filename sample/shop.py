"""A shop and its database: customers register, order, change their minds; the connector writes every change.

The shop opens on 1 January of the year of the sample's first date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sample.buyers import Buyers
from sample.customers import addresses
from sample.database import Database, Row, Table
from sample.days import DAY_MS, midnight, times_of_day
from sample.draw import Stream, generator
from sample.options import SampleOptions
from sample.orders import Orders, Placed
from sample.schedule import Schedule, time_of
from sample.stock import Stock

TABLES = (
    Table("customers", ("customer_id",), ("note",)),
    Table("products", ("product_id",), ("description",)),
    Table("orders", ("order_id",)),
    Table("order_items", ("order_id", "line_number")),
    Table("payments", ("payment_id",)),
    Table("shipments", ("shipment_id",)),
    Table("refunds", ("refund_id",)),
)
_NEW_CUSTOMERS, _EDITED, _REPRICED, _LEFT = 0.4, 0.2, 0.1, 0.02
"""Per order: customers who register, edit themselves, leave; and products that get another price."""
_FIRST_CUSTOMERS = 20
_DOWN_MS = 3 * 3_600_000


@dataclass(frozen=True, slots=True)
class Written:
    """A record of the connector: the date on which it was written, its table, and itself."""

    day: int
    table: str
    record: Row


class Shop:
    """The shop on its dates, up to the last one of a sample."""

    def __init__(self, options: SampleOptions) -> None:
        self.options = options
        self.first_day = dt.date(dt.date.fromordinal(options.first_day).year, 1, 1).toordinal()
        self._schedule = Schedule(generator(options.seed, self.first_day, Stream.SHOP), TABLES)
        shared = addresses(options, dt.date.fromordinal(self.first_day).year)
        self._stock, self._buyers = Stock(self._schedule), Buyers(self._schedule, shared)
        self._orders = Orders(self._schedule, self._stock, self._buyers)

    @property
    def database(self) -> Database:
        """The shop's database."""
        return self._schedule.database

    def days(self) -> Iterator[list[Written]]:
        """What the connector writes on each date from the opening on, in order."""
        self._schedule.at(midnight(self.first_day) + 1, self._open)
        written = 0
        for day in range(self.first_day, self.options.last_day + 1):
            self._plan_day(day)
            self._schedule.run(day)
            records = self.database.records[written:]
            written = len(self.database.records)
            yield [Written(day, record["topic"].rsplit(".", 1)[1], record) for record in records]

    def placed(self, day: int) -> list[Placed]:
        """The orders placed on the date that `days` has just yielded."""
        return list(self._orders.placed(day))

    def _plan_day(self, day: int) -> None:
        schedule, options = self._schedule, self.options
        orders = int(schedule.rng.poisson(options.orders / options.days))
        for moment in np.sort(times_of_day(schedule.rng, orders)).tolist():
            at = midnight(day) + int(moment)
            if schedule.chance(_NEW_CUSTOMERS):
                schedule.within(at, self._buyers.register)
            schedule.within(at + schedule.between(0, 5000), self._orders.place)
            for share, work in (
                (_EDITED, self._buyers.edit),
                (_REPRICED, self._stock.reprice),
                (_LEFT, self._buyers.leave),
            ):
                if schedule.chance(share):
                    schedule.within(at + schedule.between(0, 9000), work)
        if schedule.chance(options.reloads):
            schedule.within(midnight(day) + 4 * 3_600_000, self._stock.reload)
        if schedule.chance(options.resnapshots):
            at = midnight(day) + schedule.between(0, DAY_MS - _DOWN_MS - 1)
            schedule.at(at, lambda moment: self.database.disconnect())
            schedule.at(at + _DOWN_MS, lambda moment: self.database.connect(time_of(moment)))

    def _open(self, moment: int) -> None:
        transaction = self.database.begin()
        self._stock.open(transaction, moment)
        for _ in range(_FIRST_CUSTOMERS):
            self._buyers.register(transaction, moment)
        self.database.commit(transaction, time_of(moment))
        self.database.connect(time_of(moment + 1000))
