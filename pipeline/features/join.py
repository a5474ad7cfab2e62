"""Features of entities as of each row's time, from the files of one release."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from ingest.errors import ConfigError
from ingest.sql import dotted, identifier
from pipeline.features.entities import Entities, load_entities
from pipeline.features.view import FeatureView
from pipeline.releases.release import Release

RELEASE = b"lakemesh.release"
"""Key of the number of the release in the metadata of the result."""
_DURATION = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Joined:
    """The result.

    Attributes:
        rows: of the file, in its order and with its columns, followed by the moment of what was found, and features.
        unmatched: rows without features.
        release: its number.
        table: that the features are from.
    """

    rows: pa.Table
    unmatched: int
    release: int
    table: str


def duration(text: str) -> dt.timedelta:
    """Read a duration such as 90d, 12h, 30m, 45s or 2w.

    Raises:
        ConfigError: it is none, or 0.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise ConfigError(f"'{text}' is no duration; expected a number with s, m, h, d or w, such as 90d")
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})


def features_of(
    connection: duckdb.DuckDBPyConnection,
    release: Release,
    view: FeatureView,
    entities: Entities,
    names: Sequence[str] = (),
    ttl: dt.timedelta | None = None,
) -> Joined:
    """Join each row of a file with the newest row of features at or before its time.

    Every row stays, in its order, however often it is there; NULL stands for features where there is no such row.

    Args:
        connection: to that release.
        names: of features; all if there are none.
        ttl: how old features may be at most; without, as old as they are.

    Raises:
        ConfigError: a feature is unknown, a name is taken by the file, or a key or time cannot be read.
    """
    described = view.described(release)
    chosen = [view.at, *view.chosen(release, names)]
    taken = {name.lower() for name in entities.rows.column_names} & set(chosen)
    if taken:
        raise ConfigError(
            f"{entities.path}: has columns that features are called: {', '.join(sorted(taken))}; rename them"
            + (", or choose other features" if taken != {view.at} else "")
        )
    kinds = {name: kind for name, kind, _ in described.columns}
    load_entities(connection, entities, "entities", kinds[view.key])
    at = f"features.{identifier(view.at)}"
    is_valid = f"{at} >= entities.moment - INTERVAL '{int(ttl.total_seconds())}' SECOND" if ttl else "TRUE"
    columns = ", ".join(
        f"CASE WHEN {is_valid} THEN features.{identifier(name)} END AS {identifier(name)}" for name in chosen
    )
    found = connection.execute(
        f"SELECT {columns} FROM temp.entities AS entities ASOF LEFT JOIN {dotted(view.table)} AS features "
        f"ON entities.entity = features.{identifier(view.key)} AND entities.moment >= {at} ORDER BY entities.place"
    ).to_arrow_table()
    rows = entities.rows
    for name in chosen:
        rows = rows.append_column(name, found[name])
    rows = rows.replace_schema_metadata((rows.schema.metadata or {}) | {RELEASE: str(release.number).encode()})
    return Joined(rows, found[view.at].null_count, release.number, view.table)
