"""What is derived from models, kept in files beside SQLMesh's own cache so that an unchanged project costs nothing.

A cache that cannot be read or written is computed again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlmesh.core.model import Model


def per_model(path: Path, models: Iterable[Model], find: Callable[[Model], Any], edition: str) -> dict[str, Any]:
    """Return what `find` returns for each model by name, computed again only for models that changed.

    Args:
        path: file of the cache.
        find: returns JSON values, derived from the definition of a model and nothing else.
        edition: changes with the code of `find`.
    """
    stored = read_cache(path)
    entries: dict[str, dict[str, Any]] = {}
    for model in models:
        key = fingerprint(model, edition)
        entry = stored.get(model.name)
        if not isinstance(entry, dict) or entry.get("key") != key:
            entry = {"key": key, "found": find(model)}
        entries[model.name] = entry
    if entries != stored:
        write_cache(path, entries)
    return {name: entry["found"] for name, entry in entries.items()}


def fingerprint(model: Model, edition: str) -> str:
    """Return a text that changes when what is derived from a model may have changed; equal in every process."""
    readable = json.dumps(_ordered(model.mapping_schema))
    parts = (_versions(), edition, model.data_hash, model.metadata_hash, readable, repr(model.columns_to_types))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _ordered(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with its tables sorted, which SQLMesh lists in the order of a set; columns stay in their own order."""
    if not any(isinstance(below, Mapping) for below in schema.values()):
        return {column: str(kind) for column, kind in schema.items()}
    return {name: _ordered(schema[name]) for name in sorted(schema)}


@functools.cache
def _versions() -> str:
    return f"{version('sqlmesh')} {version('sqlglot')}"


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
