"""Views that name many files, in a metastore that limits the length of a view's text: 32,700 characters in Derby.

A view is a union of parts. The parts of a long view are views themselves, named by a hash of their text, so that
existing ones are reused.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ingest.upkeep.clean import load_of
from pipeline.warehouse.spark.session import text

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

MAX_TEXT = 30_000
"""Characters of a part."""
MAX_EXCLUDED = 100
"""A load with more excluded files than this has its included files named one by one."""

_Piece = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Included loads, included files, and excluded files of the included loads."""


def live(alias: str, names: Iterable[str], used: int = 0) -> Iterator[str]:
    """Conditions that select files by name, each short enough for a part.

    Args:
        alias: of the table over the files.
        used: characters that the rest of the part takes.
    """
    return _conditions(alias, (((), (name,), ()) for name in sorted(names)), used)


def live_by_load(alias: str, names: Iterable[str], others: Iterable[str], used: int = 0) -> Iterator[str]:
    """Conditions that select files by the loads that wrote them: names are `<load>-<number>.parquet`.

    Args:
        alias: of the table over the files.
        names: the files to include.
        others: all other files, present or future, of the same loads.
        used: characters that the rest of the part takes.
    """
    return _conditions(alias, _pieces(names, others), used)


def _pieces(names: Iterable[str], others: Iterable[str]) -> Iterator[_Piece]:
    wanted, unwanted = _by_load(names), _by_load(others)
    for load, files in wanted.items():
        if len(unwanted[load]) <= MAX_EXCLUDED:
            yield (load,), (), tuple(unwanted[load])
        else:
            yield from (((), (name,), ()) for name in files)


def _by_load(names: Iterable[str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for name in sorted(names):
        found[load_of(name)].append(name)
    return found


def _conditions(alias: str, pieces: Iterable[_Piece], used: int) -> Iterator[str]:
    chosen: list[_Piece] = []
    size = empty = used + len(_condition(alias, [(("",), ("",), ("",))]))
    for piece in pieces:
        added = sum(len(text(name)) + 2 for kind in piece for name in kind)
        if chosen and size + added > MAX_TEXT:
            yield _condition(alias, chosen)
            chosen, size = [], empty
        chosen.append(piece)
        size += added
    if chosen:
        yield _condition(alias, chosen)


def _condition(alias: str, pieces: Sequence[_Piece]) -> str:
    file = f"{alias}._metadata.file_name"
    loads, names, others = (", ".join(text(name) for piece in pieces for name in piece[kind]) for kind in range(3))
    included = [f"SUBSTRING_INDEX({file}, '-', 2) IN ({loads})"] * bool(loads) + [f"{file} IN ({names})"] * bool(names)
    return f"({' OR '.join(included)})" + f" AND NOT {file} IN ({others})" * bool(others)


def part_views(prefix: str, parts: Sequence[str]) -> list[str]:
    """Names of the views for the parts; empty if all parts fit into one view."""
    if len(" UNION ALL ".join(parts)) <= MAX_TEXT:
        return []
    return [f"{prefix}_{hashlib.sha256(part.encode()).hexdigest()[:12]}" for part in parts]


def create_view(warehouse: EngineAdapter, view: str, parts: Sequence[str], prefix: str) -> None:
    """Create or replace a view as the union of its parts.

    Args:
        prefix: of the names of views for parts.
    """
    names = part_views(prefix, parts)
    for name, part in zip(names, parts, strict=False):
        warehouse.execute(f"CREATE VIEW IF NOT EXISTS {name} AS {part}")
    query = " UNION ALL ".join(f"SELECT * FROM {name}" for name in names) or " UNION ALL ".join(parts)
    warehouse.execute(f"CREATE OR REPLACE VIEW {view} AS {query}")


def drop_unused(warehouse: EngineAdapter, schema: str, wanted: Collection[str]) -> None:
    """Drop the tables and views of a schema that are no longer used. The files of external tables stay.

    Args:
        wanted: `schema.name` of those to keep.
    """
    views = {row[1] for row in warehouse.fetchall(f"SHOW VIEWS IN {schema}")}
    for _, name, _ in warehouse.fetchall(f"SHOW TABLES IN {schema}"):
        if f"{schema}.{name}" not in wanted:
            warehouse.execute(f"DROP {'VIEW' if name in views else 'TABLE'} {schema}.{name}")
