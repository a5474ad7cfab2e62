"""Run the unit tests of a model on its query with a fault, without loading the project or their rows again."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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


class Bench:
    """The unit tests of one model, their input rows loaded.

    A query is rendered once for all tests with the same variables, its nodes numbered as those of the model's query, so
    that a fault is put into the rendered one. SQLMesh's optimizer would not change what it computes and is left out.

    Args:
        model: the model.
        tests: its unit tests, set up on the database that all of them share.

    Raises:
        AssertionError: a unit test fails without any fault.
    """

    def __init__(self, model: SqlModel, tests: list[SqlModelTest]) -> None:
        self._query, self._copy = model.query, model.copy()
        self._renderer = self._copy.__dict__["_query_renderer"] = copy.copy(model._query_renderer)
        self._renderer._optimize_query_flag = False
        groups: dict[str, list[SqlModelTest]] = {}
        for test in tests:
            alone = test.test_name if "ctes" in test.body["outputs"] else ""  # they name their tables while they run
            groups.setdefault(f"{test.body.get('vars')} {alone}", []).append(test)
        numbered = model.query.copy()
        for number, node in enumerate(numbered.dfs()):
            node.meta[NUMBER] = number
        self._groups = [(group, self._render(numbered, group[0])) for group in groups.values()]
        self._found: dict[str, pd.DataFrame] = {}
        for group, query in self._groups:
            for test, sql in self._statements(group, query):
                self._found[test.test_name] = test._execute(sql)
                _compare(test, query, self._found[test.test_name])

    def noticed_by(self, fault: Fault) -> str | None:
        """Return the name of the first unit test that a fault makes fail, `error` for a query that fails, or None."""
        try:
            for group, rendered in self._groups:
                query = self._faulty(rendered, fault, group[0])
                for test, sql in self._statements(group, query):
                    if not self._passes(test, query, sql):
                        return test.test_name
        except (AssertionError, DuckDBError, SqlglotError, SQLMeshError):
            return "error"
        return None

    def _faulty(self, rendered: exp.Query, fault: Fault, test: SqlModelTest) -> exp.Query:
        query = rendered.copy()
        nodes = [node for node in query.dfs() if node._meta and node._meta.get(NUMBER) == fault.node]
        if not nodes:  # an argument that a macro evaluates
            return self._render(with_fault(self._query, fault), test)
        for node in nodes:
            query = put(query, node, fault.replacement(node))
        return query

    def _passes(self, test: SqlModelTest, query: exp.Query, sql: str) -> bool:
        actual = test._execute(sql)
        if actual.equals(self._found[test.test_name]) and "ctes" not in test.body["outputs"]:
            return True
        try:
            _compare(test, query, actual)
        except AssertionError:
            return False
        return True

    def _render(self, query: exp.Expr, test: SqlModelTest) -> exp.Query:
        self._renderer._expression = query
        with test._concurrent_render_context(), _model_of(test, self._copy):
            return test._render_model_query()

    def _statements(self, group: list[SqlModelTest], query: exp.Query) -> Iterator[tuple[SqlModelTest, str]]:
        """Each test of a group with the SQL of a query over its own rows."""
        with group[0]._concurrent_render_context():
            sql = group[0]._generate_sql(query)
        for test in group:
            yield test, sql.replace(group[0]._fixture_schema.name, test._fixture_schema.name)


@contextmanager
def bench(context: Context, model: str) -> Iterator[Bench]:
    """Set up the unit tests of a SQL model in a database of their own.

    Raises:
        AssertionError: a unit test fails without any fault.
    """
    metadata = tests_of(context)[model]
    adapter = _adapter(context, metadata[0])
    tests = []
    try:
        for item in metadata:
            test = _test(context, item, adapter)
            test.setUp()
            tests.append(test)
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
