"""The state of Postgres as a file: definitions and rows of its schemas at one moment, without Postgres's own programs.

A zip archive: `tables.json` has the statements that create the tables, `<schema>.<table>` the rows as COPY writes them.
The same state gives the same bytes, so that a back-up without changes writes nothing.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.sql import dotted, identifier

if TYPE_CHECKING:
    from pipeline.process.postgres import Session

KIND = "postgres"
_TABLES, _TIME = "tables.json", (1980, 1, 1, 0, 0, 0)
_COLUMNS = (
    "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
    "WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
_CONSTRAINTS = (
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s AND contype IN ('p', 'u', 'c') "
    "ORDER BY conname"
)
_INDEXES = (
    "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s AND NOT EXISTS "
    "(SELECT 1 FROM pg_constraint WHERE conindid = indexrelid) ORDER BY 1"
)


def dump(session: Session, schemas: Sequence[str], path: Path) -> bool:
    """Write the tables of some schemas to a file, as they are at one moment.

    Args:
        session: in autocommit mode.

    Returns:
        Whether there are any.

    Raises:
        psycopg2.Error: the server fails or cannot be reached.
    """
    with session.cursor() as cursor, zipfile.ZipFile(path, "w") as archive:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            cursor.execute(
                "SELECT space.nspname || '.' || relname, relation.oid FROM pg_class AS relation "
                "JOIN pg_namespace AS space ON space.oid = relnamespace "
                "WHERE relkind = 'r' AND space.nspname = ANY(%s) ORDER BY 1",
                (list(schemas),),
            )
            tables = cursor.fetchall()
            created = {name: _statements(cursor, name, oid) for name, oid in tables}
            archive.writestr(_member(_TABLES), json.dumps(created, indent=1))
            for name, _ in tables:
                with archive.open(_member(name), "w", force_zip64=True) as rows:
                    cursor.copy_expert(f"COPY {dotted(name)} TO STDOUT", rows)
        finally:
            cursor.execute("ROLLBACK")
    return bool(tables)


def load(session: Session, schemas: Sequence[str], path: Path) -> None:
    """Create what `dump` wrote, in one transaction, instead of schemas of these names, which must be unused.

    Raises:
        psycopg2.Error: the server fails or cannot be reached; nothing was changed.
    """
    with session.cursor() as cursor, zipfile.ZipFile(path) as archive:
        cursor.execute("BEGIN")
        try:
            for schema in schemas:
                cursor.execute(f"DROP SCHEMA IF EXISTS {identifier(schema)} CASCADE")
                cursor.execute(f"CREATE SCHEMA {identifier(schema)}")
            for name, (create, *others) in json.loads(archive.read(_TABLES)).items():
                cursor.execute(create)
                with archive.open(name) as rows:
                    cursor.copy_expert(f"COPY {dotted(name)} FROM STDIN", rows)
                for statement in others:
                    cursor.execute(statement)
            cursor.execute("COMMIT")
        except BaseException:
            if not session.closed:
                cursor.execute("ROLLBACK")
            raise


def _statements(cursor: Any, name: str, oid: int) -> list[str]:
    """The statements that create a table, then its constraints and indexes."""
    cursor.execute(_COLUMNS, (oid,))
    columns = [f"{identifier(column)} {kind}{' NOT NULL' * needed}" for column, kind, needed in cursor.fetchall()]
    cursor.execute(_CONSTRAINTS, (oid,))
    constraints = [
        f"ALTER TABLE {dotted(name)} ADD CONSTRAINT {identifier(constraint)} {definition}"
        for constraint, definition in cursor.fetchall()
    ]
    cursor.execute(_INDEXES, (oid,))
    return [f"CREATE TABLE {dotted(name)} ({', '.join(columns)})", *constraints, *(row[0] for row in cursor.fetchall())]


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _TIME)
    member.compress_type = zipfile.ZIP_DEFLATED
    return member
