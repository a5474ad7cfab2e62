"""Which columns each output column of a model is computed from, and how they reach it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp
from sqlglot.optimizer import qualify
from sqlglot.optimizer.scope import Scope, build_scope
from sqlmesh.core.dialect import normalize_mapping_schema
from sqlmesh.core.model import Model

from pipeline.access.classes import Reach, Use

COUNTS = (exp.Count, exp.CountIf, exp.ApproxDistinct)
"""Aggregates whose result says nothing of the values."""
SUMS = (
    *(exp.Sum, exp.Avg, exp.LogicalAnd, exp.LogicalOr, exp.Corr, exp.CovarPop, exp.CovarSamp),
    *(exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop),
)
"""Aggregates whose result is no value of one row. MIN, MAX, MEDIAN, quantiles and lists return such values."""
ENDING = (*COUNTS, *SUMS)
TRANSPARENT = (exp.Alias, exp.Paren, exp.Cast, exp.TryCast, exp.Unnest, exp.Explode)
"""What may stand around a struct so that a field of the whole is still that field of the struct."""


LISTS = (exp.Rollup, exp.Cube, exp.GroupingSets, exp.Tuple, exp.Paren)
"""Where a number in GROUP BY is the place of a selected expression."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A use on its way to the output, and whether it is still the column itself, so that `.field` names its field."""

    use: Use
    is_whole: bool

    def through(self, way: _Way) -> _Found:
        same = self.is_whole and self.use.reach is Reach.VALUE
        column = f"{self.use.column}.{way.path}" if way.path and same else self.use.column
        reach = self.use.reach.then(way.reach)
        per = way.per if way.reach is Reach.AGGREGATE else self.use.per
        return _Found(Use(self.use.table, column, reach, per), same and way.is_whole)


@dataclass(frozen=True, slots=True)
class _Way:
    """The way from an expression to the output: see Use, and `path`, the field of its value that is wanted."""

    reach: Reach = Reach.VALUE
    per: tuple[str, ...] = ()
    path: str = ""
    is_whole: bool = True

    def changed(self) -> _Way:
        """The way of what a value is calculated from, rather than read."""
        return _Way(self.reach, self.per, "", False)


def column_uses(model: Model) -> dict[str, tuple[Use, ...]]:
    """Return, for each output column of a model, the columns that its values are computed from, sorted.

    Columns that only choose rows (WHERE, ON, GROUP BY, QUALIFY) are not among them. Seeds and external models have
    columns without uses. Of a Python model, or one whose query cannot be rendered now, each column is taken to use
    every column that the model can read.
    """
    names = list(model.columns_to_types or ())
    rendered = model.render_query() if model.is_sql else None
    if rendered is None:
        return dict.fromkeys(names, tuple(sorted(_readable(model.mapping_schema, ()))))
    query = qualify.qualify(
        rendered.copy(),
        dialect=model.dialect,
        schema=normalize_mapping_schema(model.mapping_schema, dialect=model.dialect),
        validate_qualify_columns=False,
        infer_schema=True,
    )
    scope = build_scope(query)
    if scope is None:
        return dict.fromkeys(names, ())
    reader = _Reader()
    found = {name: {item.use for item in reader.output(scope, name)} for name in query.named_selects}
    return {name: tuple(sorted(found.get(name, ()))) for name in dict.fromkeys((*query.named_selects, *names))}


def _readable(schema: Any, path: tuple[str, ...]) -> Iterator[Use]:
    """Every column of the tables in a nested mapping catalog → schema → table → column."""
    for quoted, inner in schema.items():
        name = quoted.strip('"')
        if isinstance(inner, Mapping):
            yield from _readable(inner, (*path, name))
        else:
            yield Use(".".join(path[-2:]), name)


