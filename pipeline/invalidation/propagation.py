"""Which dates of which models a change makes stale: every snapshot in SQLMesh's state, walked by its own parents. Pure.

A date of a feed makes the same date of its models stale, all the way down. A model whose rows depend on other dates of
what it reads says so with a tag in its header: `affects_30_days` (a date shows in its rows of that date and the 30
following ones) or `affects_onward` (in those of every later date). What reads such a model inherits the wider dates.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

DAY_MS = 86_400_000
AFFECTS = re.compile(r"affects_(?:(\d+)_days|onward)")
_NOT_COMPUTED = {"VIEW", "SEED", "EXTERNAL", "EMBEDDED"}
_BY_DATE = {"INCREMENTAL_BY_TIME_RANGE"}
Key = tuple[str, str]
"""Name and identifier of a snapshot."""


@dataclass(frozen=True, slots=True)
class Dates:
    """UTC dates: single ones, and all from one on."""

    days: frozenset[dt.date] = frozenset()
    onward: dt.date | None = None

    def __bool__(self) -> bool:
        return bool(self.days) or self.onward is not None

    def __or__(self, other: Dates) -> Dates:
        starts = [start for start in (self.onward, other.onward) if start is not None]
        return Dates(self.days | other.days, min(starts, default=None))

    def widened(self, tags: Iterable[str]) -> Dates:
        """The dates of a model with these tags that rows of the given dates show in."""
        found = self
        for match in filter(None, map(AFFECTS.fullmatch, tags)):
            first = min([*self.days, *([self.onward] if self.onward else [])], default=None)
            if first is None:
                continue
            if match[1] is None:
                found |= Dates(onward=first)
            else:
                following = range(int(match[1]) + 1)
                found |= Dates(frozenset(day + dt.timedelta(days=n) for day in self.days for n in following))
        return found

    def ranges(self, end_ms: int) -> list[tuple[int, int]]:
        """Contiguous dates as half-open ranges in ms since 1970, up to an end.

        >>> Dates(frozenset({dt.date(1970, 1, 2), dt.date(1970, 1, 1)})).ranges(10**12)
        [(0, 172800000)]
        """
        found: list[tuple[int, int]] = []
        for start in sorted(map(_ms, self.days)):
            if start >= end_ms or (self.onward and start >= _ms(self.onward)):
                continue
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], start + DAY_MS)
            else:
                found.append((start, start + DAY_MS))
        if self.onward and _ms(self.onward) < end_ms:
            found.append((_ms(self.onward), end_ms))
        return found


@dataclass(frozen=True, slots=True)
class Stale:
    """What has to be computed anew of one version of a model.

    Attributes:
        dates: its stale dates; None when it is computed as a whole, so that its last interval stands for all.
    """

    dates: Dates | None


def stale_versions(
    snapshots: Mapping[Key, tuple[str, Mapping[str, Any]]], changed: Mapping[str, Dates]
) -> dict[tuple[str, str], Stale]:
    """The stale versions by (name, version).

    Args:
        snapshots: version and body, as SQLMesh's state has them, by name and identifier.
        changed: the changed dates by table of bronze, `bronze.<feed>`; without dates when rows changed that date none.
    """
    reached: dict[Key, tuple[bool, Dates]] = {}

    def reach(key: Key) -> tuple[bool, Dates]:
        """Whether a snapshot depends on what changed, and its stale dates."""
        if key in reached:
            return reached[key]
        reached[key] = (False, Dates())
        table = ".".join(key[0].replace('"', "").split(".")[-2:])
        is_reached, dates = table in changed, changed.get(table, Dates())
        _, body = snapshots.get(key, ("", {"parents": [], "node": {}}))
        for parent in body["parents"]:
            is_parent_reached, parent_dates = reach((parent["name"], parent["identifier"]))
            is_reached, dates = is_reached or is_parent_reached, dates | parent_dates
        reached[key] = (is_reached, dates.widened(body["node"].get("tags") or ()))
        return reached[key]

    found: dict[tuple[str, str], Stale] = {}
    for key, (version, body) in snapshots.items():
        kind = body["node"].get("kind", {})
        name = kind.get("name", "VIEW").upper()
        is_reached, dates = reach(key)
        if not is_reached or name in _NOT_COMPUTED or kind.get("disable_restatement"):
            continue
        if name in _BY_DATE:
            # versions are shared by snapshots of several environments, each with parents of its own
            before = found.get((key[0], version))
            found[key[0], version] = Stale(dates | before.dates if before and before.dates else dates)
        else:
            found[key[0], version] = Stale(None)
    return found


def _ms(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days * DAY_MS
