"""What Postgres has of the published states: one row that tells which, and who may read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ingest.errors import ConfigError
from pipeline.releases.release import Release
from pipeline.serving.tables import OURS, actual_tables

if TYPE_CHECKING:
    from psycopg2.sql import Composable

STATE_TABLE = f"{OURS}state"
_STATE_COLUMNS = {
    "is_current": ("boolean PRIMARY KEY CHECK (is_current)", "Always true: there is one row"),
    "state": ("bigint NOT NULL", "Number of the published state that the tables of this schema hold"),
    "published_at": ("timestamptz NOT NULL", "When that state was published"),
    "served_at": ("timestamptz NOT NULL", "When readers of this database got it"),
    "lake_id": ("text NOT NULL", "The lake that it was computed from"),
    "positions": ("jsonb NOT NULL", "Ledger position of each feed that it stands for"),
    "models": ("jsonb NOT NULL", "Version of each model"),
    "manifest": ("text NOT NULL", "The state's manifest, by which the next one is compared"),
}


class ServedState:
    """The table `<schema>.lakemesh_state`, in the transaction of a cursor."""

    def __init__(self, cursor: Any, schema: str) -> None:
        self._cursor, self._schema = cursor, schema

    def read(self, lake_id: str) -> Release | None:
        """The state that Postgres has; makes the schema and the table for it.

        Args:
            lake_id: the lake whose states are served.

        Raises:
            ConfigError: it is another lake's.
        """
        from psycopg2.sql import SQL, Identifier, Literal

        self._cursor.execute("SELECT to_regnamespace(quote_ident(%s)) IS NULL", (self._schema,))
        if self._cursor.fetchone() == (True,):
            self._run([SQL("CREATE SCHEMA {}").format(Identifier(self._schema))])
        table = Identifier(self._schema, STATE_TABLE)
        if STATE_TABLE not in actual_tables(self._cursor, self._schema):
            columns = [SQL("{} {}").format(Identifier(name), SQL(kind)) for name, (kind, _) in _STATE_COLUMNS.items()]
            self._run([SQL("CREATE TABLE {} ({})").format(table, SQL(", ").join(columns))])
            told = Literal("One row: the published state that the other tables of this schema hold.")
            self._run([SQL("COMMENT ON TABLE {} IS {}").format(table, told)])
            for name, (_, comment) in _STATE_COLUMNS.items():
                column = Identifier(self._schema, STATE_TABLE, name)
                self._run([SQL("COMMENT ON COLUMN {} IS {}").format(column, Literal(comment))])
        self._run([SQL("SELECT lake_id, state, manifest FROM {}").format(table)])
        found = self._cursor.fetchone()
        if found is None:
            return None
        held_by, number, manifest = found
        if held_by != lake_id:
            raise ConfigError(
                f"the schema {self._schema} holds the state of another lake, {held_by}; name one of its own in "
                f"SERVING_SCHEMA, or drop that one (DROP SCHEMA {self._schema} CASCADE takes views of others with it)"
            )
        return Release.from_json(manifest.encode(), f"the manifest of state {number} in {self._schema}.{STATE_TABLE}")

    def note(self, state: Release) -> None:
        """Says which state the tables hold from the commit on."""
        from psycopg2.extras import Json
        from psycopg2.sql import SQL, Identifier, Literal, Placeholder

        values = {
            "state": state.number,
            "published_at": state.published_at,
            "lake_id": state.lake_id,
            "positions": Json(dict(state.positions)),
            "models": Json({name: table.version for name, table in state.tables.items()}),
            "manifest": state.to_json().decode(),
        }
        table = Identifier(self._schema, STATE_TABLE)
        self._run([SQL("DELETE FROM {}").format(table)])
        self._cursor.execute(
            SQL("INSERT INTO {} (is_current, served_at, {}) VALUES ({}, clock_timestamp(), {})").format(
                table,
                SQL(", ").join(map(Identifier, values)),
                Literal(True),
                SQL(", ").join(map(Placeholder, values)),
            ),
            values,
        )

    def grant(self, role: str, tables: Iterable[str]) -> None:
        """Lets the reading role read, tables of the future included; nothing is done that holds already."""
        from psycopg2.sql import SQL, Identifier

        schema, reader = Identifier(self._schema), Identifier(role)
        self._cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
        if self._cursor.fetchone() is None:
            self._run([SQL("CREATE ROLE {} NOLOGIN").format(reader)])
        self._cursor.execute("SELECT has_schema_privilege(%s, %s, 'USAGE')", (role, self._schema))
        if self._cursor.fetchone() == (False,):
            self._run([SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, reader)])
        self._cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(%s)) "
            "AND relname = ANY(%s) AND NOT has_table_privilege(%s, oid, 'SELECT') ORDER BY relname",
            (self._schema, [STATE_TABLE, *tables], role),
        )
        for (name,) in self._cursor.fetchall():
            self._run([SQL("GRANT SELECT ON {} TO {}").format(Identifier(self._schema, name), reader)])
        self._cursor.execute(
            "SELECT 1 FROM pg_default_acl, aclexplode(defaclacl) AS acl "
            "WHERE defaclnamespace = to_regnamespace(quote_ident(%s)) AND defaclobjtype = 'r' "
            "AND defaclrole = current_user::regrole AND privilege_type = 'SELECT' "
            "AND grantee = (SELECT oid FROM pg_roles WHERE rolname = %s)",
            (self._schema, role),
        )
        if self._cursor.fetchone() is None:
            statement = SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT SELECT ON TABLES TO {}")
            self._run([statement.format(schema, reader)])

    def _run(self, statements: Iterable[Composable]) -> None:
        for statement in statements:
            self._cursor.execute(statement)
