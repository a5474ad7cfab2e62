"""The dates that a new ledger position changes, from bronze at the applied and the new position alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from ingest.contracts.contract import Contract, Kind
from ingest.contracts.schema import CHANGES
from ingest.ledger.ledger import Ledger
from ingest.ledger.state import LedgerState
from ingest.ledger.touched import Touched, touched
from ingest.sql import dotted, identifiers
from ingest.storage.store import Store
from pipeline.warehouse.bronze import bronze_query, readable
from pipeline.warehouse.changes import LAST_READ


@dataclass(frozen=True, slots=True)
class FeedChange:
    """The change of one feed since its applied position.

    Attributes:
        position: the new position.
        load_id: of the entry there; empty if nothing is new.
        changed: whether any row appeared or disappeared.
        dates: event dates of those rows; for an entity feed, the dates of facts that refer to an entity whose latest
            version differs, and the values of the date columns of those versions; the same for a change feed and each
            of its changes.
        affects_all_dates: whether any date may be affected: the log was rebuilt, a table was truncated, or an entity
            changed that has neither facts that refer to it nor date columns.
    """

    feed: str
    position: int
    changed: bool
    dates: frozenset[dt.date]
    affects_all_dates: bool = False
    load_id: str = ""


def feed_changes(
    lake: Store,
    contracts: Mapping[str, Contract],
    applied: Mapping[str, int],
    connection: duckdb.DuckDBPyConnection,
    positions: Mapping[str, int] | None = None,
) -> list[FeedChange]:
    """Return the change of each feed between its applied position and the newest one.

    Args:
        applied: applied positions by feed; a feed that is absent counts as 0.
        positions: newest positions of the feeds to compare, by default of all. A feed that is absent counts as lost:
            the dates of its facts are unknown.

    Raises:
        LostLedger: a ledger is shorter than its applied position.
    """
    if positions is None:
        positions = {feed: Ledger(lake, feed).position() for feed in contracts}
    ledgers = {feed: Ledger(lake, feed) for feed in positions}
    lost = contracts.keys() - positions.keys()
    if all(applied.get(feed, 0) == position for feed, position in positions.items()):
        return [FeedChange(feed, position, False, frozenset()) for feed, position in positions.items()]
    before = {feed: ledger.state(applied.get(feed, 0)) for feed, ledger in ledgers.items()}
    after: dict[str, LedgerState] = {}
    found: dict[str, Touched] = {}
    dates: dict[str, set[dt.date]] = {}
    for feed, ledger in ledgers.items():
        after[feed] = before[feed].copy()
        entries = ledger.entries(before[feed].position, positions[feed])
        found[feed] = touched(after[feed], entries)
        dates[feed] = set(found[feed].dates)
    changes = []
    known = {feed: readable(contracts[feed], lake, after[feed]) for feed in positions}
    for feed, contract in known.items():
        delta = found[feed]
        affects_all_dates = delta.begins
        if delta.changed and contract.kind is not Kind.EVENT:
            find = _changed_versions if contract.kind is Kind.ENTITY else _changed_history
            has_changed_versions = find(connection, lake.uri, contract, before[feed], after[feed])
            of_facts = _dates_of_facts(connection, lake.uri, known, feed, after, before)
            dates[feed] |= _own_dates(connection, contract) | (of_facts or set())
            has_no_dates = of_facts is None and not contract.dates
            is_marked = bool(contract.dates) and contract.kind is Kind.CHANGE and _marked_since(connection) is not None
            if has_changed_versions and (has_no_dates or lost & _referring(contracts, feed) or is_marked):
                affects_all_dates = True
        position, days = after[feed].position, frozenset(dates[feed])
        changes.append(FeedChange(feed, position, delta.changed, days, affects_all_dates, delta.load_id))
    return changes


def _referring(contracts: Mapping[str, Contract], feed: str) -> set[str]:
    """The feeds that refer to a feed, directly or indirectly."""
    found: set[str] = set()
    waiting = {feed}
    while waiting:
        adjacent = {name for name, item in contracts.items() if waiting & {other.feed for other in item.references}}
        waiting = adjacent - found
        found |= adjacent
    return found


def _own_dates(connection: duckdb.DuckDBPyConnection, contract: Contract) -> set[dt.date]:
    """The values of the date columns of an entity's changed versions, old and new."""
    found: set[dt.date] = set()
    for path in contract.dates:
        column = f"{dotted(path)}::DATE"
        rows = connection.execute(f"SELECT DISTINCT {column} FROM changed_versions WHERE {column} IS NOT NULL")
        found |= {day for (day,) in rows.fetchall()}
    return found


