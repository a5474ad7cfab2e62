"""The lint rule for personal columns: none gets into gold or ops, and none loses its class, without a reason.

SQLMesh loads lint rules from linter/ and runs those that config.yaml enables. docs/privacy.md explains classes and the
files below `privacy/`. Column lineage is cached, so the rule costs little where no model changed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path

from sqlglot import exp
from sqlmesh.core.context import GenericContext
from sqlmesh.core.linter.rule import Rule, RuleViolation
from sqlmesh.core.model import Model

from ingest.contracts.classes import Class
from ingest.errors import ConfigError
from pipeline.access.classes import Classed, Declaration
from pipeline.access.privacy import FOLDER
from pipeline.warehouse.classes import OWN_CONTRACTS, Classes, project_classes

LAYERS = ("gold", "ops")
"""Layers whose personal columns need a reason."""
_last: tuple[Hashable, dict[str, list[str]]] = ((), {})


class PersonalColumnsDeclared(Rule):
    """A direct or sensitive column of gold or ops has a reason, and a class ends in an aggregate or for a reason."""

    def check_model(self, model: Model) -> list[RuleViolation]:
        return [self.violation(fault) for fault in _judged(self.context).get(model.name, ())]


def _judged(context: GenericContext) -> dict[str, list[str]]:
    """The faults of the whole project by model, found once for all models of a loaded project."""
    global _last
    found = tuple((model.fqn, model.data_hash) for model in context.models.values())
    key = (context.path, found, _versions(context.path / FOLDER), _versions(context.path / OWN_CONTRACTS))
    if _last[0] != key:
        _last = (key, _faults(context))
    return _last[1]


def _versions(folder: Path) -> tuple[tuple[str, int, int], ...]:
    stats = ((path, path.stat()) for path in sorted(folder.rglob("*.yaml")))
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in stats)


def _faults(context: GenericContext) -> dict[str, list[str]]:
    own = {model.name: model for model in context.models.values() if _is_own(model)}
    every = [model.name for model in context.models.values()]
    first = min(own or every, default="")  # where it is said what belongs to no model
    try:
        classes = project_classes(context)
    except ConfigError as error:
        return {first: [str(error)]}
    found = {first: list[str]()} | {name: list(table_faults(classes, model)) for name, model in own.items()}
    for table in sorted({*classes.privacy.columns, *classes.privacy.groups} - own.keys()):
        entry = next(iter(classes.privacy.columns.get(table, {}).values()), None) or classes.privacy.groups[table]
        found[first].append(
            f"{table}: {entry.place} declares it, but no seed or model has that name; correct or remove the entry "
            "(the classes of bronze are those of the contracts)"
        )
    return found


def table_faults(classes: Classes, model: Model) -> Iterator[str]:
    """What is wrong with the classes of one table, each with the entry that would be right."""
    table, columns = model.name, model.columns_to_types or {}
    is_read = exp.to_table(table).db in LAYERS
    declared = classes.privacy.columns.get(table, {})
    for column, entry in declared.items():
        name = f"{table}.{column}"
        if column not in columns:
            yield f"{name}: {entry.place} declares it, but the table has no such column; correct or remove the entry"
        elif model.kind.is_seed or entry.subject:
            yield from _source_faults(name, entry, model)
        else:
            yield from _entry_faults(name, entry, classes.of(table, column), is_read)
    if not is_read:
        return
    for column in columns:
        item = classes.of(table, column)
        if item.class_.is_restricted and column not in declared:
            yield (
                f"{table}.{column} is {item.class_}, from {_origins(item)}; remove it, or declare it in "
                f"{FOLDER}/<domain>.yaml with `class: {item.class_}` and why it is needed as `reason`; if it no "
                "longer says anything of a person, add `becomes: none`"
            )
    yield from _group_faults(classes, model)


def _source_faults(name: str, entry: Declaration, model: Model) -> Iterator[str]:
    if not model.kind.is_seed:
        yield f"{name}: {entry.place} gives it a subject, but it inherits its class; give a `reason` instead"
    elif not entry.subject:
        yield f"{name}: {entry.place} gives a reason, but a seed inherits nothing; say whose it is as `subject`"


def _entry_faults(name: str, entry: Declaration, item: Classed, is_read: bool) -> Iterator[str]:
    if entry.class_ is not item.inherited:
        source = f" from {_origins(item)}" if item.origins else ""
        yield (
            f"{name}: {entry.place} expects class {entry.class_}, but by lineage it is {item.inherited}{source}; "
            f"{'correct the entry and its reason' if item.inherited.is_personal else 'remove the entry'}"
        )
    elif entry.becomes is None and not (is_read and item.class_.is_restricted):
        yield f"{name}: {entry.place} gives a reason for class {entry.class_}, which needs none here; remove the entry"


def _group_faults(classes: Classes, model: Model) -> Iterator[str]:
    table, columns = model.name, model.columns_to_types or {}
    quasi = [column for column in columns if classes.of(table, column).class_ is Class.QUASI]
    group = classes.privacy.groups.get(table)
    is_grouped = bool(quasi) and not classes.restricted(table)  # otherwise a row is a person, not a group
    if group is None:
        if is_grouped:
            yield (
                f"{table}: groups by {', '.join(quasi)}, which is quasi-identifying; declare in {FOLDER}/<domain>.yaml "
                "under `groups` the column that counts what a row sums up as `size`, or as `reason` why no group is "
                "too small"
            )
    elif not is_grouped:
        yield f"{table}: {group.place} declares groups, but it has no quasi-identifying groups; remove the entry"
    elif group.size is not None and (group.size not in columns or not _is_number(columns[group.size])):
        yield f"{table}: {group.place} names {group.size} as the size of groups; expected a column with integers"


def _is_number(kind: exp.DataType) -> bool:
    return kind.this in exp.DataType.INTEGER_TYPES


def _is_own(model: Model) -> bool:
    return bool(model._path) and not model.kind.is_external


def _origins(item: Classed) -> str:
    return ", ".join(sorted(item.origins))
