"""A DuckDB session that can read one release and nothing else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from ingest.settings import Settings
from ingest.sql import dotted, identifier, literal
from pipeline.access.roles import store_of
from pipeline.api.limits import Limits
from pipeline.metrics.definition import Metric, base_names, load_metrics
from pipeline.metrics.query import covered
from pipeline.process.duck import DISABLED_OPTIMIZERS, translate_errors
from pipeline.releases.release import Release, Releases
from pipeline.warehouse.duck import lake_statements

THREADS = 2


class Session:
    """One release, opened for one worker.

    Its configuration is locked after it is opened: it can open no file but those that the release names, and neither
    writes nor spills.

    Args:
        role: whose release it is; empty for the release of everything.
        number: of the release.
        metrics: the folder with definitions.

    Attributes:
        release: its manifest.
        definitions: metrics whose tables the release has.

    Raises:
        ConfigError: the release is no longer kept.
        RetriableError: it cannot be read at the moment.
    """

    def __init__(self, options: Settings, role: str, number: int, metrics: Path, limits: Limits) -> None:
        own = settings_for(options, role)
        releases = Releases(own)
        self.release: Release = releases.get(number)
        self.definitions = visible(load_metrics(metrics), self.release)
        self._complete: dict[str, dt.date | None] = {}
        with translate_errors(own.published_uri):
            self.connection = _open(own, releases.attach(number), _paths(releases, self.release), limits)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def complete_to(self, tables: Iterable[str]) -> dt.date | None:
        """The last date that all of these tables have; None if none of them is dated, or one is empty."""
        found = [self._complete_to(name) for name in sorted(set(tables)) if self._is_dated(name)]
        known = [day for day in found if day is not None]
        return min(known) if known and len(known) == len(found) else None

    def _is_dated(self, table: str) -> bool:
        return bool(self.release.tables[table].time_column or self._metric(table))

    def _metric(self, table: str) -> Metric | None:
        return next((item for item in self.definitions.values() if item.table == table), None)

    def _complete_to(self, table: str) -> dt.date | None:
        if table not in self._complete:
            column = self.release.tables[table].time_column
            metric = self._metric(table)
            if metric is not None:
                _, self._complete[table] = covered(self.connection, self.definitions, [metric.name])
            else:
                query = f"SELECT MAX({identifier(column)})::DATE FROM {dotted(table)}"
                (self._complete[table],) = self.connection.execute(query).fetchone() or (None,)
        return self._complete[table]

    def envelope(self, tables: Iterable[str]) -> dict[str, Any]:
        """What every answer says about the release that it is read from."""
        return {
            "release": self.release.number,
            "published_at": self.release.published_at,
            "positions": dict(self.release.positions),
            "complete_to": self.complete_to(tables),
        }


def settings_for(options: Settings, role: str) -> Settings:
    """The settings by which a role's releases are read; its own, if there is no role."""
    return options.model_copy(update={"published_uri": store_of(options.published_uri, role)}) if role else options


def visible(definitions: Mapping[str, Metric], release: Release) -> dict[str, Metric]:
    """The metrics whose tables a release has."""
    return {
        name: metric
        for name, metric in definitions.items()
        if all(definitions[base].table in release.tables for base in base_names(definitions, name))
    }


def _paths(releases: Releases, release: Release) -> list[str]:
    return [f"{releases.store.uri}/{file.key}" for table in release.tables.values() for file in table.files]


def _open(options: Settings, attach: str, paths: list[str], limits: Limits) -> duckdb.DuckDBPyConnection:
    config: dict[str, Any] = DISABLED_OPTIMIZERS | {
        "memory_limit": f"{limits.memory}B",
        "threads": THREADS,
        "temp_directory": "",
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET TimeZone = 'UTC'")
    for statement in lake_statements(options, options.published_uri):
        connection.execute(statement)
    connection.execute(attach)
    connection.execute("USE lake")
    connection.execute(f"SET allowed_paths = [{', '.join(map(literal, paths))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection
