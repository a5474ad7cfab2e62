"""The stale dates of models after a change, by walking each snapshot's parents in SQLMesh's state. Pure functions.

A changed date of a feed makes the same date stale in all downstream models. A model whose rows depend on other dates of
its inputs declares that with tags in its header: `affects_30_days` (a date affects its rows of that date and of the
following 30 days), `affects_1_days_before` (of that date and of the day before) or `affects_onward` (of that and every
later date). Downstream models inherit the wider dates.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

DAY_MS = 86_400_000
AFFECTS = re.compile(r"affects_(?:(\d+)_days(_before)?|onward)")
_NOT_COMPUTED = {"VIEW", "SEED", "EXTERNAL", "EMBEDDED"}
_BY_DATE = {"INCREMENTAL_BY_TIME_RANGE"}
Key = tuple[str, str]
"""Name and identifier of a snapshot."""


@dataclass(frozen=True, slots=True)
class Dates:
    """A set of UTC dates.

    Attributes:
        days: single dates.
        onward: first date of an open-ended range; None if there is none.
    """

    days: frozenset[dt.date] = frozenset()
    onward: dt.date | None = None

    def __bool__(self) -> bool:
        return bool(self.days) or self.onward is not None

    def __or__(self, other: Dates) -> Dates:
        starts = [start for start in (self.onward, other.onward) if start is not None]
        return Dates(self.days | other.days, min(starts, default=None))

    def widened(self, tags: Iterable[str]) -> Dates:
        """The dates of a model with these tags that its inputs' rows of these dates affect."""
        found = self
        for match in filter(None, map(AFFECTS.fullmatch, tags)):
            first = min([*self.days, *([self.onward] if self.onward else [])], default=None)
            if first is None:
                continue
            if match[1] is None:
                found |= Dates(onward=first)
                continue
            days = int(match[1])
            others = range(-days, 1) if match[2] else range(days + 1)
            onward = _moved(self.onward, -days) if self.onward and match[2] else None
            found |= Dates(frozenset(_moved(day, n) for day in self.days for n in others), onward)
        return found

    def since(self, first: dt.date | None) -> Dates:
        """Those from a date on; all without one."""
        if first is None:
            return self
        onward = max(self.onward, first) if self.onward else None
        return Dates(frozenset(day for day in self.days if day >= first), onward)

    def ranges(self, end_ms: int) -> list[tuple[int, int]]:
        """Half-open ranges of contiguous dates, in ms since 1970, up to an end.

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
    """The stale dates of one version of a model.

    Attributes:
        dates: the dates; None if it is always computed in full, so that its last interval stands for all.
    """

    dates: Dates | None


def stale_versions(
    snapshots: Mapping[Key, tuple[str, Mapping[str, Any]]],
    changed: Mapping[str, Dates],
    horizons: Mapping[str, dt.date] | None = None,
) -> dict[tuple[str, str], Stale]:
    """The stale versions by (name, version).

    Args:
        snapshots: version and body, as in SQLMesh's state, by name and identifier.
        changed: changed dates by table, such as `bronze.<feed>`; empty if rows changed that affect no date.
        horizons: by bronze table, the date before which its records have expired: models that read it keep what they
            computed of earlier dates.
    """
    frozen = frozen_before({key: body for key, (_, body) in snapshots.items()}, horizons or {})
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
            dates = dates.since(frozen.get(key))
            # snapshots of several environments share a version, each with its own parents
            before = found.get((key[0], version))
            found[key[0], version] = Stale(dates | before.dates if before and before.dates else dates)
        else:
            found[key[0], version] = Stale(None)
    return found


def frozen_before(snapshots: Mapping[Key, Mapping[str, Any]], horizons: Mapping[str, dt.date]) -> dict[Key, dt.date]:
    """The date before which each snapshot is not computed again: the last horizon of the feeds that it reads, and the
    days after it whose rows depend on dates before it.

    Args:
        snapshots: bodies, as in SQLMesh's state, by name and identifier.
        horizons: by bronze table, `bronze.<feed>`.
    """
    found: dict[Key, dt.date | None] = {}

    def of(key: Key) -> dt.date | None:
        if key not in found:
            found[key] = None
            table = ".".join(key[0].replace('"', "").split(".")[-2:])
            parents = snapshots.get(key, {"parents": []})["parents"]
            above = [horizons.get(table), *(of((parent["name"], parent["identifier"])) for parent in parents)]
            last = max((day for day in above if day), default=None)
            tags = snapshots[key]["node"].get("tags") or () if key in snapshots else ()
            windows = [int(match[1]) for match in map(AFFECTS.fullmatch, tags) if match and match[1] and not match[2]]
            found[key] = last + dt.timedelta(days=max(windows, default=0)) if last else None
        return found[key]

    return {key: day for key in snapshots if (day := of(key))} if horizons else {}


def _moved(day: dt.date, days: int) -> dt.date:
    """A date some days later, or earlier, but not before 1970, where every history begins."""
    return max(day + dt.timedelta(days=days), dt.date(1970, 1, 1))


def _ms(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days * DAY_MS
