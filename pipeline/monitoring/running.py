"""Which process runs a cycle, so that the next one can count those that were killed: they cannot do it themselves.

<LAKE_HOME>/measures/running
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ingest.settings import Settings
from ingest.storage.folders import make_folder


def begin(options: Settings) -> bool:
    """Note this process; the caller has the lock of cycles.

    Returns:
        Whether the one before ended without a word.

    Raises:
        OSError: it cannot be written.
    """
    path = _path(options)
    make_folder(path.parent, options.lake_folder_mode)
    before, own = _noted(path), (os.getpid(), _started(os.getpid()))
    path.write_text(" ".join(map(str, own)), encoding="utf-8")
    return before is not None and before != own and not _is_alive(*before)


def end(options: Settings) -> None:
    """Forget this process."""
    path = _path(options)
    if _noted(path) == (os.getpid(), _started(os.getpid())):
        path.unlink(missing_ok=True)


def _path(options: Settings) -> Path:
    return Path(options.lake_home) / "measures" / "running"


def _noted(path: Path) -> tuple[int, str] | None:
    """The process that is noted, and when it started; empty if that was not to be known."""
    with suppress(FileNotFoundError, ValueError):
        number, _, started = path.read_text(encoding="utf-8").partition(" ")
        return int(number), started
    return None


def _started(process: int) -> str:
    """When a process started, in ticks since the host did: in containers every process has the same number."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    return ""


def _is_alive(process: int, started: str) -> bool:
    """Whether a process exists; one that still ends, after it has let go of the lock, does."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not started or _started(process) == started
