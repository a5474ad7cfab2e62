"""Postgres sessions, mainly on the state database, and the locks between processes on all hosts."""

from __future__ import annotations

import getpass
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ingest.errors import ConfigError, RetriableError
from ingest.settings import Settings

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    Session: TypeAlias = connection

LOCKS = 0x6C616B65
"""First key of Lakemesh's advisory locks, `lake` in ASCII. Their scope is the whole database, not a schema."""
_NAME_BYTES = 63
"""Bytes of an application_name that Postgres keeps."""


class Lock(IntEnum):
    """Activities that one process at a time may perform on one state."""

    COMPUTING = 1
    CYCLE = 2
    TABLES = 3


def driver(setting: str = "LAKE_GATEWAY=postgres_state") -> Any:
    """The module psycopg2.

    Args:
        setting: the setting that needs the driver, for the error message.

    Raises:
        ConfigError: psycopg2 is not installed.
    """
    try:
        import psycopg2
    except ImportError:
        raise ConfigError(
            f"{setting} needs psycopg2: install requirements-postgres.lock, or the extra `postgres`"
        ) from None
    return psycopg2


def connect(options: Settings) -> Session:
    """Open a session on the state in autocommit mode, which the server ends soon after this host disappears.

    Raises:
        ConfigError: psycopg2 is missing, or the server rejects the login.
        RetriableError: the server cannot be reached.
    """
    driver()
    wanted: dict[str, Any] = {
        "host": options.pghost,
        "port": options.pgport,
        "user": options.pguser,
        "password": options.pgpassword,
        "dbname": options.pgdatabase,
    }
    wanted = {name: value for name, value in wanted.items() if value != ""}
    return open_session(wanted, address(options), "PGUSER, PGPASSWORD or PGDATABASE")


def open_session(wanted: Mapping[str, Any], name: str, settings: str) -> Session:
    """Open a session with libpq parameters.

    Args:
        name: the name of the server in messages, without a password.
        settings: the settings to correct if the server rejects the login.

    Raises:
        ConfigError: the server rejects the login.
        RetriableError: the server cannot be reached.
    """
    import psycopg2

    defaults: dict[str, Any] = {
        "application_name": process_label(),
        "connect_timeout": 10,
        # detects a broken connection within a minute instead of the system's default of two hours
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
    try:
        session: Session = psycopg2.connect(**(defaults | dict(wanted)))
    except psycopg2.OperationalError as error:
        message = error_text(error)
        if any(words in message for words in ("authentication failed", "does not exist", "no password supplied")):
            raise ConfigError(f"{name}: {message}. Correct {settings}") from None
        raise RetriableError(f"{name} cannot be reached: {message}") from None
    session.autocommit = True
    for setting in ("tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3"):
        _set(session, setting)
    _set(session, "idle_session_timeout = 0")  # locks are held by an idle session
    _set(session, "TimeZone = 'UTC'")
    return session


def _set(session: Session, setting: str) -> None:
    import psycopg2

    # older servers lack some of these settings
    with suppress(psycopg2.errors.UndefinedObject), session.cursor() as cursor:
        cursor.execute(f"SET {setting}")


@contextmanager
def translate_errors(place: str, lock_seconds: float, rights: str, kept: str = "") -> Iterator[None]:
    """Translate errors of the server and the connection into Lakemesh's errors, on one line.

    An invalid statement, or one that the data contradicts, raises the error of psycopg2.

    Args:
        place: the server, for messages, without a password.
        lock_seconds: the session's lock_timeout.
        rights: the rights that the user needs, as a sentence.
        kept: what readers keep when the statement fails; empty if nothing is to be said about it.

    Raises:
        ConfigError: the user lacks a right.
        RetriableError: the connection is lost, the server fails, or another session keeps a lock.
    """
    import psycopg2

    but, again = (f"; {kept}", f"; {kept}, run this again") if kept else ("", "")
    try:
        yield
    except psycopg2.errors.LockNotAvailable:
        raise RetriableError(
            f"{place}: another session has kept a lock on one of its tables for {lock_seconds:.0f} seconds{but}. "
            "Find it with `SELECT * FROM pg_stat_activity WHERE xact_start IS NOT NULL`, end it, and run this again"
        ) from None
    except psycopg2.errors.InsufficientPrivilege as error:
        raise ConfigError(f"{place}: {error_text(error)}{but}. {rights}") from None
    except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.InternalError) as error:
        raise RetriableError(f"{place}: {error_text(error)}{again}") from error


