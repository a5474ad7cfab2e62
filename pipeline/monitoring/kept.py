"""Values that outlive a process: counters, and what it last did, a file for each kind of process.

    <LAKE_HOME>/measures/cycle.json, maintenance.json, live.json, …

They need no library, so they are kept whether or not anything reads them. A file that cannot be read starts again at
zero, as Prometheus expects of a counter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ingest.settings import Settings
from ingest.storage.folders import make_folder
from ingest.storage.lock import file_lock
from pipeline.monitoring.definitions import DEFINITIONS, Sample

WAIT_SECONDS = 5.0
_Key = tuple[str, tuple[str, ...]]


class Kept:
    """The values of one file, by name and labels."""

    def __init__(self, values: dict[_Key, float]) -> None:
        self._values = values

    def add(self, name: str, value: float, *labels: str) -> None:
        """Increase a counter."""
        key = (name, labels)
        self._values[key] = self._values.get(key, 0.0) + value

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        self._values[name, labels] = value

    def forget(self, name: str) -> None:
        """Remove a measure with all its labels: what the process does not have this time."""
        for key in [key for key in self._values if key[0] == name]:
            del self._values[key]

    def samples(self) -> Iterator[Sample]:
        """The values of defined measures; those of another version are left out."""
        for (name, labels), value in self._values.items():
            if name in DEFINITIONS and len(labels) == len(DEFINITIONS[name].labels):
                yield Sample(name, value, labels)


@contextmanager
def keeping(options: Settings, process: str) -> Iterator[Kept]:
    """Read the values of a kind of process, and write what the body made of them, atomically.

    Args:
        process: `cycle`, `maintenance`, `live`, …

    Raises:
        Busy: another process writes them for longer than WAIT_SECONDS.
        OSError: they cannot be written.
    """
    path = _folder(options) / f"{process}.json"
    make_folder(path.parent, options.lake_folder_mode)
    busy = f"another process writes {path}"
    with file_lock(Path(options.lake_home) / "locks" / f"measures-{process}.lock", busy, WAIT_SECONDS):
        kept = Kept(_read(path))
        yield kept
        draft = path.with_suffix(".draft")
        values = [[name, labels, value] for (name, labels), value in sorted(kept._values.items())]
        draft.write_text(json.dumps(values), encoding="utf-8")
        draft.replace(path)


def kept_samples(options: Settings) -> list[Sample]:
    """What all processes of this home have left."""
    paths = sorted(_folder(options).glob("*.json"))
    return [sample for path in paths for sample in Kept(_read(path)).samples()]


def _folder(options: Settings) -> Path:
    return Path(options.lake_home) / "measures"


def _read(path: Path) -> dict[_Key, float]:
    found: dict[_Key, float] = {}
    with suppress(FileNotFoundError, ValueError, TypeError):
        items: Iterable[Any] = json.loads(path.read_text(encoding="utf-8"))
        for name, labels, value in items:
            found[str(name), tuple(map(str, labels))] = float(value)
    return found
