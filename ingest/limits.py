"""How much one ingest takes on at a time.

With the defaults a load stays below MEMORY_BYTES, whatever its objects hold; what would not is quarantined with the
limit that it broke.
"""

from __future__ import annotations

from dataclasses import dataclass

MEMORY_BYTES = 600_000_000
"""Peak resident memory of `lake ingest`, as long as no contract raises `max_line_bytes`."""

DECODED_BYTES, DECODED_PER_BYTE = 256 << 20, 1000
"""An object may become so many bytes of lines; a larger one so many times the bytes that are stored."""
DECODED_LINES, LINES_PER_BYTE = 5_000_000, 10
"""An object may become so many lines; a larger one so many for each byte that is stored."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Memory, and what a crash costs, follow from these; the result does not.

    Attributes:
        load_bytes: stored bytes of the objects that one load commits; a larger object is a load of its own.
        load_objects: objects of one load.
        fetch_threads: requests to an object store at a time.
        bytes_in_flight: bytes fetched ahead from an object store.
    """

    load_bytes: int = 1 << 30
    load_objects: int = 50_000
    fetch_threads: int = 32
    bytes_in_flight: int = 64 << 20


DEFAULT = Limits()
