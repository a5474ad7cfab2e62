"""Bronze as DuckDB sees it: a view per feed over exactly the files that are live at one ledger position."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ingest import sql
from ingest.contracts.column import Column
from ingest.contracts.contract import Contract, Kind, contracts
from ingest.contracts.schema import partitions, sql_columns, sql_type
from ingest.errors import ContractRefused, LostLedger
from ingest.ledger.column_types import Types, file_types, is_wider, types_of
from ingest.ledger.evolution import as_loaded, check_compatible
from ingest.ledger.files import LakeFile
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store
from pipeline.warehouse import pins
from pipeline.warehouse.rescued import from_json

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

LOG = logging.getLogger(__name__)
FILE = "_file"
"""Name that no column of a contract has."""


def registration(warehouse: EngineAdapter, lake: Store, lost: Mapping[str, LostLedger]) -> list[str]:
    """Return the statements that register bronze in the warehouse: one view per feed, over the files that are live.

    They are live at the position of the cycle, or now, see pins.py.

    Args:
        lost: the errors of feeds whose ledgers lack entries. Their views stay unchanged: all rows that they show still
            exist.

    Raises:
        LostLedger: the ledger of such a feed lacks entries, and the warehouse has no view of the feed yet.
        ConfigError, RetriableError: the lake cannot be read.
    """
    statements = ["CREATE SCHEMA IF NOT EXISTS bronze"]
    positions = []
    shown = registered_positions(warehouse) if lost else {}
    for contract in contracts().values():
        if contract.feed in lost:
            position = retained_position(contract, shown, lost)
            positions.append(f"SELECT '{contract.feed}' AS feed, {position} AS position")
            continue
        live = pins.live(lake, contract.feed)
        query = bronze_query(readable(contract, lake, live), lake.uri, live.bronze_files())
        statements.append(f"CREATE OR REPLACE VIEW {contract.table} AS {query}")
        positions.append(f"SELECT '{contract.feed}' AS feed, {live.position} AS position")
    if positions:
        statements.append(f"CREATE OR REPLACE VIEW {POSITIONS} AS {' UNION ALL '.join(positions)}")
    return statements


def readable(contract: Contract, lake: Store, state: LedgerState) -> Contract:
    """The contract to read bronze by: the current one or, if it is refused, the one recorded in the ledger.

    A refused contract therefore changes nothing that readers see.
    """
    try:
        check_compatible(contract, lake, state)
    except ContractRefused:
        LOG.warning(
            "bronze of %s is read by the contract recorded in its ledger; `lake contracts` says why", contract.feed
        )
        return as_loaded(contract, state)
    return contract


def retained_position(contract: Contract, shown: Mapping[str, int], lost: Mapping[str, LostLedger]) -> int:
    """The position that the view of a feed whose log lacks entries continues to show.

    Raises:
        LostLedger: the feed has no view yet.
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


def bronze_query(contract: Contract, lake_uri: str, files: Iterable[LakeFile], with_names: bool = False) -> str:
    """SELECT over the given files with the contract's columns, in order and typed.

    Columns that files of an older contract lack are read from `_rescued_data`, which kept their values.
    Without files, the query returns an empty relation of the same schema.

    Args:
        contract: one that can read the files, see `readable`.
        files: live bronze files; DuckDB opens only those that pass a filter on the partition columns.
        with_names: whether there is a last column FILE, the address of the file that a row is in.
    """
    columns = list(sql_columns(contract))
    by_columns = groupby(sorted(files, key=lambda file: (file.columns, file.path)), key=lambda file: file.columns)
    parts = [_part(contract, lake_uri, shape, list(group), with_names) for shape, group in by_columns]
    if not parts:
        columns += [(FILE, "TEXT", "")] * with_names
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {sql.identifier(name)}" for name, kind, _ in columns)
        return f"SELECT {empty} WHERE FALSE"
    return " UNION ALL ".join(parts)


def _part(contract: Contract, lake_uri: str, shape: str, files: list[LakeFile], with_names: bool) -> str:
    selected = [
        source if source == _column(name) else f"{source} AS {sql.identifier(name)}"
        for name, _, source in column_queries(contract, shape)
    ]
    selected += [_column(FILE)] * with_names
    paths = sql.files(lake_uri, (file.path for file in files))
    types = ", ".join(f"'{name}': DATE" for name in partitions(contract))
    named = f", filename = '{FILE}'" * with_names
    return (
        f"SELECT {', '.join(selected)} FROM READ_PARQUET([{paths}], hive_partitioning = TRUE, "
        f"hive_types = {{{types}}}{named}) AS bronze"
    )


