"""An alert, and a channel that sends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to tell.

    Attributes:
        name: what is wrong, the same as long as it is: `cycle`, `serving`, `freshness/<feed>` or
            `completeness/<feed>`.
        event: `problem` or `recovery`.
        message: for people.
        since: when it was told first.
        at: now.
    """

    name: str
    event: str
    message: str
    since: str
    at: str


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to report alerts.

    Attributes:
        name: what messages and the memory of alerts call it, the same in each cycle.
        send: sends one alert, or raises whatever it likes.
    """

    name: str
    send: Callable[[Alert], None]


def shortened(text: str, most: int) -> str:
    """The text, cut to so many characters."""
    return text if len(text) <= most else f"{text[: most - 2]} …"
