"""Operations as data: Lakemesh's records of its own work, which models (models/ops) read like any other source."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ingest import sql
from ingest.contracts.constraint import VIOLATED
from ingest.contracts.contract import Contract, contracts
from ingest.contracts.schema import WARNINGS as WARNED
from ingest.contracts.schema import extra_columns
from ingest.ledger.evolution import as_loaded
from ingest.ledger.first_seen import seen_without_objects
from ingest.ledger.quarantine import DISCARDED, OPEN
from ingest.ledger.sources import TOPIC_PREFIX, OffsetRange
from ingest.ledger.state import LedgerState
from ingest.sql import literal
from ingest.storage.store import Store
from pipeline.warehouse import logged_objects, pins
from pipeline.warehouse.live_windows import windows_query
from pipeline.warehouse.logged_objects import OBJECTS

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

RUNS = {
    "run_id": "TEXT",
    "started_at": "TIMESTAMP",
    "outcome": "TEXT",
    "exit_code": "BIGINT",
    "state": "BIGINT",
    "loads": "BIGINT",
    "rows": "BIGINT",
    "computed_dates": "BIGINT",
    "seconds": "DOUBLE",
    "errors": "TEXT",
}
AUDITS = {"run_id": "TEXT", "audit": "TEXT", "scope": "TEXT", "rows": "BIGINT", "is_blocking": "BOOLEAN"}
USAGE = {
    "run_id": "TEXT",
    "ended_at": "TIMESTAMP",
    "kind": "TEXT",
    "item": "TEXT",
    "price": "TEXT",
    "quantity": "DOUBLE",
}
RECORDED = {"operations.runs": RUNS, "operations.audits": AUDITS, "operations.usage": USAGE}
"""What the warehouse records of past cycles: the lake does not have it, so a rebuild does not bring it back."""
QUARANTINE = {
    "feed": "TEXT",
    "source_file": "TEXT",
    "source_line": "BIGINT",
    "ingested_at": "TIMESTAMP",
    "reason": "TEXT",
    "column_path": "TEXT",
    "constraint_name": "TEXT",
    "is_discarded": "BOOLEAN",
}
WARNINGS = {"feed": "TEXT", "source_file": "TEXT", "source_line": "BIGINT", "constraint_name": "TEXT"}
ERASED = "removed by an erasure"
"""Instead of the texts of errors, which may quote values of records."""
CONSTRAINT = f"CASE WHEN reason = {literal(VIOLATED)} THEN SPLIT_PART(detail, ':', 1) END AS constraint_name"
"""SQL of the constraint that rejected a record, over the quarantine's files."""


def registration(warehouse: EngineAdapter, lake: Store, lost: Collection[str] = ()) -> list[str]:
    """Statements that register feeds, ledger, quarantine, warnings, live windows and past cycles in `operations`.

    Bronze must be registered before: warnings are those of its rows.

    Args:
        lost: feeds whose logs lack entries; their objects and quarantine are omitted.

    Raises:
        ConfigError, RetriableError: the lake cannot be read.
    """
    known = list(contracts().values())
    intact = [contract for contract in known if contract.feed not in lost]
    states = {contract.feed: pins.live(lake, contract.feed) for contract in intact}
    empty = [feed for feed, state in states.items() if not state.position]
    seen = seen_without_objects(lake, empty, dt.datetime.now(dt.UTC))
    ranges = [ranges_query(feed, state) for feed, state in states.items() if state.ranges]
    return [
        "CREATE SCHEMA IF NOT EXISTS operations",
        *(f"CREATE TABLE IF NOT EXISTS {name} ({_typed(columns)})" for name, columns in RECORDED.items()),
        f"CREATE OR REPLACE VIEW operations.feeds AS {feeds_query(known, seen)}",
        *logged_objects.registration(warehouse, lake, states),
        f"CREATE OR REPLACE VIEW operations.objects AS {' UNION ALL '.join([logged_objects.query(states), *ranges])}",
        f"CREATE OR REPLACE VIEW operations.quarantine AS {_quarantine(intact, lake)}",
        f"CREATE OR REPLACE VIEW operations.warnings AS {warnings_query(intact, lake)}",
        f"CREATE OR REPLACE VIEW operations.live_windows AS {windows_query(lake)}",
    ]


