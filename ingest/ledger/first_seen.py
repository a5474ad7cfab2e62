"""First-seen times of feeds without objects: a freshness limit cannot be violated before it has elapsed once.

They are stored in the lake, at `ledger/_first_seen/<feed>`, so that all hosts agree and a new home loses nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from contextlib import suppress

from ingest.errors import LakemeshError
from ingest.ledger.ledger import Ledger
from ingest.storage.store import Store


def first_seen(lake: Store, feed: str, now: dt.datetime) -> dt.datetime:
    """Return the time of the first call for a feed (aware, UTC): `now` on that call and if the lake is read-only.

    Raises:
        ConfigError, RetriableError: the lake cannot be read.
    """
    key, value = f"ledger/_first_seen/{feed}", now.isoformat().encode()
    try:
        return _aware(lake.get(key).decode())
    except FileNotFoundError:
        with suppress(LakemeshError), lake.disk_errors():
            lake.put_new(key, value)
    except ValueError:  # it is damaged, and is replaced
        with suppress(LakemeshError), lake.disk_errors():
            lake.put(key, value)
    return now


def seen_without_objects(lake: Store, feeds: Iterable[str], now: dt.datetime) -> dict[str, dt.datetime]:
    """Return the first-seen time of each feed that has loaded nothing yet.

    Raises:
        ConfigError, RetriableError: the lake cannot be read.
    """
    return {feed: first_seen(lake, feed, now) for feed in feeds if not Ledger(lake, feed).position()}


def _aware(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"'{text}' has no offset")
    return found
