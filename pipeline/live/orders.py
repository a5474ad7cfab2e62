"""The newest version of each order, and what changes when a newer one comes."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.live.event import Order


@dataclass(frozen=True, slots=True)
class Change:
    """An order that counts at a moment, or with the sign -1 no longer does."""

    sign: int
    at: int
    net_amount: int


class OrderBook:
    """Orders by identifier. Which version is the newest is what its source says, whatever the order of arrival."""

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._orders

    def add(self, order: Order) -> tuple[Change, ...]:
        """Take a version; returns what no longer counts and what does."""
        before = self._orders.get(order.order_id)
        if before is not None and before.version >= order.version:
            return ()
        self._orders[order.order_id] = order
        old, new = _counted(before, -1), _counted(order, 1)
        if old and new and (old.at, old.net_amount) == (new.at, new.net_amount):
            return ()
        return tuple(change for change in (old, new) if change)

    def forget(self, before: int) -> None:
        """Forget the orders that were placed before a moment."""
        gone = [key for key, order in self._orders.items() if order.placed_at is not None and order.placed_at < before]
        for key in gone:
            del self._orders[key]


def _counted(order: Order | None, sign: int) -> Change | None:
    if order is None or not order.exists or order.placed_at is None:
        return None
    return Change(sign, order.placed_at, order.net_amount or 0)
