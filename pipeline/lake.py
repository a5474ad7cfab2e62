"""The lake, opened for writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.settings import Settings
from ingest.storage.lock import host_lock
from ingest.storage.store import Store


@contextmanager
def writable_lake(options: Settings) -> Iterator[tuple[Store, str]]:
    """The lake's store, and what an operator should know of it: empty when any number of writers may share it.

    A store that ignores conditional writes is locked on this host as long as the body runs.

    Raises:
        ConfigError: the lake cannot be used.
        RetriableError: it cannot be reached, or another writer holds its lock.
    """
    lake = Store(options.lake_uri, options)
    try:
        if lake.honours_put_if_absent():
            yield lake, ""
            return
        with host_lock(Path(options.lake_home) / "locks", options.lake_uri):
            yield (
                lake,
                f"{options.lake_uri} ignores conditional writes: one ingester at a time, on one host (locked)",
            )
    finally:
        lake.close()
