"""Windows of event time: what happened in a second, a minute or an hour."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field, replace

from pipeline.live.distinct import HashSet
from pipeline.live.event import Click

COUNTRY, DEVICE, PRODUCT = "country", "device", "product"
DIMENSIONS = (COUNTRY, DEVICE, PRODUCT)


@dataclass(frozen=True, slots=True)
class Counts:
    """The measures of a window.

    Attributes:
        clicks: clicks of people.
        views: of these, views of a product.
        carts: of these, additions to the cart.
        visitors: distinct visitors with a click; not additive.
        orders: orders placed that exist.
        net_amount: their net revenue, millionths of the reporting currency.
    """

    clicks: int = 0
    views: int = 0
    carts: int = 0
    visitors: int = 0
    orders: int = 0
    net_amount: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in MEASURES))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) - getattr(other, name) for name in MEASURES))


MEASURES = Counts.__slots__


def of_click(click: Click) -> Counts:
    """What a click of a person adds, but for visitors."""
    is_view = click.kind == "view" and click.product_id is not None
    return Counts(1, int(is_view), int(click.kind == "add_to_cart"))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a window shows.

    Attributes:
        start, size: microseconds.
        members: clicks by country and device, views by product.
    """

    start: int
    size: int
    counts: Counts
    members: dict[str, dict[str, int]] = field(default_factory=dict)


class Tally:
    """What has happened so far in a window or on a date.

    Args:
        has_members: whether clicks are counted by country, device and product too.
    """

    __slots__ = ("_visitors", "carts", "clicks", "members", "net_amount", "orders", "views")

    def __init__(self, has_members: bool) -> None:
        self.clicks = self.views = self.carts = self.orders = self.net_amount = 0
        self._visitors = HashSet()
        self.members: dict[str, Counter[str]] | None = {name: Counter() for name in DIMENSIONS} if has_members else None

    def add_click(self, click: Click, visitor: int) -> None:
        """Count a click.

        Args:
            visitor: hash of the visitor.
        """
        self.clicks += 1
        self._visitors.add(visitor)
        is_view = click.kind == "view" and click.product_id is not None
        if is_view:
            self.views += 1
        elif click.kind == "add_to_cart":
            self.carts += 1
        if self.members is not None:
            self.members[COUNTRY][click.country or ""] += 1
            self.members[DEVICE][click.device] += 1
            if is_view:
                self.members[PRODUCT][str(click.product_id)] += 1

    def add_order(self, sign: int, net_amount: int) -> None:
        """Count an order, or with the sign -1 take it back."""
        self.orders += sign
        self.net_amount += sign * net_amount

    @property
    def counts(self) -> Counts:
        """The measures."""
        return Counts(self.clicks, self.views, self.carts, len(self._visitors), self.orders, self.net_amount)

    def shown(self, start: int, size: int, most: int) -> Shown:
        """What the window shows.

        Args:
            most: members of a dimension, the largest; ties by name.
        """
        members = {name: dict(top(found, most)) for name, found in (self.members or {}).items() if found}
        return Shown(start, size, self.counts, members)


def top(found: Counter[str] | dict[str, int], most: int) -> list[tuple[str, int]]:
    """The largest members, ties by name."""
    return heapq.nsmallest(most, found.items(), key=lambda item: (-item[1], item[0]))


def without_members(shown: Shown) -> Shown:
    """The measures of a window alone."""
    return replace(shown, members={})
