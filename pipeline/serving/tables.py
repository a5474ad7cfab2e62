"""Actual tables in Postgres, the tables that a release requires, and the statements from one to the other.

Only Lakemesh's own objects are dropped: another user's view, policy or key on a table stays, or stops the change.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.releases.release import ReleaseTable
from pipeline.serving.types import postgres_type

if TYPE_CHECKING:
    from psycopg2.sql import Composable

PREFIX = "lakemesh_"
"""Prefix of the names of Lakemesh's indexes, constraints and internal tables."""
_NAME_BYTES = 63
_DATES = {"date", "timestamp without time zone", "timestamp with time zone"}


@dataclass(frozen=True, slots=True)
class Key:
    """A constraint or index created by Lakemesh.

    Attributes:
        kind: `PRIMARY KEY`, `UNIQUE`, `UNIQUE NULLS NOT DISTINCT` or `INDEX`.
    """

    table: str
    kind: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name that is unique per definition, so that it suffices to check whether the key exists."""
        mark = zlib.crc32(repr((self.table, self.kind, self.columns)).encode())
        return f"{PREFIX}{mark:08x}_{self.table}".encode()[:_NAME_BYTES].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The required definition of a table.

    Attributes:
        name: without schema.
        columns: types by name, in order.
        not_null: columns without NULL.
        comments: by column; the table's own under the empty name.
    """

    name: str
    columns: Mapping[str, str]
    not_null: frozenset[str]
    keys: tuple[Key, ...]
    comments: Mapping[str, str]

    @classmethod
    def of(cls, table: ReleaseTable, server_version: int) -> Wanted:
        """The definition that a published table requires.

        A grain without nullable columns is the primary key. Otherwise it is a unique constraint that treats NULLs as
        equal, as models do; before PostgreSQL 15, which lacks NULLS NOT DISTINCT, it treats them as distinct.

        Raises:
            ConfigError: Postgres has no exact type for a column.
        """
        name = table.name.split(".")[-1]
        columns = {column: postgres_type(kind, f"{table.name}.{column}") for column, kind, _ in table.columns}
        keys = []
        grain = table.grain if set(table.grain) <= columns.keys() else ()
        if grain:
            unique = "UNIQUE NULLS NOT DISTINCT" if server_version >= 150000 else "UNIQUE"
            kind = "PRIMARY KEY" if set(grain) <= set(table.not_null) else unique
            keys.append(Key(name, kind, grain))
        dated = [table.time_column] if table.time_column else [item for item in grain if columns[item] in _DATES]
        keys += [Key(name, "INDEX", (column,)) for column in dated if grain[:1] != (column,)]
        comments = {"": table.description} | {column: comment for column, _, comment in table.columns}
        comments = {column: comment for column, comment in comments.items() if comment}
        return cls(name, columns, frozenset(table.not_null), tuple(keys), comments)


@dataclass(slots=True)
class Actual:
    """A relation in Postgres.

    Attributes:
        kind: `r` for a table, `v` for a view, as in pg_class.
        constraints, indexes: names of Lakemesh's own; the index of a constraint counts as the constraint.
    """

    kind: str
    columns: dict[str, str] = field(default_factory=dict)
    not_null: set[str] = field(default_factory=set)
    constraints: set[str] = field(default_factory=set)
    indexes: set[str] = field(default_factory=set)
    comments: dict[str, str] = field(default_factory=dict)


def actual_tables(cursor: Any, schema: str) -> dict[str, Actual]:
    """Tables, views and foreign tables of a schema, by name."""
    cursor.execute(
        "SELECT oid, relname, relkind FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(%s)) "
        "AND relkind IN ('r', 'p', 'v', 'm', 'f')",
        (schema,),
    )
    by_oid = {oid: (name, Actual(kind)) for oid, name, kind in cursor.fetchall()}
    oids = (list(by_oid),)
    cursor.execute(
        "SELECT attrelid, attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
        "WHERE attrelid = ANY(%s::oid[]) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        oids,
    )
    for oid, column, kind, is_not_null in cursor.fetchall():
        table = by_oid[oid][1]
        table.columns[column] = kind
        table.not_null |= {column} if is_not_null else set()
    cursor.execute(
        "SELECT indrelid, relname, EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid AND conrelid = "
        "indrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = ANY(%s::oid[])",
        oids,
    )
    for oid, index, is_constraint in cursor.fetchall():
        if index.startswith(PREFIX):
            table = by_oid[oid][1]
            (table.constraints if is_constraint else table.indexes).add(index)
    cursor.execute(
        "SELECT objoid, COALESCE(attname, ''), description FROM pg_description LEFT JOIN pg_attribute "
        "ON attrelid = objoid AND attnum = objsubid WHERE classoid = 'pg_class'::regclass AND objoid = ANY(%s::oid[])",
        oids,
    )
    for oid, column, comment in cursor.fetchall():
        by_oid[oid][1].comments[column] = comment
    return dict(by_oid.values())