def _dates_of_facts(
    connection: duckdb.DuckDBPyConnection,
    lake_uri: str,
    contracts: Mapping[str, Contract],
    feed: str,
    after: Mapping[str, LedgerState],
    before: Mapping[str, LedgerState],
) -> set[dt.date] | None:
    """Dates of the facts that refer to a changed entity, directly or indirectly; None if no feed has such facts.

    The changed keys are in the temporary table `changed_keys`, with the date since which they changed.
    """
    found: set[dt.date] | None = None
    everyone = _marked_since(connection) if contracts[feed].kind is Kind.CHANGE else None
    waiting, seen = [(feed, "changed_keys")], {feed}
    while waiting:
        target, keys = waiting.pop()
        for other in contracts.values():
            for reference in other.references:
                if reference.feed != target:
                    continue
                if other.kind is Kind.EVENT:
                    query = bronze_query(other, lake_uri, after[other.feed].bronze_files())
                    found = (found or set()) | _fact_dates(connection, query, reference.column, keys, everyone)
                elif other.feed not in seen:
                    seen.add(other.feed)
                    files = {file.path: file for state in (before, after) for file in state[other.feed].bronze_files()}
                    query, path = bronze_query(other, lake_uri, files.values()), dotted(reference.column)
                    table, key = f"keys_of_{other.feed}", dotted(other.key[0])
                    connection.execute(
                        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT entities.{key} AS id, {_EARLIEST} "
                        f"FROM ({query}) AS entities INNER JOIN {keys} AS keys ON entities.{path} = keys.id "
                        f"GROUP BY entities.{key}"
                    )
                    waiting.append((other.feed, table))
    return found


def _changed_versions(
    connection: duckdb.DuckDBPyConnection,
    lake_uri: str,
    contract: Contract,
    before: LedgerState,
    after: LedgerState,
) -> bool:
    """Write the latest versions that differ between two ledger states, old and new, to `changed_versions`.

    The first column of their keys is written to `changed_keys`; both are temporary tables. Only keys in added or
    removed files can differ. If files were only added, all others are searched once: the later version of a key is
    either the earlier one or among the added.

    Returns:
        Whether any version differs.
    """
    added, removed = (
        [file for file in state.bronze_files() if file.path not in other.files]
        for state, other in ((after, before), (before, after))
    )
    keys = ", ".join(f"bronze.{dotted(path)}" for path in contract.key)
    moved_keys = ", ".join(f"bronze.{dotted(path)} AS key_{number}" for number, path in enumerate(contract.key))
    same = " AND ".join(f"bronze.{dotted(path)} = moved.key_{number}" for number, path in enumerate(contract.key))
    names = identifiers(column.name for column in contract.columns)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE moved AS SELECT DISTINCT {moved_keys} "
        f"FROM ({bronze_query(contract, lake_uri, [*added, *removed])}) AS bronze"
    )

    def latest(rows: str) -> str:
        return (
            f"SELECT bronze.* FROM ({rows}) AS bronze SEMI JOIN moved ON {same} "
            f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY {latest_first(contract)}) = 1"
        )

    earlier = latest(bronze_query(contract, lake_uri, before.bronze_files()))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE versions_before AS {earlier}")
    rows = f"SELECT * FROM ({bronze_query(contract, lake_uri, added)}) UNION ALL SELECT * FROM versions_before"
    later = latest(bronze_query(contract, lake_uri, after.bronze_files()) if removed else rows)
    was, is_now = (f"SELECT {names} FROM {found}" for found in ("versions_before", f"({later})"))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE changed_versions AS ({was} EXCEPT {is_now}) UNION ALL ({is_now} EXCEPT {was})"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE changed_keys AS "
        f"SELECT DISTINCT {dotted(contract.key[0])} AS id, NULL::DATE AS since FROM changed_versions"
    )
    return connection.execute("SELECT 1 FROM changed_versions LIMIT 1").fetchone() is not None


