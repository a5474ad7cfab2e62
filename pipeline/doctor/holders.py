"""Who holds the lock of a file: the processes of this host that the kernel names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ingest.text import printable

LOCKS = Path("/proc/locks")
SHOWN_CHARACTERS = 80
"""Characters of a command line that are shown; what follows may be anything."""


def holders(path: Path) -> list[str]:
    """The processes that hold a lock on a file: `lake run --json, pid 12, for 95 s`.

    Empty if there is none, and where the kernel does not say.
    """
    try:
        status = path.stat()
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return []
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    return list(dict.fromkeys(map(_named, _owners(lines, place))))


def _owners(lines: list[str], place: str) -> Iterator[int]:
    """The processes of `1: FLOCK ADVISORY WRITE 42 08:01:131 0 EOF`; one that waits has an arrow before the kind."""
    for line in lines:
        words = line.split()
        if place in words and "->" not in words:
            with suppress(ValueError):
                yield int(words[words.index(place) - 1])


def _named(pid: int) -> str:
    if pid <= 0:
        return "a process that cannot be named"
    command, started = "", ""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        names = [word.decode(errors="replace") for word in words if word]
        command = " ".join([Path(names[0]).name, *names[1:]])[:SHOWN_CHARACTERS] if names else ""
    with suppress(OSError, ValueError, IndexError):
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        started = f", for {max(0.0, uptime - ticks / os.sysconf('SC_CLK_TCK')):.0f} s"
    return f"{printable(command) or 'a process'}, pid {pid}{started}"
