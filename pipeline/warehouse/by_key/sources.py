"""Which keys of what a table reads have changed since it was computed: from the ledger, and from the logs of tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp
from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot

from ingest.contracts.contract import Contract
from ingest.errors import ConfigError
from ingest.ledger.entry import Entry
from ingest.ledger.ledger import Ledger
from ingest.sql import identifier, literal
from ingest.storage.store import Store
from pipeline.warehouse.bronze import POSITIONS, bronze_query, readable
from pipeline.warehouse.by_key.definition import by_key
from pipeline.warehouse.by_key.log import Log, UnknownChangesError

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
        changed: by a position, the query of the keys in a column `key` that changed since; None if none did. Raises
            UnknownChangesError.
    """

    table: exp.Table
    is_narrowed: bool
    position: Position
    _changes: Any = field(repr=False)

    def changed(self, since: Position | None) -> str | None:
        """The query of the keys that changed since a position, in a column `key`; None if nothing did.

        Raises:
            UnknownChangesError: any key may have.
        """
        if since == self.position:
            return None
        if not self.is_narrowed or since is None or since[:2] != self.position[:2]:
            raise UnknownChangesError(self.table.sql())
        found: str | None = self._changes(since)
        return found


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
        self, snapshot: Snapshot, snapshots: Mapping[str, Snapshot], deployable: DeployabilityIndex, key: str
    ) -> list[Source]:
        """The sources of a model, as they are registered and computed now.

        Args:
            key: the key of the model.
        """
        found = []
        for parent in sorted(snapshot.parents, key=lambda item: item.name):
            read = snapshots[parent.name]
            table = exp.to_table(read.table_name(deployable.is_deployable(read)), dialect="duckdb")
            feed = f"{table.db}.{table.name}".removeprefix(BRONZE)
            if read.is_external and feed in self.contracts:
                found.append(self._feed(table, self.contracts[feed], key))
            elif (declared := by_key(read.model)) is not None:
                log = Log(self.cursor, table)
                state = log.read()
                position = ["table", table.sql(), state.sequence if state else -1]
                if (is_narrowed := key in read.model.columns_to_types_or_raise) and key not in declared.logged:
                    columns = ", ".join((*declared.logged[1:], key))
                    raise ConfigError(
                        f"{read.model.name}: {snapshot.model.name} is computed by {key}, so expected it among the "
                        f"logged columns; write logged = ({columns}) into its materialization_properties"
                    )
                found.append(Source(table, is_narrowed and state is not None, position, log.changed(key)))
            else:
                rows = "STRING_AGG(content::TEXT, ' ' ORDER BY content::TEXT)"
                digest = f"SELECT MD5({rows}) FROM {table.sql('duckdb')} AS content"
                position = ["rows", table.sql(), self.cursor.execute(digest).fetchone()[0]]
                found.append(Source(table, False, position, None))
        return found

    def _feed(self, table: exp.Table, contract: Contract, key: str) -> Source:
        ledger = Ledger(self.lake, contract.feed)
        query = f"SELECT position FROM {POSITIONS} WHERE feed = {literal(contract.feed)}"
        ((position,),) = self.cursor.execute(query).fetchall() or [(0,)]
        described = self.cursor.execute(f"DESCRIBE {table.sql('duckdb')}").fetchall()
        columns = [(name, kind) for name, kind, *_ in described]
        shape = hashlib.sha256(json.dumps(columns).encode()).hexdigest()
        load = ledger.load_at(position) if position else ""

        def changed(since: Position) -> str | None:
            _, _, before, load_before = since
            if before > position or (before and ledger.load_at(before) != load_before):
                raise UnknownChangesError(f"the ledger of {contract.feed} is another one")
            return self._keys_of_moved_files(ledger, contract, key, before, position)

        return Source(table, key in dict(columns), ["feed", shape, position, load], changed)

    def _keys_of_moved_files(self, ledger: Ledger, contract: Contract, key: str, since: int, until: int) -> str | None:
        before, after = ledger.live(since), ledger.live(until)
        paths = moved_files(ledger.entries_without_objects(since, until))
        files = {file.path: file for state in (before, after) for file in state.bronze_files() if file.path in paths}
        if not files:
            return None
        query = bronze_query(readable(contract, self.lake, after), self.lake.uri, files.values())
        return f"SELECT DISTINCT moved.{identifier(key)} AS key FROM ({query}) AS moved"


def moved_files(entries: Iterable[tuple[int, Entry]]) -> set[str]:
    """Paths of the files whose rows entries of a ledger add or remove, wherever compaction has moved them since.

    Raises:
        UnknownChangesError: a rebuilt log begins among the entries.
    """
    found: set[str] = set()
    for sequence, entry in entries:
        if entry.begins == sequence:
            raise UnknownChangesError("the ledger was rebuilt")
        added = {file.path for file in entry.added}
        if entry.newest_object_at is not None or not found.isdisjoint(entry.removed):
            found |= added | set(entry.removed)
    return found


def narrowed(query: exp.Query, sources: Iterable[Source], key: str, keys: str) -> exp.Query:
    """The rows of a query whose key is in a table of keys, read from the sources' rows of these keys alone.

    Args:
        query: over the physical tables.
        keys: name of a table with a column `key`.
    """
    tables = {_parts(source.table) for source in sources if source.is_narrowed}
    condition = f"{identifier(key)} IN (SELECT key FROM {keys})"

    def narrow(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Table) or _parts(node) not in tables:
            return node
        alias = node.alias_or_name
        plain = exp.to_table(node.sql("duckdb"), dialect="duckdb") if not node.args.get("alias") else node.copy()
        plain.set("alias", None)
        return exp.select("*").from_(plain).where(condition, dialect="duckdb").subquery(alias)

    inner = query.transform(narrow)
    return exp.select("*").from_(inner.subquery("computed")).where(condition, dialect="duckdb")


def _parts(table: exp.Table) -> tuple[str, ...]:
    return tuple(part.name for part in table.parts)[-2:]


def names(sources: Iterable[Source]) -> Iterator[str]:
    """The names of sources, as positions are stored by."""
    for source in sources:
        yield ".".join(_parts(source.table))
