"""Since when a feed without objects is known: a promise of fresh data cannot be broken before it has run out once.

The lake keeps it, at `ledger/_first_seen/<feed>`, so that all hosts say the same and a new home forgets nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from contextlib import suppress

from ingest.errors import LakemeshError
from ingest.ledger.ledger import Ledger
from ingest.storage.store import Store


def first_seen(lake: Store, feed: str, now: dt.datetime) -> dt.datetime:
    """When somebody first asked this of a feed, aware, UTC; `now` the first time, and where the lake is read-only.

    Raises:
        ConfigError, RetriableError: the lake cannot be read.
    """
    key, said = f"ledger/_first_seen/{feed}", now.isoformat().encode()
    try:
        return _aware(lake.get(key).decode())
    except FileNotFoundError:
        with suppress(LakemeshError), lake.disk_errors():
            lake.put_new(key, said)
    except ValueError:  # it is damaged, and is said anew
        with suppress(LakemeshError), lake.disk_errors():
            lake.put(key, said)
    return now


def seen_without_objects(lake: Store, feeds: Iterable[str], now: dt.datetime) -> dict[str, dt.datetime]:
    """Since when each feed is known that has loaded nothing yet.

    Raises:
        ConfigError, RetriableError: the lake cannot be read.
    """
    return {feed: first_seen(lake, feed, now) for feed in feeds if not Ledger(lake, feed).position()}


def _aware(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"'{text}' has no offset")
    return found
