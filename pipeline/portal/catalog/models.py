"""Tables in the catalog: each model of the project with its columns, lineage, audits and SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlmesh.core.audit import StandaloneAudit
from sqlmesh.core.model import Model

from pipeline.access.classes import NOTHING, Classed, Reach, Use
from pipeline.portal.catalog.entries import Audit, Column, Table
from pipeline.warehouse.classes import Classes
from pipeline.warehouse.engine import DIALECT
from pipeline.warehouse.project import plain_name

_KEY_OF = re.compile(r"\bkey of ([a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*)")
_HEADER_END = re.compile(r"^\);\s*$", re.MULTILINE)
_MEANINGS = {
    "not_null": "No value is NULL.",
    "unique_values": "Each value occurs once.",
    "unique_combination_of_columns": "Each combination of values occurs once.",
    "accepted_values": "No other value occurs.",
    "accepted_range": "Every value lies within the range.",
    "forall": "Every row fulfils the conditions.",
    "referential_integrity": "Every value is a key of the parent.",
}
"""What audits that SQLMesh or the project provide for all models check."""


def model_table(
    model: Model, uses: Mapping[str, tuple[Use, ...]], classes: Mapping[str, Classed], project: Path
) -> Table:
    """A model as a table of the catalog, without the references that other tables explain.

    Args:
        uses: what each column is computed from.
        classes: what is known of each column.
        project: folder that files are named from.
    """
    name = plain_name(model.fqn)
    grain = tuple(dict.fromkeys(column.name for part in model.grains for column in part.find_all(exp.Column)))
    columns = tuple(
        _column(column, kind, model, uses.get(column, ()), classes.get(column, NOTHING))
        for column, kind in (model.columns_to_types or {}).items()
    )
    return Table(
        name,
        _kind(model),
        model.description or "",
        _domain(model, name),
        model.owner or "",
        columns,
        grain=grain,
        tags=tuple(model.tags),
        materialization="" if model.kind.is_external else str(model.kind.name.value),
        schedule="" if model.kind.is_seed or model.kind.is_external else str(model.cron),
        time_column=_time_column(model, grain),
        file=_file(model, project),
        reads=tuple(sorted(map(plain_name, model.depends_on))),
        chosen_by=_chosen_by(model, columns),
        references=tuple(_audited_references(model)),
        sql=_sql(model),
        audits=tuple(_audits(model)),
    )


def standalone(audit: StandaloneAudit, scope: str) -> Audit:
    """A standalone audit.

    Args:
        scope: see pipeline/releases/audits.py.
    """
    return Audit(
        audit.name,
        description=audit.description or "",
        owner=audit.owner or "",
        blocking=scope != "warning",
        reads=tuple(sorted(map(plain_name, audit.depends_on))),
    )


def references(table: Table, tables: Mapping[str, Table]) -> tuple[str, ...]:
    """Columns of a table that are keys of other tables, as `column → table.column`.

    They are what comments call the `key of` a table, what audits of referential integrity check, and columns that have
    the name of the only key of a dimension of the same schema.
    """
    found: dict[str, str] = {}
    schema = table.name.partition(".")[0]
    for other in tables.values():
        if other.name.startswith(f"{schema}.dim_") and other is not table and len(other.grain) == 1:
            found |= {
                column.name: f"{other.name}.{other.grain[0]}"
                for column in table.columns
                if column.name == other.grain[0]
            }
    found |= dict(item.split(" → ", 1) for item in table.references)
    for column in table.columns:
        named = _KEY_OF.search(column.description)
        target = tables.get(named[1]) if named else None
        if target is not None and target.name != table.name:
            names = {item.name for item in target.columns}
            key = column.name if column.name in names else target.grain[0] if len(target.grain) == 1 else ""
            if key:
                found[column.name] = f"{target.name}.{key}"
    return tuple(f"{name} → {target}" for name, target in sorted(found.items()))


def _column(name: str, kind: exp.DataType, model: Model, uses: Iterable[Use], known: Classed) -> Column:
    own = list(uses)
    upstream = {use.name for use in own if use.reach is not Reach.WINDOW}
    return Column(
        name,
        kind.sql(DIALECT),
        model.column_descriptions.get(name, ""),
        str(known.class_),
        tuple(sorted(known.subjects)) if known.class_.is_personal else (),
        upstream=tuple(sorted(upstream)),
        groups=tuple(sorted({use.name for use in own} - upstream)),
    )


def _kind(model: Model) -> str:
    if model.kind.is_seed:
        return "seed"
    if model.kind.is_external:
        return "source"
    return "view" if model.kind.is_view else "table"


def _domain(model: Model, name: str) -> str:
    """The folder below the layer's; `seeds` for seeds, `pipeline` for records of the pipeline itself."""
    layer = name.partition(".")[0]
    folder = model._path.parent.name if model._path else ""
    if layer == "operations":
        return "pipeline"
    return layer if folder in ("models", "external_models", "") else folder


