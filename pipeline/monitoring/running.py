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
    before = _process(path)
    path.write_text(str(os.getpid()), encoding="utf-8")
    return before is not None and before != os.getpid() and not _is_alive(before)


def end(options: Settings) -> None:
    """Forget this process."""
    path = _path(options)
    if _process(path) == os.getpid():
        path.unlink(missing_ok=True)


def _path(options: Settings) -> Path:
    return Path(options.lake_home) / "measures" / "running"


def _process(path: Path) -> int | None:
    with suppress(FileNotFoundError, ValueError):
        return int(path.read_text(encoding="utf-8"))
    return None


def _is_alive(process: int) -> bool:
    """Whether a process exists; one that still ends, after it has let go of the lock, does."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