def error_text(error: Exception) -> str:
    """The message of the server or the library on one line."""
    return " ".join(str(error).split())


def is_from_driver(error: Exception) -> bool:
    """Whether psycopg2 raised the error; does not import psycopg2."""
    return type(error).__module__.split(".")[0] == "psycopg2"


def lost(what: str, error: Exception, then: str = "") -> RetriableError:
    """The error for a connection that the driver reports as lost, or a server that fails.

    Args:
        what: what could not be done, or the server.
        then: the end of the message: the next step.
    """
    return RetriableError(f"{what}: {error_text(error)}{then}")


@contextmanager
def driver_errors(what: str, then: str = "") -> Iterator[None]:
    """Translate every error of psycopg2 into RetriableError, where a statement cannot be at fault.

    Unlike `translate_errors` it needs no psycopg2, so that it can stand around code that uses any state. Arguments as
    in `lost`.
    """
    try:
        yield
    except Exception as error:
        if is_from_driver(error):
            raise lost(what, error, then) from error
        raise


def address(options: Settings) -> str:
    """The address of the state for messages, without the password."""
    return f"postgresql://{options.pghost}:{options.pgport}/{options.pgdatabase or options.pguser}"


def process_label() -> str:
    """The name under which waiting processes see this one: `lake run of ana@host, pid 12`."""
    program = Path(sys.argv[0]).parent.name if Path(sys.argv[0]).name == "__main__.py" else Path(sys.argv[0]).name
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    program = {"pipeline": "lake", "": "python", "-c": "python"}.get(program, program)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        user = str(os.getuid())
    tail = f" of {user}@{socket.gethostname()}, pid {os.getpid()}".encode()[: _NAME_BYTES - 12]
    room = _NAME_BYTES - len(tail)
    return (f"{program} {command}".strip().encode()[:room] + tail).decode("utf-8", "ignore")


def acquire(session: Session, lock: Lock, wait_seconds: float) -> bool:
    """Acquire a lock for the life of the session; False if another session keeps it for the whole wait."""
    import psycopg2

    deadline = time.monotonic() + wait_seconds
    with session.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCKS, lock))
        ((is_acquired,),) = cursor.fetchall()
        while not is_acquired and (left := deadline - time.monotonic()) > 0:
            # queued on the server for one second at a time, because Ctrl-C takes effect only between statements
            cursor.execute(f"SET lock_timeout = {max(1, int(min(left, 1.0) * 1000))}")
            with suppress(psycopg2.errors.LockNotAvailable):
                cursor.execute("SELECT pg_advisory_lock(%s, %s)", (LOCKS, lock))
                is_acquired = True
        cursor.execute("RESET lock_timeout")
    return bool(is_acquired)


def holds(session: Session, lock: Lock) -> bool:
    """Whether a session is alive and still holds a lock."""
    import psycopg2

    try:
        with session.cursor() as cursor:
            cursor.execute(
                "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() "
                "AND classid = %s AND objid = %s",
                (LOCKS, lock),
            )
            ((count,),) = cursor.fetchall()
    except psycopg2.Error:
        return False
    return bool(count)


def release(session: Session, lock: Lock) -> bool:
    """Release a lock and close the session; False if the session, and so the lock, had already been lost."""
    import psycopg2

    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCKS, lock))
            ((was_held,),) = cursor.fetchall()
    except psycopg2.Error:
        return False
    finally:
        with suppress(psycopg2.Error):
            session.close()
    return bool(was_held)


def holder(session: Session, lock: int) -> str:
    """The holder of a lock, and since when if known: `sqlmesh run of ana@host, pid 12, since 10:03:12 UTC`."""
    return holder_if_any(session, lock) or "another process, which has just ended"


def holder_if_any(session: Session, lock: int) -> str:
    """The same; empty if no session holds the lock."""
    with session.cursor() as cursor:
        cursor.execute(
            "SELECT activity.application_name, activity.backend_start FROM pg_locks AS locks "
            "JOIN pg_stat_activity AS activity ON activity.pid = locks.pid "
            "WHERE locks.locktype = 'advisory' AND locks.granted AND locks.classid = %s AND locks.objid = %s "
            "AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (LOCKS, lock),
        )
        found = cursor.fetchone()
    if found is None:
        return ""
    return f"{found[0]}, since {found[1]:%H:%M:%S} UTC" if found[1] else str(found[0])
