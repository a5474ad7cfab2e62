"""The watermark: the moment up to which events are expected to have arrived, from the times of events alone."""

from __future__ import annotations

from collections.abc import Iterable


class Watermark:
    """The oldest of the newest times of all sources, less the lateness that is allowed.

    It never moves back, and does not move at all before every source was heard of.

    Args:
        sources: the partitions that are read.
        lateness: microseconds.
    """

    def __init__(self, sources: Iterable[str], lateness: int) -> None:
        self._newest: dict[str, int | None] = dict.fromkeys(sources)
        self._lateness = lateness
        self.at = 0

    def observe(self, source: str, at: int) -> None:
        """An event of a source happened, or it is idle up to then. Unknown sources, such as objects, have no say."""
        if source in self._newest:
            before = self._newest[source]
            self._newest[source] = at if before is None else max(before, at)

    def follows(self, source: str) -> bool:
        """Whether it follows a source."""
        return source in self._newest

    def add(self, source: str) -> None:
        """A partition was added; the watermark waits for it."""
        self._newest.setdefault(source, None)

    def advance(self) -> int:
        """Move the watermark and return it."""
        newest = self._newest.values()
        if newest and None not in newest:
            self.at = max(self.at, min(at for at in newest if at is not None) - self._lateness)
        return self.at
