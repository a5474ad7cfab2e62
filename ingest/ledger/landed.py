"""Which lines of source objects have persons who are forgotten: `<lake>/erasure/landed/<feed>/<load id>.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ingest.storage.store import Store

PREFIX = "erasure/landed"


@dataclass(frozen=True, slots=True)
class LandedLines:
    """Lines of a source object that have a person who is forgotten.

    Attributes:
        name: bucket/key.
        load_id: of the load of that version of it: another version has other lines.
    """

    name: str
    load_id: str
    lines: tuple[int, ...]


def record_landed(lake: Store, feed: str, load_id: str, found: Iterable[LandedLines]) -> str:
    """Record which lines of source objects have a person, before what knows it is gone; return the key of the record.

    Args:
        load_id: of the load or erasure that found them.
    """
    key = f"{PREFIX}/{feed}/{load_id}.json"
    lake.put(key, json.dumps([[item.name, item.load_id, item.lines] for item in found]).encode())
    return key


def hide_landed(lake: Store, feed: str, hidden: Mapping[str, str]) -> None:
    """Put what stands for names in place of them."""
    for key, lines in read_landed(lake, feed).items():
        if any(item.name in hidden for item in lines):
            found = [[hidden.get(item.name, item.name), item.load_id, item.lines] for item in lines]
            lake.put(key, json.dumps(found).encode())


def read_landed(lake: Store, feed: str) -> dict[str, list[LandedLines]]:
    """Return the lines of source objects that have a person and may be there still, by the key of their record."""
    return {
        item.key: [LandedLines(name, load, tuple(lines)) for name, load, lines in json.loads(lake.get(item.key))]
        for item in lake.list(f"{PREFIX}/{feed}")
    }
