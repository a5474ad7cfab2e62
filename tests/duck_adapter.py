"""SQLMesh's adapter over an open connection of DuckDB, for what a project gives to an engine."""

from __future__ import annotations

import duckdb
from sqlmesh.core.engine_adapter import EngineAdapter, create_engine_adapter


def adapter_of(connection: duckdb.DuckDBPyConnection) -> EngineAdapter:
    """Return an adapter that works on the database of a connection, which its owner closes."""
    return create_engine_adapter(lambda: connection, "duckdb")
