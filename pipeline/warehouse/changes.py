"""The SQL of histories: the versions of every key of a change feed, equal for every order in which changes arrive.

Within a key, changes are ordered by their place in the source's log, since a row lock makes a second writer wait until
the first has committed. Only snapshots need care: a transaction that was open while one was taken wrote its changes to
the log before the snapshot's position, and committed, and was streamed, after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.contracts.column import Column
from ingest.contracts.contract import Contract, Kind, contracts
from ingest.contracts.schema import sql_type
from ingest.errors import ConfigError
from ingest.sql import identifier, literal

ALWAYS = "1900-01-01"
"""Since when the first known version of a key holds, where nothing says when the row was created."""
LAST_READ = "_snapshot IN ('last', 'last_in_data_collection')"
"""SQL of whether a change is the last row that a snapshot reads of the table."""
_ENDS = "('delete', 'end')"
_ORDER = ("_place", "_rank", "_position", "_transaction_order")
_CHANGE = ("_operation", "_committed_at", "_source_modified_at", *_ORDER)
_RECEIVED = (
    "_source_modified_at",
    "_operation",
    "_position",
    "_transaction_order",
    "_previous_commit",
    "_snapshot",
    "_committed_at",
    "_unavailable",
)


def change_feeds() -> dict[str, Contract]:
    """Return the contracts of the project's change feeds, by feed.

    Raises:
        ConfigError: there are none, or a contract is invalid.
    """
    found = {contract.feed: contract for contract in contracts().values() if contract.kind is Kind.CHANGE}
    if not found:
        raise ConfigError("no contract is of kind change; expected one, or no model that calls the macros of histories")
    return found


def marks_query(feeds: Sequence[str]) -> str:
    """SELECT of truncates and complete snapshots of feeds: feed, mark, position, place, marked_at, known_at.

    A snapshot is complete once its last row is there.
    """
    found = []
    for feed in feeds:
        table = f"bronze.{identifier(feed)}"
        snapshots = (
            "SELECT changes._position AS position, MIN(changes._committed_at) AS marked_at, "
            "MIN(changes._source_modified_at) AS known_at "
            f"FROM {table} AS changes WHERE changes.{LAST_READ} GROUP BY changes._position"
        )
        found.append(
            f"SELECT {literal(feed)} AS feed, 'snapshot' AS mark, snapshots.position AS position, "
            f"snapshots.position AS place, snapshots.marked_at AS marked_at, "
            f"snapshots.known_at AS known_at FROM ({snapshots}) AS snapshots"
        )
        truncates = (
            "SELECT changes._position AS position, MIN(changes._previous_commit) AS previous_commit, "
            "MIN(changes._committed_at) AS marked_at, MIN(changes._source_modified_at) AS known_at "
            f"FROM {table} AS changes WHERE changes._operation = 'truncate' GROUP BY changes._position"
        )
        found.append(
            f"SELECT {literal(feed)} AS feed, 'truncate' AS mark, truncates.position AS position, "
            f"{_place('truncates.position', 'truncates.previous_commit', 'MAX(snapshots.position)')} AS place, "
            "truncates.marked_at AS marked_at, truncates.known_at AS known_at "
            f"FROM ({truncates}) AS truncates LEFT JOIN ({snapshots}) AS snapshots "
            "ON truncates.previous_commit IS NULL AND truncates.position < snapshots.position "
            "AND truncates.marked_at >= snapshots.marked_at "
            "GROUP BY truncates.position, truncates.previous_commit, truncates.marked_at, truncates.known_at"
        )
    return " UNION ALL ".join(found)


def versions_query(contract: Contract, marks: str) -> str:
    """SELECT of the versions of every key: the contract's columns, and columns that say when they held.

    These are valid_from, valid_to, is_deleted, changed_at and known_at.
    A version is valid from when its row was created, if the source says so, but changed when that was committed, unless
    a snapshot is the first to tell of it. It is known since the first object was written that has it or a later version
    of its key. Both ascend with valid_from.

    Args:
        marks: name of a table with the result of `marks_query` for at least this feed.
    """
    names = _Names(contract)
    feed = literal(contract.feed)
    ctes = {
        "marks_of_feed": (  # these alone, so that a mark of another feed changes nothing here
            "SELECT marks.mark AS mark, marks.position AS position, marks.place AS place, "
            f"marks.marked_at AS marked_at, marks.known_at AS known_at FROM {marks} AS marks WHERE marks.feed = {feed}"
        ),
        "received": (
            f"SELECT {names.all('changes')}, {names.of('changes', _RECEIVED)} "
            f"FROM bronze.{identifier(contract.feed)} AS changes WHERE changes._operation <> 'truncate'"
        ),
        "opened": (  # of the first transaction after a snapshot, the commit before it is not known
            "SELECT received._position AS _position, MAX(marks.position) AS _place FROM received AS received "
            "INNER JOIN marks_of_feed AS marks ON marks.mark = 'snapshot' "
            "AND received._position < marks.position AND received._committed_at >= marks.marked_at "
            "WHERE received._previous_commit IS NULL AND received._operation <> 'read' GROUP BY received._position"
        ),
        "placed": (
            f"SELECT {names.all('received')}, received._operation AS _operation, "
            "received._committed_at AS _committed_at, received._source_modified_at AS _source_modified_at, "
            "received._unavailable AS _unavailable, "
            + _place("received._position", "received._previous_commit", "opened._place")
            + " AS _place, "
            "CASE WHEN received._operation <> 'read' THEN 1 WHEN received._snapshot = 'incremental' THEN 2 ELSE 0 END "
            "AS _rank, received._position AS _position, received._transaction_order AS _transaction_order "
            "FROM received AS received LEFT JOIN opened AS opened ON received._position = opened._position "
            "AND received._previous_commit IS NULL AND received._operation <> 'read'"
        ),
        "known": f"SELECT {names.of('placed', names.key)}, MIN(placed._place) AS first_place "
        f"FROM placed AS placed GROUP BY {names.keys('placed')}",
        "ended": (  # keys that a truncate ended, or that a complete snapshot lacks
            f"SELECT {names.of('known', names.key)}, marks.marked_at AS _committed_at, "
            "marks.known_at AS _source_modified_at, marks.place AS _place, "
            "CASE WHEN marks.mark = 'snapshot' THEN 0 ELSE 1 END AS _rank, marks.position AS _position "
            "FROM known AS known INNER JOIN marks_of_feed AS marks ON known.first_place <= marks.place "
            f"LEFT JOIN placed AS reads ON {names.same('known', 'reads')} AND reads._operation = 'read' "
            "AND reads._position = CASE WHEN marks.mark = 'snapshot' THEN marks.position END "
            "WHERE reads._position IS NULL"
        ),
        "changes": (
            f"SELECT {names.all('placed')}, {names.of('placed', (*_CHANGE, '_unavailable'))} "
            f"FROM placed AS placed UNION ALL SELECT {names.typed('ended')}, 'end' AS _operation, "
            "ended._committed_at AS _committed_at, ended._source_modified_at AS _source_modified_at, "
            "ended._place AS _place, ended._rank AS _rank, "
            "ended._position AS _position, 0 AS _transaction_order, CAST(NULL AS TEXT[]) AS _unavailable "
            "FROM ended AS ended"
        ),
        "lacking": f"SELECT DISTINCT {names.of('changes', names.key)} FROM changes AS changes "
        "WHERE NOT changes._unavailable IS NULL",
        "filled": (  # a value that an update leaves out is the one before
            f"SELECT {names.all('changes')}, {names.of('changes', _CHANGE)} FROM changes AS changes "
            f"LEFT JOIN lacking AS lacking ON {names.same('changes', 'lacking')} "
            f"WHERE lacking.{identifier(names.key[0])} IS NULL UNION ALL SELECT "
            + ", ".join(_filled(column, names) for column in contract.columns)
            + f", {names.of('changes', _CHANGE)} FROM changes AS changes "
            f"INNER JOIN lacking AS lacking ON {names.same('changes', 'lacking')}"
        ),
        "compared": (  # a deleted row keeps its last values
            f"SELECT {names.of('filled', names.key)}, "
            + "".join(
                f"CASE WHEN filled._operation IN {_ENDS} AND NOT LAG(filled._operation) OVER "
                f"({names.window('filled')}) IS NULL THEN LAG(filled.{name}) OVER ({names.window('filled')}) "
                f"ELSE filled.{name} END AS {name}, "
                for name in names.others
            )
            + f"{names.of('filled', _CHANGE)}, LAG(filled._operation) OVER ({names.window('filled')}) AS _before, "
            f"LAG(filled._position) OVER ({names.window('filled')}) AS _position_before, "
            f"MIN(filled._source_modified_at) OVER ({names.window('filled')} "
            "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS _known_at, "
            + " AND ".join(
                [
                    "TRUE",  # a table may consist of its key
                    *(
                        f"NOT filled.{name} IS DISTINCT FROM LAG(filled.{name}) OVER ({names.window('filled')})"
                        for name in names.others
                    ),
                ]
            )
            + " AS _is_same FROM filled AS filled"
        ),
        "timed": (  # commit times are clocks, and may go backwards
            f"SELECT {names.all('compared')}, compared._operation AS _operation, MAX(compared._committed_at) OVER "
            f"({names.window('compared')} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS valid_from, "
            f"LEAD(compared._committed_at) OVER ({names.window('compared')}) AS next_at, "
            f"FIRST_VALUE(compared._operation) OVER ({names.window('compared')}) AS _first, "
            "compared._known_at AS _known_at FROM compared AS compared "
            f"WHERE CASE WHEN compared._before IS NULL THEN compared._operation <> 'end' "
            f"WHEN compared._operation IN {_ENDS} THEN NOT compared._before IN {_ENDS} "
            f"WHEN compared._operation = 'read' THEN compared._before IN {_ENDS} OR NOT compared._is_same "
            # delivered again
            "ELSE compared._operation <> compared._before OR compared._position <> compared._position_before END"
        ),
        "numbered": (  # of several changes at one time the last one counts
            f"SELECT {names.all('timed')}, timed._operation AS _operation, timed.valid_from AS valid_from, "
            f"CASE WHEN timed._operation IN {_ENDS} "  # what appeared and went at one time was never there
            f"THEN MIN(CASE WHEN NOT timed._operation IN {_ENDS} THEN timed.valid_from END) OVER "
            f"({names.periods('timed')} ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) "
            f"ELSE LEAD(timed.valid_from) OVER ({names.periods('timed')}) END AS valid_to, "
            f"LAG(timed._operation) OVER ({names.periods('timed')}) AS _before, timed._first AS _first, "
            "timed._known_at AS _known_at, "
            f"MIN(CASE WHEN NOT timed._operation IN {_ENDS} THEN timed.valid_from END) OVER "
            f"({names.periods('timed')} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS _seen_at "
            "FROM timed AS timed WHERE timed.next_at IS NULL OR timed.next_at > timed.valid_from"
        ),
    }
    created = f"numbered.{identifier(contract.created_at)}" if contract.created_at else ""
    since = f"CAST({literal(ALWAYS)} AS TIMESTAMP)"
    if created:
        since = (
            f"CASE WHEN {created} IS NULL THEN {since} WHEN {created} < numbered.valid_from THEN {created} "
            "ELSE numbered.valid_from END"
        )
    is_first = f"numbered._seen_at IS NULL AND NOT numbered._operation IN {_ENDS}"
    with_clause = ", ".join(f"{name} AS ({query})" for name, query in ctes.items())
    return (
        f"WITH {with_clause} SELECT {names.all('numbered')}, "
        f"CASE WHEN {is_first} AND (numbered._before IS NULL OR numbered._first = 'create') THEN {since} "
        "ELSE numbered.valid_from END AS valid_from, numbered.valid_to AS valid_to, "
        f"numbered._operation IN {_ENDS} AS is_deleted, "
        f"CASE WHEN {is_first} AND numbered._before IS NULL AND numbered._first = 'read' THEN {since} "
        "ELSE numbered.valid_from END AS changed_at, numbered._known_at AS known_at "
        f"FROM numbered AS numbered WHERE NOT numbered._operation IN {_ENDS} OR NOT numbered._before IN {_ENDS} "
        "OR (numbered._before IS NULL AND numbered._first <> 'create')"
    )


def _place(position: str, previous_commit: str, opened: str) -> str:
    """Where a change stands among snapshots: after the commit before its own."""
    after = f"COALESCE({opened}, {previous_commit})"
    return f"CASE WHEN {after} > {position} THEN {after} ELSE {position} END"


class _Names:
    """Lists of a feed's columns as they stand in SQL."""

    def __init__(self, contract: Contract) -> None:
        self.key = contract.key
        self._columns = contract.columns
        self.others = [identifier(column.name) for column in contract.columns if column.name not in contract.key]

    def of(self, table: str, columns: Sequence[str]) -> str:
        """Columns of a table under their own names."""
        return ", ".join(f"{table}.{identifier(name)} AS {identifier(name)}" for name in columns)

    def all(self, table: str) -> str:
        """The columns of the contract."""
        return self.of(table, [column.name for column in self._columns])

    def typed(self, table: str) -> str:
        """The columns of the contract, of a table that has only the key."""
        return ", ".join(
            f"{table}.{identifier(column.name)} AS {identifier(column.name)}"
            if column.name in self.key
            else f"CAST(NULL AS {sql_type(column)}) AS {identifier(column.name)}"
            for column in self._columns
        )

    def keys(self, table: str) -> str:
        """The key columns of a table."""
        return ", ".join(f"{table}.{identifier(name)}" for name in self.key)

    def same(self, one: str, other: str) -> str:
        """The condition that two tables' keys are equal."""
        return " AND ".join(f"{one}.{identifier(name)} = {other}.{identifier(name)}" for name in self.key)

    def periods(self, table: str) -> str:
        """The visible versions of a key in order."""
        return f"PARTITION BY {self.keys(table)} ORDER BY {table}.valid_from"

    def window(self, table: str) -> str:
        """The changes of a key in order."""
        return f"PARTITION BY {self.keys(table)} ORDER BY {', '.join(f'{table}.{name}' for name in _ORDER)}"


def _filled(column: Column, names: _Names) -> str:
    """A column whose value is the last known one where a change leaves it out."""
    name, value = identifier(column.name), f"changes.{identifier(column.name)}"
    is_stored_apart = column.name not in names.key and (
        column.repeated or column.type in ("string", "struct") or column.type.startswith("decimal")
    )
    if not is_stored_apart:  # Postgres never stores values of other types apart
        return f"{value} AS {name}"
    lacks = f"COALESCE(LIST_CONTAINS(changes._unavailable, {literal(column.name)}), FALSE)"
    # the struct tells a known NULL from an unknown value
    known = f"CASE WHEN NOT changes._operation IN {_ENDS} AND NOT {lacks} THEN {{'value': {value}}} END"
    return (
        f"CASE WHEN {lacks} THEN STRUCT_EXTRACT(LAST_VALUE({known} IGNORE NULLS) OVER ({names.window('changes')} "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), 'value') ELSE {value} END AS {name}"
    )
