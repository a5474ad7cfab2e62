"""A small file system of its own, to fill it or to make it read-only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SUDO = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system of that size at a new folder; skips the test without the right to do so."""
    folder.mkdir()
    options = f"size={megabytes}m,mode=1777"
    try:
        subprocess.run([*SUDO, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run([*SUDO, "umount", "--lazy", folder], check=True)


def remount(folder: Path, option: str) -> None:
    """Mount it again, with the option `ro` or `rw`."""
    subprocess.run([*SUDO, "mount", "-o", f"remount,{option}", folder], check=True)
