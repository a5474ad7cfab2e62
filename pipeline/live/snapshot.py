"""The state of the board as JSON, for pages and programs."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.live.board import Board
from pipeline.live.business import BusinessDays, text
from pipeline.live.event import HOUR, MINUTE, SECOND
from pipeline.live.overlay import Overlay
from pipeline.live.rules import Rules
from pipeline.live.unusual import Finding
from pipeline.live.window import COUNTRY, Counts, top

SECONDS, MINUTES, HOURS, MEMBERS = 60, 60, 24, 10
_MILLION = 1_000_000


class Snapshots:
    """Makes snapshots; the members of dimensions, which take longest, at most once a second.

    Args:
        missing: what is not live, in words.
    """

    def __init__(self, board: Board, rules: Rules, missing: Sequence[str] = ()) -> None:
        self._board, self._rules, self._missing = board, rules, missing
        self._days = BusinessDays(rules.timezone)
        self._members: tuple[float, dict[str, list[list[Any]]]] = (float("-inf"), {})

    def make(self, now: int, overlay: Overlay, findings: Sequence[Finding], is_ready: bool, lateness: int) -> bytes:
        """The current state.

        Args:
            now: the moment, microseconds.
            is_ready: whether all that had come before the start has been read.
        """
        board = self._board
        today = self._days.of(now)
        sessions = board.sessions(today)
        value = {
            "at": text(now),
            "at_ms": now // 1000,
            "is_ready": is_ready,
            "watermark": text(board.watermark) if board.watermark else None,
            "lateness_seconds": lateness // SECOND,
            "currency": self._rules.currency,
            "timezone": self._rules.timezone,
            "missing": self._missing,
            "release": overlay.release,
            "active_visitors": board.active_visitors,
            "today": {
                "date": str(today),
                **_counts(board.day_counts(today)),
                "sessions": sessions.sessions,
                "purchase_sessions": sessions.purchase_sessions,
                "conversion": _ratio(sessions.purchase_sessions, sessions.sessions),
                "members": self._top(today),
            },
            "days": [_released(item) for item in overlay.days],
            "seconds": _series(board, SECOND, SECONDS),
            "minutes": _series(board, MINUTE, MINUTES),
            "hours": _series(board, HOUR, HOURS),
            "unusual": [
                {"measure": item.measure, "count": item.rate.count, "usual": item.rate.usual, "text": str(item)}
                for item in findings
            ],
            "counters": {name: getattr(board.counters, name) for name in board.counters.__slots__},
            "identifiers": board.identifiers,
            "positions": board.positions,
        }
        return msgspec.json.encode(value)

    def _top(self, day: dt.date) -> dict[str, list[list[Any]]]:
        now = time.monotonic()
        if now - self._members[0] >= 1:
            shown = self._board.day(day).members
            least = {COUNTRY: self._rules.minimum_group_size}
            self._members = now, {name: _largest(found, least.get(name, 0)) for name, found in shown.items()}
        return self._members[1]


def _largest(found: Mapping[str, int], least: int) -> list[list[Any]]:
    """The largest members; those below the size that may be shown are one, None."""
    small = sum(count for count in found.values() if count < least)
    shown = [list(item) for item in top({name: count for name, count in found.items() if count >= least}, MEMBERS)]
    return [*shown, [None, small]] if small else shown


def _series(board: Board, size: int, most: int) -> list[list[Any]]:
    """[start, clicks, views, carts, visitors, orders, net amount, whether it is closed] of the newest windows.

    Empty windows between others are there.
    """
    found = {start: (counts, is_closed) for start, counts, is_closed in board.series(size, most)}
    if not found:
        return []
    last = max(found)
    rows = []
    for start in range(max(min(found), last - (most - 1) * size), last + size, size):
        counts, is_closed = found.get(start) or (Counts(), board.is_closed(start, size))
        rows.append([text(start), *_counts(counts).values(), is_closed])
    return rows


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "clicks": counts.clicks,
        "views": counts.views,
        "carts": counts.carts,
        "visitors": counts.visitors,
        "orders": counts.orders,
        "net_amount": counts.net_amount / _MILLION,
    }


def _released(day: Mapping[str, Any]) -> dict[str, Any]:
    return dict(day) | {"conversion": _ratio(day["purchase_sessions"], day["sessions"])}


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def as_microseconds(now: dt.datetime) -> int:
    """The current moment."""
    return int(now.timestamp() * _MILLION)
