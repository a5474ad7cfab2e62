"""Payments and shipments of the shop's orders."""

from __future__ import annotations

from collections import defaultdict

from sample.database import Row, Transaction
from sample.schedule import Schedule, time_of

_METHODS = ("card", "card", "card", "wallet", "wallet", "transfer", "invoice")
_CARRIERS = ("DHL", "UPS", "PostNL", "Colissimo")
_FAILED = 0.08
"""Share of payments that fail; another follows."""


class Payments:
    """The table of payments: authorized, then captured, voided or failed."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._of_order: dict[int, list[int]] = defaultdict(list)
        self._count = 0

    def plan(self, order: int, at: int) -> int:
        """Plan what the customer tries until the money is authorized; return when that is."""
        while True:
            self._schedule.within(at, lambda transaction, moment: self._start(transaction, order, moment))
            if not self._schedule.chance(_FAILED):
                return at
            at += self._schedule.between(25_000, 90_000)
            self._schedule.within(at, lambda transaction, moment: self._end(transaction, order, "failed"))
            at += self._schedule.between(25_000, 300_000)

    def capture(self, transaction: Transaction, order: int, moment: int) -> None:
        """Take the money of an order, unless that has happened."""
        if any(row["status"] == "captured" for row in self._rows(transaction, order)):
            return
        if not any(row["status"] == "authorized" for row in self._rows(transaction, order)):
            self._start(transaction, order, moment)
        *others, last = (row for row in self._rows(transaction, order) if row["status"] == "authorized")
        self._write(transaction, last, "captured", moment)
        for row in others:
            self._write(transaction, row, "voided")

    def void(self, transaction: Transaction, order: int) -> None:
        """Let go of money that was authorized, not captured."""
        self._end(transaction, order, "voided")

    def exist(self, transaction: Transaction, order: int) -> bool:
        """Whether a payment of an order has been started."""
        return bool(self._rows(transaction, order))

    def _start(self, transaction: Transaction, order: int, moment: int) -> None:
        row = self._schedule.database.row(transaction, "orders", (order,))
        if row is None:
            return
        self._count += 1
        self._of_order[order].append(self._count)
        payment = {
            "payment_id": self._count,
            "order_id": order,
            "method": self._schedule.one(_METHODS),
            "status": "authorized",
            "amount": row["total_amount"],
            "currency": row["currency"],
            "created_at": time_of(moment),
            "captured_at": None,
        }
        self._schedule.database.write(transaction, "payments", (self._count,), payment)

    def _end(self, transaction: Transaction, order: int, status: str) -> None:
        for row in self._rows(transaction, order):
            if row["status"] == "authorized":
                self._write(transaction, row, status)

    def _write(self, transaction: Transaction, row: Row, status: str, captured: int | None = None) -> None:
        changed = {"status": status, "captured_at": None if captured is None else time_of(captured)}
        self._schedule.database.write(transaction, "payments", (row["payment_id"],), row | changed)

    def _rows(self, transaction: Transaction, order: int) -> list[Row]:
        return _rows(self._schedule, transaction, "payments", self._of_order[order])


class Shipments:
    """The table of shipments, one of each order: packed, shipped, delivered."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._of_order: dict[int, list[int]] = defaultdict(list)
        self._count = 0

    def pack(self, transaction: Transaction, order: int, moment: int) -> None:
        """Write the shipment of an order, unless there is one."""
        if _rows(self._schedule, transaction, "shipments", self._of_order[order]):
            return
        self._count += 1
        self._of_order[order].append(self._count)
        row = {
            "shipment_id": self._count,
            "order_id": order,
            "carrier": self._schedule.one(_CARRIERS),
            "created_at": time_of(moment),
            "shipped_at": None,
            "delivered_at": None,
        }
        self._schedule.database.write(transaction, "shipments", (self._count,), row)

    def proceed(self, transaction: Transaction, order: int, name: str, moment: int) -> None:
        """Note when the carrier took the parcel (`shipped_at`) or delivered it (`delivered_at`)."""
        self.pack(transaction, order, moment)
        for row in _rows(self._schedule, transaction, "shipments", self._of_order[order]):
            missed = {"shipped_at": time_of(moment)} if row["shipped_at"] is None else {}
            changed = row | missed | {name: time_of(moment)}
            self._schedule.database.write(transaction, "shipments", (row["shipment_id"],), changed)


def _rows(schedule: Schedule, transaction: Transaction, table: str, numbers: list[int]) -> list[Row]:
    found = (schedule.database.row(transaction, table, (number,)) for number in numbers)
    return [row for row in found if row is not None]
