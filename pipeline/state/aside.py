"""DuckDB files kept under another name while a rebuild replaces them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

LOST = ".before-rebuild"
"""Suffix of a file that a rebuild keeps until it has succeeded."""


def set_aside(path: str) -> None:
    """Rename a DuckDB file and its log. Those from before an interrupted rebuild stay, its half-built ones go."""
    for file, kept in _files(path):
        if kept.exists():
            file.unlink(missing_ok=True)
        elif file.exists():
            file.rename(kept)


def drop_aside(path: str) -> None:
    """Delete what `set_aside` kept."""
    for _, kept in _files(path):
        kept.unlink(missing_ok=True)


def _files(path: str) -> Iterator[tuple[Path, Path]]:
    for name in (path, f"{path}.wal"):
        yield Path(name), Path(name + LOST)
