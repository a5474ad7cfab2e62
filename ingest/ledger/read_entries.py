"""Entries that this process has read, by their versions in the store.

A cycle asks for the state of each feed some ten times, and reads the entries since the newest checkpoint each time. An
entry is not read again if the listing has the same version of it.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from ingest.ledger.entry import Entry

MOST_ITEMS = 20_000
"""Objects and files of entries that are kept in memory."""
Version = tuple[str, str, str, bool]
"""Address of the store, key and etag of an entry, and whether it was read with its objects."""


class ReadEntries:
    """Entries by version, the ones that were asked for last."""

    def __init__(self, most_items: int = MOST_ITEMS) -> None:
        self._most = most_items
        self._items = 0
        self._entries: OrderedDict[Version, Entry] = OrderedDict()
        self._lock = Lock()

    def get(self, version: Version) -> Entry | None:
        """Return an entry that was added and is still there."""
        with self._lock:
            entry = self._entries.get(version)
            if entry is not None:
                self._entries.move_to_end(version)
            return entry

    def add(self, version: Version, entry: Entry) -> None:
        """Keep an entry, and give up those that were not asked for longest."""
        with self._lock:
            if version in self._entries or _size(entry) > self._most:
                return
            self._entries[version] = entry
            self._items += _size(entry)
            while self._items > self._most:
                self._items -= _size(self._entries.popitem(last=False)[1])


def _size(entry: Entry) -> int:
    return 1 + len(entry.objects) + len(entry.added) + len(entry.removed) + len(entry.ranges)