def _time_column(model: Model, grain: Iterable[str]) -> str:
    if model.time_column:
        return str(model.time_column.column.name)
    kinds = model.columns_to_types or {}
    return next((name for name in grain if name in kinds and kinds[name].is_type("date")), "")


def _file(model: Model, project: Path) -> str:
    path = model._path
    return path.relative_to(project).as_posix() if path and path.is_relative_to(project) else ""


def _sql(model: Model) -> str:
    """The query as it is written, or as SQLMesh knows it where there is no file."""
    if not model.is_sql:
        return ""
    path = model._path
    if path and path.suffix == ".sql" and path.is_file():
        text = path.read_text(encoding="utf-8")
        if end := _HEADER_END.search(text):
            return str(text[end.end() :].strip())
    return str(model.query.sql(DIALECT, pretty=True))


def _chosen_by(model: Model, columns: Iterable[Column]) -> tuple[str, ...]:
    """Columns that the query names but no value is computed from: those of filters, joins and grouping.

    Every column in a model is qualified with its table (lint holds it), so the query as written is enough.
    """
    if not model.is_sql or not isinstance(model.query, exp.Query):
        return ()
    tables = {item.alias_or_name: f"{item.db}.{item.name}" for item in model.query.find_all(exp.Table) if item.db}
    read: set[str] = set()
    for column in model.query.find_all(exp.Column):
        first, *path = [part.name for part in column.parts]
        outer = column
        while isinstance(outer.parent, exp.Dot):  # fields below the fourth level
            outer = outer.parent
            path.append(outer.name)
        if first in tables and path:
            read.add(f"{tables[first]}.{'.'.join(path)}")
    carried = {name for column in columns for name in (*column.upstream, *column.groups)}
    return tuple(sorted(read - carried))


def _audits(model: Model) -> Iterator[Audit]:
    own = model.audit_definitions
    for name, arguments in model.audits:
        plain = name.removesuffix("_non_blocking")
        is_blocking = plain == name and str(arguments.get("blocking", "TRUE")).upper() != "FALSE"
        shown = ", ".join(f"{key} := {_argument(value)}" for key, value in arguments.items() if key != "blocking")
        definition = own.get(name)
        noted = _comment(definition.query) if definition else ""
        meaning = noted or _MEANINGS.get(plain, "")
        yield Audit(name, shown, meaning, blocking=is_blocking)


def _comment(query: exp.Expression) -> str:
    """The comment before a query, which sqlglot keeps at its first clause."""
    for node in (query, query.args.get("with") or query.args.get("with_")):
        if node is not None and node.comments:
            return " ".join(" ".join(node.comments).split())
    return ""


def _audited_references(model: Model) -> Iterator[str]:
    for name, arguments in model.audits:
        if name.startswith("referential_integrity") and {"child", "parent", "key"} <= arguments.keys():
            child, parent, key = (_argument(arguments[part]) for part in ("child", "parent", "key"))
            yield f"{child} → {parent}.{key}"


def _argument(value: Any) -> str:
    if isinstance(value, exp.Tuple | exp.Array):
        return f"({', '.join(_argument(item) for item in value.expressions)})"
    return " ".join(value.sql(DIALECT, comments=False).split()) if isinstance(value, exp.Expression) else str(value)


def tables_of(models: Iterable[Model], classes: Classes, project: Path) -> dict[str, Table]:
    """All models by name, except feeds, which their contracts describe."""
    found = {}
    for model in models:
        name = plain_name(model.fqn)
        if not name.startswith("bronze."):
            found[name] = model_table(model, classes.lineage.uses.get(name, {}), classes.columns.get(name, {}), project)
    return found
