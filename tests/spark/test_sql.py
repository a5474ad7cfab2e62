"""Each example of the SQL subset, and each macro, returns the same on Spark as on DuckDB."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlmesh import Context
from sqlmesh.core.config.connection import DuckDBConnectionConfig
from sqlmesh.core.engine_adapter import EngineAdapter

from tests.spark.engines import same, spark_connection, values
from tests.subset import DIFFERENT, QUERIES, SCALARS, query

MACROS = {
    "business_time": [
        "@BUSINESS_TIME(t.time)",
        "@BUSINESS_TIME(t.time)::DATE",
        "@BUSINESS_TIME(t.day::TIMESTAMP)::DATE",
        "EXTRACT(HOUR FROM @BUSINESS_TIME(t.time))",
    ],
    "business_week": ["@BUSINESS_WEEK(t.day)", "@BUSINESS_WEEK(t.time)"],
    "day_of_week": ["@DAY_OF_WEEK(t.day)", "@DAY_OF_WEEK(t.time)"],
    "epoch_seconds": ["@EPOCH_SECONDS(t.time)"],
    "half_up": ["@HALF_UP(t.amount, t.divisor)", "@HALF_UP(t.amount * 7, t.divisor + 1)"],
    "in_week_after": ["@IN_WEEK_AFTER('2024-03-01'::DATE, t.day)"],
    "in_week_before": ["@IN_WEEK_BEFORE('2024-03-08'::DATE, t.day)"],
    "major_units": ["@MAJOR_UNITS(t.amount, t.digits)"],
    "percent_of": ["@PERCENT_OF(t.digits, t.divisor)", "@PERCENT_OF(t.divisor, t.digits)"],
    "quantile": [f"@QUANTILE(t.amount, {share}) OVER ()" for share in (0, 0.25, 0.9, 1)],
    "ten_thousandths": ["@TEN_THOUSANDTHS(t.digits)"],
    "version_key": ["@VERSION_KEY(t.amount, t.time)"],
    "two_decimals": ["@TWO_DECIMALS(t.digits::DOUBLE / t.divisor)", "@TWO_DECIMALS(t.divisor)"],
}
"""Macros of the project and expressions with them over the rows of `rows()`."""


@pytest.fixture(scope="module")
def engines(
    spark_folder: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[EngineAdapter, EngineAdapter]]:
    """DuckDB and Spark, both empty."""
    duckdb = DuckDBConnectionConfig(connector_config={"TimeZone": "UTC"}).create_engine_adapter()
    with spark_connection(tmp_path_factory.mktemp("sql")) as connection:
        yield duckdb, connection.create_engine_adapter()
    duckdb.close()


def rows() -> str:
    """A relation with days, times, amounts and digits: ordinary values, the ends of years and months, and NULLs."""
    chance = random.Random(1)
    times = [dt.datetime(1969, 12, 28) + dt.timedelta(hours=hour) for hour in range(0, 24 * 10, 7)]
    times += [dt.datetime(year, 12, 31, 23, 59, 59, 999999) for year in range(1998, 2032)]
    times += [dt.datetime(2024, 2, 29) + dt.timedelta(seconds=chance.random() * 3e7) for _ in range(40)]
    tuples = []
    for time in times:
        amount = chance.choice([0, 5, -5, 15, 10**13 + 1, chance.randint(-(10**9), 10**9)])
        divisor, digits = chance.choice([1, 2, 3, 12, 28, 365]), chance.randint(0, 5)
        tuples.append(f"('{time.date()}'::DATE, '{time}'::TIMESTAMP, {amount}::BIGINT, {divisor}::INT, {digits}::INT)")
    return f"(VALUES {', '.join(tuples)}, (NULL, NULL, NULL, 1, NULL)) AS t(day, time, amount, divisor, digits)"


def test_whole_subset_is_the_same_on_both_engines(
    project: Context, engines: tuple[EngineAdapter, EngineAdapter]
) -> None:
    listed = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(SCALARS))
    duckdb, spark = (values(project._macros, f"SELECT {listed}", engine)[0] for engine in engines)
    assert [item for item in zip(SCALARS, duckdb, spark, strict=True) if not same(*item[1:])] == []
    for item in QUERIES:
        duckdb, spark = (values(project._macros, item, engine) for engine in engines)
        assert same(duckdb, spark), (item, duckdb, spark)


def test_replacements_are_the_same_on_both_engines(
    project: Context, engines: tuple[EngineAdapter, EngineAdapter]
) -> None:
    scalars = [item for item in DIFFERENT.values() if query(item) != item]
    listed = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(scalars))
    duckdb, spark = (values(project._macros, f"SELECT {listed}", engine)[0] for engine in engines)
    assert [item for item in zip(scalars, duckdb, spark, strict=True) if not same(*item[1:])] == []
    for item in DIFFERENT.values():
        if query(item) == item:
            duckdb, spark = (values(project._macros, item, engine) for engine in engines)
            assert same(duckdb, spark), (item, duckdb, spark)


@pytest.mark.parametrize("name", MACROS)
def test_macro_is_the_same_on_both_engines(
    project: Context, engines: tuple[EngineAdapter, EngineAdapter], name: str
) -> None:
    listed = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(MACROS[name]))
    duckdb, spark = (
        values(project._macros, f"SELECT t.time, t.amount, {listed} FROM {rows()} ORDER BY 1, 2", engine)
        for engine in engines
    )
    assert len(duckdb) > 100
    assert [pair for pair in zip(duckdb, spark, strict=True) if not same(*pair)] == []


def test_every_macro_is_compared(project: Context) -> None:
    own = {name for name, item in project._macros.items() if item.func.__module__.startswith("macros")}
    # of whole models: their unit tests and test_parity.py
    queries = {"allocated", "change_marks", "superseded", "versions"}
    assert own - queries - {"register_bronze", "is_changed"} == set(MACROS)  # the latter is TRUE on Spark


@pytest.mark.parametrize("fault", ["2147483647::INT + 1::INT", "99999.5::DECIMAL(7, 1)::DECIMAL(5, 1)"])
def test_spark_fails_where_duckdb_does(
    project: Context, engines: tuple[EngineAdapter, EngineAdapter], fault: str
) -> None:
    for engine in engines:
        with pytest.raises(Exception, match=r"(?i)overflow|out.of.range|represented"):
            values(project._macros, f"SELECT {fault} AS value", engine)
