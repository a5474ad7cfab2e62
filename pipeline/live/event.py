"""What live numbers are made from: clicks and versions of orders, each with its place in its source.

Moments are microseconds since 1970-01-01 UTC, amounts millionths of the reporting currency: both exact integers.
"""

from __future__ import annotations

from dataclasses import dataclass

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
SIZES = (SECOND, MINUTE, HOUR)
"""The sizes of windows."""
STEPS = {"view": 0, "add_to_cart": 1, "begin_checkout": 2, "purchase": 3}
OTHER_STEP = -1
"""Of clicks that are no step of the funnel: they come first among those of the same moment (docs/metrics.md)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: a partition of a topic and its offset, or an object and its line.

    Attributes:
        source: as bronze's `_source_file`.
        offset: as bronze's `_source_line`.
    """

    source: str
    offset: int


@dataclass(frozen=True, slots=True)
class Click:
    """A click in the shop.

    Attributes:
        kind: view, add_to_cart, …
        at: when it happened.
        device: `unknown` if it is missing.
        is_bot: whether its user agent is that of a bot, or missing.
    """

    event_id: str
    visitor_id: str
    kind: str
    at: int
    product_id: int | None
    device: str
    country: str | None
    is_bot: bool

    @property
    def order(self) -> tuple[int, int, str]:
        """The order of clicks, by which one is the first of a session."""
        return self.at, STEPS.get(self.kind, OTHER_STEP), self.event_id


@dataclass(frozen=True, slots=True)
class Order:
    """A version of an order, as its change feed has it.

    Attributes:
        version: greater for a later change of the same order.
        placed_at: None if the version does not say.
        net_amount: net revenue by the order itself: total less tax and shipping; None if an amount or rate is missing.
        exists: False once it is deleted.
    """

    order_id: int
    version: tuple[str, int, str, int]
    placed_at: int | None
    net_amount: int | None
    exists: bool = True
