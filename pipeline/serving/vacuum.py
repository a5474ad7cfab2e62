"""Removes from Postgres what a release no longer has: deleted rows stay in the pages of its tables."""

from __future__ import annotations

from contextlib import suppress

from ingest.errors import RetriableError
from ingest.retry import while_busy
from ingest.settings import Settings
from pipeline.process import postgres
from pipeline.process.removed import Removed
from pipeline.process.vacuum import vacuum_full
from pipeline.releases.release import Releases
from pipeline.serving.serve import serve
from pipeline.serving.session import connect, lock_key, translate_errors
from pipeline.serving.state import STATE_TABLE


def vacuum(options: Settings, published: Releases, number: int, wait_seconds: float = 0.0) -> Removed:
    """Serve the current release, if an older one is served, then write all tables of its schema again.

    Args:
        options: server, schema and role.
        number: of the first release without the person.

    Raises:
        ConfigError, RetriableError, ServingRefused: see `serve`.
    """
    served = serve(options, published, wait_seconds) if published.pointer() else None
    session, place = connect(options)
    with translate_errors(place):
        try:
            session.autocommit = True
            _lock(session, options, wait_seconds, place)
            shown = _shown(session, options.serving_schema)
            if shown is None:
                return Removed()
            done = vacuum_full(session, [options.serving_schema], place, "SERVING_DSN")
        finally:
            with suppress(Exception):  # a lost session has no lock
                session.close()
    if served and served.changes:
        done = Removed((f"{place}: serves release {served.state}",)) + done
    if shown < number:
        done += Removed(left=(f"{place}: still has release {shown}; run `lake run`, then this again",))
    return done


def _lock(session: postgres.Session, options: Settings, wait_seconds: float, place: str) -> None:
    """Lock out processes that serve this schema until the session ends.

    Raises:
        RetriableError: one serves it.
    """
    number = lock_key(options.serving_schema)

    def locked() -> None:
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (postgres.LOCKS, number))
            if cursor.fetchone() != (True,):
                raise BlockingIOError

    try:
        while_busy(locked, lambda error: isinstance(error, BlockingIOError), wait_seconds)
    except BlockingIOError:
        raise RetriableError(f"{place}: in use by {postgres.holder(session, number)}; run this again") from None


def _shown(session: postgres.Session, schema: str) -> int | None:
    """Number of the release that a schema has; None if there is none."""
    from psycopg2.sql import SQL, Identifier

    with session.cursor() as cursor:
        cursor.execute("SELECT to_regclass(quote_ident(%s) || '.' || %s)", (schema, STATE_TABLE))
        if cursor.fetchone() == (None,):
            return None
        cursor.execute(SQL("SELECT state FROM {}").format(Identifier(schema, STATE_TABLE)))
        found = cursor.fetchone()
    return int(found[0]) if found else None
