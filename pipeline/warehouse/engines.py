"""The engines, by the settings' gateway and by the dialect of SQLMesh's adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.settings import Settings
from pipeline.warehouse.engine import Engine

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter


def engine_type(options: Settings) -> type[Engine]:
    """The engine of the settings' gateway."""
    return _named("spark" if options.has_spark else "duckdb")


def engine_of(adapter: EngineAdapter) -> Engine:
    """The engine that an adapter connects to."""
    return _named(str(adapter.dialect))(adapter)


def _named(dialect: str) -> type[Engine]:
    if dialect == "spark":
        from pipeline.warehouse.spark.engine import SparkEngine

        return SparkEngine
    from pipeline.warehouse.duck_engine import DuckEngine

    return DuckEngine
