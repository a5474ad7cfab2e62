"""One ingester at a time on this host, for stores that do not honour put-if-absent."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.errors import ConfigError, RetriableError


@contextmanager
def host_lock(folder: Path, lake_uri: str) -> Iterator[None]:
    """Holds the lock of a lake on this host; the kernel frees it when the process ends, however it ends.

    Args:
        folder: local folder for lock files.
        lake_uri: the lake that is locked.

    Raises:
        RetriableError: another process holds it.
        ConfigError: the folder cannot be written.
    """
    path = folder / f"{hashlib.sha256(lake_uri.encode()).hexdigest()[:16]}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a folder that this user can write") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RetriableError(f"another `lake ingest` on this host is writing to {lake_uri}; wait for it") from None
        yield
