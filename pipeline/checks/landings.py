"""Landing places that are not there: what is a mistake, and what only a feed without data yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ingest.contracts.contract import Contract
from ingest.errors import ConfigError
from ingest.ledger.ledger import Ledger
from ingest.settings import Settings
from ingest.storage.landing import Landing
from ingest.storage.store import Store

SHOWN = 2
"""So many places are named, the rest is counted."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A feed whose place in the landing is not there.

    Attributes:
        uri: the place.
        known: how many objects of it the ledger knows, so that it must have been there.
        empties: the contract retires objects and the store has no folders, so that it may be gone by rights.
    """

    feed: str
    uri: str
    known: int
    empties: bool


def absent(contract: Contract, options: Settings) -> Absent | None:
    """Whether a feed's place in the landing is not there; None when it is.

    Raises:
        ConfigError: it is no folder, there is no such bucket on S3, or no right to look.
        RetriableError: a store cannot be reached.
    """
    landing = Landing(options.landing(contract.source.bucket), options)
    if landing.is_there():
        return None
    known = len(Ledger(Store(options.lake_uri, options), contract.feed).state().objects)
    rule = contract.source.retire
    empties = landing.bucket is not None and rule is not None and rule.action != "tag"
    return Absent(contract.feed, landing.uri, known, empties)


def judge_absent(found: Iterable[Absent], chosen: int) -> tuple[list[ConfigError], list[str]]:
    """Errors and notes, one line each, about the places that are not there.

    It is an error when the ledger knows objects of the place, and when none of the chosen feeds has a place: then the
    whole landing is missing or mistyped. A lake that uses some of its feeds gets one note.

    Args:
        found: the absent ones among the chosen feeds.
        chosen: how many feeds were chosen.

    >>> new, lost = Absent("events", "/raw/events", 0, False), Absent("users", "/raw/users", 7, False)
    >>> errors, notes = judge_absent([new, lost], 6)
    >>> print(*errors, *notes, sep="\\n")
    users: /raw/users is not there, but 7 of its objects are loaded; check LANDING_URI, and that its disk is mounted
    nothing in the landing yet for events (/raw/events)
    >>> print(*judge_absent([new], 1)[0])
    nothing is there for events (/raw/events): check LANDING_URI; `lake sample` fills an empty landing
    """
    places = list(found)
    errors = [
        ConfigError(
            f"{place.feed}: {place.uri} is not there, but {place.known:,} of its objects are loaded; "
            "check LANDING_URI, and that its disk is mounted"
        )
        for place in places
        if place.known and not place.empties
    ]
    rest = [place for place in places if not place.known or place.empties]
    named = ", ".join(f"{place.feed} ({place.uri})" for place in rest[:SHOWN])
    named += f" and {len(rest) - SHOWN} more feeds" if len(rest) > SHOWN else ""
    if rest and len(places) == chosen and not any(place.empties and place.known for place in rest):
        text = f"nothing is there for {named}: check LANDING_URI; `lake sample` fills an empty landing"
        return [*errors, ConfigError(text)], []
    return errors, [f"nothing in the landing yet for {named}"] if rest else []
