"""The small domain of definitions.py, loaded once."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from pipeline.metrics.definition import Metric
from tests.pipeline.metrics.definitions import load, tables


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Metric]:
    return load(tmp_path_factory.mktemp("metrics"))


@pytest.fixture(scope="session")
def release() -> Iterator[duckdb.DuckDBPyConnection]:
    with tables() as connection:
        yield connection
