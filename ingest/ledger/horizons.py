"""The horizon of a feed: what lies before that date has expired by its retention: `<lake>/horizons/<feed>.json`.

It only moves forward, and is no part of the log, so that it outlives a rebuilt one. Loads leave out what has expired,
and models do not compute dates before the horizon of a feed that they read.
"""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor

from ingest.errors import ConfigError
from ingest.storage.store import Store

PREFIX, FORMAT = "horizons", 1
_THREADS = 8


def read_horizon(lake: Store, feed: str) -> dt.date | None:
    """Return the horizon of a feed; None if nothing of it ever expired.

    Raises:
        ConfigError: it is damaged.
    """
    try:
        content = lake.get(_key(feed))
    except FileNotFoundError:
        return None
    try:
        return dt.date.fromisoformat(json.loads(content)["before"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{lake.uri}/{_key(feed)} is damaged ({error}); expected the date before which records of {feed} have "
            "expired; restore it from its back-up"
        ) from None


def read_horizons(lake: Store) -> dict[str, dt.date]:
    """Return the horizons of all feeds that have one.

    Raises:
        ConfigError: one is damaged.
    """
    feeds = [item.key.removeprefix(f"{PREFIX}/").removesuffix(".json") for item in lake.list(PREFIX)]
    if not feeds:
        return {}
    with ThreadPoolExecutor(min(_THREADS, len(feeds))) as pool:
        found = zip(feeds, pool.map(lambda feed: read_horizon(lake, feed), feeds), strict=True)
        return {feed: day for feed, day in found if day}


def move_horizon(lake: Store, feed: str, before: dt.date) -> dt.date:
    """Move the horizon of a feed forward, and return where it is; never back.

    The caller has the lock of the lake.
    """
    known = read_horizon(lake, feed)
    if known and known >= before:
        return known
    lake.put(_key(feed), json.dumps({"format": FORMAT, "before": before.isoformat()}).encode())
    return before


def _key(feed: str) -> str:
    return f"{PREFIX}/{feed}.json"
