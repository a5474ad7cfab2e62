"""Operations as data on Spark: external tables over ledger and quarantine, and views of them.

See pipeline/warehouse/operations.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import sqlglot

from ingest.contracts.contract import contracts
from ingest.ledger.first_seen import seen_without_objects
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import DISCARDED, OPEN
from ingest.ledger.sources import SINCE_2
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store
from pipeline.warehouse import pins
from pipeline.warehouse.live_windows import FOLDER, MEASURES, WITHOUT_MEMBERS, shown_files, typed, windows_query
from pipeline.warehouse.logged_objects import OBJECTS
from pipeline.warehouse.operations import (
    CONSTRAINT,
    QUARANTINE,
    RECORDED,
    empty_query,
    feeds_query,
    ranges_query,
    warnings_query,
)
from pipeline.warehouse.spark.session import spark_type, spark_uri, text
from pipeline.warehouse.spark.views import create_view, live, part_views

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

FILES = "operations_files"
_ENTRIES = {
    "action": "STRING",
    "load_id": "STRING",
    "source_file": "STRING",
    "etag": "STRING",
    "size": "BIGINT",
    "modified_at": "TIMESTAMP",
    "records": "BIGINT",
    "rows": "BIGINT",
    "quarantined": "BIGINT",
    **dict.fromkeys(SINCE_2, "BIGINT"),
    "event_dates": "ARRAY<STRUCT<event_date: DATE, rows: BIGINT>>",
}
_MOST_NAMES = 500
_SHOWN = {
    "kind": "STRING",
    "size_seconds": "INT",
    "started_at": "TIMESTAMP_NTZ",
    "business_date": "DATE",
    "dimension": "STRING",
    **dict.fromkeys(MEASURES, "BIGINT"),
    "net_amount": "DECIMAL(18, 6)",
    "sessions": "BIGINT",
    "purchase_sessions": "BIGINT",
    "definition": "STRING",
    "closed_at": "TIMESTAMP_NTZ",
}
_REJECTS = {
    "_source_file": "STRING",
    "_source_line": "BIGINT",
    "_ingested_at": "TIMESTAMP_NTZ",
    "reason": "STRING",
    "column": "STRING",
    "detail": "STRING",
}


def register(warehouse: EngineAdapter, lake: Store, lost: Collection[str] = ()) -> None:
    """Register feeds, ledger, quarantine, warnings, live windows and past cycles in the schema `operations`.

    Bronze must be registered before: warnings are those of its rows.

    Args:
        lost: feeds whose logs lack entries; their objects and quarantine are omitted.

    Raises:
        ConfigError, RetriableError: the lake cannot be read.
    """
    known = list(contracts().values())
    for schema in ("operations", FILES):
        warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    for name, columns in RECORDED.items():
        shown = ", ".join(f"`{column}` {spark_type(kind)}" for column, kind in columns.items())
        warehouse.execute(f"CREATE TABLE IF NOT EXISTS {name} ({shown}) USING PARQUET")
    objects: list[str] = []
    rejects: list[str] = []
    views: set[str] = set()
    for contract in known:
        ledger = Ledger(lake, contract.feed)
        if contract.feed in lost or not ledger.position():
            continue
        state = pins.live(lake, contract.feed)
        newest = ledger.live()
        objects.append(_objects(warehouse, contract.feed, f"{spark_uri(lake.uri)}/{ledger.prefix}", newest))
        objects += [_spark(ranges_query(contract.feed, newest))] if newest.ranges else []
        paths = sorted(state.files)
        for layer, is_discarded in ((OPEN, False), (DISCARDED, True)):
            names = [path for path in paths if path.startswith(layer)]
            if names:
                rejects += _rejects(warehouse, contract.feed, lake.uri, names, is_discarded)
    intact = (contract.feed for contract in known if contract.feed not in lost)
    seen = seen_without_objects(lake, intact, dt.datetime.now(dt.UTC))
    for name, parts in (
        ("feeds", [_spark(feeds_query(known, seen))]),
        ("objects", objects or [_spark(empty_query(OBJECTS))]),
        ("quarantine", rejects or [_spark(empty_query(QUARANTINE))]),
        ("warnings", [_spark(warnings_query([item for item in known if item.feed not in lost], lake))]),
        ("live_windows", list(_live_windows(warehouse, lake)) or [_spark(windows_query(lake))]),
    ):
        prefix = f"{FILES}.{name}_part"
        views |= set(part_views(prefix, parts))
        create_view(warehouse, f"operations.{name}", parts, prefix)
    for row in warehouse.fetchall(f"SHOW VIEWS IN {FILES}"):
        if f"{FILES}.{row[1]}" not in views:
            warehouse.execute(f"DROP VIEW {FILES}.{row[1]}")


def _objects(warehouse: EngineAdapter, feed: str, location: str, state: LedgerState) -> str:
    """Query of the objects in a feed's log; of a log with thousands of ranges only the entries that may have some."""
    number = "CAST(LEFT(entries._metadata.file_name, 20) AS BIGINT)"
    listed = f"AND {number} <= {state.ranges.since} " if state.ranges.since else ""
    if state.ranges.object_entries:
        named = ", ".join(map(str, state.ranges.object_entries))
        listed = f"AND ({number} <= {state.ranges.since} OR {number} IN ({named})) "
    table = f"{FILES}.ledger_{feed}"
    _external(warehouse, table, _ENTRIES, location)
    since_2 = ", ".join(f"COALESCE({name}, 0) AS {name}" for name in SINCE_2)  # entries of format 1 lack them
    return (
        f"SELECT '{feed}' AS feed, {number} AS position, load_id, "
        "source_file, etag, size, CAST(modified_at AS TIMESTAMP_NTZ) AS modified_at, records, rows, quarantined, "
        f"{since_2}, event_dates FROM {table} AS entries WHERE action = 'object' {listed}"
        "AND entries._metadata.file_name RLIKE '^[0-9]{20}[.]parquet$'"
    )