@dataclass(frozen=True, slots=True)
class Reshaping:
    """The change of a table's definition that a new release requires.

    Attributes:
        own_columns: columns of the previous release; any other additional column belongs to another user and stays.
    """

    schema: str
    wanted: Wanted
    actual: Actual
    own_columns: frozenset[str]

    @property
    def dropped(self) -> list[str]:
        """Columns to drop: those of the previous release that the new one lacks or has with another type."""
        kept = self.wanted.columns.items()
        return [
            name for name, kind in self.actual.columns.items() if name in self.own_columns and (name, kind) not in kept
        ]

    @property
    def added(self) -> list[str]:
        """Columns to add."""
        have = self.actual.columns.items()
        return [name for name, kind in self.wanted.columns.items() if (name, kind) not in have]

    @property
    def changes_columns(self) -> bool:
        """Whether all rows have to be rewritten."""
        return bool(self.dropped or self.added)

    @property
    def is_needed(self) -> bool:
        """Whether columns, keys, indexes or NOT NULL differ."""
        bound = self.actual.not_null & self.wanted.columns.keys()
        names = {key.name for key in self.wanted.keys}
        return self.changes_columns or bound != self.wanted.not_null or names != self._names()

    def describe(self) -> str:
        """Describe the change for messages: `amount (bigint becomes numeric(18,6)), plan_id (new)`."""
        words = []
        for name in dict.fromkeys([*self.dropped, *self.added]):
            before, after = self.actual.columns.get(name), self.wanted.columns.get(name)
            words.append(f"{name} ({f'{before} becomes {after}' if before and after else 'new' if after else 'gone'})")
        return ", ".join(words) or "keys, indexes or NOT NULL"

    def before_rows(self) -> Iterator[Composable]:
        """Statements that change the table's columns after its rows are deleted, so that nothing is rewritten.

        Postgres refuses a statement if another user's object depends on what it drops.
        """
        from psycopg2.sql import SQL, Identifier

        table, wanted = Identifier(self.schema, self.wanted.name), {key.name for key in self.wanted.keys}
        for name in sorted(self.actual.constraints - wanted):
            yield SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, Identifier(name))
        for name in sorted(self.actual.indexes - wanted):
            yield SQL("DROP INDEX {}").format(Identifier(self.schema, name))
        for name in self.dropped:
            yield SQL("ALTER TABLE {} DROP COLUMN {}").format(table, Identifier(name))
        for name in self.added:
            kind = SQL(self.wanted.columns[name])
            yield SQL("ALTER TABLE {} ADD COLUMN {} {}").format(table, Identifier(name), kind)
        for name in sorted(
            self.actual.not_null & self.wanted.columns.keys() - self.wanted.not_null - set(self.dropped)
        ):
            yield SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(table, Identifier(name))

    def after_rows(self) -> Iterator[Composable]:
        """Statements that add NOT NULL, keys and indexes after the rows are written."""
        from psycopg2.sql import SQL, Identifier

        dropped = set(self.dropped)
        for name in sorted(self.wanted.not_null - (self.actual.not_null - dropped)):
            table = Identifier(self.schema, self.wanted.name)
            yield SQL("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL").format(table, Identifier(name))
        for key in self.wanted.keys:  # a key is dropped with any of its columns
            if key.name not in self._names() or dropped.intersection(key.columns):
                yield add_key(self.schema, key)

    def _names(self) -> set[str]:
        return self.actual.constraints | self.actual.indexes


def create_table(schema: str, wanted: Wanted, temporary: str = "") -> Composable:
    """The statement that creates a table without keys, which are added after its rows.

    Args:
        temporary: name of a temporary table for this transaction to create instead.
    """
    from psycopg2.sql import SQL, Identifier

    columns = SQL(", ").join(
        SQL("{} {}{}").format(Identifier(name), SQL(kind), SQL(" NOT NULL" if name in wanted.not_null else ""))
        for name, kind in wanted.columns.items()
    )
    if temporary:
        return SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DROP").format(Identifier(temporary), columns)
    return SQL("CREATE TABLE {} ({})").format(Identifier(schema, wanted.name), columns)


def add_key(schema: str, key: Key) -> Composable:
    """The statement that adds a key or an index."""
    from psycopg2.sql import SQL, Identifier

    table, columns = Identifier(schema, key.table), SQL(", ").join(map(Identifier, key.columns))
    if key.kind == "INDEX":
        return SQL("CREATE INDEX {} ON {} ({})").format(Identifier(key.name), table, columns)
    kind = SQL(key.kind)
    return SQL("ALTER TABLE {} ADD CONSTRAINT {} {} ({})").format(table, Identifier(key.name), kind, columns)


def comment_on(schema: str, wanted: Wanted, actual: Mapping[str, str]) -> Iterator[Composable]:
    """Statements for the comments that differ."""
    from psycopg2.sql import SQL, Identifier, Literal

    for name in ["", *wanted.columns]:
        comment = wanted.comments.get(name)
        if comment != actual.get(name):
            kind = SQL("COLUMN" if name else "TABLE")
            target = Identifier(schema, wanted.name, name) if name else Identifier(schema, wanted.name)
            yield SQL("COMMENT ON {} {} IS {}").format(kind, target, Literal(comment))
