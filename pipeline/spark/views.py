"""Views that name many files, in a metastore that keeps no long text: Derby's ends at 32,700 characters.

So a view is a union of parts, and the parts of a long one are views of their own, named by what they say: those that
stand already stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.spark.session import text

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

MAX_TEXT = 30_000


def live(alias: str, names: Iterable[str], used: int = 0) -> Iterator[str]:
    """Conditions that let pass files by their names, each short enough for a part.

    Args:
        alias: of the table whose files they are.
        used: characters that the part has besides.
    """
    held: list[str] = []
    for name in sorted(map(text, names)):
        if held and used + sum(map(len, held)) + 2 * len(held) + len(name) + 200 > MAX_TEXT:
            yield f"{alias}._metadata.file_name IN ({', '.join(held)})"
            held = []
        held.append(name)
    if held:
        yield f"{alias}._metadata.file_name IN ({', '.join(held)})"


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
