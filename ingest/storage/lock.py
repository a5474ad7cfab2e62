"""Host-wide locks: for ingesters where the store does not honour put-if-absent, and for cycles.

A lock ends with its process. Forked children would share it and could outlive a killed parent, so they do not inherit
its descriptors, and end with it.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ingest.errors import Busy, ConfigError
from ingest.retry import while_busy
from ingest.storage.folders import make_folder

_PR_SET_PDEATHSIG = 1
_WATCH_SECONDS = 0.5
_own: dict[int, tuple[int, int]] = {}
"""Descriptors that forked children do not inherit, with the device and inode that identify the open file."""
_process = os.getpid()
_forking = threading.local()


@contextmanager
def host_lock(folder: Path, lake_uri: str) -> Iterator[None]:
    """Hold the lock of a lake on this host; the kernel releases it when the process ends, however it ends.

    Args:
        folder: local folder for lock files.
        lake_uri: the lake to lock.

    Raises:
        Busy: another process holds the lock.
        ConfigError: the folder cannot be written.
    """
    path = folder / f"{hashlib.sha256(lake_uri.encode()).hexdigest()[:16]}.lock"
    with file_lock(path, f"another `lake ingest` on this host is writing to {lake_uri}; wait for it"):
        yield


@contextmanager
def file_lock(path: Path, busy: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock file; the kernel releases it when the process ends, however it ends.

    Args:
        busy: message of the error when another process holds the lock.
        wait_seconds: how long to wait for the lock before that.

    Raises:
        Busy: another process holds the lock.
        ConfigError: the folder cannot be written.
    """
    try:
        make_folder(path.parent)
        handle = path.open("w")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a folder that this user can write") from error
    with handle, not_inherited(handle.fileno()):
        try:
            while_busy(
                lambda: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB),
                lambda error: isinstance(error, BlockingIOError),
                wait_seconds,
            )
        except BlockingIOError:
            raise Busy(busy) from None
        yield


@contextmanager
def not_inherited(descriptor: int) -> Iterator[None]:
    """Keep an open file or socket, and the lock that depends on it, private to this process while the body runs.

    A child forked during that time gets /dev/null in its place, and ends when this process ends.
    """
    global _process
    _process = os.getpid()
    _own[descriptor] = _identity(descriptor)
    try:
        yield
    finally:
        _own.pop(descriptor, None)


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _before_fork() -> None:
    _forking.is_main = threading.current_thread() is threading.main_thread()


def _in_child() -> None:
    """Replace inherited descriptors in a forked child, and tie it to its parent's lifetime."""
    if not _own:
        return
    devnull = os.open(os.devnull, os.O_RDWR)
    for descriptor, identity in _own.items():
        with suppress(OSError):  # it was closed meanwhile
            if _identity(descriptor) == identity:
                os.dup2(devnull, descriptor, inheritable=False)
    os.close(devnull)
    _own.clear()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the inherited handler is the parent's
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the parent too
    # The kernel watches the forking thread: only the main thread lives as long as its process.
    if not (_forking.is_main and _ended_by_kernel()):
        threading.Thread(target=_watch, args=(_process,), daemon=True).start()
    if os.getppid() != _process:  # the parent ended before the kernel watched it
        os._exit(1)


def _ended_by_kernel() -> bool:
    """Ask the kernel to end this process when its parent ends; return whether it will. Linux only."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0)


def _watch(parent: int) -> None:
    """End this process soon after its parent."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


os.register_at_fork(before=_before_fork, after_in_child=_in_child)
