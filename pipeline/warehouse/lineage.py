"""Column lineage of the project: what each column of silver, gold and ops is computed from, and who reads it.

What a model uses is cached on disk beside SQLMesh's own cache, by the model's data hash and the columns that it can
read, so that an unchanged project costs nothing. A cache that cannot be read or written is computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlmesh.core.context import GenericContext

from pipeline.access.classes import Reach, Use, Uses
from pipeline.warehouse.cache import per_model
from pipeline.warehouse.project import plain_name
from pipeline.warehouse.uses import column_uses

FILE = "lakemesh_lineage.json"
_FORMAT = "3"
_Stored = dict[str, list[list[Any]]]


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """One step of lineage: `target` is computed from `source`; both as `table.column`, as in `gold.dim_plan.tier`."""

    source: str
    target: str
    reach: Reach


class Lineage:
    """The columns of a project and what each is computed from.

    Attributes:
        uses: direct uses by table and column, as in `uses["gold.dim_plan"]["tier"]`. External models and seeds have
            columns without uses. Fields of a struct of bronze are named by their dotted path.
    """

    def __init__(self, uses: Uses) -> None:
        self.uses = uses

    @cached_property
    def _targets(self) -> dict[str, list[Edge]]:
        found: dict[str, list[Edge]] = {}
        for table, columns in self.uses.items():
            for column, own in columns.items():
                for use in own:
                    edge = Edge(use.name, f"{table}.{column}", use.reach)
                    found.setdefault(edge.source, []).append(edge)
        return found

    @cached_property
    def _by_prefix(self) -> dict[str, list[str]]:
        """The used fields of each struct that has any, by the struct."""
        found: dict[str, list[str]] = {}
        for name in self._targets:
            path = name.rpartition(".")[0]
            while path.count(".") > 1:
                found.setdefault(path, []).append(name)
                path = path.rpartition(".")[0]
        return found

    def sources(self, name: str) -> list[Edge]:
        """Return the columns that a column is directly computed from; none for a source of the project.

        Args:
            name: `table.column`, as in `silver.users.country_code`.
        """
        schema, table, column = name.split(".", 2)
        columns = self.uses.get(f"{schema}.{table}", {})
        own = columns.get(column) or columns.get(column.split(".")[0]) or ()
        return [Edge(use.name, name, use.reach) for use in own]

    def readers(self, name: str) -> list[Edge]:
        """Return the columns that are directly computed from a column, from a field of it, or from a struct around it.

        Args:
            name: as for `sources`; a field of a struct by its dotted path.
        """
        around = [name]
        while around[-1].count(".") > 2:
            around.append(around[-1].rpartition(".")[0])
        names = (*around, *self._by_prefix.get(name, ()))
        return sorted({edge for found in names for edge in self._targets.get(found, ())})

    def upstream(self, name: str) -> list[Edge]:
        """Return every step that leads to a column, from its sources in bronze and seeds on."""
        return self._walk(name, self.sources, lambda edge: edge.source)

    def downstream(self, name: str) -> list[Edge]:
        """Return every step that leads on from a column: whatever a change of it can change."""
        return self._walk(name, self.readers, lambda edge: edge.target)

    def _walk(self, name: str, steps: Any, end: Any) -> list[Edge]:
        found: set[Edge] = set()
        waiting, seen = [name], {name}
        while waiting:
            for edge in steps(waiting.pop()):
                found.add(edge)
                if end(edge) not in seen:
                    seen.add(end(edge))
                    waiting.append(end(edge))
        return sorted(found)


def lineage_of(context: GenericContext, cache: Path | None = None) -> Lineage:
    """Return the lineage of all columns of a loaded project.

    Args:
        cache: folder of the cache; by default that of SQLMesh, `.cache` in the project.
    """
    path = (cache or context.cache_dir) / FILE
    models = context.models.values()
    found = per_model(path, models, lambda model: _pack(column_uses(model)), _FORMAT)
    return Lineage({plain_name(model.fqn): _unpack(found[model.name]) for model in models})


def _pack(uses: Mapping[str, Iterable[Use]]) -> _Stored:
    return {name: [[use.table, use.column, use.reach, list(use.per)] for use in own] for name, own in uses.items()}


def _unpack(columns: _Stored) -> dict[str, tuple[Use, ...]]:
    return {
        name: tuple(Use(table, column, Reach(reach), tuple(per)) for table, column, reach, per in own)
        for name, own in columns.items()
    }
