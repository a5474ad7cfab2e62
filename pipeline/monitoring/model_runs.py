"""How the models of a cycle ran, and what their columns are computed from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.warehouse.lineage import Edge, lineage_of
from pipeline.warehouse.project import Project, plain_name


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One model in one run of SQLMesh.

    Attributes:
        name: as `gold.fct_sales`.
        error: why it failed; empty if it did not.
        inputs: the tables that it reads, as `silver.orders`.
        columns: names with types.
        edges: what they are directly computed from.
    """

    name: str
    began_at: dt.datetime
    ended_at: dt.datetime
    error: str
    inputs: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    edges: tuple[Edge, ...]


def model_runs(project: Project) -> list[ModelRun]:
    """The models that the last run of a project computed or failed to, in the order in which they ended."""
    console = project.console
    if not console.spans:
        return []
    lineage = lineage_of(project.context)
    models = {plain_name(model.fqn): model for model in project.context.models.values()}
    found = []
    for name, (began_at, ended_at) in console.spans.items():
        model = models.get(name)
        if model is None:  # an audit
            continue
        columns = {column: str(kind) for column, kind in (model.columns_to_types or {}).items()}
        edges = [edge for column in columns for edge in lineage.sources(f"{name}.{column}")]
        error = console.failed.get(name, "")
        inputs = _tables(edges, (plain_name(parent) for parent in model.depends_on))
        found.append(ModelRun(name, began_at, ended_at, error, inputs, tuple(columns.items()), tuple(edges)))
    return sorted(found, key=lambda run: run.ended_at)


def _tables(edges: Iterable[Edge], parents: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({".".join(edge.source.split(".")[:2]) for edge in edges} | set(parents)))
