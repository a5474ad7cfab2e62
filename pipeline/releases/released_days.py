"""The days of a feed that a release has: those that were complete, or past their deadline, when it was published."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping

import duckdb
from sqlmesh.core.model import Model

from ingest.sql import dotted, identifier
from pipeline.warehouse.project import plain_name

SIGNAL = "feed_is_complete"


def released_days(
    models: Mapping[str, Model], tables: Collection[str], reader: duckdb.DuckDBPyConnection
) -> dict[str, set[dt.date]]:
    """Return the days of each feed whose completeness models wait for, by what follows from it and was released.

    Args:
        models: of the project, by full name.
        tables: names of those that the release has.
        reader: a connection to it.
    """
    days: dict[str, set[dt.date]] = {}
    for feed, waiting in _waiting(models).items():
        found = days.setdefault(feed, set())
        for name in _onward(models, waiting):
            model, table = models[name], plain_name(name)
            if table in tables and model.kind.is_incremental_by_time_range and model.time_column:
                column = identifier(model.time_column.column.name)
                rows = reader.execute(f"SELECT DISTINCT {column}::DATE FROM {dotted(table)}")
                found |= {day for (day,) in rows.fetchall()}
    return days


def _waiting(models: Mapping[str, Model]) -> dict[str, set[str]]:
    """The models that wait for each feed."""
    found: dict[str, set[str]] = {}
    for name, model in models.items():
        for signal, arguments in model.signals:
            if signal == SIGNAL:
                found.setdefault(arguments["feed"].name, set()).add(name)
    return found


def _onward(models: Mapping[str, Model], names: Collection[str]) -> Iterator[str]:
    """These models and all that read them, at any distance."""
    found = set(names)
    while more := {name for name, model in models.items() if model.depends_on & found} - found:
        found |= more
    yield from found
