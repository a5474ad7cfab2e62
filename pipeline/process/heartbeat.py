"""Signs of life of processes that run for long, for what watches them from beside: a container's health check.

<LAKE_HOME>/alive/<command>
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path

from ingest.settings import Settings
from ingest.storage.folders import make_folder

FOLDER = "alive"
_FORM = "%Y-%m-%dT%H:%M:%S.%f%z"


def beat(options: Settings, name: str, within_seconds: float) -> None:
    """Note that a process is alive, and until when it will say so again.

    Args:
        name: the command, for instance `stream`; two processes of one home and name note the same.
        within_seconds: after which it counts as stuck if it has not.

    Raises:
        OSError: it cannot be written.
    """
    path = _folder(options) / name
    make_folder(path.parent, options.lake_folder_mode)
    due = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=within_seconds)
    draft = path.with_name(f".{name}")
    draft.write_text(due.strftime(_FORM), encoding="utf-8")
    draft.replace(path)


def overdue(options: Settings, names: Iterable[str], now: dt.datetime) -> Iterator[str]:
    """Why processes do not count as alive, a sentence each; none if all are.

    Args:
        names: commands that must have noted something; without any, all that have are looked at.
    """
    folder = _folder(options)
    known = {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()
    for name in sorted(set(names) or known):
        if name not in known:
            yield f"{name}: has never run with LAKE_HOME={options.lake_home}"
            continue
        written = (folder / name).read_text(encoding="utf-8")
        try:
            due = dt.datetime.strptime(written, _FORM)
        except ValueError:
            yield f"{name}: {folder / name} has no time; start `lake {name}` again"
            continue
        if due < now:
            yield f"{name}: was due at {due:%Y-%m-%d %H:%M:%S} UTC and has not been heard of since; start it again"


def _folder(options: Settings) -> Path:
    return Path(options.lake_home) / FOLDER