def feeds_query(known: list[Contract], seen: Mapping[str, dt.datetime]) -> str:
    """The contracts as a relation.

    Args:
        seen: when each feed without objects was first seen.
    """
    rows = (
        f"('{item.feed}', '{item.domain}', '{item.kind}', {literal(item.owner)}, {item.freshness_seconds}, "
        f"{item.max_quarantined_share}, CAST({_time(seen.get(item.feed))} AS TIMESTAMP))"
        for item in known
    )
    names = "feed, domain, kind, owner, freshness_seconds, max_quarantined_share, first_seen_at"
    return f"SELECT * FROM (VALUES {', '.join(rows)}) AS feeds({names})"


def ranges_query(feed: str, state: LedgerState) -> str:
    """Query of what was read of topics as rows of OBJECTS: one per topic and UTC date of the commits.

    A stream commits thousands of ranges a day; one by one they would be more than the rows of many a feed.
    """
    days: dict[tuple[str, str, dt.date], list[OffsetRange]] = {}
    for spans in state.ranges.days.values():
        for day, span in spans.items():
            days.setdefault((span.topic, span.etag, day), []).append(span)
    rows = []
    for (topic, etag, day), spans_of_day in sorted(days.items()):
        events: Counter[dt.date] = Counter()
        for span in spans_of_day:
            events.update(dict(span.event_dates))
        newest = max(span.modified_at for span in spans_of_day)
        dates = ", ".join(f"{{'event_date': DATE '{date}', 'rows': {count}}}" for date, count in sorted(events.items()))
        values = {
            "feed": literal(feed),
            "position": str(state.position),
            "load_id": literal(f"{day:%Y%m%d}T000000-joined"),
            "source_file": literal(f"{TOPIC_PREFIX}{topic} of {day}"),
            "etag": literal(etag),
            "modified_at": _time(newest),
            "event_dates": f"[{dates}]",
        }
        values |= {name: str(sum(getattr(span, name) for span in spans_of_day)) for name in OBJECTS.keys() - values}
        rows.append(
            "SELECT " + ", ".join(f"CAST({values[name]} AS {kind}) AS {name}" for name, kind in OBJECTS.items())
        )
    return " UNION ALL ".join(rows)


def _quarantine(known: list[Contract], lake: Store) -> str:
    parts = []
    for contract in known:
        files = sorted(pins.live(lake, contract.feed).files)
        for layer, is_discarded in ((OPEN, "FALSE"), (DISCARDED, "TRUE")):
            paths = [path for path in files if path.startswith(layer)]
            if paths:
                parts.append(
                    f"SELECT '{contract.feed}' AS feed, _source_file AS source_file, _source_line AS source_line, "
                    f'_ingested_at AS ingested_at, reason, "column" AS column_path, {CONSTRAINT}, '
                    f"{is_discarded} AS is_discarded FROM READ_PARQUET([{sql.files(lake.uri, paths)}], "
                    "hive_partitioning = FALSE) AS rejected"
                )
    return " UNION ALL ".join(parts) or empty_query(QUARANTINE)


def warnings_query(known: Collection[Contract], lake: Store) -> str:
    """Query of the rows of bronze that violate constraints with policy warn, one row per row and constraint.

    Args:
        known: feeds whose logs are intact.
    """
    parts = []
    for contract in known:
        live = pins.live(lake, contract.feed)
        if live.contract and all(WARNED in extra_columns(item) for item in (contract, as_loaded(contract, live))):
            parts.append(
                f"SELECT '{contract.feed}' AS feed, _source_file AS source_file, _source_line AS source_line, "
                f"UNNEST({WARNED}) AS constraint_name FROM {contract.table} AS bronze "
                f"WHERE NOT {WARNED} IS NULL"
            )
    return " UNION ALL ".join(parts) or empty_query(WARNINGS)


def empty_query(columns: Mapping[str, str]) -> str:
    """Query of an empty relation."""
    return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {name}' for name, kind in columns.items())} WHERE FALSE"


def _typed(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def _time(at: dt.datetime | None) -> str:
    return literal(f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}") if at else "NULL"
