"""When persons were last active, as the lake knows it, and who was not since a date.

An event counts on its date, a change when the database committed it, and a version of an entity by the first of
`latest_by` that is a time, else when its object was written. What a snapshot reads again is no activity unless nothing
else is known. Identifiers that one record relates (`one_person`) share their activity.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

import duckdb

from ingest.contracts.column import Column
from ingest.contracts.contract import Contract, Kind
from ingest.ledger.ledger import Ledger
from ingest.sql import dotted, literal
from ingest.storage.store import Store
from pipeline.access.subjects import leads
from pipeline.process.duck import translate_errors
from pipeline.warehouse.bronze import bronze_query, readable

_TIMES = ("timestamp", "date")


def inactive(
    lake: Store, contracts: Mapping[str, Contract], connection: duckdb.DuckDBPyConnection, before: Mapping[str, dt.date]
) -> dict[str, dict[str, frozenset[str]]]:
    """Return the identifiers of persons whose last activity was before a feed's date, by feed and name.

    Args:
        contracts: of all feeds: activity in any of them counts.
        connection: that can read the lake.
        before: by feed; only identifiers in columns of that feed are returned.

    Raises:
        RetriableError: the lake cannot be read.
    """
    with translate_errors(lake.uri):
        connection.execute("CREATE OR REPLACE TEMP TABLE activity (name TEXT, value TEXT, day DATE)")
        connection.execute("CREATE OR REPLACE TEMP TABLE related (name TEXT, value TEXT, other TEXT, other_value TEXT)")
        for contract in contracts.values():
            state = Ledger(lake, contract.feed).live()
            files = state.bronze_files()
            if files:
                rows = bronze_query(readable(contract, lake, state), lake.uri, files)
                for statement in _statements(contract, rows):
                    connection.execute(statement)
        _spread(connection)
        return {feed: _inactive_in(connection, contracts[feed], day) for feed, day in before.items()}


def _statements(contract: Contract, rows: str) -> Iterator[str]:
    """What adds a feed's activity, and which of its identifiers are of one person."""
    own = {path: column for path, column in contract.identifiers().items() if not column.repeated}
    for path, column in own.items():
        value = dotted(path)
        yield (
            f"INSERT INTO activity SELECT {literal(column.identifies)}, {value}::TEXT, {_last(contract)} "
            f"FROM ({rows}) WHERE {value} IS NOT NULL GROUP BY ALL"
        )
    leading, together = leads(contract)
    for path, column in leading.items():
        for other, another in together.items():
            if other != path:
                yield (
                    f"INSERT INTO related SELECT DISTINCT {literal(column.identifies)}, {dotted(path)}::TEXT, "
                    f"{literal(another.identifies)}, {dotted(other)}::TEXT FROM ({rows}) "
                    f"WHERE {dotted(path)} IS NOT NULL AND {dotted(other)} IS NOT NULL"
                )


def _last(contract: Contract) -> str:
    """SQL of the date of the last activity among rows."""
    if contract.kind is Kind.EVENT:
        return "MAX(event_date)"
    if contract.kind is Kind.CHANGE:
        return "COALESCE(MAX(_committed_at) FILTER (WHERE _operation <> 'read'), MIN(_committed_at))::DATE"
    time = next((path for path in contract.latest_by if _is_time(contract.leaf(path))), "")
    return (
        f"MAX(COALESCE({dotted(time)}::TIMESTAMP, _source_modified_at))::DATE"
        if time
        else "MAX(_source_modified_at)::DATE"
    )


def _is_time(column: Column) -> bool:
    return column.type in _TIMES


def _spread(connection: duckdb.DuckDBPyConnection) -> None:
    """Give identifiers of one person the last activity of any of them."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE last_activity AS SELECT name, value, MAX(day) AS day FROM activity GROUP BY ALL"
    )
    while True:
        (moved,) = connection.execute(
            "UPDATE last_activity AS known SET day = found.day FROM ("
            "SELECT pair.other AS name, pair.other_value AS value, MAX(lead.day) AS day "
            "FROM related AS pair JOIN last_activity AS lead ON lead.name = pair.name AND lead.value = pair.value "
            "GROUP BY ALL) AS found "
            "WHERE found.name = known.name AND found.value = known.value AND found.day > known.day"
        ).fetchone() or (0,)
        if not moved:
            return


def _inactive_in(connection: duckdb.DuckDBPyConnection, contract: Contract, day: dt.date) -> dict[str, frozenset[str]]:
    found = {}
    for name in sorted({str(column.identifies) for column in contract.identifiers().values()}):
        rows = connection.execute("SELECT value FROM last_activity WHERE name = ? AND day < ?", [name, day]).fetchall()
        if rows:
            found[name] = frozenset(value for (value,) in rows)
    return found
