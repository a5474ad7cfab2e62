"""Opening the lake for writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.settings import Settings
from ingest.storage.lock import host_lock
from ingest.storage.store import Store


@contextmanager
def writable_lake(options: Settings) -> Iterator[tuple[Store, str]]:
    """Open the lake's store for writing, with a note for the operator, empty if writers may run in parallel.

    A store that ignores conditional writes is locked on this host while the body runs.

    Raises:
        ConfigError: the lake cannot be used.
        RetriableError: the lake cannot be reached, or another writer holds its lock.
    """
    lake = Store(options.lake_uri, options)
    try:
        if lake.honours_put_if_absent():
            yield lake, ""
            return
        with host_lock(Path(options.lake_home) / "locks", options.lake_uri):
            yield (
                lake,
                f"{options.lake_uri} ignores conditional writes: only one ingester at a time, on one host (locked)",
            )
    finally:
        lake.close()
