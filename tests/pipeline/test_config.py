"""config.yaml and ingest/settings.py read the same variables and must resolve to the same files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlmesh.core.config import Config, load_configs

from ingest.settings import PROJECT, read_settings


def sqlmesh_resolves() -> tuple[str, str, str]:
    """Warehouse, state and first day as SQLMesh reads them, with absolute paths."""
    config = load_configs(None, Config, [PROJECT])[PROJECT]
    gateway = config.gateways["local"]
    paths = gateway.connection.catalogs["warehouse"], gateway.state_connection.database
    warehouse, state = (str(PROJECT / path) for path in paths)
    return warehouse, state, str(config.model_defaults.start)


def lake_resolves() -> tuple[str, str, str]:
    options = read_settings()
    return options.warehouse_path, options.state_path, str(options.lake_start)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LAKE_HOME": "elsewhere"},
        {"LAKE_HOME": "/srv/lake"},
        {"WAREHOUSE_PATH": "w/one.duckdb", "STATE_PATH": "/srv/two.duckdb"},
        {"LAKE_HOME": "", "WAREHOUSE_PATH": "", "STATE_PATH": "", "LAKE_START": ""},
        {"LAKE_START": "2024-02-29"},
    ],
)
def test_sqlmesh_and_lake_use_the_same_files(
    clean_settings: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    monkeypatch.delenv("LAKE_HOME")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert sqlmesh_resolves() == lake_resolves()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"PGHOST": "db.internal", "PGPORT": "5433", "PGUSER": "lake", "PGDATABASE": "state"},
        {"PGHOST": "", "PGPORT": "", "PGPASSWORD": "it's \"#: {{ 100% }}\\ <ü>"},
    ],
)
def test_sqlmesh_and_lake_use_the_same_postgres(
    clean_settings: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed, the extra `postgres`")
    monkeypatch.setenv("LAKE_GATEWAY", "postgres_state")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = load_configs(None, Config, [PROJECT])[PROJECT]
    gateway = config.gateways[config.default_gateway]
    state, options = gateway.state_connection, read_settings()
    assert gateway.connection.catalogs["warehouse"] == options.warehouse_path
    assert (state.host, state.port, state.user) == (options.pghost, options.pgport, options.pguser)
    assert (state.password, state.database) == (options.pgpassword, options.pgdatabase)


@pytest.mark.parametrize("variables", [{}, {"LAKE_HOME": "elsewhere"}, {"STATE_PATH": "/srv/two.duckdb"}])
def test_sqlmesh_and_lake_use_the_same_state_of_spark(
    clean_settings: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    pytest.importorskip("pyspark", reason="Spark: pyspark is not installed, the extra `spark`")
    monkeypatch.delenv("LAKE_HOME")
    for name, value in (variables | {"LAKE_GATEWAY": "spark"}).items():
        monkeypatch.setenv(name, value)
    gateway = load_configs(None, Config, [PROJECT])[PROJECT].gateways["spark"]
    assert str(PROJECT / gateway.state_connection.database) == read_settings().state_path
    must = {"spark.sql.session.timeZone": "UTC", "spark.sql.sources.partitionOverwriteMode": "dynamic"}
    assert must.items() <= gateway.connection.config.items()


def test_ignored_names_are_globs_and_regular_expressions_without_a_directory_walk() -> None:
    patterns = load_configs(None, Config, [PROJECT])[PROJECT].ignore_patterns
    assert patterns
    for pattern in patterns:
        re.compile(pattern)
        assert "**" not in pattern
