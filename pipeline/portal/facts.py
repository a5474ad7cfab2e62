"""What the header of every page says of a release: how far it is complete, and what waits or is late."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from ingest.contracts.contract import Contract
from ingest.ledger.ledger import Ledger
from ingest.storage.store import Store
from pipeline.releases.release import Release


@dataclass(frozen=True, slots=True)
class Facts:
    """What the small file of a release says beside its pages. Whether a feed is late is judged when a page is read.

    Attributes:
        complete_to: the last date that is computed and complete by the contracts; None if unknown.
        feeds: per feed `feed`, `newest_at` (ISO 8601 or None), `limit_seconds` (or None) and `waiting` objects.
        withheld: dates that wait for data, as `table` and `dates`.
    """

    complete_to: dt.date | None = None
    feeds: Sequence[Mapping[str, Any]] = ()
    withheld: Sequence[Mapping[str, Any]] = ()

    def as_json(self) -> dict[str, Any]:
        """As it stands in the small file."""
        return {
            "complete_to": str(self.complete_to) if self.complete_to else None,
            "feeds": [dict(item) for item in self.feeds],
            "withheld": [dict(item) for item in self.withheld],
        }

    @classmethod
    def of(cls, small: Mapping[str, Any]) -> Self:
        """What a small file says."""
        day = small["complete_to"]
        return cls(dt.date.fromisoformat(day) if day else None, small["feeds"], small["withheld"])

    @classmethod
    def unknown(cls, release: Release) -> Self:
        """What can be said of a release when only its manifest is known."""
        return cls(complete_to(release.published_at, {}))


def feed_facts(lake: Store, contracts: Iterable[Contract], waiting: Mapping[str, int]) -> list[dict[str, Any]]:
    """What is known of each feed.

    Args:
        waiting: objects that are not loaded, by feed.

    Raises:
        ConfigError, RetriableError: the lake cannot be read.
    """
    found = []
    for contract in contracts:
        newest = Ledger(lake, contract.feed).live().newest_object_at
        found.append(
            {
                "feed": contract.feed,
                "newest_at": newest.isoformat(timespec="seconds") if newest else None,
                "limit_seconds": contract.freshness_seconds,
                "waiting": waiting.get(contract.feed, 0),
            }
        )
    return found


def complete_to(published_at: dt.datetime, withheld: Mapping[str, Collection[dt.date]]) -> dt.date:
    """The last date that a release has completely.

    The gate lets a release pass only if every past date is computed, except those that wait for a feed to be complete.

    Args:
        withheld: the dates that wait, by table.
    """
    waiting = [day for days in withheld.values() for day in days]
    return min([published_at.astimezone(dt.UTC).date(), *waiting]) - dt.timedelta(days=1)
