"""Check definitions against the models: tables, columns, types, and what the columns' comments state of additivity.

A column's comment states in words what may be summed: `additive`, `additive per currency`, `additive over cohorts, not
over day_number`, `NOT additive over months`, `NOT additive`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from pipeline.metrics.definition import Format, Metric
from pipeline.metrics.measure import Kind, condition
from pipeline.releases.changes import is_published

if TYPE_CHECKING:
    from sqlmesh import Context

_TIMES = {"days", "weeks", "months", "quarters", "years", "time"}
_NOT_OVER = re.compile(r"\bnot\s+(?:additive\s+)?over\s+([\w, ]+)", re.IGNORECASE)
_PER = re.compile(r"\badditive per (\w+)")


@dataclass(frozen=True, slots=True)
class Described:
    """A table as its model describes it.

    Attributes:
        types: by column.
        comments: by column.
        grain: columns that identify a row; empty if the model states none.
    """

    types: Mapping[str, exp.DataType]
    comments: Mapping[str, str]
    grain: tuple[str, ...]


def described(context: Context) -> dict[str, Described]:
    """The tables of a project that join releases, by `schema.name`."""
    found = {}
    for model in context.models.values():
        table = exp.to_table(model.name)
        name = f"{table.db}.{table.name}"
        if is_published(name, model.tags):
            grain = tuple(column.name for item in model.grains for column in item.find_all(exp.Column))
            types, comments = model.columns_to_types or {}, model.column_descriptions
            found[name] = Described(types, comments, grain)
    return found


def faults(definitions: Mapping[str, Metric], tables: Mapping[str, Described]) -> list[str]:
    """What of the definitions disagrees with the models, one line each."""
    found = []
    for metric in definitions.values():
        place = f"metrics/{metric.domain}.yaml: metric {metric.name}"
        if metric.table not in tables:
            found.append(f"{place}: {metric.table} is not published; expected a table of gold")
            continue
        found += [f"{place}: {fault}" for fault in _faults(metric, tables[metric.table])]
    return found


def _faults(metric: Metric, table: Described) -> Iterator[str]:
    columns = {metric.time, *metric.dimensions, *metric.measure.columns()}
    if metric.where:
        columns |= {column.name for column in condition(metric.where).find_all(exp.Column)}
    lacking = sorted(columns - set(table.types))
    if lacking:
        yield f"{metric.table} has no column {', '.join(lacking)}; it has {', '.join(table.types)}"
        return
    if table.types[metric.time].this != exp.DataType.Type.DATE:
        yield f"its time {metric.time} is {table.types[metric.time].sql()}; expected DATE"
    if metric.kind == Kind.RATIO:
        return
    if metric.kind == Kind.COUNT:
        if metric.measure.expression not in table.grain:
            grain = ", ".join(table.grain) or "none is stated"
            yield f"count of {metric.measure.expression}; expected a column of the grain, one row each: {grain}"
        return
    free = sorted(set(table.grain) - {metric.time} - metric.fixed() - set(metric.dimensions))
    if metric.kind == Kind.STORED and free:
        yield f"stored per {', '.join(table.grain)}; expected {', '.join(free)} as a dimension or fixed by where"
    for name in sorted(metric.measure.columns()):
        kind = table.types[name]
        if not kind.is_type(*exp.DataType.NUMERIC_TYPES):
            yield f"{name} is {kind.sql()}; expected a number"
        if metric.format == Format.CURRENCY and not kind.is_type("decimal"):
            yield f"{name} is {kind.sql()}; expected DECIMAL for money, so that sums are exact"
        if not metric.additive_reason:
            yield from _additivity(metric, name, table.comments.get(name, ""))


def _additivity(metric: Metric, name: str, comment: str) -> Iterator[str]:
    """What the comment of a summed column does not allow."""
    stated = f"{name} is described as '{comment}'"
    not_over = {word for found in _NOT_OVER.findall(comment) for word in re.split(r",| or | and |\s+", found) if word}
    not_over |= set(_PER.findall(comment))
    if kept := sorted(not_over & set(metric.dimensions) - set(metric.not_over)):
        yield f"{stated}; expected {', '.join(kept)} in not_over"
    is_refused = "not additive" in comment.lower()
    if metric.kind == Kind.LAST and is_refused and not not_over and set(metric.dimensions) - set(metric.not_over):
        yield f"{stated}, but it would be summed over {', '.join(metric.dimensions)}; expected stored, or not_over"
    if metric.kind == Kind.SUM and (is_refused or "additive" not in comment or not_over & _TIMES):
        yield f"{stated}, but it would be summed over time; expected `additive` there, last or stored, or a reason here"
