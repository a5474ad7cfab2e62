"""What one state of a project changes against another: columns, rows, metrics and tiles, and what they reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from pipeline.portal.catalog.declared import Declared
from pipeline.portal.catalog.entries import Catalog, Table
from pipeline.portal.catalog.graph import Graph, Impact, Reached, table_of


class Change(StrEnum):
    """What happened to something: `values` and `rows` are computed differently, `type` is another one."""

    ADDED = "added"
    REMOVED = "removed"
    TYPE = "type"
    VALUES = "values"
    ROWS = "rows"
    DEFINITION = "definition"


@dataclass(frozen=True, slots=True)
class Difference:
    """A change of a column, of the rows of a table, or of a metric or tile.

    Attributes:
        name: a reference, see entries.py; of rows the table.
    """

    name: str
    change: Change


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed, and what that can change.

    Attributes:
        differences: by name.
        impact: downstream of them, in the newer state and, for what is removed, in the older one.
    """

    differences: tuple[Difference, ...]
    impact: Impact


def compare(before: Declared, after: Declared) -> Comparison:
    """Compare two states of a project."""
    differences = sorted(
        (*_tables(before, after), *_definitions(before.catalog, after.catalog)),
        key=lambda item: (item.name, item.change),
    )
    names = {change: [item.name for item in differences if item.change is change] for change in Change}
    changed = [*names[Change.TYPE], *names[Change.VALUES], *names[Change.DEFINITION]]
    now = Graph.of(after.catalog).impact(changed, names[Change.ROWS])
    then = Graph.of(before.catalog).impact(names[Change.REMOVED])
    own = {item.name for item in differences}
    return Comparison(tuple(differences), Impact(tuple(sorted(own)), *_joined(now, then, own)))


def _tables(before: Declared, after: Declared) -> Iterator[Difference]:
    old = {table.name: table for table in before.catalog.tables}
    new = {table.name: table for table in after.catalog.tables}
    for name in sorted(old.keys() | new.keys()):
        columns = [_types(tables.get(name)) for tables in (old, new)]
        for column in dict.fromkeys((*columns[0], *columns[1])):
            if change := _column(before, after, name, column, columns[0].get(column), columns[1].get(column)):
                yield Difference(f"{name}.{column}", change)
        shapes = before.shapes.get(name), after.shapes.get(name)
        if shapes[0] and shapes[1] and shapes[0].rows != shapes[1].rows:
            yield Difference(name, Change.ROWS)


def _types(table: Table | None) -> dict[str, str]:
    return {column.name: column.type for column in table.columns} if table else {}


def _column(
    before: Declared, after: Declared, table: str, column: str, old: str | None, new: str | None
) -> Change | None:
    if old is None or new is None:
        return Change.ADDED if old is None else Change.REMOVED
    if old != new:
        return Change.TYPE
    shapes = before.shapes.get(table), after.shapes.get(table)
    prints = [shape.columns.get(column) if shape else None for shape in shapes]
    return Change.VALUES if prints[0] != prints[1] else None


def _definitions(before: Catalog, after: Catalog) -> Iterator[Difference]:
    """Changes of metrics and tiles themselves: what they are computed from, not how they are called."""
    old, new = (_defined(catalog) for catalog in (before, after))
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield Difference(name, Change.ADDED)
        elif name not in new:
            yield Difference(name, Change.REMOVED)
        elif old[name] != new[name]:
            yield Difference(name, Change.DEFINITION)


def _defined(catalog: Catalog) -> dict[str, object]:
    found: dict[str, object] = {
        f"metric:{metric.name}": msgspec.structs.replace(metric, label="", description="", owner="", synonyms=())
        for metric in catalog.metrics
    }
    for exposure in catalog.exposures:
        found |= {f"tile:{exposure.name}/{tile.id}": (tile.kind, tile.upstream) for tile in exposure.tiles}
    return found


def _joined(now: Impact, then: Impact, own: set[str]) -> Iterator[tuple[Reached, ...]]:
    """What both reach, without what changed itself."""
    for kind, prefix in (("columns", ""), ("metrics", "metric:"), ("tiles", "tile:")):
        found: dict[str, Reached] = {}
        for item in (*getattr(now, kind), *getattr(then, kind)):
            name = f"{prefix}{item.name}"
            if name not in own and (prefix or table_of(item.name) not in own) and item.name not in found:
                found[item.name] = item
        yield tuple(found.values())
