"""Run the unit tests of a model on its query with a fault, without loading the project or their rows again."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pandas as pd
from duckdb import Error as DuckDBError
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlmesh import Context
from sqlmesh.core.engine_adapter import EngineAdapter
from sqlmesh.core.model import SqlModel
from sqlmesh.core.test import definition
from sqlmesh.core.test.definition import ModelTest, SqlModelTest
from sqlmesh.core.test.discovery import ModelTestMetadata
from sqlmesh.core.test.runner import create_testing_engine_adapters
from sqlmesh.utils.errors import SQLMeshError

from tests.mutants.faults import Fault, put, with_fault

NUMBER = "number of the node in the query of the model"


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A query that is rendered for a test, which serves those with the same variables."""

    query: exp.Query
    sql: str
    schema: str

    @classmethod
    def of(cls, query: exp.Query, test: SqlModelTest) -> _Rendered:
        with test._concurrent_render_context():
            return cls(query, test._generate_sql(query), test._fixture_schema.name)

    def sql_for(self, test: SqlModelTest) -> str:
        """The query over the rows of a test."""
        return self.sql.replace(self.schema, test._fixture_schema.name)


class Bench:
    """The unit tests of one model, each set up when a fault first needs it.

    A query is rendered once for all tests with the same variables, its nodes numbered as those of the model's query, so
    that a fault is put into the rendered one. SQLMesh's optimizer would not change what it computes and is left out.

    Args:
        model: the model.
        tests: its unit tests, on one database.
    """

    def __init__(self, model: SqlModel, tests: list[SqlModelTest]) -> None:
        self._query, self._copy = model.query, model.copy()
        self._renderer = self._copy.__dict__["_query_renderer"] = copy.copy(model._query_renderer)
        self._renderer._optimize_query_flag = False
        self._numbered = model.query.copy()
        for number, node in enumerate(self._numbered.dfs()):
            node.meta[NUMBER] = number
        groups: dict[str, list[SqlModelTest]] = {}
        for test in tests:
            alone = test.test_name if "ctes" in test.body["outputs"] else ""  # they name their tables while they run
            groups.setdefault(f"{test.body.get('vars')} {alone}", []).append(test)
        self._groups = list(groups.values())
        self._rendered: dict[str, _Rendered] = {}
        self._found: dict[str, pd.DataFrame] = {}
        self._hits: Counter[str] = Counter()

    def noticed_by(self, fault: Fault) -> str | None:
        """Return the name of the first unit test that a fault makes fail, or None.

        Raises:
            AssertionError: a unit test fails without any fault.
        """
        for group in sorted(self._groups, key=lambda tests: -max(map(self._rank, tests))):
            faulty: _Rendered | None = None
            for test in sorted(group, key=self._rank, reverse=True):
                self._set_up(test, self._original(group[0]))
                try:
                    faulty = faulty or _Rendered.of(self.faulty(group[0], fault), group[0])
                    self._check(test, faulty)
                except (AssertionError, DuckDBError, SqlglotError, SQLMeshError):  # other rows, or a query that fails
                    self._hits[test.test_name] += 1
                    return test.test_name
        return None

    def faulty(self, test: SqlModelTest, fault: Fault) -> exp.Query:
        """The query of a test, the first of those with its variables, with a fault."""
        query = self._original(test).query.copy()
        nodes = [node for node in query.dfs() if node._meta and node._meta.get(NUMBER) == fault.node]
        if not nodes:  # an argument that a macro evaluates
            return self.render(with_fault(self._query, fault), test)
        for node in nodes:
            query = put(query, node, fault.replacement(node))
        return query

    def render(self, query: exp.Expr, test: SqlModelTest) -> exp.Query:
        """Render a query in place of the model's over the rows of a test."""
        self._renderer._expression = query
        with test._concurrent_render_context(), _model_of(test, self._copy):
            return test._render_model_query()

    def _original(self, first: SqlModelTest) -> _Rendered:
        if first.test_name not in self._rendered:
            self._rendered[first.test_name] = _Rendered.of(self.render(self._numbered, first), first)
        return self._rendered[first.test_name]

    def _set_up(self, test: SqlModelTest, original: _Rendered) -> None:
        if test.test_name not in self._found:
            test.setUp()
            self._found[test.test_name] = test._execute(original.sql_for(test))
            _compare(test, original.query, self._found[test.test_name])

    def _check(self, test: SqlModelTest, faulty: _Rendered) -> None:
        actual = test._execute(faulty.sql_for(test))
        if "ctes" in test.body["outputs"] or not actual.equals(self._found[test.test_name]):
            _compare(test, faulty.query, actual)

    def _rank(self, test: SqlModelTest) -> int:
        """How many faults a test noticed so far: the best are asked first."""
        return self._hits[test.test_name]


@contextmanager
def bench(context: Context, model: str) -> Iterator[Bench]:
    """Open a database of its own for the unit tests of a SQL model."""
    metadata = tests_of(context)[model]
    adapter = _adapter(context, metadata[0])
    try:
        tests = [_test(context, item, adapter) for item in metadata]
        yield Bench(context.get_model(model, raise_if_missing=True), tests)
    finally:
        adapter.close()


def tests_of(context: Context) -> dict[str, list[ModelTestMetadata]]:
    """The unit tests of each SQL model, by its name."""
    found: dict[str, list[ModelTestMetadata]] = {}
    for item in context.select_tests():
        model = context.get_model(item.body["model"])
        if model is not None and model.is_sql:
            found.setdefault(model.name, []).append(item)
    return dict(sorted(found.items()))


def _adapter(context: Context, item: ModelTestMetadata) -> EngineAdapter:
    adapters = create_testing_engine_adapters(
        [item], context.config, context.selected_gateway, context.default_catalog, context.config.dialect or ""
    )
    adapters[item].get_data_object = lambda *_: None  # the schema of a test is new, so that no view is replaced
    return adapters[item]


def _test(context: Context, item: ModelTestMetadata, adapter: EngineAdapter) -> SqlModelTest:
    made: Any = ModelTest.create_test(
        body=copy.deepcopy(item.body),  # creating a test changes it
        test_name=item.test_name,
        models=context._models,
        engine_adapter=adapter,
        dialect=context.default_dialect,
        path=item.path,
        default_catalog=context.default_catalog,
    )
    return made


def _compare(test: SqlModelTest, query: exp.Query, actual: pd.DataFrame) -> None:
    """Compare as SQLMesh does; see SqlModelTest.runTest."""
    if "ctes" in test.body["outputs"]:
        test.test_ctes({cte.alias: cte for cte in query.ctes})
    values = test.body["outputs"].get("query")
    if values is None:
        return
    partial = values.get("partial")
    expected = test._create_df(values, columns=test.model.columns_to_types, partial=partial)
    with (
        warnings.catch_warnings(),
        patch.object(definition, "df_to_table", lambda *_: None),
    ):  # nobody looks at the tables it draws
        warnings.simplefilter("ignore", FutureWarning)  # of pandas, for how SQLMesh compares NULLs
        test.assert_equal(expected, actual, sort=query.args.get("order") is None, partial=partial)


@contextmanager
def _model_of(test: SqlModelTest, model: SqlModel) -> Iterator[None]:
    """Let a test render another model's query while the body runs."""
    own, test.model = test.model, model
    try:
        yield
    finally:
        test.model = own
