"""Sessions on Postgres, above all on the one with the state, and the locks that keep processes on all hosts apart."""

from __future__ import annotations

import getpass
import os
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ingest.errors import ConfigError, RetriableError
from ingest.settings import Settings

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    Session: TypeAlias = connection

LOCKS = 0x6C616B65
"""First key of our advisory locks, `lake` in ASCII: theirs is the whole database, not a schema."""
_NAME_BYTES = 63
"""How much of an application_name Postgres keeps."""


class Lock(IntEnum):
    """What one process at a time may do on one state."""

    COMPUTING = 1
    CYCLE = 2
    TABLES = 3


def driver(setting: str = "LAKE_GATEWAY=postgres_state") -> Any:
    """The module psycopg2.

    Args:
        setting: what needs it, for the error.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import psycopg2
    except ImportError:
        raise ConfigError(
            f"{setting} needs psycopg2: install requirements-postgres.lock, or the extra `postgres`"
        ) from None
    return psycopg2


def connect(options: Settings) -> Session:
    """A session that commits each statement by itself, and that the server ends soon when this host is gone.

    Raises:
        ConfigError: psycopg2 is missing, or the server refuses us.
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
    return open_session(wanted, place(options), "PGUSER, PGPASSWORD or PGDATABASE")


def open_session(wanted: Mapping[str, Any], name: str, settings: str) -> Session:
    """A session with libpq's parameters.

    Args:
        name: what messages call the server, without a password.
        settings: what to mend when the server refuses us.

    Raises:
        ConfigError: the server refuses us.
        RetriableError: the server cannot be reached.
    """
    import psycopg2

    ours: dict[str, Any] = {
        "application_name": who(),
        "connect_timeout": 10,
        # a cut connection is noticed within a minute, not after the two hours of the system's default
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
    try:
        session: Session = psycopg2.connect(**(ours | dict(wanted)))
    except psycopg2.OperationalError as error:
        told = reason(error)
        if any(words in told for words in ("authentication failed", "does not exist", "no password supplied")):
            raise ConfigError(f"{name}: {told}. Mend {settings}") from None
        raise RetriableError(f"{name} cannot be reached: {told}") from None
    session.autocommit = True
    for setting in ("tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3"):
        _set(session, setting)
    _set(session, "idle_session_timeout = 0")  # a lock is held by an idle session
    _set(session, "TimeZone = 'UTC'")
    return session


def _set(session: Session, setting: str) -> None:
    import psycopg2

    with suppress(psycopg2.errors.UndefinedObject), session.cursor() as cursor:  # older servers lack some
        cursor.execute(f"SET {setting}")


def reason(error: Exception) -> str:
    """What the server or the library says, in one line."""
    return " ".join(str(error).split())


def is_from_driver(error: Exception) -> bool:
    """Whether psycopg2 raised an error, known without importing it."""
    return type(error).__module__.split(".")[0] == "psycopg2"


def place(options: Settings) -> str:
    """The state's address for people, without the password."""
    return f"postgresql://{options.pghost}:{options.pgport}/{options.pgdatabase or options.pguser}"


def who() -> str:
    """What others read of this process when they wait for it: `lake run of ana@host, pid 12`."""
    program = Path(sys.argv[0]).parent.name if Path(sys.argv[0]).name == "__main__.py" else Path(sys.argv[0]).name
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    program = {"pipeline": "lake", "": "python", "-c": "python"}.get(program, program)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    tail = f" of {user}@{socket.gethostname()}, pid {os.getpid()}".encode()[: _NAME_BYTES - 12]
    room = _NAME_BYTES - len(tail)
    return (f"{program} {command}".strip().encode()[:room] + tail).decode("utf-8", "ignore")


def acquire(session: Session, lock: Lock, wait_seconds: float) -> bool:
    """Takes a lock for as long as the session lives, or says that another session keeps it all the while."""
    import psycopg2

    deadline = time.monotonic() + wait_seconds
    with session.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCKS, lock))
        ((is_ours,),) = cursor.fetchall()
        while not is_ours and (left := deadline - time.monotonic()) > 0:
            # in the server's queue, but for a second at a time: an interrupt of the user counts only between
            cursor.execute(f"SET lock_timeout = {max(1, int(min(left, 1.0) * 1000))}")
            with suppress(psycopg2.errors.LockNotAvailable):
                cursor.execute("SELECT pg_advisory_lock(%s, %s)", (LOCKS, lock))
                is_ours = True
        cursor.execute("RESET lock_timeout")
    return bool(is_ours)


def holds(session: Session, lock: Lock) -> bool:
    """Whether a session is there and still has a lock."""
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
    """Gives a lock back and ends the session; False when the session was lost, and the lock with it, some time ago."""
    import psycopg2

    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCKS, lock))
            ((was_ours,),) = cursor.fetchall()
    except psycopg2.Error:
        return False
    finally:
        with suppress(psycopg2.Error):
            session.close()
    return bool(was_ours)


def holder(session: Session, lock: int) -> str:
    """Who has a lock, and since when if the server tells: `sqlmesh run of ana@host, pid 12, since 10:03:12 UTC`."""
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
        return "another process, which has just ended"
    return f"{found[0]}, since {found[1]:%H:%M:%S} UTC" if found[1] else str(found[0])
