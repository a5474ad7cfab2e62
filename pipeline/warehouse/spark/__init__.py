"""Spark as the engine, beside DuckDB."""