def _rejects(
    warehouse: EngineAdapter, feed: str, lake_uri: str, paths: Sequence[str], is_discarded: bool
) -> Iterator[str]:
    layer = paths[0].split("/", 1)[0]
    table = f"{FILES}.{layer}_{feed}"
    _external(warehouse, table, _REJECTS, f"{spark_uri(lake_uri)}/{layer}/{feed}")
    for names in live("rejected", [path.rsplit("/", 1)[1] for path in paths], 500):
        yield (
            f"SELECT '{feed}' AS feed, _source_file AS source_file, _source_line AS source_line, "
            f"_ingested_at AS ingested_at, reason, `column` AS column_path, {CONSTRAINT}, "
            f"{str(is_discarded).upper()} AS is_discarded FROM {table} AS rejected WHERE {names}"
        )


def _live_windows(warehouse: EngineAdapter, lake: Store) -> Iterator[str]:
    names = [key.rsplit("/", 1)[1] for key in shown_files(lake)]
    if not names:
        return
    table = f"{FILES}.live_windows"
    _external(warehouse, table, _SHOWN, f"{spark_uri(lake.uri)}/{FOLDER}")
    query = _spark(f"SELECT {typed()} FROM {table} AS shown WHERE {WITHOUT_MEMBERS}")
    for first in range(0, len(names), _MOST_NAMES):
        listed = ", ".join(map(text, names[first : first + _MOST_NAMES]))
        yield f"{query} AND shown._metadata.file_name IN ({listed})"


def _external(warehouse: EngineAdapter, table: str, columns: dict[str, str], location: str) -> None:
    """Recreate an external table over all files below a folder, which may have moved."""
    warehouse.execute(f"DROP TABLE IF EXISTS {table}")
    shown = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
    warehouse.execute(
        f"CREATE TABLE {table} ({shown}) USING PARQUET OPTIONS ('recursiveFileLookup' 'true') LOCATION {text(location)}"
    )


def _spark(query: str) -> str:
    return str(sqlglot.transpile(query, read="duckdb", write="spark")[0])
