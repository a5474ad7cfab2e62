"""Bronze as DuckDB sees it: a view per feed over exactly the files that are live at one ledger position."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

from ingest.contract import Column, Contract, contracts
from ingest.entry import LakeFile
from ingest.errors import LostLedger
from ingest.ledger import Ledger
from ingest.schema import partitions, sql_columns, sql_type
from ingest.settings import settings
from ingest.store import Store

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

LOG = logging.getLogger(__name__)


def registration(warehouse: EngineAdapter, lost: Mapping[str, LostLedger]) -> list[str]:
    """Statements that make the bronze of now visible in the warehouse: one view per feed, pinned by its file list.

    Args:
        lost: feeds whose logs lack entries. Their views stay as they are: what they show is all there still.

    Raises:
        LostLedger: the log of a feed lacks entries, and the warehouse has no view of it yet.
        ConfigError, RetriableError: the lake cannot be read.
    """
    lake_uri = settings().lake_uri
    lake = Store(lake_uri)
    statements = ["CREATE SCHEMA IF NOT EXISTS bronze"]
    positions = []
    shown = registered_positions(warehouse) if lost else {}
    for contract in contracts().values():
        if contract.feed in lost:
            positions.append(f"SELECT '{contract.feed}' AS feed, {kept(contract, shown, lost)} AS position")
            continue
        live = Ledger(lake, contract.feed).live()
        query = bronze_query(contract, lake_uri, live.bronze_files())
        statements.append(f"CREATE OR REPLACE VIEW {contract.table} AS {query}")
        positions.append(f"SELECT '{contract.feed}' AS feed, {live.position} AS position")
    if positions:
        statements.append(f"CREATE OR REPLACE VIEW {POSITIONS} AS {' UNION ALL '.join(positions)}")
    return statements


def kept(contract: Contract, shown: Mapping[str, int], lost: Mapping[str, LostLedger]) -> int:
    """The position that the view of a feed whose log lacks entries goes on showing.

    Raises:
        LostLedger: there is no view yet.
    """
    if contract.feed not in shown:
        raise lost[contract.feed]
    LOG.warning("event=bronze_not_registered feed=%s because=%s", contract.feed, lost[contract.feed])
    return shown[contract.feed]


POSITIONS = "bronze._positions"


def registered_positions(warehouse: EngineAdapter) -> dict[str, int]:
    """The ledger position that each feed's view in the warehouse shows."""
    if not warehouse.table_exists(POSITIONS):
        return {}
    return dict(warehouse.fetchall(f"SELECT feed, position FROM {POSITIONS}"))


def bronze_query(contract: Contract, lake_uri: str, files: Iterable[LakeFile]) -> str:
    """SELECT over the given files with the contract's columns, in order and typed.

    Files of an older contract lack newer columns: those are read from `_rescued_data`, where the values were kept.
    No files give an empty relation of the same shape.

    Args:
        files: live bronze files; DuckDB opens only those that a filter on the partition columns leaves.
    """
    columns = list(sql_columns(contract))
    by_columns = groupby(sorted(files, key=lambda file: (file.columns, file.path)), key=lambda file: file.columns)
    parts = [_part(contract, lake_uri, json.loads(shape), list(group)) for shape, group in by_columns]
    if not parts:
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {_quote(name)}" for name, kind, _ in columns)
        return f"SELECT {empty} WHERE FALSE"
    return " UNION ALL ".join(parts)


def _part(contract: Contract, lake_uri: str, present: dict[str, str], files: list[LakeFile]) -> str:
    selected = [
        place if place == _place(name) else f"{place} AS {_quote(name)}"
        for name, _, place in column_queries(contract, present)
    ]
    paths = ", ".join("'" + f"{lake_uri}/{file.path}".replace("'", "''") + "'" for file in files)
    types = ", ".join(f"'{name}': DATE" for name in partitions(contract))
    return (
        f"SELECT {', '.join(selected)} FROM READ_PARQUET([{paths}], hive_partitioning = TRUE, "
        f"hive_types = {{{types}}}) AS bronze"
    )


def column_queries(contract: Contract, present: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """(name, SQL type, SQL over files named `bronze`) of every column of the bronze table, in its order.

    Args:
        present: the columns that the files have, name to SQL type, without those of the partitions.
    """
    hive = partitions(contract)
    declared = {column.name: column for column in contract.columns}
    for name, kind, _ in sql_columns(contract):
        if name in hive or present.get(name) == kind:
            yield name, kind, _place(name)
        else:
            yield name, kind, _evolved(declared[name], _place(name), name, present.get(name))


def _place(name: str) -> str:
    return f"bronze.{_quote(name)}"


def _evolved(column: Column, place: str, path: str, present: str | None) -> str:
    """A column as the contract of now types it, of files that an older contract wrote.

    Args:
        place: SQL of the column in the file.
        path: dotted path of the column, under which `_rescued_data` keeps what the older contract did not know.
        present: the column's SQL type in the file, None when the file lacks it.
    """
    kind = sql_type(column)
    if present is None:
        return _promoted(column, path, kind)
    if column.type != "struct" or column.repeated:
        return f"CAST({place} AS {kind})"
    from sqlglot.expressions import DataType  # a third of a second, only where a struct has changed

    members = {member.name: member.kind.sql("duckdb") for member in DataType.build(present, "duckdb").expressions}
    packed = ", ".join(
        f"{_quote(member.name)} := "
        + _evolved(member, f"{place}.{_quote(member.name)}", f"{path}.{member.name}", members.get(member.name))
        for member in column.fields
    )
    return f"CASE WHEN NOT {place} IS NULL THEN STRUCT_PACK({packed}) END"


def _promoted(column: Column, path: str, kind: str) -> str:
    """The value that a record had before the contract knew the column; NULL when it is not of the column's type."""
    field = f"'$.\"{path}\"'"
    if column.fields or column.repeated:
        return f"TRY_CAST(JSON_EXTRACT(bronze._rescued_data, {field}) AS {kind})"
    text = f"JSON_EXTRACT_STRING(bronze._rescued_data, {field})"
    if column.type == "timestamp":  # a plain cast would drop the offset
        return (
            f"CASE WHEN REGEXP_MATCHES({text}, '(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$') "
            f"THEN TRY_CAST({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' ELSE TRY_CAST({text} AS {kind}) END"
        )
    if column.type == "integer":  # a plain cast would round
        return f"CASE WHEN REGEXP_MATCHES({text}, '^-?[0-9]+$') THEN TRY_CAST({text} AS {kind}) END"
    return f"TRY_CAST({text} AS {kind})"


def _quote(name: str) -> str:
    return f'"{name}"'
