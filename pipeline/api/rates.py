"""How often a caller may call."""

from __future__ import annotations

import math
import time
from collections import OrderedDict

from pipeline.api.problems import Kind, Problem

MOST_CALLERS = 10_000


class Rates:
    """A bucket of requests per caller, which fills evenly.

    Args:
        per_minute: how many requests a caller may send a minute; as many at once.
    """

    def __init__(self, per_minute: int) -> None:
        self._most = float(per_minute)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, now: float | None = None) -> None:
        """Count a request.

        Args:
            now: seconds of a clock that does not go back.

        Raises:
            Problem: it is one too many; its header says when to come back.
        """
        now = time.monotonic() if now is None else now
        left, before = self._buckets.pop(caller, (self._most, now))
        left = min(self._most, left + (now - before) * self._most / 60)
        if len(self._buckets) >= MOST_CALLERS:
            self._buckets.popitem(last=False)
        if left < 1:
            self._buckets[caller] = (left, now)
            seconds = math.ceil((1 - left) * 60 / self._most)
            raise Problem(
                Kind.RATE,
                f"more than {self._most:.0f} requests a minute (LAKE_API_RATE); come back in {seconds} s",
                {"Retry-After": str(seconds)},
            )
        self._buckets[caller] = (left - 1, now)
