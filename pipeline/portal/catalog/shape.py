"""What a model computes, as fingerprints that do not depend on how its query is laid out.

The fingerprint of a column is that of its expression with every column replaced by what that is computed from, so
names of common table expressions and their columns, aliases, comments and formatting make no difference. The
fingerprint of rows is that of everything else: sources, joins, filters, grouping.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.optimizer import qualify
from sqlglot.optimizer.scope import Scope, build_scope
from sqlmesh.core.dialect import normalize_mapping_schema
from sqlmesh.core.model import Model

from pipeline.portal.columns import source_of
from pipeline.warehouse.engine import DIALECT

_ROW_PARTS = ("where", "group", "having", "qualify", "distinct", "limit", "offset", "laterals")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model computes.

    Attributes:
        columns: the fingerprint of each column's values, its type included.
        rows: the fingerprint of which rows there are.
    """

    columns: Mapping[str, str]
    rows: str


def shape_of(model: Model) -> Shape:
    """Return the shape of a model; of one without SQL, its columns with their types, and a seed's content."""
    kinds = {name: kind.sql(DIALECT) for name, kind in (model.columns_to_types or {}).items()}
    rendered = model.render_query() if model.is_sql else None
    if rendered is None:
        return Shape(kinds, str(model.data_hash) if model.kind.is_seed else "")
    query = qualify.qualify(
        rendered.copy(),
        dialect=model.dialect,
        schema=normalize_mapping_schema(model.mapping_schema, dialect=model.dialect),
        validate_qualify_columns=False,
        infer_schema=True,
    )
    scope = build_scope(query)
    if scope is None:
        return Shape(kinds, _hash(query.sql(DIALECT, comments=False)))
    reader = _Reader()
    return Shape({name: _hash(kind, reader.column(scope, name)) for name, kind in kinds.items()}, reader.rows(scope))


class _Reader:
    """Fingerprints of the scopes of one query."""

    def __init__(self) -> None:
        self._columns: dict[tuple[int, str], str] = {}

    def column(self, scope: Scope, name: str) -> str:
        """The fingerprint of an output column of a scope."""
        key = (id(scope), name)
        if key not in self._columns:
            self._columns[key] = name  # a recursive query reads itself
            self._columns[key] = self._column(scope, name)
        return self._columns[key]

    def rows(self, scope: Scope) -> str:
        """The fingerprint of the rows of a scope."""
        query = scope.expression
        if isinstance(query, exp.SetOperation):
            sides = [self.rows(side) for side in scope.union_scopes]
            return _hash(type(query).__name__, str(query.args.get("distinct")), *sides)
        if not isinstance(query, exp.Select):
            return _hash(self._text(scope, query))
        parts = [name_of(self, scope, item) for item in _sources(query)]
        parts += [
            f"{join.side} {join.kind} {join.method} {self._text(scope, condition) if condition else ''}"
            for join in query.args.get("joins") or ()
            for condition in [join.args.get("on")]
        ]
        for part in _ROW_PARTS:
            found = query.args.get(part)
            for item in found if isinstance(found, list) else [found]:
                if isinstance(item, exp.Expression):
                    parts.append(f"{part} {self._text(scope, item)}")
        if query.args.get("limit") and query.args.get("order"):
            parts.append(self._text(scope, query.args["order"]))
        return _hash(*parts)

    def _column(self, scope: Scope, name: str) -> str:
        query = scope.expression
        if isinstance(query, exp.SetOperation):
            names = query.named_selects
            place = names.index(name) if name in names else -1
            sides = []
            for side in scope.union_scopes:
                own = side.expression.named_selects
                sides.append(self.column(side, own[place]) if 0 <= place < len(own) else "")
            return _hash(*sides)
        selected = query.selects if isinstance(query, exp.Query) else []
        found = next((item for item in selected if item.alias_or_name == name), None)
        return _hash(self._text(scope, found.unalias())) if found is not None else name

    def _text(self, scope: Scope, node: exp.Expression) -> str:
        """An expression as SQL in which columns are replaced by what they are computed from."""

        def replaced(part: exp.Expression) -> exp.Expression:
            if not isinstance(part, exp.Column):
                return part
            source = source_of(scope, part.table)
            if isinstance(source, exp.Table):
                return exp.var(f"{source.db}.{source.name}.{part.name}")
            if isinstance(source, Scope):
                return exp.var(f"#{self.column(source, part.name)}")
            return part

        return str(node.copy().transform(replaced).sql(DIALECT, comments=False, normalize=True))


def name_of(reader: _Reader, scope: Scope, item: exp.Expression) -> str:
    """A source of rows: a stored table by its name, anything else by the rows that it returns."""
    source = scope.sources.get(item.alias_or_name)
    if isinstance(source, exp.Table):
        return f"{source.db}.{source.name}"
    return reader.rows(source) if isinstance(source, Scope) else item.sql(DIALECT, comments=False)


def _sources(query: exp.Select) -> list[exp.Expression]:
    first = query.args.get("from") or query.args.get("from_")
    joins = query.args.get("joins") or ()
    return [*([first.this] if first else []), *(join.this for join in joins)]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
