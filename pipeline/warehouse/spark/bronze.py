"""Bronze as Spark sees it: a view per feed over exactly the files that are live at one ledger position.

Spark reads folders, and a bronze folder also contains files that must not be visible: files of uncommitted loads,
orphans left by a crash, files replaced by compaction. So each feed gets an external table over its folders, and the
view selects only live files, by their load, which is the prefix of their names. A load writes all of its files before
it commits and none after, so once it is committed its existing files that are not live are known, and the view excludes
them by name. Spark skips excluded files while it lists the folders, and never opens them. It would skip a missing live
file just as silently, so registration first checks that each one exists.

The metastore has no partitions of these tables: adding many takes minutes, one by one or with MSCK REPAIR TABLE
(benchmarks/README.md). A session lists the folders once, on S3 with one request per thousand files.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import sqlglot

from ingest.contracts.contract import Contract, contracts
from ingest.contracts.schema import partitions, sql_columns
from ingest.errors import ConfigError, DamagedLake, LostLedger
from ingest.ledger.files import LakeFile
from ingest.storage.store import Store
from pipeline.warehouse import pins
from pipeline.warehouse.bronze import (
    POSITIONS,
    SPARK,
    column_queries,
    readable,
    registered_positions,
    retained_position,
)
from pipeline.warehouse.damage import altered
from pipeline.warehouse.spark.session import spark_type, spark_uri, text
from pipeline.warehouse.spark.views import create_view, drop_unused, live_by_load, part_views

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

FILES = "bronze_files"
"""Schema of the external tables. Only the views read them."""
_IN_METASTORE = "spark.sql.hive.manageFilesourcePartitions"


def register(warehouse: EngineAdapter, lake: Store, lost: Mapping[str, LostLedger]) -> None:
    """Register current bronze in the warehouse: one view per feed, pinned by its loads.

    Views that are already up to date are not replaced.

    Args:
        lost: feeds whose logs lack entries. Their views stay unchanged, since all rows that they show still exist.

    Raises:
        LostLedger: the log of a feed lacks entries, and the warehouse has no view of it yet.
        ConfigError, RetriableError: the lake cannot be read.
        DamagedLake: a live file is missing, or has another size than in the ledger.
    """
    for schema in ("bronze", FILES):
        warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    known = _registered(warehouse)
    positions, wanted = [], set()
    shown = registered_positions(warehouse) if lost else {}
    for contract in contracts().values():
        if contract.feed in lost:
            position = retained_position(contract, shown, lost)
            row = f"SELECT '{contract.feed}' AS feed, CAST({position} AS BIGINT) AS position"
            positions.append(f"{row}, '{known[contract.feed]}' AS fingerprint")
            continue
        state = pins.live(lake, contract.feed)
        files = state.bronze_files()
        found = list(lake.list(f"bronze/{contract.feed}"))  # after the ledger was read, so that its loads are complete
        if damaged := list(altered(files, found)):
            raise DamagedLake(lake.uri, contract.feed, damaged)
        contract = readable(contract, lake, state)
        tables = by_table(contract, lake.uri, files)
        parts = parts_of(contract, tables, [item.key for item in found])
        fingerprint = hashlib.sha256("".join(parts).encode()).hexdigest()
        wanted |= {*tables, *part_views(f"{FILES}.{contract.feed}", parts)}
        if known.get(contract.feed) != fingerprint:
            for table, live in tables.items():
                register_files(warehouse, table, contract, lake.uri, json.loads(live[0].columns))
            create_view(warehouse, contract.table, parts, f"{FILES}.{contract.feed}")
        row = f"SELECT '{contract.feed}' AS feed, CAST({state.position} AS BIGINT) AS position"
        positions.append(f"{row}, '{fingerprint}' AS fingerprint")
    if positions:
        warehouse.execute(f"CREATE OR REPLACE VIEW {POSITIONS} AS {' UNION ALL '.join(positions)}")
    if not lost:  # views of lost feeds need tables that `wanted` does not contain
        drop_unused(warehouse, FILES, wanted)


def register_files(
    warehouse: EngineAdapter, table: str, contract: Contract, lake_uri: str, columns: Mapping[str, str]
) -> None:
    """Create an external table over the feed's folders, for its files of one schema.

    Args:
        columns: that schema, name to SQL type, without the partition columns.

    Raises:
        ConfigError: Spark cannot read from S3.
    """
    hive = partitions(contract)
    typed = [*columns.items(), *((name, "DATE") for name in hive)]
    shown = ", ".join(f"`{name}` {spark_type(kind)}" for name, kind in typed)
    warehouse.execute(f"SET {_IN_METASTORE} = false")  # a table keeps the value it was created with
    try:
        warehouse.execute(
            f"CREATE TABLE IF NOT EXISTS {table} ({shown}) USING PARQUET PARTITIONED BY ({', '.join(hive)}) "
            f"LOCATION {text(f'{spark_uri(lake_uri)}/bronze/{contract.feed}')}"
        )
    except Exception as error:  # a Java exception wrapped in several layers, identifiable only by its text
        if "S3AFileSystem not found" not in str(error):
            raise
        raise ConfigError(
            f"{lake_uri}: this Spark cannot read from S3, because hadoop-aws is missing. Set "
            "PYSPARK_SUBMIT_ARGS='--packages org.apache.hadoop:hadoop-aws:3.3.4', see docs/spark.md"
        ) from error
    finally:
        warehouse.execute(f"SET {_IN_METASTORE} = true")
    warehouse.execute(f"REFRESH TABLE {table}")  # Spark caches folder listings


def _registered(warehouse: EngineAdapter) -> dict[str, str]:
    """Fingerprints of the existing views, by feed."""
    if not warehouse.table_exists(POSITIONS):
        return {}
    return dict(warehouse.fetchall(f"SELECT feed, fingerprint FROM {POSITIONS}"))


def by_table(contract: Contract, lake_uri: str, files: Iterable[LakeFile]) -> dict[str, list[LakeFile]]:
    """Files by external table: one table per schema of the files, since contracts evolve."""
    found = defaultdict(list)
    for file in files:
        key = hashlib.sha256(f"{lake_uri} {file.columns}".encode()).hexdigest()[:8]
        found[f"{FILES}.{contract.feed}_{key}"].append(file)
    return dict(sorted(found.items()))


def parts_of(contract: Contract, tables: Mapping[str, Sequence[LakeFile]], found: Iterable[str]) -> list[str]:
    """SELECTs over the live files with the contract's columns, in order and typed; their union is the feed.

    Args:
        tables: live files by external table.
        found: paths of all files in the feed's folders, live or not.
    """
    parts = []
    others = {_name(path) for path in found}.difference(_name(file.path) for files in tables.values() for file in files)
    for table, files in tables.items():
        columns = column_queries(contract, files[0].columns, SPARK)
        chosen = ", ".join(
            f"CAST({_spark(query)} AS {spark_type(kind)}) AS `{name}`" for (name, kind, query) in columns
        )
        query = f"SELECT {chosen} FROM {table} AS bronze"
        elsewhere = {_name(file.path) for shown, some in tables.items() if shown != table for file in some}
        names = [_name(file.path) for file in files]
        parts += [f"{query} WHERE {named}" for named in live_by_load("bronze", names, others | elsewhere, len(query))]
    if not parts:
        empty = ", ".join(f"CAST(NULL AS {spark_type(kind)}) AS `{name}`" for name, kind, _ in sql_columns(contract))
        return [f"SELECT {empty} WHERE FALSE"]
    return parts


def _name(path: str) -> str:
    return path.rsplit("/", 1)[1]


def _spark(expression: str) -> str:
    return str(sqlglot.parse_one(expression, dialect="duckdb").sql("spark"))
