"""One landing, planned on DuckDB and on Spark: every table and view of the project has the same rows on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlglot import exp
from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console

from ingest.settings import settings
from pipeline.cli import main
from tests.home import Home
from tests.spark.conftest import empty
from tests.spark.engines import plain, same

pytestmark = pytest.mark.timeout(1800)  # a busy machine needs several times as long

SAMPLE = (
    "sample --end 2025-11-30 --days 40 --events 1500 --accounts 60 --late 0.05 --duplicates 0.02 --malformed 0.01 "
    "--unknown-fields 0.05 --unknown-users 0.01 --plan-changes 0.1 --refunds 0.1 --churn 0.1 "
    "--orders 40 --resnapshots 0.02 --reloads 0.02"
)
START = "2025-09-20"  # mid-month, so that one month is incomplete
NOW = "2025-12-02 00:10:00"
OF_NOW = {"age_seconds", "freshness"}
"""Columns that measure the time until now, which differs between two plans."""
MAY_BE_EMPTY = {
    *("ops.runs", "ops.cycles", "ops.audit_results", "ops.release_lag_daily", "ops.cost_daily"),  # no cycle has run
    *("ops.constraint_findings", "ops.share_anomalies", "ops.volume_anomalies"),
    "ops.live_drift",  # nothing was shown
    "gold.rpt_mrr_trailing",  # fewer than twelve months
}

Rows = list[tuple[Any, ...]]


class Tables:
    """The tables and views of the project on one engine, as lists of their rows."""

    def __init__(self, columns: dict[str, list[str]], rows: dict[str, Rows]) -> None:
        self.columns = columns
        self.rows = rows


def read(context: Context) -> Tables:
    """All tables and views of production, without columns that depend on the current time."""
    columns, rows = {}, {}
    for model in context.models.values():
        if model.kind.is_external:
            continue
        names = [name for name in model.columns_to_types if name not in OF_NOW]
        query = exp.select(*(exp.column(name, quoted=True) for name in names)).from_(exp.to_table(model.name))
        columns[model.name] = names
        rows[model.name] = [tuple(map(plain, row)) for row in context.engine_adapter.fetchall(query)]
    return Tables(columns, rows)


def planned() -> Tables:
    """Plan an empty production on the current gateway, with all audits, and return its tables."""
    home = Home()
    context = home.context()
    try:
        context.plan("prod", auto_apply=True, no_prompts=True, skip_tests=True, execution_time=NOW)
        return read(context)
    finally:
        home.close(context)


@pytest.fixture(scope="module")
def both(spark_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tables, Tables]]:
    """The tables of one landing on DuckDB and on Spark."""
    folder = tmp_path_factory.mktemp("parity")
    (folder / "dotenv").touch()
    set_console(NoopConsole())
    with pytest.MonkeyPatch.context() as patch:
        variables = {"LAKE_HOME": str(folder / "home"), "LAKE_START": START, "LAKE_GATEWAY": "local"}
        for name, value in (variables | {"SQLMESH_DOTENV_PATH": str(folder / "dotenv")}).items():
            patch.setenv(name, value)
        settings.cache_clear()
        assert CliRunner().invoke(main, SAMPLE.split()).exit_code == 0
        Home().ingest()
        duckdb = planned()
        patch.setenv("LAKE_GATEWAY", "spark")
        settings.cache_clear()
        yield duckdb, planned()
        empty()
    settings.cache_clear()


def ordered(rows: Rows) -> Rows:
    """Rows in an order that does not depend on the last digits of floats."""
    return sorted(rows, key=lambda row: [repr(value) for value in row if not isinstance(value, float)])


def differences(tables: tuple[Tables, Tables]) -> Iterator[str]:
    """The differences: one line per table, with the first row that differs."""
    duckdb, spark = tables
    for table, columns in duckdb.columns.items():
        left, right = ordered(duckdb.rows[table]), ordered(spark.rows[table])
        if len(left) != len(right):
            yield f"{table}: {len(left)} rows on DuckDB, {len(right)} on Spark"
        for one, other in zip(left, right, strict=False):
            faults = [pair for pair in zip(columns, one, other, strict=True) if not same(*pair[1:])]
            if faults:
                yield f"{table}: {faults}, in {dict(zip(columns, one, strict=True))}"
                break


def test_every_table_has_the_same_rows(both: tuple[Tables, Tables]) -> None:
    assert list(differences(both)) == []
    assert {table for table, rows in both[0].rows.items() if not rows} <= MAY_BE_EMPTY


def test_a_difference_is_found(both: tuple[Tables, Tables]) -> None:
    duckdb, spark = both
    table = "gold.fct_mrr_daily"
    first, *rest = ordered(spark.rows[table])
    for changed in ([*rest], [(*first[:-1], first[-1] + 1), *rest], [(*first[:-1], float(first[-1])), *rest]):
        found = list(differences((duckdb, Tables(spark.columns, spark.rows | {table: changed}))))
        assert [line.split(":")[0] for line in found] in ([table], [table, table])
