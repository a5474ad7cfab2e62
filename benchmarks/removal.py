"""Marking many dates of many models as missing at once, with the state in a DuckDB file and in Postgres.

    python -m benchmarks.removal --dates 1000 --models 50 --rounds 3   # Postgres: installed, or at PGHOST

A SQLMesh project of the given number of incremental models, each reading the one before, is planned without a backfill.
Then every other date is marked, in the transaction that applies a load; a new context reads the missing intervals; and
SQLMesh compacts the interval rows, as it does at the start of each run.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlmesh import Context
from sqlmesh.core.config import Config, GatewayConfig, ModelDefaultsConfig
from sqlmesh.core.config.connection import DuckDBConnectionConfig, PostgresConnectionConfig
from sqlmesh.core.console import NoopConsole, set_console
from sqlmesh.core.snapshot.definition import missing_intervals

from ingest.settings import Settings
from pipeline.invalidation.invalidate import remove_intervals
from pipeline.invalidation.propagation import Dates
from pipeline.state.opening import state_database

FIRST = dt.date(2020, 1, 1)
MODEL = """MODEL (
  name silver.m{number},
  kind INCREMENTAL_BY_TIME_RANGE (time_column event_date),
  cron '@daily',
  start '{first}'
);
SELECT events.event_date::DATE AS event_date, events.plays::BIGINT AS plays
FROM {source} AS events
WHERE events.event_date BETWEEN @start_ds AND @end_ds
"""
EXTERNAL = "- name: bronze.events\n  columns:\n    event_date: DATE\n    plays: BIGINT\n"


def main() -> None:
    """Measure both in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dates", type=int, default=1000)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    set_console(NoopConsole())
    dates = frozenset(FIRST + dt.timedelta(days=2 * number) for number in range(chosen.dates))
    with tempfile.TemporaryDirectory() as home, ExitStack() as servers:
        project = Path(home) / "project"
        _write_project(project, chosen.models)
        kinds = {
            "DuckDB file": lambda path: Settings(lake_gateway="local", state_path=str(path / "state.duckdb")),
            "Postgres": _postgres(servers),
        }
        spent: dict[str, list[tuple[float, float, float]]] = {name: [] for name in kinds}
        for number in range(chosen.rounds):
            for name, settings in kinds.items():
                folder = Path(home) / f"{number}-{name.split()[0]}"
                folder.mkdir()
                spent[name].append(_measure(project, folder, settings(folder), dates, chosen.models))
    print(f"### {chosen.dates:,} dates of {chosen.models} models (Python {sys.version.split()[0]})\n")
    print("| state | mark, s | read missing intervals, s | compact rows, s |\n|---|---|---|---|")
    for name, times in spent.items():
        print(f"| {name} | {' | '.join(f'{statistics.median(column):.2f}' for column in zip(*times, strict=True))} |")


def _measure(
    project: Path, folder: Path, options: Settings, dates: frozenset[dt.date], models: int
) -> tuple[float, float, float]:
    """Seconds of marking, of reading missing intervals, and of compacting the rows."""
    end = str(max(dates) + dt.timedelta(days=10))
    with _context(project, folder, options) as context:
        context.engine_adapter.execute("CREATE SCHEMA bronze")
        context.engine_adapter.execute("CREATE TABLE bronze.events (event_date DATE, plays BIGINT)")
        context.plan(auto_apply=True, no_prompts=True, skip_tests=True, empty_backfill=True, execution_time=end)
    with state_database(options).open() as state:
        started = time.perf_counter()
        with state.transaction(intervals=True):
            marked = remove_intervals(state, {"bronze.events": Dates(dates)})
        mark = time.perf_counter() - started
    assert len(marked) == models
    with _context(project, folder, options) as context:
        started = time.perf_counter()
        environment = context.state_reader.get_environment("prod")
        snapshots = context.state_reader.get_snapshots(environment.snapshots).values()
        missing = missing_intervals([item for item in snapshots if item.is_model], execution_time=end)
        read = time.perf_counter() - started
        assert [len(found) for found in missing.values()] == [len(dates)] * models
        started = time.perf_counter()
        context.state_sync.compact_intervals()
        compact = time.perf_counter() - started
    return mark, read, compact


@contextmanager
def _context(project: Path, folder: Path, options: Settings) -> Iterator[Context]:
    state = (
        PostgresConnectionConfig(
            host=options.pghost,
            port=options.pgport,
            user=options.pguser,
            password=options.pgpassword,
            database=options.pgdatabase,
        )
        if options.has_postgres_state
        else DuckDBConnectionConfig(database=options.state_path)
    )
    warehouse = DuckDBConnectionConfig(catalogs={"warehouse": str(folder / "warehouse.duckdb")})
    config = Config(
        gateways={"benchmark": GatewayConfig(connection=warehouse, state_connection=state)},
        default_gateway="benchmark",
        model_defaults=ModelDefaultsConfig(dialect="duckdb"),
        disable_anonymized_analytics=True,
    )
    context = Context(paths=str(project), config=config)
    try:
        yield context
    finally:
        context.close()
        for adapter in context.engine_adapters.values():
            adapter.close()


def _write_project(folder: Path, models: int) -> None:
    (folder / "models").mkdir(parents=True)
    (folder / "external_models.yaml").write_text(EXTERNAL, encoding="utf-8")
    for number in range(models):
        source = f"silver.m{number - 1}" if number else "bronze.events"
        model = MODEL.format(number=number, source=source, first=FIRST)
        (folder / "models" / f"m{number}.sql").write_text(model, encoding="utf-8")


def _postgres(servers: ExitStack) -> Callable[[Path], Settings]:
    """A factory of settings with an empty database, on the server of PGHOST or a temporary one."""
    from tests.postgres_server import Postgres, serve_postgres

    variables = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    server = Postgres(variables) if "PGHOST" in variables else servers.enter_context(serve_postgres())

    def settings(folder: Path) -> Settings:
        database = f"removal_{os.getpid()}_{folder.name.lower().replace('-', '_')}"
        server.sql("postgres", f"CREATE DATABASE {database}")
        servers.callback(server.sql, "postgres", f"DROP DATABASE {database} WITH (FORCE)")
        wanted = {name.lower(): value for name, value in server.variables.items()}
        return Settings.model_validate({"lake_gateway": "postgres_state", **wanted, "pgdatabase": database})

    return settings


if __name__ == "__main__":
    main()
