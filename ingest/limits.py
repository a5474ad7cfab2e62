"""Limits on how much one ingest handles at a time.

With the defaults a load stays below MEMORY_BYTES whatever its objects contain; what would exceed it is quarantined
with the limit that it violates.
"""

from __future__ import annotations

from dataclasses import dataclass

MEMORY_BYTES = 600_000_000
"""Peak resident memory of `lake ingest`, unless a contract raises `max_line_bytes`."""

DECODED_BYTES, DECODED_PER_BYTE = 256 << 20, 1000
"""An object may decode to DECODED_BYTES of lines, a larger one to DECODED_PER_BYTE times its stored bytes."""
DECODED_LINES, LINES_PER_BYTE = 5_000_000, 10
"""An object may decode to DECODED_LINES lines, a larger one to LINES_PER_BYTE times its stored bytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one ingest. They determine memory use and the cost of a crash, never the result.

    Attributes:
        load_bytes: stored bytes of the objects that one load commits; a larger object is a load of its own.
        load_objects: objects in one load.
        fetch_threads: concurrent requests to an object store.
        bytes_in_flight: bytes prefetched from an object store.
    """

    load_bytes: int = 1 << 30
    load_objects: int = 50_000
    fetch_threads: int = 32
    bytes_in_flight: int = 64 << 20


DEFAULT = Limits()
