"""The ledger positions at which this process registers bronze: those of its cycle, whatever a stream commits then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ingest.ledger.ledger import Ledger
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store

_positions: dict[str, int] = {}
_states: dict[tuple[str, str, int], LedgerState] = {}
"""What was read at these positions, by lake, feed and position: several relations follow from it."""


@contextmanager
def pinned(positions: Mapping[str, int]) -> Iterator[None]:
    """Register bronze at these positions while the body runs; feeds without one at their newest."""
    before = dict(_positions)
    _positions.update(positions)
    try:
        yield
    finally:
        _positions.clear()
        _positions.update(before)
        _states.clear()


def live(lake: Store, feed: str) -> LedgerState:
    """Return the state of a feed, without its objects, at its position.

    Raises:
        LostLedger: entries are missing.
    """
    position = _positions.get(feed)
    if position is None:
        return Ledger(lake, feed).live()
    place = (lake.uri, feed, position)
    if place not in _states:
        _states[place] = Ledger(lake, feed).live(position)
    return _states[place]
