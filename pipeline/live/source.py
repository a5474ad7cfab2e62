"""Where records come from while live numbers are shown."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from pipeline.live.decode import Message


class Source(Protocol):
    """Partitions that are read."""

    @property
    def partitions(self) -> Sequence[str]:
        """Their names, as bronze's `_source_file`."""

    def poll(self, seconds: float) -> Sequence[Message]:
        """What has come, at most some thousand messages; waits for the first at most so long."""

    def idle(self) -> Mapping[str, int]:
        """The partitions that have been read to their end, and up to when: microseconds."""

    def close(self) -> None:
        """Let go of what it holds."""


class Memory:
    """Messages of this process.

    Args:
        partitions: names.
    """

    def __init__(self, partitions: Iterable[str]) -> None:
        self._partitions = tuple(partitions)
        self._waiting: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._until: dict[str, int] = {}

    @property
    def partitions(self) -> Sequence[str]:
        """See Source."""
        return self._partitions

    def put(self, message: Message) -> None:
        """Add a message."""
        self._waiting.put(message)

    def end(self, until: int) -> None:
        """Say that nothing more comes up to a moment."""
        self._until = dict.fromkeys(self._partitions, until)

    def poll(self, seconds: float) -> Sequence[Message]:
        """See Source."""
        found: list[Message] = []
        try:
            found.append(self._waiting.get(timeout=seconds))
            while len(found) < 5000:
                found.append(self._waiting.get_nowait())
        except queue.Empty:
            pass
        return found

    def idle(self) -> Mapping[str, int]:
        """See Source."""
        return self._until if self._waiting.empty() else {}

    def close(self) -> None:
        """See Source."""
