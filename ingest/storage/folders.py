"""Folders of the lake. Their mode keeps out other users of the machine, regardless of the writer's umask."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from ingest.settings import settings

_PERMISSIONS = 0o777


def make_folder(folder: Path, mode: int | None = None) -> set[Path]:
    """Create a folder and its missing parents, all with one mode. An existing folder keeps its own.

    Args:
        mode: permission bits; by default those of the setting LAKE_FOLDER_MODE.

    Returns:
        The folders with new entries, which need an fsync for the new folder to be durable; empty when it existed.

    Raises:
        OSError: a folder cannot be created, or its name is taken by something else.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    wanted = settings().lake_folder_mode if mode is None and missing else mode or 0
    for path in reversed(missing):
        try:
            path.mkdir(wanted)
        except FileExistsError:
            if not path.is_dir():
                raise
            continue  # another process was faster
        found = path.stat().st_mode
        if found & _PERMISSIONS != wanted:  # the umask removed bits
            with suppress(PermissionError):  # the mount determines the modes of this file system
                path.chmod(wanted | found & stat.S_ISGID)
    return {*missing, missing[-1].parent} if missing else set()
