"""Computes a table by key: the rows of the keys that changed, with the positions of its sources, in one transaction."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import duckdb
from sqlglot import exp

from ingest.sql import identifier, identifiers
from pipeline.warehouse.by_key.definition import ByKey
from pipeline.warehouse.by_key.log import Log, State, UnknownChangesError
from pipeline.warehouse.by_key.sources import Source, follows_from, narrowed

CHANGED_KEYS = "temp.changed_keys"
DAY_MS = 86_400_000
MANY_KEYS = 100_000
"""From so many changed keys on, half of all of a table, computing it as a whole costs less."""


@dataclass(frozen=True, slots=True)
class Table:
    """A physical table of a model of the kind `by_key`.

    Attributes:
        cursor: on the warehouse.
        table: its physical name.
        columns: of the table, in order.
        declared: by the model.
        definition: fingerprint of the model's own query and settings, without values of the time of computation.
    """

    cursor: Any
    table: exp.Table
    columns: Sequence[str]
    declared: ByKey
    definition: str

    def compute(
        self, query: exp.Query, sources: Sequence[Source], interval: tuple[int, int], replace_all: Callable[[], None]
    ) -> None:
        """Compute the keys that changed since the last computation, or everything where that is not known.

        Args:
            query: all rows, over the physical tables.
            sources: what it reads.
            interval: to be computed, in ms since 1970. One that begins before the last day is computed again on
                request, and so as a whole.
            replace_all: replaces the rows of the table by those of the query.
        """
        log = Log(self.cursor, self.table)
        state, positions = log.read(), {source.name: source.position for source in sources}
        definition = hashlib.sha256(f"{self.definition} {query.sql('duckdb')}".encode()).hexdigest()
        start_ts, end_ts = interval
        newest = max(end_ts, state.end_ts) if state else end_ts
        try:
            if state is None or state.definition != definition or start_ts < state.end_ts - DAY_MS:
                raise UnknownChangesError(self.table.name)
            if not follows_from(query, sources):
                raise UnknownChangesError(self.table.name)
            self._find_keys(state, sources, query)
        except duckdb.InterruptException:
            raise
        except (UnknownChangesError, duckdb.Error):  # such as a file that maintenance has deleted since
            with self._transaction():
                replace_all()
                log.begin(self.declared.logged)
                log.write(State(definition, positions, uuid.uuid4().hex, 0, newest, newest))
            return
        with self._transaction():
            sequence = state.sequence
            if self._has_keys():
                sequence += 1
                self._find_differing_rows(narrowed(query, sources, self.declared.key, CHANGED_KEYS))
                key, columns = identifier(self.declared.key), identifiers(self.columns)
                differing = f"WHERE {key} IN (SELECT {key} FROM differing_rows)"
                self.cursor.execute(f"DELETE FROM {self._name} {differing}")
                fresh = f"SELECT {columns} FROM fresh_rows {differing}"
                self.cursor.execute(f"INSERT INTO {self._name} ({columns}) {fresh}")
                log.add(sequence, interval, self.declared.logged)
            done = replace(state, positions=positions, sequence=sequence, end_ts=newest, start_ts=start_ts)
            log.write(done)

    @property
    def _name(self) -> str:
        name: str = self.table.sql("duckdb")
        return name

    def _find_keys(self, state: State, sources: Sequence[Source], query: exp.Query) -> None:
        """Collect the keys that changed in the temporary table `changed_keys`.

        Raises:
            UnknownChangesError: any key may have changed, or so many did, or NULL, which no condition on keys selects,
                did and has rows.
            duckdb.Error: what changed cannot be read.
        """
        changed = [found for source in sources if (found := source.changed(state.positions.get(source.name)))]
        none = f"SELECT {identifier(self.declared.key)} AS key FROM {self._name} WHERE FALSE"
        keys = " UNION ALL ".join([none, *(f"SELECT key FROM ({since})" for since in changed)])
        self.cursor.execute(f"CREATE OR REPLACE TEMP TABLE changed_keys AS SELECT DISTINCT key FROM ({keys})")
        count, known = self.cursor.execute(f"SELECT COUNT(*), COUNT(key) FROM {CHANGED_KEYS}").fetchone()
        if count > known:
            if self._has_rows_without_key(query, sources):
                raise UnknownChangesError(self.table.name)
            self.cursor.execute(f"DELETE FROM {CHANGED_KEYS} WHERE key IS NULL")
            count = known
        if count >= MANY_KEYS:
            (rows,) = self.cursor.execute(f"SELECT COUNT(*) FROM {self._name}").fetchone()
            if 2 * count > rows:
                raise UnknownChangesError(self.table.name)

    def _has_rows_without_key(self, query: exp.Query, sources: Sequence[Source]) -> bool:
        """Whether rows of the table, or of its query, have NULL as key."""
        key = self.declared.key
        fresh = narrowed(query, sources, key, None).sql("duckdb", copy=False)
        stored = f"SELECT 1 FROM {self._name} WHERE {identifier(key)} IS NULL"
        found = self.cursor.execute(f"SELECT 1 FROM ({fresh}) UNION ALL ({stored}) LIMIT 1").fetchone()
        return found is not None

    def _has_keys(self) -> bool:
        return self.cursor.execute(f"SELECT 1 FROM {CHANGED_KEYS} LIMIT 1").fetchone() is not None

    def _find_differing_rows(self, query: exp.Query) -> None:
        """Compute `fresh_rows` of the changed keys, and `differing_rows`, theirs and the table's that differ."""
        key, columns = identifier(self.declared.key), identifiers(self.columns)
        fresh = f"SELECT {columns} FROM fresh_rows"
        stale = f"SELECT {columns} FROM {self._name} WHERE {key} IN (SELECT key FROM {CHANGED_KEYS})"
        rows = query.sql("duckdb", copy=False)  # it is used for nothing else
        self.cursor.execute(f"CREATE OR REPLACE TEMP TABLE fresh_rows AS SELECT {columns} FROM ({rows})")
        self.cursor.execute(
            "CREATE OR REPLACE TEMP TABLE differing_rows AS "
            f"({fresh} EXCEPT ALL {stale}) UNION ALL ({stale} EXCEPT ALL {fresh})"
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.cursor.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.cursor.execute("ROLLBACK")
            raise
        self.cursor.execute("COMMIT")