@dataclass(frozen=True, slots=True)
class JsonPaths:
    """An engine's syntax for JSON paths that are built per row.

    Paths without an index are written in DuckDB's syntax and transpiled with the rest of the query.

    Attributes:
        before, after: what encloses a key.
        first: index of the first element of a list.
    """

    before: str = '."'
    after: str = '"'
    first: int = 1


DUCKDB, SPARK = JsonPaths(), JsonPaths("[''", "'']", 0)


def column_queries(contract: Contract, columns: str, paths: JsonPaths = DUCKDB) -> Iterator[tuple[str, str, str]]:
    """(name, SQL type, SQL over files with the alias `bronze`) of every column of the bronze table, in order.

    Args:
        columns: the columns of the files, as recorded in the ledger.
        paths: of the engine that reads them.
    """
    present = json.loads(columns)
    hive = partitions(contract)
    declared = {column.name: column for column in contract.columns}
    evolved: _Evolved | None = None
    for name, kind, _ in sql_columns(contract):
        if name in hive or present.get(name) == kind:
            yield name, kind, _column(name)
        elif name not in declared:  # a column that parsing adds, and did not under an older contract or kind
            yield name, kind, f"CAST(NULL AS {kind})"
        else:
            evolved = evolved or _Evolved(contract, file_types(columns), paths)
            yield name, kind, evolved.column(declared[name], _column(name), name, [name])


def _column(name: str) -> str:
    return f"bronze.{sql.identifier(name)}"


_Key = list[str]
"""A key of `_rescued_data` in pieces: literal text, alternating with the SQL of an index."""


class _Evolved:
    """Columns of files that an older contract wrote, with the current contract's types."""

    def __init__(self, contract: Contract, before: Types, paths: JsonPaths) -> None:
        self._now, self._before, self._paths = types_of(contract), before, paths
        self._has_counts = contract.kind is Kind.CHANGE

    def column(self, column: Column, source: str, path: str, key: _Key) -> str:
        """SQL of one column or member.

        Args:
            source: its SQL in the file.
            path: dotted.
            key: the path with the index of each list, under which `_rescued_data` keeps values unknown to the older
                contract.
        """
        kind = sql_type(column)
        before = self._before.get(path)
        if before is None:
            return self._promoted(column, kind, key)
        if (column.type == "struct", column.repeated) != (before.base == "struct", before.repeated):
            return f"CAST(NULL AS {kind})"  # evolution allows this only if the files have no values
        if not column.fields:
            fits = is_wider(before.base, self._now[path].base)
            return f"CAST({source if fits else 'NULL'} AS {kind})"
        if not column.repeated:
            return f"CASE WHEN NOT {source} IS NULL THEN {self._packed(column, source, path, key)} END"
        item, index = f"item_{len(key)}", f"index_{len(key)}"
        number = f"({index} - {self._paths.first})" if self._paths.first else index
        inner = [*key[:-1], f"{key[-1]}[", number, "]"]
        packed = self._packed(column, item, path, inner)
        return f"LIST_TRANSFORM({source}, lambda {item}, {index}: CASE WHEN NOT {item} IS NULL THEN {packed} END)"

    def _packed(self, column: Column, source: str, path: str, key: _Key) -> str:
        members = (
            f"{sql.identifier(member.name)} := "
            + self.column(
                member,
                f"{source}.{sql.identifier(member.name)}",
                f"{path}.{member.name}",
                [*key[:-1], f"{key[-1]}.{member.name}"],
            )
            for member in column.fields
        )
        return f"STRUCT_PACK({', '.join(members)})"

    def _promoted(self, column: Column, kind: str, key: _Key) -> str:
        """The value that was rescued before the contract had the column; NULL if it is not of the column's type."""
        if len(key) == 1:
            path = f"'$.\"{key[0]}\"'"
        else:
            pieces = (piece if number % 2 else f"'{piece}'" for number, piece in enumerate(key))
            path = f"'${self._paths.before}' || {' || '.join(pieces)} || '{self._paths.after}'"
        value = from_json(column, "bronze._rescued_data", path, self._has_counts)
        return f"CAST({value} AS {kind})" if column.fields or column.repeated else value
