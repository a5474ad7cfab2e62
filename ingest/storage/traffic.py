"""Requests to remote stores, and bytes moved from and to them, as counted by this process.

A store's operator bills them, so they are counted where they are sent. A folder has neither. Not seen here are retries
within obstore, and what DuckDB sends by itself (pipeline/warehouse/requests.py).
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal

Operation = Literal["list", "put", "get", "delete", "read", "written"]
"""A kind of request, as stores bill them (HEAD is a `get`, a copy a `put`); or bytes `read` and `written`."""
PAGE_KEYS = 1000
"""Keys in one answer to a LIST request, at most."""
PART_BYTES = 5 << 20
"""obstore uploads a larger object in parts of this size."""
_LOCK = threading.Lock()
_counted: Counter[tuple[str, Operation]] = Counter()


def count(uri: str, operation: Operation, number: int = 1) -> None:
    """Count requests to, or bytes from or to, a store.

    Args:
        uri: of the store.
    """
    with _LOCK:
        _counted[uri, operation] += number


def counted() -> Counter[tuple[str, Operation]]:
    """What was counted since this process began, by URI and operation."""
    with _LOCK:
        return Counter(_counted)


def pages(keys: int) -> int:
    """Return the number of LIST requests that return so many keys.

    >>> pages(0), pages(1000), pages(1001)
    (1, 1, 2)
    """
    return max(1, -(-keys // PAGE_KEYS))


def uploads(size: int) -> int:
    """Return the number of PUT and POST requests that upload so many bytes: parts, and the begin and end of several.

    >>> uploads(10), uploads(5 << 20), uploads((5 << 20) + 1)
    (1, 1, 4)
    """
    parts = max(1, -(-size // PART_BYTES))
    return parts if parts == 1 else parts + 2
