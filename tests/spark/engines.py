"""DuckDB and Spark side by side: the same SQL in, comparable values out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlglot import exp, parse_one
from sqlglot.optimizer.annotate_types import annotate_types
from sqlmesh.core.config import Config, load_configs
from sqlmesh.core.config.connection import SparkConnectionConfig
from sqlmesh.core.constants import SQLMESH_VARS
from sqlmesh.core.engine_adapter import EngineAdapter
from sqlmesh.core.macros import MacroEvaluator, MacroRegistry, normalize_macro_name

from ingest.settings import PROJECT, settings
from pipeline.warehouse.spark.session import configure

TOLERANCE = 1e-9


@contextmanager
def spark_connection(home: Path) -> Iterator[SparkConnectionConfig]:
    """The connection of the gateway `spark` as config.yaml sets it, for a separate home."""
    with pytest.MonkeyPatch.context() as patch:
        (home / "dotenv").touch()
        for name, value in (("LAKE_GATEWAY", "spark"), ("LAKE_HOME", str(home / "home"))):
            patch.setenv(name, value)
        patch.setenv("SQLMESH_DOTENV_PATH", str(home / "dotenv"))
        settings.cache_clear()
        configure(settings())
        yield load_configs(None, Config, [PROJECT])[PROJECT].gateways["spark"].connection
    settings.cache_clear()


def rendered(macros: MacroRegistry, query: str, engine: EngineAdapter) -> exp.Expression:
    """A query with the project's macros, as SQLMesh renders it for an engine."""
    evaluator = MacroEvaluator(dialect="duckdb")
    evaluator.locals["engine_adapter"] = engine
    evaluator.locals[SQLMESH_VARS] = load_configs(None, Config, [PROJECT])[PROJECT].variables
    evaluator.macros.update({normalize_macro_name(name): item.func for name, item in macros.items()})
    return annotate_types(evaluator.transform(parse_one(query, dialect="duckdb")), dialect="duckdb")


def values(macros: MacroRegistry, query: str, engine: EngineAdapter) -> list[tuple[Any, ...]]:
    """The rows of a query in DuckDB's dialect on either engine."""
    sql = rendered(macros, query, engine).sql(engine.dialect)
    return [tuple(plain(value) for value in row) for row in engine.fetchall(sql)]


def plain(value: Any) -> Any:
    """The value with structs as dictionaries, whatever the engine's own type."""
    if hasattr(value, "asDict"):
        return plain(value.asDict())
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def same(left: Any, right: Any) -> bool:
    """Whether two values and their types are equal; floats to 1e-9, absolute or relative to the greater."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        both_are_no_number = math.isnan(left) and math.isnan(right)
        return both_are_no_number or math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, Decimal):
        return left == right
    return bool(left == right)
