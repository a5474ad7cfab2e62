"""How much the tables of a release hold, and what the values of their columns are like.

A profile is computed again only when a file of its table changed, and reads at most PROFILED_ROWS rows, the newest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import msgspec

from ingest.contracts.classes import Class
from ingest.sql import dotted, identifier
from ingest.sql import files as located
from pipeline.portal.catalog.entries import Column, Figures, Profile, Table
from pipeline.releases.catalog import parents
from pipeline.releases.release import Release, ReleaseFile, ReleaseTable
from pipeline.warehouse.classes import Classes

PROFILED_ROWS = 250_000
"""Bounds what one new day costs in a table with a long history."""
COUNTED_VALUES = 10_000
"""Fewer distinct values than that are counted exactly."""
MOST_VALUES = 1_000
"""A column with more distinct values has no most frequent ones."""
SHOWN_VALUES = 6
VERSION = "1"
"""Changes with what a profile has, so that stored ones are computed again."""
LONGEST_VALUE = 80
_NESTED = ("STRUCT", "MAP", "UNION", "BLOB")


def with_figures(
    tables: Iterable[Table],
    release: Release,
    connection: duckdb.DuckDBPyConnection,
    uri: str,
    before: Mapping[str, Table],
    classes: Classes,
) -> list[Table]:
    """The tables, those of the release with figures and profiles.

    Args:
        connection: to that release, with its tables as `gold.x`.
        uri: of the releases, which names of files are relative to.
        before: the tables of the catalog before by name, whose profiles are reused.
        classes: for how large a group of a quasi-identifying column must be to be shown.
    """
    found = []
    for table in tables:
        released = release.tables.get(table.name)
        if released is None:
            found.append(table)
            continue
        files = _files(released, release.tables)
        print_ = _fingerprint(table, released, files)
        old = before.get(table.name)
        if old is not None and old.figures is not None and old.figures.profiled == print_:
            profiles = {column.name: column.profile for column in old.columns if column.profile}
            figures = old.figures
        else:
            relation, rows = _newest(released, files, uri)
            profiles, figures = _measured(
                connection, table, released, relation, rows, _least_group(classes, table.name)
            )
            figures = msgspec.structs.replace(figures, profiled=print_)
        columns = tuple(msgspec.structs.replace(column, profile=profiles.get(column.name)) for column in table.columns)
        found.append(msgspec.structs.replace(table, released=True, columns=columns, figures=figures))
    return found


def _files(table: ReleaseTable, tables: Mapping[str, ReleaseTable]) -> list[ReleaseFile]:
    """The files of a table, or of the tables that a view reads, newest part first."""
    names = parents(table)
    found = [*table.files, *(file for name in sorted(names & tables.keys()) for file in _files(tables[name], tables))]
    return sorted(found, key=lambda file: file.part, reverse=True)


def _fingerprint(table: Table, released: ReleaseTable, files: Iterable[ReleaseFile]) -> str:
    """Changes with the files, the columns, their classes and the query of a view."""
    parts = [VERSION, released.query, *(f"{column.name} {column.type} {column.class_}" for column in table.columns)]
    parts += sorted(file.key for file in files)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def _newest(table: ReleaseTable, files: Sequence[ReleaseFile], uri: str) -> tuple[str, int | None]:
    """The relation to profile, and its number of rows if that is not all of the table; None for all."""
    total = sum(file.rows for file in files)
    if total <= PROFILED_ROWS or table.query:
        return dotted(table.name), None
    chosen: list[str] = []
    rows = 0
    for file in files:
        if chosen and rows + file.rows > PROFILED_ROWS:
            break
        chosen.append(file.key)
        rows += file.rows
    return f"READ_PARQUET([{located(uri, chosen)}], hive_partitioning = FALSE)", rows


def _measured(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    released: ReleaseTable,
    relation: str,
    rows: int | None,
    least_group: str,
) -> tuple[dict[str, Profile], Figures]:
    columns = [column for column in table.columns if not column.type.endswith("]")]
    stored = {name for name, _, _ in released.columns}
    columns = [column for column in columns if column.name in stored and not column.type.startswith(_NESTED)]
    parts = ["COUNT(*)"]
    for column in columns:
        name = identifier(column.name)
        parts += [f"COUNT({name})", f"APPROX_COUNT_DISTINCT({name})"]
        parts += [f"MIN({name})::TEXT", f"MAX({name})::TEXT"] if _shows_range(column) else ["NULL", "NULL"]
    query = f"SELECT {', '.join(parts)} FROM {relation} AS rows"
    ((total, *measured),) = connection.execute(query).fetchall()
    counted = zip(columns, zip(*[iter(measured)] * 4, strict=True), strict=True)
    bare = {
        column.name: Profile(total - filled, min(distinct, filled), _cut(low), _cut(high))
        for column, (filled, distinct, low, high) in counted
    }
    bare |= _counted(connection, bare, relation)
    listed = [column for column in columns if _shows_values(column) and 0 < bare[column.name].distinct <= MOST_VALUES]
    top = _top(connection, listed, relation, least_group)
    profiles = {name: msgspec.structs.replace(item, top=top.get(name, ())) for name, item in bare.items()}
    first, last = _range(connection, table, released, relation, rows, profiles)
    held = released.rows if released.files else total
    figures = Figures(
        held,
        sum(file.bytes for file in released.files),
        len(released.files),
        first,
        last,
        max((_number(file) for file in released.files), default=0),
        total,
    )
    return profiles, figures


def _counted(
    connection: duckdb.DuckDBPyConnection, profiles: Mapping[str, Profile], relation: str
) -> dict[str, Profile]:
    """The profiles of columns with few distinct values, with their exact number."""
    names = [name for name, profile in profiles.items() if profile.distinct <= COUNTED_VALUES]
    if not names:
        return {}
    parts = ", ".join(f"COUNT(DISTINCT {identifier(name)})" for name in names)
    (counts,) = connection.execute(f"SELECT {parts} FROM {relation} AS rows").fetchall()
    return {
        name: msgspec.structs.replace(profiles[name], distinct=count) for name, count in zip(names, counts, strict=True)
    }


def _least_group(classes: Classes, table: str) -> str:
    """The condition that a group of a quasi-identifying column is large enough to be shown."""
    size = classes.size_column(table)
    return f"{f'SUM({identifier(size)})' if size else 'COUNT(*)'} >= {classes.minimum_group_size}"


def _shows_range(column: Column) -> bool:
    """Whether least and greatest values may be shown: they are values of single rows."""
    return column.class_ == Class.NONE


def _shows_values(column: Column) -> bool:
    return not Class(column.class_).is_restricted and column.type.startswith(("TEXT", "VARCHAR", "BOOLEAN"))


def _top(
    connection: duckdb.DuckDBPyConnection, columns: Iterable[Column], relation: str, least_group: str
) -> dict[str, tuple[tuple[str, int], ...]]:
    """The most frequent values of columns, most frequent first."""
    parts = []
    for number, column in enumerate(columns):
        name = identifier(column.name)
        having = f"HAVING {least_group} " if column.class_ == Class.QUASI else ""
        parts.append(
            f"(SELECT {number} AS place, {name}::TEXT AS value, COUNT(*) AS held FROM {relation} AS rows "
            f"WHERE {name} IS NOT NULL GROUP BY ALL {having}ORDER BY held DESC, value LIMIT {SHOWN_VALUES})"
        )
    if not parts:
        return {}
    names = [column.name for column in columns]
    found: dict[str, list[tuple[str, int]]] = {}
    query = f"FROM ({' UNION ALL '.join(parts)}) ORDER BY place, held DESC, value"
    for place, value, held in connection.execute(query).fetchall():
        found.setdefault(names[place], []).append((str(_cut(value)), held))
    return {name: tuple(values) for name, values in found.items()}


def _range(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    released: ReleaseTable,
    relation: str,
    rows: int | None,
    profiles: Mapping[str, Profile],
) -> tuple[str, str]:
    """First and last date of the whole table, whatever part of it was profiled."""
    if not table.time_column or table.time_column not in profiles:
        return "", ""
    known = profiles[table.time_column]
    if rows is None and known.low is not None and known.high is not None:
        return known.low[:10], known.high[:10]
    name = identifier(table.time_column)
    query = f"SELECT MIN({name})::TEXT, MAX({name})::TEXT FROM {dotted(released.name)}"
    ((low, high),) = connection.execute(query).fetchall()
    return (low or "")[:10], (high or "")[:10]


def _number(file: ReleaseFile) -> int:
    """The number of the release that a file was written for; 0 if its name has none."""
    number = file.key.rsplit("/", 1)[1][:20]
    return int(number) if number.isdigit() else 0


def _cut(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
