"""Writes tables of Postgres again: rows that were deleted or updated stay in their pages until then."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from ingest.retry import while_busy
from pipeline.process.removed import Removed

if TYPE_CHECKING:
    from pipeline.process.postgres import Session

_TRY_MILLISECONDS = 500
"""How long readers may queue behind a lock request; less than Postgres's deadlock_timeout."""
_LOCK_SECONDS = 30.0
_KEPT = re.compile(r"(\d+) dead row versions cannot be removed yet")
_STATISTICS = ("pg_catalog", "pg_statistic")
_TABLES = (
    "SELECT space.nspname, relation.relname, relation.oid, pg_relation_filenode(relation.oid) "
    "FROM pg_class AS relation JOIN pg_namespace AS space ON space.oid = relation.relnamespace "
    "WHERE (space.nspname = ANY(%s) AND relation.relkind = 'r') OR relation.oid = 'pg_catalog.pg_statistic'::regclass "
    "ORDER BY relation.oid = 'pg_catalog.pg_statistic'::regclass, 1, 2"
)
_OTHERS = (
    "SELECT DISTINCT space.nspname || '.' || view.relname FROM pg_class AS view "
    "JOIN pg_namespace AS space ON space.oid = view.relnamespace "
    "JOIN pg_rewrite AS rule ON rule.ev_class = view.oid "
    "JOIN pg_depend AS needs ON needs.classid = 'pg_rewrite'::regclass AND needs.objid = rule.oid "
    "JOIN pg_class AS read ON needs.refclassid = 'pg_class'::regclass AND read.oid = needs.refobjid "
    "JOIN pg_namespace AS read_space ON read_space.oid = read.relnamespace "
    "WHERE view.relkind = 'm' AND read_space.nspname = ANY(%s) ORDER BY 1"
)


def vacuum_full(session: Session, schemas: Iterable[str], place: str, user: str) -> Removed:
    """Write every table of some schemas again, with its indexes and statistics, without rows that are deleted.

    Readers of a table wait while it is written. A table that another session uses for 30 seconds is left.

    Args:
        session: in autocommit mode.
        place: the server, for messages, without a password.
        user: the setting that names its user.

    Raises:
        psycopg2.Error: the server fails or cannot be reached.
    """
    names = list(schemas)
    with session.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(f"SET lock_timeout = {_TRY_MILLISECONDS}")
        cursor.execute(_TABLES, (names,))
        found = cursor.fetchall()
        left = [fault for table in found if (fault := _vacuum(session, user, *table))]
        cursor.execute(_OTHERS, (names,))
        views = [name for (name,) in cursor.fetchall()]
        cursor.execute("RESET lock_timeout")
    beyond = [f"{place}: its WAL, its back-ups and its replicas are the server's to expire"]
    if views:
        beyond.append(f"{place}: materialized views {', '.join(views)} are their owners' to refresh and to vacuum")
    done = len(found) - len(left)
    return Removed(
        (f"{place}: wrote {done} tables again without deleted rows",) if done else (),
        tuple(f"{place}: {fault}" for fault in left),
        tuple(beyond),
    )


def _vacuum(session: Session, user: str, schema: str, table: str, oid: int, file: int) -> str:
    """Write a table again; returns what remains of it and why, empty if nothing does."""
    import psycopg2
    from psycopg2.sql import SQL, Identifier

    name, is_statistics = f"{schema}.{table}", (schema, table) == _STATISTICS
    options = SQL("FULL, VERBOSE" if is_statistics else "FULL, VERBOSE, ANALYZE")
    statement = SQL("VACUUM ({}) {}").format(options, Identifier(schema, table))
    with suppress(AttributeError):
        del session.notices[:]
    with session.cursor() as cursor:
        try:
            while_busy(
                lambda: cursor.execute(statement),
                lambda error: isinstance(error, psycopg2.errors.LockNotAvailable),
                _LOCK_SECONDS,
                _TRY_MILLISECONDS / 1000,
            )
        except psycopg2.errors.LockNotAvailable:
            return f"{name} has been in use by other sessions for {_LOCK_SECONDS:.0f} seconds; run this again"
        except psycopg2.errors.UndefinedTable:  # dropped meanwhile, and its file with it
            return ""
        cursor.execute("SELECT pg_relation_filenode(%s)", (oid,))
        if cursor.fetchone() == (file,):  # the server only warns
            what = "statistics, which have values of columns" if is_statistics else "deleted rows"
            return f"{name} keeps {what}: the user of {user} must own the table or the database to write it again"
    if any(int(count) for notice in session.notices for count in _KEPT.findall(notice)):
        return (
            f"{name} keeps deleted rows that transactions which began before can still see; find them with `SELECT * "
            "FROM pg_stat_activity WHERE backend_xmin IS NOT NULL`, end them, and run this again"
        )
    return ""
