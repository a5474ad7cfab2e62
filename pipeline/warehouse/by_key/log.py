"""What the warehouse records about a table that is computed by key: positions of its sources, and which keys changed.

Both are written in the transaction that changes the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlglot import exp

from ingest.sql import identifier, identifiers

SCHEMA = "lakemesh"
_TABLES = f"{SCHEMA}.by_key"
KEPT = 100
"""Number of the last changes of a table whose keys are kept; who was computed before these is computed as a whole."""
UNKNOWN = -1


class UnknownChangesError(Exception):
    """What changed cannot be told from records, so the table is computed as a whole."""


@dataclass(frozen=True, slots=True)
class State:
    """A table as it was computed last.

    Attributes:
        definition: fingerprint of the model's own query and settings.
        positions: of its sources, by name.
        identity: of the last computation as a whole; a sequence counts within one.
        sequence: number of changes since.
        whole_ts, end_ts: end of the interval of that computation and of the last one, in ms since 1970.
        start_ts: start of the interval of the last computation, if that was by key; else UNKNOWN.
        audited: the number of the change up to which all audits have passed; UNKNOWN if none have since the last
            computation as a whole.
        forgotten, forgotten_ts: the number of the last change whose keys an erasure deleted, and the end of the last
            interval then; UNKNOWN if none did.
    """

    definition: str
    positions: Mapping[str, list[Any]]
    identity: str
    sequence: int
    whole_ts: int
    end_ts: int
    start_ts: int = UNKNOWN
    audited: int = UNKNOWN
    forgotten: int = UNKNOWN
    forgotten_ts: int = UNKNOWN

    @property
    def known_after(self) -> int:
        """The number of the change after which the keys of all changes are known."""
        return max(0, self.sequence - KEPT, self.forgotten)


def drop_others(cursor: Any, tables: Collection[str]) -> list[str]:
    """Forget all tables but these, which no model has.

    Args:
        tables: `schema.name` of those whose records stay.

    Returns:
        Names of the forgotten tables, or of what was left of their records.
    """
    query = (
        "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_catalog = CURRENT_CATALOG()"
    )
    cursor.execute(query, [SCHEMA])
    found = {name for (name,) in cursor.fetchall()}
    if "by_key" not in found:
        return []
    cursor.execute(f"SELECT name FROM {_TABLES}")
    names = {name for (name,) in cursor.fetchall()}
    names |= {f"{SCHEMA}.{name}" for name in found - {"by_key"} - {name.split(".", 1)[1] for name in {*names, *tables}}}
    gone = sorted(names - set(tables))
    for name in gone:
        Log(cursor, exp.to_table(name, dialect="duckdb")).drop()
    return gone


class Log:
    """The records about one physical table."""

    def __init__(self, cursor: Any, table: exp.Table) -> None:
        self._cursor = cursor
        self._name = f"{table.db}.{table.name}"
        self._table = table.sql("duckdb")
        self.keys = f"{SCHEMA}.{identifier(table.name)}"

    def read(self) -> State | None:
        """The state; None if the table was not computed by key yet, or by a version that records other things."""
        if not self._is_recorded():
            return None
        self._cursor.execute(f"SELECT state FROM {_TABLES} WHERE name = ?", [self._name])
        found = self._cursor.fetchone()
        return _state(found[0]) if found else None

    def _is_recorded(self) -> bool:
        """Whether any table is recorded."""
        self._cursor.execute(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = 'by_key'", [SCHEMA]
        )
        return self._cursor.fetchone() is not None

    def write(self, state: State) -> None:
        """Replace the state."""
        self._cursor.execute(f"INSERT OR REPLACE INTO {_TABLES} VALUES (?, ?)", [self._name, _json(state)])

    def begin(self, logged: Sequence[str]) -> None:
        """Forget the keys that changed, for a table that is computed as a whole."""
        self._cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        self._cursor.execute(f"CREATE TABLE IF NOT EXISTS {_TABLES} (name TEXT PRIMARY KEY, state TEXT)")
        self._cursor.execute(
            f"CREATE OR REPLACE TABLE {self.keys} AS SELECT 0::BIGINT AS _sequence, 0::BIGINT AS _end_ts, "
            f"TRUE AS _is_changed, {identifiers(logged)} FROM {self._table} WHERE FALSE"
        )

    def add(self, sequence: int, interval: tuple[int, int], logged: Sequence[str]) -> None:
        """Record the computed keys, and forget those of changes long ago.

        Those of the interval are kept, however many: it is computed and audited again until its audits pass.

        The keys are in the temporary table `changed_keys`, the rows that differ in `differing_rows`. Audits look at all
        of them: a key that should have rows, and has none, does not differ.
        """
        columns, key, (start_ts, end_ts) = identifiers(logged), identifier(logged[0]), interval
        self._cursor.execute(
            f"INSERT INTO {self.keys} SELECT DISTINCT {sequence}, {end_ts}, TRUE, {columns} FROM temp.differing_rows"
        )
        self._cursor.execute(
            f"INSERT INTO {self.keys} (_sequence, _end_ts, _is_changed, {key}) SELECT {sequence}, {end_ts}, FALSE, key "
            f"FROM (SELECT key FROM temp.changed_keys EXCEPT SELECT {key} FROM temp.differing_rows)"
        )
        self._cursor.execute(f"DELETE FROM {self.keys} WHERE _sequence <= {sequence - KEPT} AND _end_ts <= {start_ts}")

    def drop(self) -> None:
        """Forget the table."""
        if self._is_recorded():
            self._cursor.execute(f"DELETE FROM {_TABLES} WHERE name = ?", [self._name])
        self._cursor.execute(f"DROP TABLE IF EXISTS {self.keys}")

    def changed(self, key: str) -> Callable[[list[Any]], str]:
        """A function from a position to the query of the keys that changed since; it may raise UnknownChangesError.

        The position must be one since the last computation as a whole.
        """

        def since(position: list[Any]) -> str:
            state = self.read()
            sequence = int(position[2])
            if state is None or sequence < state.known_after:
                raise UnknownChangesError(self._name)
            changed = f"_is_changed AND _sequence > {sequence}"
            return f"SELECT DISTINCT {identifier(key)} AS key FROM {self.keys} WHERE {changed}"

        return since

    def condition(self, column: str, key: str, start_ts: int) -> str | None:
        """The condition that a column has a key that an audit of an interval must look at; None if any may be.

        For the interval that was computed last these are the keys computed since all audits passed, and otherwise, or
        where that is not known, the keys computed in the interval or after it.
        """
        state = self.read()
        if state is None:
            return None
        if start_ts == state.start_ts and state.audited >= state.known_after:
            changed = f"_sequence > {state.audited}"
        elif state.whole_ts > start_ts or state.forgotten_ts > start_ts:
            return None
        else:
            changed = f"_end_ts > {int(start_ts)}"
        return f"{column} IN (SELECT {identifier(key)} FROM {self.keys} WHERE {changed})"

    def forget_keys(self) -> None:
        """Delete the keys that changed until now, which may be those of an erased person.

        Who has seen all of these changes goes on from there; others compute the table as a whole.
        """
        state = self.read()
        if state is None:
            return
        self._cursor.execute("BEGIN")
        try:
            self._cursor.execute(f"DELETE FROM {self.keys}")
            self.write(replace(state, forgotten=state.sequence, forgotten_ts=state.end_ts))
        except BaseException:
            self._cursor.execute("ROLLBACK")
            raise
        self._cursor.execute("COMMIT")

    def mark_audited(self) -> None:
        """Record that all audits of the table, as it is now, have passed."""
        state = self.read()
        if state is not None and state.audited != state.sequence:
            self.write(replace(state, audited=state.sequence))


def _json(state: State) -> str:
    return json.dumps({item.name: getattr(state, item.name) for item in fields(state)})


def _state(text: str) -> State | None:
    """A recorded state; None if another version recorded other things."""
    later = ("start_ts", "audited", "forgotten", "forgotten_ts")
    stored = dict.fromkeys(later, UNKNOWN) | json.loads(text)
    return State(**stored) if stored.keys() == {item.name for item in fields(State)} else None
