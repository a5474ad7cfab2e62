"""Views that name many files, in a metastore that keeps no long text: Derby's ends at 32,700 characters.

So a view is a union of parts, and the parts of a long one are views of their own, named by what they say: those that
stand already stay.
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


FEW = 100
"""Of a load with more files than this that must not be seen, the others are named one by one."""

_Piece = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Loads whose files pass, files that pass, and files of those loads that do not."""


def live(alias: str, names: Iterable[str], used: int = 0) -> Iterator[str]:
    """Conditions that let pass files by their names, each short enough for a part.

    Args:
        alias: of the table whose files they are.
        used: characters that the part has besides.
    """
    return _conditions(alias, (((), (name,), ()) for name in sorted(names)), used)


def live_by_load(alias: str, names: Iterable[str], others: Iterable[str], used: int = 0) -> Iterator[str]:
    """Conditions that let pass files by the loads that wrote them: names are `<load>-<number>.parquet`.

    Args:
        alias: of the table whose files they are.
        names: the files that pass.
        others: all others that are there, or will be, of the same loads.
        used: characters that the part has besides.
    """
    return _conditions(alias, _pieces(names, others), used)


def _pieces(names: Iterable[str], others: Iterable[str]) -> Iterator[_Piece]:
    wanted, unwanted = _by_load(names), _by_load(others)
    for load, files in wanted.items():
        if len(unwanted[load]) <= FEW:
            yield (load,), (), tuple(unwanted[load])
        else:
            yield from (((), (name,), ()) for name in files)


def _by_load(names: Iterable[str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for name in sorted(names):
        found[load_of(name)].append(name)
    return found


def _conditions(alias: str, pieces: Iterable[_Piece], used: int) -> Iterator[str]:
    held: list[_Piece] = []
    size = empty = used + len(_condition(alias, [(("",), ("",), ("",))]))
    for piece in pieces:
        added = sum(len(text(name)) + 2 for kind in piece for name in kind)
        if held and size + added > MAX_TEXT:
            yield _condition(alias, held)
            held, size = [], empty
        held.append(piece)
        size += added
    if held:
        yield _condition(alias, held)


def _condition(alias: str, pieces: Sequence[_Piece]) -> str:
    file = f"{alias}._metadata.file_name"
    loads, names, others = (", ".join(text(name) for piece in pieces for name in piece[kind]) for kind in range(3))
    passing = [f"SUBSTRING_INDEX({file}, '-', 2) IN ({loads})"] * bool(loads) + [f"{file} IN ({names})"] * bool(names)
    return f"({' OR '.join(passing)})" + f" AND NOT {file} IN ({others})" * bool(others)


def part_views(prefix: str, parts: Sequence[str]) -> list[str]:
    """Names of the views that the parts are; none when all of them go into one."""
    if len(" UNION ALL ".join(parts)) <= MAX_TEXT:
        return []
    return [f"{prefix}_{hashlib.sha256(part.encode()).hexdigest()[:12]}" for part in parts]


def show(warehouse: EngineAdapter, view: str, parts: Sequence[str], prefix: str) -> None:
    """Makes or replaces a view that is the union of its parts.

    Args:
        prefix: beginning of the names of the views that are made for parts.
    """
    names = part_views(prefix, parts)
    for name, part in zip(names, parts, strict=False):
        warehouse.execute(f"CREATE VIEW IF NOT EXISTS {name} AS {part}")
    query = " UNION ALL ".join(f"SELECT * FROM {name}" for name in names) or " UNION ALL ".join(parts)
    warehouse.execute(f"CREATE OR REPLACE VIEW {view} AS {query}")


def drop_others(warehouse: EngineAdapter, schema: str, wanted: Collection[str]) -> None:
    """Drops the tables and views of a schema that nobody needs any more. The files of external tables stay.

    Args:
        wanted: `schema.name`.
    """
    views = {row[1] for row in warehouse.fetchall(f"SHOW VIEWS IN {schema}")}
    for _, name, _ in warehouse.fetchall(f"SHOW TABLES IN {schema}"):
        if f"{schema}.{name}" not in wanted:
            warehouse.execute(f"DROP {'VIEW' if name in views else 'TABLE'} {schema}.{name}")
