"""One process at a time on this host: ingesters where the store does not honour put-if-absent, and cycles."""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.errors import ConfigError, RetriableError
from ingest.folders import make_folder


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
    with file_lock(path, f"another `lake ingest` on this host is writing to {lake_uri}; wait for it"):
        yield


@contextmanager
def file_lock(path: Path, busy: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Holds a lock file; the kernel frees it when the process ends, however it ends.

    Args:
        busy: what to say when another process holds it.
        wait_seconds: how long to wait for it before that.

    Raises:
        RetriableError: another process holds it.
        ConfigError: the folder cannot be written.
    """
    try:
        make_folder(path.parent)
        handle = path.open("w")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a folder that this user can write") from error
    deadline = time.monotonic() + wait_seconds
    with handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise RetriableError(busy) from None
                time.sleep(0.2)
        yield
