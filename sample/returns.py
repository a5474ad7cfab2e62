"""Refunds of the shop's order items: never more than was sold of an item, neither pieces nor amounts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sample.database import Row, Transaction
from sample.days import DAY_MS
from sample.money import amount_of, cents, sold
from sample.schedule import Schedule, time_of

_MONEY_ONLY = 0.25
_CORRECTED, _DELETED = 0.12, 0.08
_LATER = 0.35
"""Share that comes weeks later, so mostly in another month."""


@dataclass(frozen=True, slots=True)
class _Left:
    """What of an item has not been refunded: pieces, and net revenue and tax in minor units."""

    pieces: int
    amount: int
    tax: int


class Refunds:
    """The table of refunds."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._of_order: dict[int, list[int]] = defaultdict(list)
        self._count = 0

    def plan(self, order: int, delivered: int) -> int:
        """Plan a refund of an order some time after its delivery; return when it is."""
        draw = self._schedule
        days = (25, 45) if draw.chance(_LATER) else (1, 6)
        at = delivered + draw.between(days[0] * DAY_MS, days[1] * DAY_MS)
        draw.within(at, partial(self._refund, order))
        return at

    def pay_back(self, transaction: Transaction, order: int, items: Sequence[Row], moment: int) -> None:
        """Refund everything of an order that is left."""
        for item in items:
            self.give_back(transaction, order, item["line_number"], items, moment)

    def give_back(self, transaction: Transaction, order: int, line: int, items: Sequence[Row], moment: int) -> None:
        """Refund what is left of an item."""
        if (left := self._left(transaction, order, items).get(line)) is not None:
            self._write(transaction, order, line, left, moment)

    def _refund(self, order: int, transaction: Transaction, moment: int) -> None:
        draw = self._schedule
        items = items_of(draw, transaction, order)
        left = self._left(transaction, order, items)
        if not left:
            return
        item = draw.one([item for item in items if item["line_number"] in left])
        rest = left[item["line_number"]]
        row = draw.database.row(transaction, "orders", (order,))
        assert row is not None
        net, tax = sold(row, items)[item["line_number"]]
        if rest.pieces and not draw.chance(_MONEY_ONLY):
            pieces = draw.between(1, rest.pieces + 1)
            amount = rest.amount if pieces == rest.pieces else net * pieces // item["quantity"]
        else:
            pieces, amount = 0, rest.amount * draw.between(10, 40) // 100
        amount = min(amount, rest.amount)
        taxed = rest.tax if amount == rest.amount else min(tax * amount // net, rest.tax)
        number = self._write(transaction, order, item["line_number"], _Left(pieces, amount, taxed), moment)
        later = moment + draw.between(3_600_000, 3 * DAY_MS)
        if draw.chance(_CORRECTED):
            draw.within(later, partial(self._correct, number))
        elif draw.chance(_DELETED):
            draw.within(later, partial(self._delete, number))

    def _left(self, transaction: Transaction, order: int, items: Sequence[Row]) -> dict[int, _Left]:
        """What is left of each item, by line number; without those of which nothing is."""
        row = self._schedule.database.row(transaction, "orders", (order,))
        if row is None or not items:
            return {}
        taken: dict[int, list[Row]] = defaultdict(list)
        for number in self._of_order[order]:
            if refund := self._schedule.database.row(transaction, "refunds", (number,)):
                taken[refund["line_number"]].append(refund)
        found = {}
        pieces = {item["line_number"]: item["quantity"] for item in items}
        for line, (net, tax) in sold(row, items).items():
            rest = _Left(
                pieces[line] - sum(refund["quantity"] for refund in taken[line]),
                net - sum(cents(refund["amount"]) for refund in taken[line]),
                tax - sum(cents(refund["tax_amount"]) for refund in taken[line]),
            )
            if rest.pieces or rest.amount:
                found[line] = rest
        return found

    def _write(self, transaction: Transaction, order: int, line: int, part: _Left, moment: int) -> int:
        self._count += 1
        self._of_order[order].append(self._count)
        row = {
            "refund_id": self._count,
            "order_id": order,
            "line_number": line,
            "quantity": part.pieces,
            "amount": amount_of(part.amount),
            "tax_amount": amount_of(part.tax),
            "refunded_at": time_of(moment),
        }
        self._schedule.database.write(transaction, "refunds", (self._count,), row)
        return self._count

    def _correct(self, number: int, transaction: Transaction, moment: int) -> None:
        """Lower a refund: by a piece if there are several, else by a tenth of its amount."""
        row = self._schedule.database.row(transaction, "refunds", (number,))
        if row is None:
            return
        pieces = row["quantity"]
        kept, of = (pieces - 1, pieces) if pieces > 1 else (9, 10)
        changed: Row = {name: amount_of(cents(row[name]) * kept // of) for name in ("amount", "tax_amount")}
        changed["quantity"] = pieces - 1 if pieces > 1 else pieces
        self._schedule.database.write(transaction, "refunds", (number,), row | changed)

    def _delete(self, number: int, transaction: Transaction, moment: int) -> None:
        self._schedule.database.write(transaction, "refunds", (number,), None)


def items_of(schedule: Schedule, transaction: Transaction, order: int) -> list[Row]:
    """The items of an order, in the order of their numbers."""
    found = (schedule.database.row(transaction, "order_items", (order, line)) for line in range(1, 20))
    return [row for row in found if row is not None]
