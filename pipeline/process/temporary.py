"""Temporary folders that killed processes left, which may have rows in them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.process.removed import Removed

PREFIX = "lakemesh-"
_PROGRAMS = (b"python", b"lake", b"sqlmesh")


def delete_dead() -> Removed:
    """Delete this user's temporary folders that are older than every running process that may have made one.

    Others are left: whose they are is written nowhere.
    """
    since = _oldest_start()
    if since is None:
        where = f"{tempfile.gettempdir()}/{PREFIX}*"
        return Removed(beyond=(f"{where}: delete what processes that were killed have left; here it cannot be known",))
    dead: list[Path] = []
    young: list[Path] = []
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # it ended meanwhile
            if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.getuid():
                continue
            (dead if max(map(_changed_at, _tree(folder))) < since else young).append(folder)
    for folder in dead:
        shutil.rmtree(folder, ignore_errors=True)
    remaining = [folder for folder in dead if folder.exists()]
    done = len(dead) - len(remaining)
    return Removed(
        (f"deleted {done} temporary folders of killed processes",) if done else (),
        tuple(f"{folder} cannot be deleted" for folder in remaining),
        (
            f"{len(young)} folders {tempfile.gettempdir()}/{PREFIX}* are younger than a running process, which deletes "
            "its own when it ends",
        )
        if young
        else (),
    )


def _oldest_start() -> float | None:
    """When the oldest process of this user that may make such folders began, in s since 1970; None if unknown."""
    found = []
    try:
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError):
        return None
    booted, ticks = time.time() - uptime, os.sysconf("SC_CLK_TCK")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):  # it ended meanwhile
            if process.stat().st_uid != os.getuid():
                continue
            words = process.joinpath("cmdline").read_bytes().split(b"\0")[:2]
            if any(program in word.rsplit(b"/", 1)[-1] for word in words for program in _PROGRAMS):
                started = process.joinpath("stat").read_text().rsplit(")", 1)[1].split()[19]
                found.append(booted + int(started) / ticks - 1)  # a second for what is rounded
    return min(found, default=None)


def _tree(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.rglob("*")


def _changed_at(path: Path) -> float:
    return path.lstat().st_mtime
