"""The unit tests of the models, tests/models/**/*.yaml, pass on Spark too."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlglot import exp
from sqlmesh import Context
from sqlmesh.core.config.connection import SparkConnectionConfig
from sqlmesh.core.dialect import select_from_values
from sqlmesh.core.engine_adapter import EngineAdapter
from sqlmesh.core.engine_adapter.spark import SparkEngineAdapter

from tests.spark.engines import spark_connection

pytestmark = pytest.mark.timeout(1800)  # a busy machine needs several times as long


class FixtureSpark(SparkEngineAdapter):
    """A Spark adapter that accepts and returns the rows of unit tests as DuckDB does.

    SQLMesh leaves the casting of a test's values to the engine, a column at a time: Spark rejects a column with a
    typed NULL above a text. And where DuckDB returns a float for a DECIMAL, pyspark returns a Decimal, which equals
    no number of a test.
    """

    def create_view(self, view_name: Any, query_or_df: Any, *args: Any, **options: Any) -> None:
        kinds = args[0] if args else options.get("target_columns_to_types")
        if isinstance(query_or_df, pd.DataFrame) and len(query_or_df):
            rows = list(query_or_df[list(kinds)].itertuples(index=False, name=None))
            (query_or_df,) = select_from_values(rows, kinds)
            for row in query_or_df.find(exp.Values).expressions:
                for value, kind in zip(row.expressions, kinds.values(), strict=True):
                    value.replace(exp.cast(value.copy(), kind))
        super().create_view(view_name, query_or_df, *args, **options)

    def fetchdf(self, *args: Any, **options: Any) -> pd.DataFrame:
        found = super().fetchdf(*args, **options)
        for name in found.columns:
            if any(isinstance(value, Decimal) for value in found[name]):
                found[name] = found[name].map(lambda value: value if value is None else float(value))
        return found


class FixtureConnection(SparkConnectionConfig):
    """The gateway's connection with that adapter."""

    @property
    def _engine_adapter(self) -> type[EngineAdapter]:
        return FixtureSpark


@pytest.fixture(scope="module")
def on_spark(project: Context, spark_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """The project, with unit tests that run on Spark."""
    with spark_connection(tmp_path_factory.mktemp("models")) as connection, pytest.MonkeyPatch.context() as patch:
        test_connection = FixtureConnection(config=connection.config, concurrent_tasks=2)
        patch.setattr(project.config.get_gateway(), "test_connection", test_connection)
        yield project


def run(context: Context, names: list[str]) -> None:
    """Run unit tests in one Spark; report each failure with its name and its difference."""
    result = context.test(tests=names)
    assert {str(test): text for test, text in [*result.failures, *result.errors]} == {}
    assert result.testsRun == len(names)


def by_model(context: Context) -> dict[str, list[str]]:
    """Names of the unit tests of each model, in file order: the main case comes first."""
    found: dict[str, list[str]] = {}
    for item in context.select_tests():
        found.setdefault(item.body["model"], []).append(item.fully_qualified_test_name)
    return found


def test_first_unit_test_of_each_model(on_spark: Context) -> None:
    tested = by_model(on_spark)
    assert len(tested) == sum(model.is_sql for model in on_spark.models.values())
    run(on_spark, [names[0] for names in tested.values()])


@pytest.mark.slow
def test_other_unit_tests_of_each_model(on_spark: Context) -> None:
    run(on_spark, [name for names in by_model(on_spark).values() for name in names[1:]])
