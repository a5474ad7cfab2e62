"""Alerts and the channels that send them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ANSWER_SECONDS = 10
"""How long a channel waits for an answer of its receiver."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A problem to report, or its recovery.

    Attributes:
        name: identifies the problem while it lasts: `cycle`, `serving`, `freshness/<feed>` or `completeness/<feed>`.
        event: `problem` or `recovery`.
        message: human-readable text.
        since: when the problem was first reported, ISO 8601 with offset.
        at: current time, ISO 8601 with offset.
    """

    name: str
    event: str
    message: str
    since: str
    at: str


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel that delivers alerts.

    Attributes:
        name: identifies the channel in messages and in `alerts.json`, the same in each cycle.
        send: sends one alert; may raise any exception.
    """

    name: str
    send: Callable[[Alert], None]


def shortened(text: str, most: int) -> str:
    """Truncate a text to at most the given number of characters."""
    return text if len(text) <= most else f"{text[: most - 2]} …"
