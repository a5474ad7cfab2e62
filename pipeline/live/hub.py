"""The newest state for all who read it. Nobody waits for a reader: who is slow misses states in between."""

from __future__ import annotations

import threading


class Hub:
    """Hands the newest state to any number of threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number, self._data, self._is_closed = 0, b"{}", False

    def publish(self, data: bytes) -> None:
        """Replace the state."""
        with self._changed:
            self._number, self._data = self._number + 1, data
            self._changed.notify_all()

    def newest(self) -> bytes:
        """The newest state."""
        return self._data

    def wait(self, after: int, seconds: float) -> tuple[int, bytes | None]:
        """Wait for a state.

        Args:
            after: number of the one that is known.

        Returns:
            The newest one with its number; None if there is none after that time, or never will be.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._number > after or self._is_closed, seconds)
            return (self._number, self._data) if self._number > after else (after, None)

    def close(self) -> None:
        """Release all who wait."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        """Whether no more states follow."""
        return self._is_closed
