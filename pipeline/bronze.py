"""Bronze as DuckDB sees it: a view per feed over exactly the files that are live at one ledger position."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby

from ingest.contract import Contract, contracts
from ingest.entry import LakeFile
from ingest.ledger import Ledger
from ingest.schema import partitions, sql_columns
from ingest.settings import settings
from ingest.store import Store
from pipeline.duck import lake_statements


def registration() -> list[str]:
    """Statements that make the bronze of now visible in the warehouse: one view per feed, pinned by its file list.

    Raises:
        ConfigError, RetriableError: the lake cannot be read.
    """
    lake_uri = settings().lake_uri
    lake = Store(lake_uri)
    statements = [*lake_statements(settings()), "CREATE SCHEMA IF NOT EXISTS bronze"]
    for contract in contracts().values():
        query = bronze_query(contract, lake_uri, Ledger(lake, contract.feed).live_files())
        statements.append(f"CREATE OR REPLACE VIEW {contract.table} AS {query}")
    return statements


def bronze_query(contract: Contract, lake_uri: str, files: Iterable[LakeFile]) -> str:
    """SELECT over the given files with the contract's columns, in order and typed.

    Files of an older contract lack newer columns: those are read from `_rescued_data`, where the values were kept.
    No files give an empty relation of the same shape.

    Args:
        files: live bronze files; DuckDB opens only those that a filter on the partition columns leaves.
    """
    columns = list(sql_columns(contract))
    by_columns = groupby(sorted(files, key=lambda file: (file.columns, file.path)), key=lambda file: file.columns)
    parts = [_part(contract, columns, lake_uri, json.loads(shape), list(group)) for shape, group in by_columns]
    if not parts:
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {_quote(name)}" for name, kind, _ in columns)
        return f"SELECT {empty} WHERE FALSE"
    return " UNION ALL ".join(parts)


def _part(
    contract: Contract,
    columns: list[tuple[str, str, str]],
    lake_uri: str,
    present: dict[str, str],
    files: list[LakeFile],
) -> str:
    hive = partitions(contract)
    selected = []
    for name, kind, _ in columns:
        if name in hive or present.get(name) == kind:
            selected.append(f"bronze.{_quote(name)}")
        elif name in present:
            selected.append(f"CAST(bronze.{_quote(name)} AS {kind}) AS {_quote(name)}")
        else:
            promoted = f"JSON_EXTRACT_STRING(bronze._rescued_data, '$.\"{name}\"')"
            selected.append(f"TRY_CAST({promoted} AS {kind}) AS {_quote(name)}")
    paths = ", ".join("'" + f"{lake_uri}/{file.path}".replace("'", "''") + "'" for file in files)
    types = ", ".join(f"'{name}': DATE" for name in hive)
    return (
        f"SELECT {', '.join(selected)} FROM READ_PARQUET([{paths}], hive_partitioning = TRUE, "
        f"hive_types = {{{types}}}) AS bronze"
    )


def _quote(name: str) -> str:
    return f'"{name}"'
