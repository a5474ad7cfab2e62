"""Spark as the engine instead of DuckDB."""
