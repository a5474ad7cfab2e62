"""The record of the release that Postgres serves, and the rights to read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ingest.errors import ConfigError
from pipeline.releases.release import Release
from pipeline.serving.tables import PREFIX, actual_tables

if TYPE_CHECKING:
    from psycopg2.sql import Composable

STATE_TABLE = f"{PREFIX}state"
_STATE_COLUMNS = {
    "is_current": ("boolean PRIMARY KEY CHECK (is_current)", "Always true: there is one row"),
    "state": ("bigint NOT NULL", "Number of the release that the tables of this schema contain"),
    "published_at": ("timestamptz NOT NULL", "When that release was published"),
    "served_at": ("timestamptz NOT NULL", "When it was committed to this database"),
    "lake_id": ("text NOT NULL", "The lake that it was computed from"),
    "positions": ("jsonb NOT NULL", "Ledger position of each feed that it contains"),
    "models": ("jsonb NOT NULL", "Version of each model"),
    "manifest": ("text NOT NULL", "The release's manifest, for comparison with the next release"),
}


class ServedRelease:
    """The table `<schema>.lakemesh_state`, in a cursor's transaction."""

    def __init__(self, cursor: Any, schema: str) -> None:
        self._cursor, self._schema = cursor, schema

    def read(self, lake_id: str) -> Release | None:
        """Return the release that Postgres serves, None if there is none; create schema and table if missing.

        Args:
            lake_id: the lake whose releases are served.

        Raises:
            ConfigError: the schema serves another lake.
        """
        from psycopg2.sql import SQL, Identifier, Literal

        self._cursor.execute("SELECT to_regnamespace(quote_ident(%s)) IS NULL", (self._schema,))
        if self._cursor.fetchone() == (True,):
            self._run([SQL("CREATE SCHEMA {}").format(Identifier(self._schema))])
        table = Identifier(self._schema, STATE_TABLE)
        if STATE_TABLE not in actual_tables(self._cursor, self._schema):
            columns = [SQL("{} {}").format(Identifier(name), SQL(kind)) for name, (kind, _) in _STATE_COLUMNS.items()]
            self._run([SQL("CREATE TABLE {} ({})").format(table, SQL(", ").join(columns))])
            comment = "One row: the release that the other tables of this schema contain."
            self._run([SQL("COMMENT ON TABLE {} IS {}").format(table, Literal(comment))])
            for name, (_, comment) in _STATE_COLUMNS.items():
                column = Identifier(self._schema, STATE_TABLE, name)
                self._run([SQL("COMMENT ON COLUMN {} IS {}").format(column, Literal(comment))])
        self._run([SQL("SELECT lake_id, state, manifest FROM {}").format(table)])
        found = self._cursor.fetchone()
        if found is None:
            return None
        served_lake, number, manifest = found
        if served_lake != lake_id:
            raise ConfigError(
                f"the schema {self._schema} contains a release of another lake, {served_lake}; set SERVING_SCHEMA to "
                f"another schema, or drop this one (DROP SCHEMA {self._schema} CASCADE also drops dependent views)"
            )
        return Release.from_json(manifest.encode(), f"the manifest of release {number} in {self._schema}.{STATE_TABLE}")

    def write(self, release: Release) -> None:
        """Record the release that the tables contain from the commit on."""
        from psycopg2.extras import Json
        from psycopg2.sql import SQL, Identifier, Literal, Placeholder

        values = {
            "state": release.number,
            "published_at": release.published_at,
            "lake_id": release.lake_id,
            "positions": Json(dict(release.positions)),
            "models": Json({name: table.version for name, table in release.tables.items()}),
            "manifest": release.to_json().decode(),
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
        """Grant the reading role SELECT on current and future tables; existing grants are not repeated."""
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
