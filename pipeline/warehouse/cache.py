"""What is derived from models, kept in files beside SQLMesh's own cache so that an unchanged project costs nothing.

A cache that cannot be read or written is computed again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def read_cache(path: Path) -> dict[str, Any]:
    """The entries of a file, by name of the model; empty if it cannot be read."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def write_cache(path: Path, entries: Mapping[str, Any]) -> None:
    """Replace a file atomically, if it can be written."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):  # a project that cannot be written to has no cache
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(entries, separators=(",", ":")), encoding="utf-8")
        draft.replace(path)
