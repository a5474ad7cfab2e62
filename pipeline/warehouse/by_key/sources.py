"""Which keys of what a table reads have changed since it was computed: from the ledger, and from the logs of tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp
from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot

from ingest.contracts.contract import Contract
from ingest.errors import ConfigError, LakemeshError
from ingest.ledger.entry import Entry
from ingest.ledger.ledger import Ledger
from ingest.sql import identifier, literal
from ingest.storage.store import Store
from pipeline.warehouse.bronze import POSITIONS, bronze_query, readable
from pipeline.warehouse.by_key.definition import ByKey, by_key
from pipeline.warehouse.by_key.log import Log, UnknownChangesError
from pipeline.warehouse.by_key.through import leads_of, led_by
from pipeline.warehouse.timeless import is_other_each_time

Position = list[Any]
"""A source as a table was computed from it; of JSON's types."""
BRONZE = "bronze."


@dataclass(frozen=True, slots=True)
class Source:
    """A table that a model reads.

    Attributes:
        table: its physical name.
        is_narrowed: whether it has the key, so that rows of other keys need not be read.
        position: as it is now.
    """

    table: exp.Table
    is_narrowed: bool
    position: Position
    _changes: Callable[[Position], str | None] | None = field(repr=False)
    """By a position, the query of the keys in a column `key` that changed since, None if none did; it may raise
    UnknownChangesError. None if any key may have whenever the position is another."""

    @property
    def name(self) -> str:
        """Its name with schema, by which positions are stored."""
        return ".".join(_parts(self.table))

    def changed(self, since: Position | None) -> str | None:
        """The query of the keys that changed since a position, in a column `key`; None if nothing did.

        Raises:
            UnknownChangesError: any key may have.
        """
        if since == self.position:
            return None
        if self._changes is None or since is None or since[:2] != self.position[:2]:
            raise UnknownChangesError(self.table.sql())
        return self._changes(since)


@dataclass(frozen=True, slots=True)
class Sources:
    """Finds the sources of models.

    Attributes:
        cursor: on the warehouse.
        lake: bronze and the ledger.
        contracts: by feed.
    """

    cursor: Any
    lake: Store
    contracts: Mapping[str, Contract]

    def of(
        self,
        snapshot: Snapshot,
        snapshots: Mapping[str, Snapshot],
        deployable: DeployabilityIndex,
        query: exp.Query,
        wanted: ByKey,
    ) -> list[Source]:
        """The sources of a model, as they are registered and computed now.

        Args:
            query: of the model, over the physical tables; what only its audits read is no source.
            wanted: the declaration of the model.

        Raises:
            ConfigError: a source does not log the key, or the sources are not as `through` says.
        """
        read_tables = {_parts(table) for table in query.find_all(exp.Table)}
        parents: list[tuple[Snapshot, exp.Table]] = []
        for parent in sorted(snapshot.parents, key=lambda item: item.name):
            read = snapshots[parent.name]
            if read.is_embedded:  # its query is part of the model's, and what it reads is among the parents
                continue
            table = exp.to_table(read.table_name(deployable.is_representative(read)), dialect="duckdb")
            if _parts(table) in read_tables:
                parents.append((read, table))
        leads = leads_of(snapshot, parents, wanted)
        found = []
        for read, table in parents:
            feed = f"{table.db}.{table.name}".removeprefix(BRONZE)
            if read.is_external and feed in self.contracts:
                found.append(self.feed(table, self.contracts[feed], wanted.key))
            elif (declared := by_key(read.model)) is not None:
                found.append(self._by_key(table, snapshot, read, declared, wanted.key, leads))
            else:
                found.append(self.whole(table, query))
        return found

    def _by_key(
        self,
        table: exp.Table,
        snapshot: Snapshot,
        read: Snapshot,
        declared: ByKey,
        key: str,
        leads: Mapping[str, list[exp.Table]],
    ) -> Source:
        """A table that is itself computed by key, whose changed keys are in its log.

        Args:
            leads: by column, the tables that have it beside the key.
        """
        log = Log(self.cursor, table)
        state = log.read()
        position = ["table", state.identity if state else "", state.sequence if state else 0]
        has_key = key in read.model.columns_to_types_or_raise
        if has_key and key not in declared.logged:
            names = ", ".join((*declared.logged[1:], key))
            raise ConfigError(
                f"{read.model.name}: {snapshot.model.name} is computed by {key}, so expected it among the "
                f"logged columns; write logged = ({names}) into its materialization_properties"
            )
        columns = [key] if has_key else [name for name in leads if name in declared.logged]
        if state is None or not columns:
            return Source(table, False, position, None)
        changed = {column: log.changed(column) for column in columns}
        if has_key:
            return Source(table, True, position, changed[key])

        def led(since: Position) -> str:  # the query may read it by any of them
            return " UNION ".join(led_by(changed[column](since), key, column, leads[column]) for column in columns)

        return Source(table, False, position, led)

    def whole(self, table: exp.Table, query: exp.Query) -> Source:
        """A table that a query reads without regard to keys, compared by a digest of the rows that it reads."""
        texts, rows = "STRING_AGG(content::TEXT, ' ' ORDER BY content::TEXT)", _rows_read(query, table)
        digest = f"SELECT MD5({texts}) FROM ({rows}) AS content"
        return Source(table, False, ["rows", rows, self.cursor.execute(digest).fetchone()[0]], None)

    def feed(self, table: exp.Table, contract: Contract, key: str) -> Source:
        """The bronze view of a feed, whose changed keys are those of the files that the ledger added or removed."""
        ledger = Ledger(self.lake, contract.feed)
        query = f"SELECT position FROM {POSITIONS} WHERE feed = {literal(contract.feed)}"
        ((position,),) = self.cursor.execute(query).fetchall() or [(0,)]
        described = self.cursor.execute(f"DESCRIBE {table.sql('duckdb')}").fetchall()
        columns = [(name, kind) for name, kind, *_ in described]
        shape = hashlib.sha256(json.dumps(columns).encode()).hexdigest()
        try:
            load = ledger.load_at(position) if position else ""
        except LakemeshError:  # the ledger is lost or damaged; bronze shows what it showed before
            load = ""

        def changed(since: Position) -> str | None:
            _, _, before, load_before = since
            try:
                if before > position or (before and (not load_before or ledger.load_at(before) != load_before)):
                    raise UnknownChangesError(f"the ledger of {contract.feed} is another one")
                return self._keys_of_moved_files(ledger, contract, key, before, position)
            except LakemeshError as error:
                raise UnknownChangesError(f"the ledger of {contract.feed} cannot be read") from error

        has_key = key in dict(columns)
        return Source(table, has_key, ["feed", shape, position, load], changed if has_key else None)

    def _keys_of_moved_files(self, ledger: Ledger, contract: Contract, key: str, since: int, until: int) -> str | None:
        before, after = ledger.live(since), ledger.live(until)
        paths = moved_files(ledger.entries_without_objects(since, until))
        files = {file.path: file for state in (before, after) for file in state.bronze_files() if file.path in paths}
        if not files:
            return None
        query = bronze_query(readable(contract, self.lake, after), self.lake.uri, files.values())
        return f"SELECT DISTINCT moved.{identifier(key)} AS key FROM ({query}) AS moved"


