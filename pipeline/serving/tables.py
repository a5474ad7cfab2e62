"""Tables as Postgres has them and as a published state wants them, and the statements from one to the other.

Nothing is dropped that is not ours: a view, a policy or a key of somebody else's on a table stays, or stops the change.
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

OURS = "lakemesh_"
"""How the names of our indexes and constraints begin, and those of our own tables."""
_NAME_BYTES = 63
_DATES = {"date", "timestamp without time zone", "timestamp with time zone"}


@dataclass(frozen=True, slots=True)
class Key:
    """A constraint or an index of ours.

    Attributes:
        kind: `PRIMARY KEY`, `UNIQUE`, `UNIQUE NULLS NOT DISTINCT` or `INDEX`.
    """

    table: str
    kind: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """Another one for another definition, so that the name alone tells whether it is there."""
        mark = zlib.crc32(repr((self.table, self.kind, self.columns)).encode())
        return f"{OURS}{mark:08x}_{self.table}".encode()[:_NAME_BYTES].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A table as it should be.

    Attributes:
        name: without schema.
        columns: types by name, in order.
        not_null: columns that hold no NULL.
        comments: by column; that of the table itself under the empty name.
    """

    name: str
    columns: Mapping[str, str]
    not_null: frozenset[str]
    keys: tuple[Key, ...]
    comments: Mapping[str, str]

    @classmethod
    def of(cls, table: ReleaseTable, server_version: int) -> Wanted:
        """What a published table asks for.

        A grain whose columns are all free of NULL is the primary key. Otherwise it is a unique constraint, for which
        NULLs are alike as they are for the models; before PostgreSQL 15 it could not say so, and they are not.

        Raises:
            ConfigError: Postgres has no exact type for a column.
        """
        name = table.name.split(".")[-1]
        columns = {column: postgres_type(kind, f"{table.name}.{column}") for column, kind, _ in table.columns}
        keys = []
        grain = table.grain if set(table.grain) <= columns.keys() else ()
        if grain:
            alike = "UNIQUE NULLS NOT DISTINCT" if server_version >= 150000 else "UNIQUE"
            kind = "PRIMARY KEY" if set(grain) <= set(table.not_null) else alike
            keys.append(Key(name, kind, grain))
        dated = [table.time_column] if table.time_column else [item for item in grain if columns[item] in _DATES]
        keys += [Key(name, "INDEX", (column,)) for column in dated if grain[:1] != (column,)]
        comments = {"": table.description} | {column: comment for column, _, comment in table.columns}
        told = {column: comment for column, comment in comments.items() if comment}
        return cls(name, columns, frozenset(table.not_null), tuple(keys), told)


@dataclass(slots=True)
class Actual:
    """A relation as Postgres has it.

    Attributes:
        kind: `r` for a table, `v` for a view, as in pg_class.
        constraints, indexes: names of ours; the index of a constraint counts as the constraint.
    """

    kind: str
    columns: dict[str, str] = field(default_factory=dict)
    not_null: set[str] = field(default_factory=set)
    constraints: set[str] = field(default_factory=set)
    indexes: set[str] = field(default_factory=set)
    comments: dict[str, str] = field(default_factory=dict)


def actual_tables(cursor: Any, schema: str) -> dict[str, Actual]:
    """Every relation of a schema that could hold rows, by name."""
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
        if index.startswith(OURS):
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
    """What has to change about a table so that it can hold the new state.

    Attributes:
        ours: columns that the state before had; any other surplus one is somebody else's and stays.
    """

    schema: str
    wanted: Wanted
    actual: Actual
    ours: frozenset[str]

    @property
    def lost(self) -> list[str]:
        """Columns that go: those of the old state that the new one lacks or has with another type."""
        kept = self.wanted.columns.items()
        return [name for name, kind in self.actual.columns.items() if name in self.ours and (name, kind) not in kept]

    @property
    def gained(self) -> list[str]:
        """Columns that come."""
        have = self.actual.columns.items()
        return [name for name, kind in self.wanted.columns.items() if (name, kind) not in have]

    @property
    def changes_columns(self) -> bool:
        """Whether all rows have to be written anew."""
        return bool(self.lost or self.gained)

    @property
    def is_needed(self) -> bool:
        """Whether columns, keys, indexes or NOT NULL differ."""
        bound = self.actual.not_null & self.wanted.columns.keys()
        names = {key.name for key in self.wanted.keys}
        return self.changes_columns or bound != self.wanted.not_null or names != self._names()

    def told(self) -> str:
        """The change for people: `amount (bigint becomes numeric(18,6)), plan_id (new)`."""
        words = []
        for name in dict.fromkeys([*self.lost, *self.gained]):
            before, after = self.actual.columns.get(name), self.wanted.columns.get(name)
            words.append(f"{name} ({f'{before} becomes {after}' if before and after else 'new' if after else 'gone'})")
        return ", ".join(words) or "keys, indexes or NOT NULL"

    def before_rows(self) -> Iterator[Composable]:
        """Statements that give the table its columns, once its rows are deleted. They rewrite nothing.

        Each is refused by Postgres when something of somebody else's needs what goes.
        """
        from psycopg2.sql import SQL, Identifier

        table, wanted = Identifier(self.schema, self.wanted.name), {key.name for key in self.wanted.keys}
        for name in sorted(self.actual.constraints - wanted):
            yield SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, Identifier(name))
        for name in sorted(self.actual.indexes - wanted):
            yield SQL("DROP INDEX {}").format(Identifier(self.schema, name))
        for name in self.lost:
            yield SQL("ALTER TABLE {} DROP COLUMN {}").format(table, Identifier(name))
        for name in self.gained:
            kind = SQL(self.wanted.columns[name])
            yield SQL("ALTER TABLE {} ADD COLUMN {} {}").format(table, Identifier(name), kind)
        for name in sorted(self.actual.not_null & self.wanted.columns.keys() - self.wanted.not_null - set(self.lost)):
            yield SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(table, Identifier(name))

    def after_rows(self) -> Iterator[Composable]:
        """Statements that bind the table, once it has its rows."""
        from psycopg2.sql import SQL, Identifier

        lost = set(self.lost)
        for name in sorted(self.wanted.not_null - (self.actual.not_null - lost)):
            table = Identifier(self.schema, self.wanted.name)
            yield SQL("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL").format(table, Identifier(name))
        for key in self.wanted.keys:  # a key goes with any of its columns
            if key.name not in self._names() or lost.intersection(key.columns):
                yield add_key(self.schema, key)

    def _names(self) -> set[str]:
        return self.actual.constraints | self.actual.indexes


def create_table(schema: str, wanted: Wanted, temporary: str = "") -> Composable:
    """The statement that makes a table, without keys: they are added when it has its rows.

    Args:
        temporary: name of a table for this transaction alone, which is made instead.
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
