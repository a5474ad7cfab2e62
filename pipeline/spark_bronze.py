"""Bronze as Spark sees it: a view per feed over exactly the files that are live at one ledger position.

Spark reads folders, and a bronze folder also holds what must not be seen: files of loads that are not committed, files
that a crash left, files that compaction has replaced. So each feed gets an external table over its folders, with the
partitions that the ledger knows, and the view lets pass the live files alone, by name. Spark drops the others while it
lists the folders: they are never opened. A live file that is gone would be dropped as silently, so registration looks
for each of them first.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import sqlglot

from ingest.contract import Contract, contracts
from ingest.entry import LakeFile
from ingest.errors import DamagedLake
from ingest.ledger import Ledger
from ingest.schema import partitions, sql_columns
from ingest.settings import settings
from ingest.store import Store
from pipeline.bronze import POSITIONS, column_queries
from pipeline.damage import altered
from pipeline.spark import PARTITIONS_AT_ONCE, spark_type, spark_uri, text

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

FILES = "bronze_files"
"""Schema of the external tables. Nobody reads them but the views."""


def register(warehouse: EngineAdapter) -> None:
    """Makes the bronze of now visible in the warehouse: one view per feed, pinned by the names of its files.

    What is registered already stays: the cost is that of the partitions that came or went.

    Raises:
        ConfigError, RetriableError: the lake cannot be read.
        DamagedLake: a live file is missing, or not as the ledger says.
    """
    lake = Store(settings().lake_uri)
    for schema in ("bronze", FILES):
        warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    known = _registered(warehouse)
    positions, wanted = [], set()
    for contract in contracts().values():
        live = Ledger(lake, contract.feed).live()
        files = live.bronze_files()
        tables = _by_table(contract, lake.uri, files)
        wanted |= set(tables)
        query = feed_view(contract, tables)
        fingerprint = hashlib.sha256(query.encode()).hexdigest()
        if damaged := list(altered(lake, contract.feed, files)):
            raise DamagedLake(lake.uri, contract.feed, damaged)
        if known.get(contract.feed) != fingerprint:
            for table, held in tables.items():
                register_files(warehouse, table, contract, lake.uri, held)
            warehouse.execute(f"CREATE OR REPLACE VIEW {contract.table} AS {query}")
        row = f"SELECT '{contract.feed}' AS feed, CAST({live.position} AS BIGINT) AS position"
        positions.append(f"{row}, '{fingerprint}' AS fingerprint")
    if positions:
        warehouse.execute(f"CREATE OR REPLACE VIEW {POSITIONS} AS {' UNION ALL '.join(positions)}")
    for name in _tables(warehouse) - {table.split(".")[1] for table in wanted}:
        warehouse.execute(f"DROP TABLE {FILES}.{name}")


def register_files(
    warehouse: EngineAdapter, table: str, contract: Contract, lake_uri: str, files: Collection[LakeFile]
) -> None:
    """An external table over the folders of files of one shape, with just the partitions that hold a live one.

    MSCK REPAIR would list every folder of the feed on each run, and find folders that hold nothing live.
    """
    hive = partitions(contract)
    columns = [*json.loads(next(iter(files)).columns).items(), *((name, "DATE") for name in hive)]
    shown = ", ".join(f"`{name}` {spark_type(kind)}" for name, kind in columns)
    warehouse.execute(
        f"CREATE TABLE IF NOT EXISTS {table} ({shown}) USING PARQUET PARTITIONED BY ({', '.join(hive)}) "
        f"LOCATION {text(f'{spark_uri(lake_uri)}/bronze/{contract.feed}')}"
    )
    there = {row[0] for row in warehouse.fetchall(f"SHOW PARTITIONS {table}")}
    wanted = {"/".join(part for part in file.path.split("/")[2:-1]) for file in files}
    for verb, changed in (("ADD IF NOT EXISTS", wanted - there), ("DROP IF EXISTS", there - wanted)):
        specs = [_partition(name) for name in sorted(changed)]
        for first in range(0, len(specs), PARTITIONS_AT_ONCE):
            some = specs[first : first + PARTITIONS_AT_ONCE]
            warehouse.execute(f"ALTER TABLE {table} {verb} {(' ' if verb[0] == 'A' else ', ').join(some)}")
    warehouse.execute(f"REFRESH TABLE {table}")  # Spark remembers the files of a folder that it has listed


def _registered(warehouse: EngineAdapter) -> dict[str, str]:
    """Fingerprints of the views that stand, by feed."""
    if not warehouse.table_exists(POSITIONS):
        return {}
    return dict(warehouse.fetchall(f"SELECT feed, fingerprint FROM {POSITIONS}"))


def _tables(warehouse: EngineAdapter) -> set[str]:
    return {row[1] for row in warehouse.fetchall(f"SHOW TABLES IN {FILES}")}


def _by_table(contract: Contract, lake_uri: str, files: Iterable[LakeFile]) -> dict[str, list[LakeFile]]:
    """Files by the external table that shows them: one for each shape, since contracts evolve."""
    found = defaultdict(list)
    for file in files:
        key = hashlib.sha256(f"{lake_uri} {file.columns}".encode()).hexdigest()[:8]
        found[f"{FILES}.{contract.feed}_{key}"].append(file)
    return dict(sorted(found.items()))


def feed_view(contract: Contract, tables: dict[str, list[LakeFile]]) -> str:
    """SELECT over the live files with the contract's columns, in order and typed."""
    parts = []
    for table, files in tables.items():
        columns = column_queries(contract, json.loads(files[0].columns))
        names = ", ".join(sorted(text(file.path.rsplit("/", 1)[1]) for file in files))
        chosen = ", ".join(
            f"CAST({_spark(query)} AS {spark_type(kind)}) AS `{name}`" for (name, kind, query) in columns
        )
        parts.append(f"SELECT {chosen} FROM {table} AS bronze WHERE bronze._metadata.file_name IN ({names})")
    if parts:
        return " UNION ALL ".join(parts)
    empty = ", ".join(f"CAST(NULL AS {spark_type(kind)}) AS `{name}`" for name, kind, _ in sql_columns(contract))
    return f"SELECT {empty} WHERE FALSE"


def _spark(expression: str) -> str:
    return str(sqlglot.parse_one(expression, dialect="duckdb").sql("spark"))


def _partition(path: str) -> str:
    """`ingest_date=2025-01-02/event_date=2025-01-01` → `PARTITION (ingest_date = '2025-01-02', …)`."""
    pairs = (part.split("=", 1) for part in path.split("/"))
    return f"PARTITION ({', '.join(f'{name} = {text(value)}' for name, value in pairs)})"
