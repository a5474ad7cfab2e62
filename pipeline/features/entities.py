"""The file of entities: whose features are wanted, and as of when."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from ingest.errors import ConfigError
from ingest.sql import identifier, literal
from pipeline.process.redact import redact

_WHOLE_NUMBER = r"^\s*[+-]?[0-9]{1,18}\s*$"


@dataclass(frozen=True, slots=True)
class Entities:
    """The rows of a file.

    Attributes:
        path: of the file, for errors.
        rows: as read; columns of a CSV file are texts, its empty fields NULL.
        key: column of the entity.
        at: column of the time as of which its features are wanted; without a time zone it is UTC.
    """

    path: Path
    rows: pa.Table
    key: str
    at: str


def read_entities(path: Path, key: str, at: str) -> Entities:
    """Read a file of entities, CSV with a header or Parquet.

    Raises:
        ConfigError: it cannot be read, lacks a column, or names one twice.
    """
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise ConfigError(f"{path}: expected a file of entities that ends in .csv or .parquet")
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; expected the file of entities")
    try:
        rows = readers[path.suffix.lower()](path)
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{path}: cannot be read as {path.suffix[1:].lower()}: {redact(first)}") from error
    repeated = [name for name, count in Counter(map(str.lower, rows.column_names)).items() if count > 1]
    if repeated:
        raise ConfigError(f"{path}: columns {', '.join(repeated)} are there twice; name each once, case aside")
    for name, option in ((key, "--key"), (at, "--timestamp")):
        if name not in rows.column_names:
            have = ", ".join(rows.column_names) or "none"
            raise ConfigError(f"{path}: no column {name}; it has {have}: name another one by {option}")
    return Entities(path, rows, key, at)


def _read_parquet(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read()


def _read_csv(path: Path) -> pa.Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file), [])
    if not names:
        return pa.table({})
    as_text = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    return arrow_csv.read_csv(path, convert_options=as_text, parse_options=parse)


def load_entities(connection: duckdb.DuckDBPyConnection, entities: Entities, table: str, kind: str) -> None:
    """Create a temporary table with a row per row of the file: `place` from 0, `entity`, and `moment` in UTC.

    Args:
        table: its name.
        kind: SQL type of the key in the table of features.

    Raises:
        ConfigError: a key or a time cannot be read.
    """
    pair = pa.table({"entity": entities.rows[entities.key], "moment": entities.rows[entities.at]})
    pair = pair.append_column("place", pa.array(range(pair.num_rows), pa.int64()))
    connection.register("entity_rows", pair)
    try:
        types = dict(connection.execute("SELECT column_name, column_type FROM (DESCRIBE entity_rows)").fetchall())
        entity, moment = _key(types["entity"], kind), _at(entities, types["moment"])
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {identifier(table)} AS SELECT place, {entity} AS entity, "
            f"{moment} AS moment, entity IS NULL AS is_nobody, entity::TEXT AS entity_text, "
            "moment::TEXT AS moment_text FROM entity_rows"
        )
    except (duckdb.BinderException, duckdb.ConversionException, duckdb.NotImplementedException) as error:
        first = redact(str(error).splitlines()[0])
        raise ConfigError(f"{entities.path}: {entities.key} or {entities.at} cannot be read: {first}") from error
    finally:
        connection.unregister("entity_rows")
    _refuse(
        connection, table, "entity IS NULL AND NOT is_nobody", "entity_text", f"{entities.path}: {entities.key}", kind
    )
    wanted = "time such as 2026-03-01 12:00:00 or 2026-03-01T12:00:00+02:00"
    unknown = "moment IS NULL OR NOT ISFINITE(moment)"
    _refuse(connection, table, unknown, "moment_text", f"{entities.path}: {entities.at}", wanted)


def _key(found: str, kind: str) -> str:
    """SQL of the key; NULL where it is none of the kind."""
    if kind == "VARCHAR":
        return "entity::TEXT"
    if found == "VARCHAR":  # a cast of a text would round 1.5
        return f"CASE WHEN REGEXP_MATCHES(entity, {literal(_WHOLE_NUMBER)}) THEN TRY_CAST(entity AS {kind}) END"
    if found in ("DOUBLE", "FLOAT") or found.startswith("DECIMAL"):
        return f"CASE WHEN entity = TRUNC(entity) THEN TRY_CAST(entity AS {kind}) END"
    return f"TRY_CAST(entity AS {kind})"


def _at(entities: Entities, found: str) -> str:
    """SQL of the time in UTC; NULL where it is none.

    Raises:
        ConfigError: no time can be had from the type.
    """
    if found not in ("VARCHAR", "DATE", "NULL", '"NULL"') and not found.startswith("TIMESTAMP"):
        raise ConfigError(f"{entities.path}: {entities.at} is of type {found}; expected times, dates or texts")
    return "TRY_CAST(moment AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"


def _refuse(
    connection: duckdb.DuckDBPyConnection, table: str, condition: str, shown: str, what: str, wanted: str
) -> None:
    found: list[Any] = connection.execute(
        f"SELECT place, {shown}, COUNT(*) OVER () FROM {identifier(table)} WHERE {condition} ORDER BY place LIMIT 1"
    ).fetchall()
    for place, value, count in found:
        is_what = "is empty" if value is None else f"is {value[:80]!r}"
        others = f", and so in {count - 1:,} more rows" if count > 1 else ""
        raise ConfigError(f"{what} of row {place + 1:,} {is_what}{others}; expected a {wanted}")
