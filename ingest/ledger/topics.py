"""How long the log of a feed with a topic was at least: `<lake>/topics/<feed>`, outside the log.

Objects that are not in a log may be in the landing. Messages cannot be looked for, so that a log which lost its entries
must not pass for one that never had them.
"""

from __future__ import annotations

import json

from ingest.storage.store import Store


def record_topic(lake: Store, feed: str, position: int, load_id: str) -> None:
    """Note that a log has an entry.

    Args:
        load_id: of the entry; empty if it is not known.
    """
    lake.put(_key(feed), json.dumps({"position": position, "load_id": load_id}).encode())


def recorded_topic(lake: Store, feed: str) -> tuple[int, str] | None:
    """Return the position and load id that were noted last; None if there is no such note."""
    try:
        found = json.loads(lake.get(_key(feed)))
        return int(found["position"]), str(found["load_id"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # never, or it is truncated
        return None


def _key(feed: str) -> str:
    return f"topics/{feed}"
