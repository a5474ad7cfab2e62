"""Which columns of stored tables a query reads: what no page may show, and what a tile shows in the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp, parse_one
from sqlglot.errors import OptimizeError
from sqlglot.optimizer import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from pipeline.warehouse.engine import DIALECT

_HIDING = (exp.Columns, exp.Pivot)
"""Expressions that choose columns without naming them."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What a query reads, wherever it stands: in a result, a condition, a group or an order.

    Attributes:
        columns: table and column; a field of a struct by its dotted path.
        unresolved: parts of the query of which it is not known what they read, as SQL.
    """

    columns: frozenset[tuple[str, str]]
    unresolved: tuple[str, ...] = ()


def reads(sql: str, columns: Mapping[str, Iterable[str]]) -> Reads:
    """Find the columns that a query over stored tables reads.

    Args:
        sql: one query that can be parsed.
        columns: names by table, `schema.table`.
    """
    tree = parse_one(sql, dialect=DIALECT)
    hidden = [item.sql(DIALECT) for item in tree.find_all(*_HIDING)]
    hidden += [item.sql(DIALECT) for item in tree.find_all(exp.Join) if item.method == "NATURAL"]
    known = {(table.lower(), name.lower()) for table, names in columns.items() for name in names}
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for table, name in known:
        folder, _, plain = table.rpartition(".")
        schema.setdefault(folder, {}).setdefault(plain, {})[name] = "UNKNOWN"
    try:
        tree = qualify.qualify(
            tree,
            dialect=DIALECT,
            schema=MappingSchema(schema, dialect=DIALECT),
            validate_qualify_columns=False,
            infer_schema=False,
        )
        scopes = traverse_scope(tree)
    except OptimizeError as error:
        return Reads(frozenset(), (*hidden, str(error).splitlines()[0]))
    found: set[tuple[str, str]] = set()
    resolved: set[int] = set()
    for scope in scopes:
        for column in scope.columns:
            source = source_of(scope, column.table)
            if isinstance(source, exp.Table) and (_name(source), column.name) in known:
                found.add((_name(source), _path(column)))
            elif not isinstance(source, Scope) or isinstance(column.this, exp.Star):
                continue
            resolved.add(id(column))
    rest = [item for item in tree.find_all(exp.Column) if id(item) not in resolved and not _is_alias(item)]
    return Reads(frozenset(found), (*hidden, *(item.sql(DIALECT) for item in rest), *_stars(tree)))


def source_of(scope: Scope, name: str) -> exp.Table | Scope | None:
    """What a name stands for in a scope of a query, or in one around it; None if it has no such name."""
    at: Scope | None = scope
    while at is not None:
        if name in at.sources:
            found: exp.Table | Scope = at.sources[name]
            return found
        at = at.parent
    return None


def _name(table: exp.Table) -> str:
    return f"{table.db}.{table.name}"


def _path(column: exp.Column) -> str:
    """The column, or the field of it that is read."""
    path, node = [column.name], column.parent
    while isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        path.append(node.name)
        node = node.parent
    return ".".join(path)


def _is_alias(column: exp.Column) -> bool:
    """Whether it stands alone in ORDER BY and names a column of the result, which is read where it is computed."""
    order = column.parent.parent if isinstance(column.parent, exp.Ordered) else None
    query = order.parent if isinstance(order, exp.Order) else None
    return not column.table and isinstance(query, exp.Query) and column.name in query.named_selects


def _stars(tree: exp.Expression) -> Iterator[str]:
    """Stars that stand for columns and could not be replaced by them."""
    for star in tree.find_all(exp.Star):
        if not isinstance(star.parent, exp.Count | exp.Column):
            yield (star.parent or star).sql(DIALECT)
