"""The published state in Postgres: BI tools read there what others read from the published files, at the same moment.

One transaction brings a state, all of its tables or none. Rows are compared file by file with the state that Postgres
has, so that only slices (mostly dates) that differ are deleted and written; readers are not held up by that. What
Postgres has is noted in `<schema>.lakemesh_state`, in the same transaction.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.errors import ConfigError
from ingest.settings import Settings
from pipeline.process import postgres
from pipeline.releases.release import Release, Releases
from pipeline.serving.differences import Differences
from pipeline.serving.rows import TEMPORARY, Change, Rows
from pipeline.serving.session import LOCK_SECONDS, connect, lock, telling
from pipeline.serving.state import ServedState
from pipeline.serving.tables import Actual, Reshaping, Wanted, actual_tables, add_key, comment_on, create_table
from pipeline.serving.types import NO_NUL

if TYPE_CHECKING:
    from psycopg2.sql import Composable

_TRY_MILLISECONDS = 500
"""How long readers may queue behind us at a time; less than Postgres takes to look for a deadlock."""


@dataclass(slots=True)
class Served:
    """What Postgres has now.

    Attributes:
        place: the server's address for people, with the schema.
        changes: tables that were written, or dropped, by name.
        unchanged: how many tables stayed as they were.
        warnings: what an operator should know.
    """

    place: str
    state: int
    changes: dict[str, Change] = field(default_factory=dict)
    unchanged: int = 0
    warnings: list[str] = field(default_factory=list)


def serve(options: Settings, wait_seconds: float = 0.0) -> Served:
    """Brings the state that readers of the files get into Postgres, an older one as well as a newer one.

    Args:
        wait_seconds: how long to wait for another process that does the same.

    Raises:
        ConfigError: SERVING_DSN is wrong or lacks a right, nothing is published, or somebody else's things are in the
            way. Postgres keeps the state that it has.
        RetriableError: Postgres, or a file, cannot be reached, or somebody holds a lock. Likewise.
    """
    if not options.serving_dsn:
        raise ConfigError(
            "SERVING_DSN is empty: set it to the Postgres that is to serve, for instance postgresql:///bi"
        )
    postgres.driver("SERVING_DSN")
    published = Releases(options)
    session, place = connect(options)
    with telling(place), tempfile.TemporaryDirectory(prefix="lakemesh-") as folder:
        try:
            with session.cursor() as cursor:
                lock(session, cursor, options, wait_seconds, place)
                state = published.current()  # now that nobody else can bring another one
                if state is None:
                    raise ConfigError(f"{published.store.uri}: nothing is published yet; `lake run` does it")
                done = _Serving(cursor, options, published, state, place, Path(folder)).bring()
            session.commit()
        finally:
            with suppress(Exception):  # a lost session has rolled back by itself
                session.close()
    return done


class _Serving:
    """One transaction."""

    def __init__(
        self, cursor: Any, options: Settings, published: Releases, state: Release, place: str, folder: Path
    ) -> None:
        self._cursor, self._options, self._folder = cursor, options, folder
        self._schema, self._state = options.serving_schema, state
        self._served_state = ServedState(cursor, self._schema)
        self._held = self._served_state.read(state.lake_id)
        self._differences = Differences(published, self._held, state, folder)
        self._rows = Rows(cursor, self._schema, self._differences)
        self._done = Served(place, state.number)

    def bring(self) -> Served:
        """Does everything but the commit."""
        try:
            version = self._cursor.connection.server_version
            wanted = {name: Wanted.of(table, version) for name, table in self._state.tables.items()}
            actual = actual_tables(self._cursor, self._schema)
            self._must_be_ours(wanted, actual)
            reshapings = self._write(wanted, actual)
            self._reshape(reshapings, self._dropped(wanted, actual))
            for table in wanted.values():
                have = actual.get(table.name)
                self._run(comment_on(self._schema, table, have.comments if have else {}))
            if self._options.serving_role:
                self._served_state.grant(self._options.serving_role, (table.name for table in wanted.values()))
            if self._done.changes or self._held is None or self._held.to_json() != self._state.to_json():
                self._served_state.note(self._state)
            self._done.warnings += self._rows.warnings
            self._done.warnings += [
                f"{name}: {count:,} values hold the character NUL, which Postgres cannot; it shows as {NO_NUL!a} there"
                for name, count in self._differences.nul_values.items()
            ]
            self._done.unchanged = len(wanted) - len(self._done.changes.keys() & wanted.keys())
            return self._done
        finally:
            self._differences.close()

    def _must_be_ours(self, wanted: Mapping[str, Wanted], actual: Mapping[str, Actual]) -> None:
        """Sees that nobody else has put something where our tables belong.

        Raises:
            ConfigError: somebody has.
        """
        held = self._held.tables if self._held else {}
        for name, table in wanted.items():
            found = actual.get(table.name)
            if found is not None and (name not in held or found.kind != "r"):
                raise ConfigError(
                    f"{self._schema}.{table.name} is there already and not a table of Lakemesh's; rename or drop it, "
                    "or name another schema in SERVING_SCHEMA"
                )

    def _write(self, wanted: Mapping[str, Wanted], actual: Mapping[str, Actual]) -> list[tuple[str, Reshaping, str]]:
        """Writes the rows of tables that keep their shape, and of new ones, beside readers.

        Returns:
            The tables whose shape changes, each with the table that its rows wait in; empty when they stay.
        """
        reshapings: list[tuple[str, Reshaping, str]] = []
        for name, table in wanted.items():
            found, is_changed = actual.get(table.name), self._differences.is_changed(name)
            if found is None:
                self._run([create_table(self._schema, table)])
                self._done.changes[name] = self._rows.replace_all(name, table.name, table.columns)
                self._run(add_key(self._schema, key) for key in table.keys)
                continue
            assert self._held is not None
            ours = frozenset(column for column, _, _ in self._held.tables[name].columns)
            reshaping = Reshaping(self._schema, table, found, ours)
            if reshaping.is_needed:
                waiting = ""
                if is_changed or reshaping.changes_columns:
                    waiting = f"lakemesh_waiting_{len(reshapings)}"
                    self._run([create_table("", table, waiting)])
                    written = self._rows.add_all(name, waiting, table.columns, TEMPORARY)
                    self._done.changes[name] = Change(0, written, True)
                reshapings.append((name, reshaping, waiting))
            elif is_changed and (change := self._rows.replace(name, table.name, table.columns)):
                self._done.changes[name] = change
        return reshapings

    def _dropped(self, wanted: Mapping[str, Wanted], actual: Mapping[str, Actual]) -> list[str]:
        """Tables of the state before whose models are gone."""
        held = self._held.tables if self._held else {}
        gone = {name: _own_name(name) for name in held if name not in wanted and _own_name(name) in actual}
        self._done.changes |= {name: Change(held[name].rows) for name in gone}
        return list(gone.values())

    def _reshape(self, reshapings: list[tuple[str, Reshaping, str]], dropped: list[str]) -> None:
        """Gives tables their new shape, and drops those that are gone. Readers of just these wait until the commit.

        Raises:
            ConfigError: something of somebody else's needs what goes.
        """
        from psycopg2.sql import SQL, Identifier

        self._lock_tables([*(item.wanted.name for _, item, _ in reshapings), *dropped])
        for name, item, waiting in reshapings:
            if waiting:
                self._done.changes[name].deleted = self._rows.delete_all(item.wanted.name)
            with self._reject_dependents(f"{self._schema}.{item.wanted.name} changes ({item.told()})"):
                self._run(item.before_rows())
            if waiting:
                table = Identifier(self._schema, item.wanted.name)
                columns = SQL(", ").join(map(Identifier, item.wanted.columns))
                insert = SQL("INSERT INTO {} ({}) SELECT {} FROM {}")
                self._run([insert.format(table, columns, columns, Identifier(TEMPORARY, waiting))])
            self._run(item.after_rows())
            self._rows.analyze(item.wanted.name)
        for table_name in dropped:
            with self._reject_dependents(f"{self._schema}.{table_name} goes, since its model is gone"):
                self._run([SQL("DROP TABLE {}").format(Identifier(self._schema, table_name))])

    def _lock_tables(self, names: list[str]) -> None:
        """Keeps readers off tables, never for longer than a moment before they are all ours.

        Raises:
            RetriableError: a reader keeps one of them all the while.
        """
        import psycopg2
        from psycopg2.sql import SQL, Identifier

        if not names:
            return
        tables = SQL(", ").join(Identifier(self._schema, name) for name in sorted(names))
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            self._cursor.execute("SAVEPOINT before_locks")
            self._cursor.execute(f"SET LOCAL lock_timeout = {_TRY_MILLISECONDS}")
            try:
                self._run([SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(tables)])
                break
            except psycopg2.errors.LockNotAvailable:
                self._cursor.execute("ROLLBACK TO SAVEPOINT before_locks")
                if time.monotonic() > deadline:
                    raise
                time.sleep(_TRY_MILLISECONDS / 1000)
        self._cursor.execute(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}")

    @contextmanager
    def _reject_dependents(self, told: str) -> Iterator[None]:
        import psycopg2

        try:
            yield
        except (psycopg2.errors.DependentObjectsStillExist, psycopg2.errors.DuplicateColumn) as error:
            detail = " ".join((error.diag.message_detail or error.diag.message_primary or "").split())
            raise ConfigError(
                f"{told}, but {detail}. Drop or change that first, then publish again; until then Postgres keeps "
                f"{f'state {self._held.number}' if self._held else 'what it has'}"
            ) from None

    def _run(self, statements: Iterable[Composable]) -> None:
        for statement in statements:
            self._cursor.execute(statement)


def _own_name(name: str) -> str:
    """`gold.x` → `x`: what it is called in the serving schema."""
    return name.split(".")[-1]
