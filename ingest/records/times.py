"""When each record of a load was written: that of its object, or of the message that it is."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Micros = npt.NDArray[np.int64]
"""Microseconds since 1970, UTC."""


class Times(Protocol):
    """The times of a load's records."""

    def micros(self, sources: npt.NDArray[Any], lines: npt.NDArray[Any]) -> Micros:
        """Return when some records were written.

        Args:
            sources: the index of the source of each.
            lines: its line or offset there.
        """


class ObjectTimes:
    """Every record of an object was written with it.

    Args:
        modified_at: of each object.
    """

    def __init__(self, modified_at: Sequence[dt.datetime]) -> None:
        self._micros = np.array([int(at.timestamp() * 1e6) for at in modified_at], dtype=np.int64)

    def micros(self, sources: npt.NDArray[Any], lines: npt.NDArray[Any]) -> Micros:
        """See Times."""
        return np.take(self._micros, sources)


class MessageTimes:
    """Each message has a time of its own; they are added as they are read."""

    def __init__(self) -> None:
        self._added: defaultdict[int, list[tuple[Micros, Micros]]] = defaultdict(list)

    def add(self, source: int, offsets: Micros, micros: Micros) -> None:
        """Add messages, whose offsets are greater than all before of the same source."""
        self._added[source].append((offsets, micros))

    def micros(self, sources: npt.NDArray[Any], lines: npt.NDArray[Any]) -> Micros:
        """See Times."""
        found = np.zeros(len(lines), dtype=np.int64)
        for source in np.unique(sources).tolist():
            offsets, micros = self._joined(source)
            here = sources == source
            found[here] = micros[np.searchsorted(offsets, lines[here])]
        return found

    def _joined(self, source: int) -> tuple[Micros, Micros]:
        added = self._added[source]
        if len(added) > 1:
            added[:] = [(np.concatenate([one for one, _ in added]), np.concatenate([one for _, one in added]))]
        return added[0]


def times_of(modified_at: Sequence[dt.datetime] | Times) -> Times:
    """Return the times of records whose objects were written at some times, or times as they are."""
    return ObjectTimes(modified_at) if isinstance(modified_at, Sequence) else modified_at
