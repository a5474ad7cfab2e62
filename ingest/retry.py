"""Repetition of what fails because others are at work: a lock, a commit that another one preceded, a busy store."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from ingest.errors import ConflictError, RetriableError

POLL_SECONDS = 0.2
COMMITS = 5
"""Attempts to commit a change of the lake that other writers precede."""
THROTTLED = 4
"""Retries after a store throttles, in addition to the client's own, which stop within fractions of a second."""
LONGEST_WAIT_SECONDS = 120.0

Result = TypeVar("Result")


def while_busy(
    action: Callable[[], Result],
    is_busy: Callable[[Exception], bool],
    wait_seconds: float,
    poll_seconds: float = POLL_SECONDS,
) -> Result:
    """Repeat an action while others are at work, at least once and for at most `wait_seconds`.

    Args:
        is_busy: whether an error says that others are at work.

    Raises:
        Exception: the action's error, if it is another one or the time is over.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return action()
        except Exception as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(poll_seconds)


def while_preceded(action: Callable[[], Result], busy: str) -> Result:
    """Repeat a change of the lake that another writer's commit preceded.

    Args:
        busy: the message if that happens COMMITS times.

    Raises:
        RetriableError: other writers committed first every time.
    """
    for _ in range(COMMITS):
        try:
            return action()
        except ConflictError:
            continue
    raise RetriableError(busy)


def while_throttled(
    request: Callable[[], Result],
    is_throttled: Callable[[Exception], bool],
    retry_after: Callable[[Exception], float | None],
) -> Result:
    """Repeat a request while the store throttles, after the seconds that it asks for (Retry-After).

    Args:
        retry_after: the seconds that the store asks for; None if it does not say.
    """
    for number in range(THROTTLED):
        try:
            return request()
        except Exception as error:
            if not is_throttled(error):
                raise
            delay = retry_after(error)
        time.sleep(min(2.0**number if delay is None else delay, LONGEST_WAIT_SECONDS) + random.uniform(0, 1))
    return request()
