"""Column lineage over the whole catalog, from fields of source objects to tiles, and what a change reaches."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from ingest.errors import ConfigError
from pipeline.portal.catalog.entries import Catalog

SUGGESTIONS = 5


@dataclass(frozen=True, slots=True)
class Reached:
    """Something that a change can change.

    Attributes:
        name: a reference, see entries.py.
        steps: number of computations between.
        by: `values` if values of the changed column are in it, `rows` if the column only decides which rows it is of.
    """

    name: str
    steps: int
    by: str = "values"


@dataclass(frozen=True, slots=True)
class Impact:
    """What changes of some columns can change.

    Attributes:
        changed: the columns.
        columns: columns downstream, nearest first.
        metrics: names of metrics.
        tiles: tiles as dashboard/tile.
    """

    changed: tuple[str, ...]
    columns: tuple[Reached, ...]
    metrics: tuple[Reached, ...]
    tiles: tuple[Reached, ...]


class Graph:
    """What everything in a catalog is computed from.

    Attributes:
        upstream: what each reference is directly computed from.
        chosen_by: columns that decide which rows a table has, by table.
    """

    def __init__(self, upstream: Mapping[str, tuple[str, ...]], chosen_by: Mapping[str, tuple[str, ...]]) -> None:
        self.upstream = upstream
        self.chosen_by = chosen_by

    @classmethod
    def of(cls, catalog: Catalog) -> Graph:
        """The graph of a catalog."""
        upstream: dict[str, tuple[str, ...]] = {}
        for table in catalog.tables:
            for column in table.columns:
                upstream[f"{table.name}.{column.name}"] = (*column.upstream, *column.groups)
                upstream |= {name: () for name in column.upstream if name.startswith("source:")}
        upstream |= {f"metric:{metric.name}": metric.upstream for metric in catalog.metrics}
        for exposure in catalog.exposures:
            upstream |= {f"tile:{exposure.name}/{tile.id}": tile.upstream for tile in exposure.tiles}
        return cls(upstream, {table.name: table.chosen_by for table in catalog.tables if table.chosen_by})

    @cached_property
    def downstream(self) -> dict[str, list[str]]:
        """What is directly computed from each reference."""
        found: dict[str, list[str]] = {}
        for name, sources in self.upstream.items():
            for source in sources:
                found.setdefault(source, []).append(name)
        return found

    @cached_property
    def _columns_of(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.upstream:
            if ":" not in name:
                found.setdefault(table_of(name), []).append(name)
        return found

    @cached_property
    def _chooses(self) -> dict[str, list[str]]:
        """The tables whose rows each column decides."""
        found: dict[str, list[str]] = {}
        for table, names in self.chosen_by.items():
            for name in names:
                found.setdefault(name, []).append(table)
        return found

    def resolve(self, name: str) -> str:
        """The reference that a person named: `silver.users.country_code`, or a metric by its name.

        Raises:
            ConfigError: there is no such column; the message has the nearest names.
        """
        if name in self.upstream:
            return name
        if f"metric:{name}" in self.upstream:
            return f"metric:{name}"
        near = self.nearest(name)
        advice = f"did you mean {', '.join(near)}?" if near else "expected schema.table.column"
        raise ConfigError(f"there is no column {name}; {advice}")

    def nearest(self, name: str) -> list[str]:
        """Names that are written like a name, most similar first; the columns of its table if that exists."""
        table, _, column = name.rpartition(".")
        own = {item.removeprefix(f"{table}."): item for item in self._columns_of.get(table, ())}
        if own:
            return [own[found] for found in difflib.get_close_matches(column, own, SUGGESTIONS, 0.5)] or list(
                own.values()
            )[:SUGGESTIONS]
        columns = [item for item in self.upstream if not item.startswith(("source:", "tile:"))]
        found = difflib.get_close_matches(name, columns, SUGGESTIONS, 0.7)
        same = [item for item in columns if item.rpartition(".")[2] == column]
        return list(dict.fromkeys([*found, *same]))[:SUGGESTIONS]

    def impact(self, names: Iterable[str], rows: Iterable[str] = ()) -> Impact:
        """What changes of columns, or of the rows of tables, can change.

        Args:
            names: references of changed columns.
            rows: tables whose rows change, so that every column of them does.
        """
        start = list(dict.fromkeys(names))
        steps = self._walk(dict.fromkeys(start, 0))
        by_rows = {name: 0 for table in rows for name in self._columns_of.get(table, ())}
        for name, distance in list(steps.items()):
            by_rows |= {
                other: distance + 1
                for table in self._chooses.get(name, ())
                for other in self._columns_of.get(table, ())
                if other not in by_rows
            }
        through = self._through_rows({name: place for name, place in by_rows.items() if name not in steps}, steps)
        found = [Reached(name, place) for name, place in steps.items() if name not in start]
        found += [Reached(name, place, "rows") for name, place in through.items()]
        found.sort(key=lambda item: (item.by != "values", item.steps, item.name))
        return Impact(
            tuple(start),
            tuple(item for item in found if ":" not in item.name),
            tuple(_named(item, "metric:") for item in found if item.name.startswith("metric:")),
            tuple(_named(item, "tile:") for item in found if item.name.startswith("tile:")),
        )

    def _walk(self, start: Mapping[str, int]) -> dict[str, int]:
        """Everything downstream with its least number of steps."""
        steps = dict(start)
        waiting = list(start)
        for name in waiting:
            for other in self.downstream.get(name, ()):
                if other not in steps:
                    steps[other] = steps[name] + 1
                    waiting.append(other)
        return steps

    def _through_rows(self, start: Mapping[str, int], known: Mapping[str, int]) -> dict[str, int]:
        """What is computed from tables whose rows change, and from tables whose rows those decide in turn."""
        found: dict[str, int] = {}
        waiting = dict(start)
        while waiting:
            reached = self._walk(waiting)
            new = {name: place for name, place in reached.items() if name not in found and name not in known}
            found |= new
            waiting = {}
            for name, place in new.items():
                for table in self._chooses.get(name, ()):
                    for other in self._columns_of.get(table, ()):
                        if other not in found and other not in known:
                            waiting[other] = place + 1
        return found


def table_of(name: str) -> str:
    """The table of a column: `bronze.events.data.duration` → `bronze.events`."""
    return ".".join(name.split(".", 2)[:2])


def _named(item: Reached, prefix: str) -> Reached:
    return Reached(item.name.removeprefix(prefix), item.steps, item.by)
