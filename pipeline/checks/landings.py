"""Missing landing locations: errors versus feeds without data yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ingest.contracts.contract import Contract
from ingest.errors import ConfigError
from ingest.ledger.ledger import Ledger
from ingest.storage.landing import Landing
from ingest.storage.store import Store

SHOWN = 2
"""Maximum number of locations that are listed; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A feed whose landing location does not exist.

    Attributes:
        uri: the location.
        known: number of its objects in the ledger; above 0 the location must have existed.
        empties: the contract retires objects and the store has no folders, so the location may be legitimately gone.
    """

    feed: str
    uri: str
    known: int
    empties: bool


def absent(contract: Contract, landing: Landing, lake: Store) -> Absent | None:
    """Describe a feed's landing location if it does not exist; None if it does.

    Raises:
        ConfigError: it is not a folder, the bucket does not exist on S3, or access is refused.
        RetriableError: a store cannot be reached.
    """
    if landing.is_there():
        return None
    known = len(Ledger(lake, contract.feed).state().objects)
    rule = contract.source.retire
    empties = landing.root is None and rule is not None and rule.action != "tag"
    return Absent(contract.feed, landing.uri, known, empties)


def judge_absent(found: Iterable[Absent], chosen: int) -> tuple[list[ConfigError], list[str]]:
    """Return errors and notes, one line each, about missing landing locations.

    It is an error if the ledger has objects of the location, or if none of the selected feeds has a location: then the
    whole landing is missing or mistyped. A lake that uses only some of its feeds gets one note.

    Args:
        found: the missing locations of the selected feeds.
        chosen: number of selected feeds.

    >>> new, lost = Absent("events", "/raw/events", 0, False), Absent("users", "/raw/users", 7, False)
    >>> errors, notes = judge_absent([new, lost], 6)
    >>> print(*errors, *notes, sep="\\n")
    users: /raw/users does not exist, but 7 of its objects are loaded; check LANDING_URI, and that its disk is mounted
    nothing in the landing yet for events (/raw/events)
    >>> print(*judge_absent([new], 1)[0])
    nothing found for events (/raw/events): check LANDING_URI; `lake sample` fills an empty landing
    """
    places = list(found)
    errors = [
        ConfigError(
            f"{place.feed}: {place.uri} does not exist, but {place.known:,} of its objects are loaded; "
            "check LANDING_URI, and that its disk is mounted"
        )
        for place in places
        if place.known and not place.empties
    ]
    rest = [place for place in places if not place.known or place.empties]
    named = ", ".join(f"{place.feed} ({place.uri})" for place in rest[:SHOWN])
    named += f" and {len(rest) - SHOWN} more feeds" if len(rest) > SHOWN else ""
    if rest and len(places) == chosen and not any(place.empties and place.known for place in rest):
        text = f"nothing found for {named}: check LANDING_URI; `lake sample` fills an empty landing"
        return [*errors, ConfigError(text)], []
    return errors, [f"nothing in the landing yet for {named}"] if rest else []