def moved_files(entries: Iterable[tuple[int, Entry]]) -> set[str]:
    """Paths of the files whose rows entries of a ledger add or remove, wherever compaction moved them before or after.

    Raises:
        UnknownChangesError: a rebuilt log begins among the entries.
    """
    found: set[str] = set()
    compactions: list[set[str]] = []
    for sequence, entry in entries:
        if entry.begins == sequence:
            raise UnknownChangesError("the ledger was rebuilt")
        files = {file.path for file in entry.added} | set(entry.removed)
        if entry.newest_object_at is None and not (entry.forgets or entry.expires):
            compactions.append(files)
        else:
            found |= files
    while moving := [files for files in compactions if not found.isdisjoint(files)]:
        found.update(*moving)
        compactions = [files for files in compactions if files not in moving]
    return found


def follows_from(query: exp.Query, sources: Iterable[Source]) -> bool:
    """Whether the rows of a query change only if those of its sources do: not with the time, by chance or with others.

    Args:
        query: over the physical tables.
    """
    tables = {_parts(source.table) for source in sources}
    named = {(item.alias,) for item in query.find_all(exp.CTE)}
    return not any(
        is_other_each_time(node) or (isinstance(node, exp.Table) and _parts(node) not in tables | named)
        for node in query.walk()
    )


_MOVED_ARGS = ("joins", "laterals")
_KEPT_ARGS = ("this", "db", "catalog", "alias", *_MOVED_ARGS)


def narrowed(query: exp.Query, sources: Iterable[Source], key: str, keys: str | None) -> exp.Query:
    """The rows of a query whose key is in a table of keys, read from the sources' rows of these keys alone.

    Args:
        query: over the physical tables.
        keys: name of a table with a column `key`, which no name in the query may hide; None for the key NULL.
    """
    tables = {_parts(source.table) for source in sources if source.is_narrowed}
    selected = f"IN (SELECT key FROM {keys})" if keys else "IS NULL"
    condition = exp.condition(f"{identifier(key)} {selected}", dialect="duckdb")
    computed = query.copy().subquery("computed", copy=False)  # copies of the rest cost more than many a computation
    inner = exp.select("*").from_(computed, copy=False).where(condition, copy=False)
    for table in list(inner.find_all(exp.Table)):
        others = {name for name, value in table.args.items() if value and name not in _KEPT_ARGS}
        if _parts(table) not in tables or others:  # such as a pivot, which is read as a whole
            continue
        plain = exp.Table(**{name: table.args.get(name) for name in ("this", "db", "catalog")}).copy()
        rows = exp.select("*").from_(plain, copy=False).where(condition.copy(), copy=False).subquery(copy=False)
        rows.set("alias", table.args.get("alias") or exp.TableAlias(this=table.this.copy()))
        for name in _MOVED_ARGS:
            rows.set(name, table.args.get(name))
        table.replace(rows)
    return inner


def _rows_read(query: exp.Query, table: exp.Table) -> str:
    """The query of the rows of a table that another query reads: all, or those of one condition on its own columns."""
    found = set()
    for read in query.find_all(exp.Table):
        if _parts(read) != _parts(table):
            continue
        select = read.find_ancestor(exp.Select)
        where = select.args.get("where") if select and isinstance(read.parent, exp.From) else None
        if select is None or where is None or select.args.get("joins") or where.find(exp.Query):
            return f"SELECT * FROM {table.sql('duckdb')}"
        found.add(exp.select("*").from_(read.copy()).where(where.this.copy()).sql("duckdb"))
    (rows, *others) = found
    return str(rows) if not others else f"SELECT * FROM {table.sql('duckdb')}"


def _parts(table: exp.Table) -> tuple[str, ...]:
    return tuple(part.name for part in table.parts)[-2:]