def _changed_history(
    connection: duckdb.DuckDBPyConnection,
    lake_uri: str,
    contract: Contract,
    before: LedgerState,
    after: LedgerState,
) -> bool:
    """Write the changes that only one of two ledger states has to `changed_versions`, and their keys to `changed_keys`.

    Every change counts, not only the latest of its key: each is a version in the key's history. A key has changed since
    the first of these, or since always if none that both states have came before, in the log and by its time.

    Returns:
        Whether there are any.
    """
    files = [{file.path: file for file in state.bronze_files()} for state in (before, after)]
    added, removed, kept = (
        bronze_query(contract, lake_uri, found)
        for found in (
            [file for path, file in files[1].items() if path not in files[0]],
            [file for path, file in files[0].items() if path not in files[1]],
            [file for path, file in files[0].items() if path in files[1]],
        )
    )
    names = identifiers([*(column.name for column in contract.columns), *CHANGES])
    came, went = (f"SELECT {names} FROM ({rows})" for rows in (added, removed))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE changed_versions AS ({came} EXCEPT {went}) UNION ALL ({went} EXCEPT {came})"
    )
    keys = [dotted(path) for path in contract.key]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE first_changes AS SELECT {', '.join(keys)}, MIN(_position) AS _first, "
        "MIN(_committed_at) AS _since FROM changed_versions WHERE _operation <> 'truncate' GROUP BY ALL"
    )
    same = " AND ".join(f"earlier.{key} = changed.{key}" for key in keys)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE changed_keys AS SELECT keys.id AS id, {_EARLIEST} FROM ("
        f"SELECT changed.{keys[0]} AS id, "
        f"CASE WHEN COUNT(earlier.{keys[0]}) > 0 THEN changed._since::DATE END AS since "
        f"FROM first_changes AS changed LEFT JOIN ({kept}) AS earlier ON {same} "
        "AND earlier._position < changed._first AND earlier._committed_at < changed._since "
        f"GROUP BY {', '.join(f'changed.{key}' for key in keys)}, changed._since) AS keys GROUP BY keys.id"
    )
    return connection.execute("SELECT 1 FROM changed_versions LIMIT 1").fetchone() is not None


_EARLIEST = "CASE WHEN COUNT(keys.since) = COUNT(*) THEN MIN(keys.since) END AS since"
"""The earliest of dates, where NULL is before all."""


def _marked_since(connection: duckdb.DuckDBPyConnection) -> dt.date | None:
    """The first date of a truncate or of a snapshot's end among `changed_versions`: each may end any key."""
    row = connection.execute(
        f"SELECT MIN(_committed_at)::DATE FROM changed_versions WHERE _operation = 'truncate' OR {LAST_READ}"
    ).fetchone()
    return row[0] if row else None


def latest_first(contract: Contract) -> str:
    """ORDER BY terms that put the latest version of a key first, independent of the order of arrival."""
    terms = [f"{dotted(path)} DESC NULLS LAST" for path in contract.latest_by]
    return ", ".join([*terms, *(f"{name} DESC" for name in ("_source_modified_at", "_source_file", "_source_line"))])


def _fact_dates(
    connection: duckdb.DuckDBPyConnection, facts: str, column: str, keys: str, everyone: dt.date | None
) -> set[dt.date]:
    """Dates of the facts of keys since these changed, and with `everyone` of the facts of all keys since that date."""
    rows = connection.execute(
        f"SELECT DISTINCT facts.event_date FROM ({facts}) AS facts INNER JOIN {keys} AS keys "
        f"ON facts.{dotted(column)} = keys.id AND facts.event_date >= COALESCE(keys.since, facts.event_date)"
        + (
            f" UNION SELECT DISTINCT facts.event_date FROM ({facts}) AS facts WHERE facts.event_date >= $1"
            * bool(everyone)
        ),
        [everyone] if everyone else [],
    ).fetchall()
    return {day for (day,) in rows}
