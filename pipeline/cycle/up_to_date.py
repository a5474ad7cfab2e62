"""Whether the lake is as the cycle before left it, with nothing due: then SQLMesh need not be loaded.

Loading SQLMesh and the project is most of the cost of a cycle without new data. So a cycle that leaves nothing undone
records what it saw and when the next interval is due; the next one compares.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import ingest
import pipeline
from ingest.settings import PROJECT, Settings
from ingest.storage.folders import make_folder
from ingest.storage.store import Store
from pipeline.access.role_keys import fingerprint as fingerprint_of_key
from pipeline.cycle.ingest import IngestSummary
from pipeline.lake import Lake
from pipeline.portal.keys import CURRENT
from pipeline.state.fingerprint import fingerprint

_FORMAT = 1
_PARTS = (
    *("access", "audits", "dashboards", "external_models", "ingest/contracts", "linter", "macros", "materializations"),
    *("metrics", "models", "privacy", "seeds", "signals"),
)
"""Folders of the project that a cycle reads."""
_CONFIG = ("config.yaml", "config.yml", "config.py")


@dataclass(frozen=True, slots=True)
class Left:
    """What a cycle leaves to the next one.

    Attributes:
        due_at: when the next interval is due.
        state: see `fingerprint`; taken while no other process could compute or mark dates.
        definitions: see `definitions`; taken before they were read, so that a change meanwhile counts as one.
    """

    due_at: dt.datetime
    state: str
    definitions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class UpToDate:
    """What a cycle saw that left nothing undone.

    Attributes:
        since: when it started.
        due_at: see `Left`.
        violations: names of the alerts about contracts that it reported.
        seen: a digest by what was seen: `project`, `settings`, `state`, `warehouse`, `releases`, `pages`.
    """

    since: dt.datetime
    due_at: dt.datetime
    violations: frozenset[str]
    seen: Mapping[str, str]

    def holds(self, lake: Lake, now: dt.datetime) -> bool:
        """Whether nothing is due, and nothing that a cycle depends on has changed.

        A clock that was set back voids it too.

        Raises:
            ConfigError, RetriableError: state or releases cannot be read.
        """
        seen = {"state": self.seen.get("state"), **definitions(lake.options), **_outside(lake)}
        if not self.since <= now < self.due_at or self.seen != seen:
            return False
        with lake.state.open(read_only=True) as state:
            return self.seen.get("state") == _digest(fingerprint(state))


def leave(lake: Lake, left: Left, now: dt.datetime, violations: Iterable[str]) -> None:
    """Record that nothing is left undone.

    Args:
        now: when the cycle started.
        violations: see `UpToDate`.
    """
    path = _path(lake.options)
    make_folder(path.parent, lake.options.lake_folder_mode)
    content = {
        "format": _FORMAT,
        "since": now.isoformat(),
        "due_at": left.due_at.isoformat(),
        "violations": sorted(violations),
        "seen": {"state": _digest(left.state), **left.definitions, **_outside(lake)},
    }
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(path)


def read(options: Settings) -> UpToDate | None:
    """What the last cycle left; None if it left something undone, or the file cannot be read."""
    try:
        content = json.loads(_path(options).read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            return None
        since, due_at = (dt.datetime.fromisoformat(content[key]) for key in ("since", "due_at"))
        return UpToDate(since, due_at, frozenset(content["violations"]), dict(content["seen"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(options: Settings) -> None:
    """Remove the record before anything is computed, so that a cycle which is killed leaves none."""
    _path(options).unlink(missing_ok=True)


def found_nothing(summary: IngestSummary) -> bool:
    """Whether an ingest loaded, marked and lacked nothing."""
    is_whole = not (summary.exit_code or summary.errors or summary.lost or summary.failed_feeds) and summary.is_marked
    return is_whole and not any(summary.dates.values()) and not any(feed.loads or feed.stuck for feed in summary.feeds)


def _path(options: Settings) -> Path:
    return Path(options.lake_home) / "up_to_date.json"


def definitions(options: Settings) -> dict[str, str]:
    """Digests of what is computed: the project, this program, and the settings."""
    packages = (Path(package.__path__[0]) for package in (ingest, pipeline))
    trees = [*_stats(Path(PROJECT) / name for name in _CONFIG)]
    for folder in [*(Path(PROJECT) / part for part in _PARTS), *packages]:
        trees += _tree(folder)
    keys = {role: fingerprint_of_key(key) for role, key in sorted(options.role_keys.items())}
    return {"project": _digest(repr(trees)), "settings": _digest(repr((options, keys)))}


def _outside(lake: Lake) -> dict[str, str]:
    """Digests of what a cycle writes, outside the state."""
    return {
        "warehouse": repr(list(_stats([Path(lake.options.warehouse_path)]))),
        "releases": _digest(repr(lake.releases.pointer())),
        "pages": _digest(repr(_content(lake.releases.store, CURRENT))),
    }


def _content(store: Store, key: str) -> bytes | None:
    try:
        return store.get(key)
    except FileNotFoundError:
        return None


def _stats(paths: Iterable[Path]) -> Iterator[tuple[str, int, int]]:
    """Path, bytes and modification time in ns of the files that exist."""
    for path in paths:
        with suppress(FileNotFoundError):
            found = path.stat()
            yield str(path), found.st_size, found.st_mtime_ns


def _tree(folder: Path) -> Iterator[tuple[str, int, int]]:
    """The same of every file below a folder, except Python's caches."""
    with suppress(FileNotFoundError):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_dir() and entry.name != "__pycache__":
                yield from _tree(Path(entry.path))
            elif entry.is_file():
                found = entry.stat()
                yield entry.path, found.st_size, found.st_mtime_ns


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