class _Reader:
    """Follows columns through the scopes of one query."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], frozenset[_Found]] = {}
        self._keys: dict[int, tuple[tuple[Scope, exp.Expression], ...]] = {}

    def output(self, scope: Scope, name: str) -> frozenset[_Found]:
        """What an output column of a scope is computed from."""
        key = (id(scope), name)
        if key not in self._known:
            self._known[key] = frozenset()  # a recursive query reads itself
            self._known[key] = frozenset(self._output(scope, name))
        return self._known[key]

    def _output(self, scope: Scope, name: str) -> Iterator[_Found]:
        query = scope.expression
        if isinstance(query, exp.SetOperation):
            place = query.named_selects.index(name) if name in query.named_selects else -1
            for side in scope.union_scopes:
                names = side.expression.named_selects
                if 0 <= place < len(names):
                    yield from self.output(side, names[place])
        elif isinstance(query, exp.Query):
            items = [item for item in query.selects if item.alias_or_name == name]
            for item in items or query.selects:
                if items:
                    yield from self._read(scope, item, _Way())
                elif item.is_star:  # of a table whose columns are not known
                    for table in scope.selected_sources:
                        yield from self._column(scope, exp.column(name, table), _Way())

    def _read(self, scope: Scope, node: exp.Expression, way: _Way) -> Iterator[_Found]:
        """What an expression is computed from."""
        if isinstance(node, exp.Column):
            yield from self._column(scope, node, way)
        elif isinstance(node, exp.Dot):
            path = f"{node.name}.{way.path}" if way.path else node.name
            yield from self._read(scope, node.this, replace(way, path=path))
        elif isinstance(node, exp.Query):
            inner = next((item for item in scope.subquery_scopes if item.expression is node.unnest()), None)
            for name in inner.expression.named_selects if inner else ():
                yield from (item.through(way) for item in self.output(inner, name))
        elif isinstance(node, exp.Window):
            windows = list(_windows(scope.expression, node))
            keys = [key for window in windows for key in window.args.get("partition_by") or ()]
            outer = _outer_columns(scope)
            yield from self._call(scope, node.this, [*((scope, key) for key in keys), *outer], way)
            for part in (*keys, *(window.args.get("order") for window in windows)):
                if part is not None:
                    yield from self._read(scope, part, _Way(Reach.WINDOW, is_whole=False))
        elif isinstance(node, exp.AggFunc | exp.Filter):
            if id(scope) not in self._keys:
                self._keys[id(scope)] = tuple(_group_keys(scope))
            yield from self._call(scope, node, self._keys[id(scope)], way)
        else:
            inner_way = way if isinstance(node, TRANSPARENT) else way.changed()
            for child in node.iter_expressions():
                yield from self._read(scope, child, inner_way)

    def _call(
        self, scope: Scope, node: exp.Expression, keys: Iterable[tuple[Scope, exp.Expression]], way: _Way
    ) -> Iterator[_Found]:
        """What an aggregate or window function over groups is computed from, its FILTER included."""
        function = node.this if isinstance(node, exp.Filter | exp.IgnoreNulls | exp.RespectNulls) else node
        if isinstance(function, SUMS):
            found = {item.use for place, key in keys for item in self._read(place, key, _Way())}
            per = tuple(sorted({use.name for use in found if use.reach is Reach.VALUE}))
            inner = _Way(Reach.AGGREGATE, per, is_whole=False)
        elif isinstance(function, COUNTS):
            inner = _Way(Reach.AGGREGATE, is_whole=False)
        else:
            inner = way.changed()
        for child in (*function.iter_expressions(), *(() if function is node else (node.expression,))):
            if child is not None:
                yield from self._read(scope, child, inner)

    def _column(self, scope: Scope, column: exp.Column, way: _Way) -> Iterator[_Found]:
        source, owner = _source(scope, column.table)
        if isinstance(source, exp.Table):
            name = f"{column.name}.{way.path}" if way.path else column.name
            yield _Found(Use(f"{source.db}.{source.name}", name, way.reach, way.per), way.is_whole)
        elif isinstance(source, Scope) and isinstance(source.expression, exp.Lateral) and source.subquery_scopes:
            inner = source.subquery_scopes[0]
            renamed = dict(zip(source.expression.alias_column_names, inner.expression.named_selects, strict=False))
            yield from (item.through(way) for item in self.output(inner, renamed.get(column.name, column.name)))
        elif isinstance(source, Scope) and isinstance(source.expression, exp.UDTF):
            listed = source.expression
            names = listed.alias_column_names
            offset = listed.args.get("offset")
            if isinstance(offset, exp.Expression) and offset.name == column.name:  # the place in the list
                items, way = listed.expressions, _Way(Reach.WINDOW, is_whole=False)
            elif isinstance(listed, exp.Unnest):
                place = names.index(column.name) if column.name in names else 0
                items = listed.expressions[place : place + 1]
            else:
                items = list(listed.iter_expressions())
            for item in items:
                yield from self._read(owner, item, way)
        elif isinstance(source, Scope):
            yield from (item.through(way) for item in self.output(source, column.name))


def _windows(query: exp.Expression, window: exp.Window) -> Iterator[exp.Window]:
    """A window with those of the WINDOW clause that it names, one after the other."""
    named = {item.name: item for item in query.args.get("windows") or ()}
    found: exp.Window | None = window
    while found is not None:
        yield found
        found = named.pop(found.alias, None)


def _group_keys(scope: Scope) -> Iterator[tuple[Scope, exp.Expression]]:
    """What the rows of a query are aggregated per: each key with the scope that it is read in.

    Keys are those of GROUP BY, within ROLLUP, CUBE and GROUPING SETS too, with ALL every selected expression that is
    no aggregate, and the outer columns of a correlated query, which is computed per row of the query around it.
    """
    query = scope.expression
    group = query.args.get("group")
    if group:
        parts = [part for kind in ("rollup", "cube", "grouping_sets") for part in group.args.get(kind) or ()]
        yield from ((scope, key) for key in (*group.expressions, *parts))
        for number in (found for part in parts for found in part.find_all(exp.Literal)):
            if number.is_int and isinstance(number.parent, LISTS):
                place = int(number.name)
                yield from ((scope, item) for item in query.selects[place - 1 : place])
        if group.args.get("all"):
            yield from ((scope, item) for item in query.selects if not _is_aggregated(item, query))
    yield from _outer_columns(scope)


def _is_aggregated(item: exp.Expression, query: exp.Query) -> bool:
    """Whether an expression aggregates rows of the query itself, rather than of one within it or of a window."""
    return any(
        found.find_ancestor(exp.Query) is query and not found.find_ancestor(exp.Window)
        for found in item.find_all(exp.AggFunc)
    )


def _outer_columns(scope: Scope) -> Iterator[tuple[Scope, exp.Column]]:
    """The columns of queries around a query that it is correlated with, each with the scope that reads it."""
    if scope.parent is None:
        return
    inside = list(scope.traverse())
    for inner in inside:
        for column in inner.columns:
            source, owner = _source(inner, column.table)
            is_lateral = owner is scope and column.table in scope.lateral_sources
            if source is not None and (is_lateral or not any(owner is item for item in inside)):
                yield inner, column


def _source(scope: Scope, name: str) -> tuple[exp.Table | Scope | None, Scope]:
    """What a name in FROM stands for, and the scope that names it: this one, or one around it."""
    at: Scope | None = scope
    while at is not None:
        if name in at.sources:
            return at.sources[name], at
        at = at.parent
    return None, scope
