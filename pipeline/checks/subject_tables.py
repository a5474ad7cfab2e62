"""The rows of a release that are about a person, found by the classes of its columns.

A column is searched if its values follow, by lineage, from a column of bronze that identifies persons. In it can be
the identifier itself, the MD5 of it, or that of several identifiers of one record joined by `|`; and what a row that
has one of these has beside it as a surrogate key of the same identifiers, as a version of a customer does.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from ingest import sql
from pipeline.access.classes import Classed, Classification
from pipeline.access.subjects import Subject
from pipeline.checks.subject import BATCH, SubjectSearch
from pipeline.process.duck import translate_errors
from pipeline.releases.release import Release, ReleaseTable

BRONZE, SURROGATE = "bronze", "_key"
"""The schema of feeds, and the end of the names of surrogate keys."""
UNKNOWN_MEMBER = "-1"
"""The key of what has no row in a dimension: that of everybody who is not known."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a release.

    Attributes:
        by: the columns by which it is the person's.
    """

    table: str
    values: Mapping[str, Any]
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a table that says of whom a row is.

    Attributes:
        names: the identifiers that its values are made of.
        origins: the columns of bronze that these come from, by feed.
        is_shared: whether all of them may be of several persons.
    """

    name: str
    kind: str
    names: frozenset[str]
    origins: Mapping[str, tuple[str, ...]]
    is_shared: bool

    @property
    def is_surrogate(self) -> bool:
        return self.name.endswith(SURROGATE)


@dataclass(slots=True)
class TableSearch:
    """Searches the tables of a release for one person.

    Args:
        release: the release.
        connection: that has it attached as `lake`.
        classes: of the project's columns.
        search: of the lake that it was computed from.
        subject: the person.
    """

    release: Release
    connection: duckdb.DuckDBPyConnection
    classes: Classification
    search: SubjectSearch
    subject: Subject
    _columns: dict[str, list[_Column]] = field(default_factory=dict, init=False)
    _keys: dict[str, set[str]] = field(default_factory=dict, init=False)
    _joined: dict[tuple[str, tuple[str, ...]], set[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for name, table in sorted(self.release.tables.items()):
            if found := list(self._identifying(table)):
                self._columns[name] = found
        is_growing = True
        while is_growing:
            before = sum(map(len, self._keys.values()))
            for name in self._columns:
                self._learn(name)
            is_growing = sum(map(len, self._keys.values())) > before

    def tables(self) -> list[str]:
        """The tables that can have rows about a person."""
        return [name for name in self._columns if self._condition(name)]

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the rows of a table that are about the person.

        Raises:
            RetriableError: the release cannot be read.
        """
        where, names = self._condition(table), [name for name, _, _ in self.release.tables[table].columns]
        if not where:
            return
        by = ", ".join(
            f"CASE WHEN {condition} THEN {sql.literal(column.name)} END" for column, condition in self._matches(table)
        )
        query = f"SELECT {sql.identifiers(names)}, [{by}] FROM lake.{sql.dotted(table)} WHERE {where} ORDER BY ALL"
        for *values, found in self._fetched(query):
            yield Row(table, dict(zip(names, values, strict=True)), tuple(name for name in found if name))

    def related(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Identifiers that the person's rows give and that are not the person's by any contract, by table and column:
        whether they are is for people to judge, as that two systems know the same e-mail address."""
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for table, columns in self._columns.items():
            where = self._condition(table, with_shared=False)
            for column in columns if where else ():
                if not (column.is_surrogate or column.is_shared):
                    own = set().union(*(self.subject.of(name) for name in column.names))
                    if values := self._values(table, column, where) - own:
                        found.setdefault(table, {})[column.name] = tuple(sorted(values))
        return found

    def _identifying(self, table: ReleaseTable) -> Iterator[_Column]:
        classes = self.classes.get(table.name, {})
        for name, kind, _ in table.columns:
            known = classes.get(name, Classed())
            if not known.class_.is_restricted:
                continue
            paths: dict[str, list[str]] = {}
            names, shared = set(), []
            for origin in sorted(known.origins):
                schema, feed, path = origin.split(".", 2)
                contract = self.search.contracts.get(feed) if schema == BRONZE else None
                column = contract.identifiers().get(path) if contract else None
                if column:
                    paths.setdefault(feed, []).append(path)
                    names.add(str(column.identifies))
                    shared.append(column.shared)
            if names:
                origins = {feed: tuple(own) for feed, own in paths.items()}
                yield _Column(name, kind, frozenset(names), origins, all(shared))

    def _forms(self, column: _Column) -> set[str]:
        """What of the person can be in a column, as texts."""
        plain = {value for name in column.names for value in self.subject.of(name)}
        keys = self._keys.get(column.name, set())
        if not column.is_surrogate:
            return plain
        joined = (self._together(feed, paths) for feed, paths in column.origins.items() if len(paths) > 1)
        return plain | {_digest([value]) for value in plain} | set().union(*joined) | keys

    def _together(self, feed: str, paths: tuple[str, ...]) -> set[str]:
        """Digests of several identifiers of one record of the person, in any order."""
        if (feed, paths) not in self._joined:
            found = self.search.tuples_of(feed, paths, self.subject)
            self._joined[feed, paths] = {_digest(order) for values in found for order in itertools.permutations(values)}
        return self._joined[feed, paths]

    def _matches(self, table: str) -> list[tuple[_Column, str]]:
        """For each column that can have the person, the SQL that is true of rows where it does."""
        found = []
        for column in self._columns[table]:
            forms = self._forms(column)
            if column.kind.upper().startswith(("TEXT", "VARCHAR")):
                listed = [sql.literal(form) for form in sorted(forms)]
            else:
                listed = sorted(form for form in forms if form.lstrip("-").isdecimal())
            if listed:
                found.append((column, f"{sql.identifier(column.name)} IN ({', '.join(listed)})"))
        return found

    def _condition(self, table: str, with_shared: bool = True) -> str:
        """SQL that is true of the person's rows; see pipeline/access/subjects.py on shared identifiers."""
        matches = self._matches(table)
        own = [condition for column, condition in matches if not column.is_shared]
        shared = [condition for column, condition in matches if column.is_shared] if with_shared else []
        if shared:
            matched = {column.name: condition for column, condition in matches}
            none = "".join(
                f" AND NOT COALESCE({sql.identifier(column.name)} IS NOT NULL"
                + (f" AND NOT {matched[column.name]}" if column.name in matched else "")
                + ", FALSE)"
                for column in self._columns[table]
                if not column.is_shared
            )
            own.append(f"(({' OR '.join(shared)}){none})")
        return " OR ".join(own)

    def _learn(self, table: str) -> None:
        """Note the surrogate keys that rows of the person have, of identifiers that the person has."""
        where = self._condition(table)
        for column in self._columns[table] if where else ():
            if column.is_surrogate and column.names <= self.subject.values.keys():
                self._keys.setdefault(column.name, set()).update(self._values(table, column, where))

    def _values(self, table: str, column: _Column, where: str) -> set[str]:
        name = sql.identifier(column.name)
        query = f"SELECT DISTINCT {name}::TEXT FROM lake.{sql.dotted(table)} WHERE ({where}) AND {name} IS NOT NULL"
        return {value for (value,) in self._fetched(query)} - {UNKNOWN_MEMBER, ""}

    def _fetched(self, query: str) -> Iterator[tuple[Any, ...]]:
        with translate_errors("the current release"), self.connection.cursor() as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(BATCH):
                yield from rows


def _digest(values: Iterable[str]) -> str:
    return hashlib.md5("|".join(values).encode(), usedforsecurity=False).hexdigest()
