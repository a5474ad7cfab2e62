"""How much one ingest takes on at a time."""

from __future__ import annotations

from dataclasses import dataclass


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
