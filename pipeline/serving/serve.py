"""Serve the current release from Postgres, where BI tools read the same data as readers of the published files.

One transaction writes a release, all of its tables or none. Rows are compared file by file with the release that
Postgres has, so that only slices (mostly dates) that differ are deleted and written, which blocks no reader. The
release is recorded in `<schema>.lakemesh_state`, in the same transaction.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.errors import ConfigError
from ingest.retry import while_busy
from ingest.settings import Settings
from pipeline.process import postgres
from pipeline.releases.changes import LAYER
from pipeline.releases.release import Release, Releases
from pipeline.serving.differences import Differences
from pipeline.serving.rows import TEMPORARY, Change, Rows
from pipeline.serving.session import LOCK_SECONDS, connect, lock, translate_errors
from pipeline.serving.state import ServedRelease
from pipeline.serving.tables import Actual, Reshaping, Wanted, actual_tables, add_key, comment_on, create_table
from pipeline.serving.types import NO_NUL

if TYPE_CHECKING:
    from psycopg2.sql import Composable

_TRY_MILLISECONDS = 500
"""How long readers may queue behind a lock request; less than Postgres's deadlock_timeout."""


@dataclass(slots=True)
class Served:
    """The result of serving a release.

    Attributes:
        place: the server's address, with the schema, for display.
        state: number of the release.
        changes: tables that were written or dropped, by name.
        unchanged: number of unchanged tables.
        warnings: for the operator.
    """

    place: str
    state: int
    changes: dict[str, Change] = field(default_factory=dict)
    unchanged: int = 0
    warnings: list[str] = field(default_factory=list)


def serve(options: Settings, published: Releases, wait_seconds: float = 0.0) -> Served:
    """Write the current release to Postgres, whether it is newer or older than the one there.

    On any error Postgres keeps its current release.

    Args:
        options: server, schema and role.
        wait_seconds: how long to wait for another process that serves the schema.

    Raises:
        ConfigError: SERVING_DSN is wrong or lacks a right, nothing is published, or objects not created by Lakemesh
            conflict.
        RetriableError: Postgres or a file cannot be reached, or another session keeps a lock.
        ServingRefused: Postgres refuses the rows or a statement.
    """
    if not options.serving_dsn:
        raise ConfigError("SERVING_DSN is empty: set it to the serving Postgres, for instance postgresql:///bi")
    postgres.driver("SERVING_DSN")
    session, place = connect(options)
    with translate_errors(place), tempfile.TemporaryDirectory(prefix="lakemesh-") as folder:
        try:
            with session.cursor() as cursor:
                lock(session, cursor, options, wait_seconds, place)
                release = published.current()  # under the lock: no other process serves another one meanwhile
                if release is None:
                    raise ConfigError(f"{published.store.uri}: nothing is published yet; run `lake run`")
                # only gold: in one schema, tables of two layers could have the same name
                release = release.of_layer(LAYER)
                done = _Serving(cursor, options, published, release, place, Path(folder)).write()
            session.commit()
        finally:
            with suppress(Exception):  # a lost session is rolled back by the server
                session.close()
    return done


class _Serving:
    """One serving transaction."""

    def __init__(
        self, cursor: Any, options: Settings, published: Releases, release: Release, place: str, folder: Path
    ) -> None:
        self._cursor, self._options, self._folder = cursor, options, folder
        self._schema, self._release = options.serving_schema, release
        self._served = ServedRelease(cursor, self._schema)
        self._before = self._served.read(release.lake_id)
        self._differences = Differences(published, self._before, release, folder)
        self._rows = Rows(cursor, self._schema, self._differences)
        self._done = Served(place, release.number)

    def write(self) -> Served:
        """Write the release, without the commit."""
        try:
            version = self._cursor.connection.server_version
            wanted = {name: Wanted.of(table, version) for name, table in self._release.tables.items()}
            actual = actual_tables(self._cursor, self._schema)
            self._require_ownership(wanted, actual)
            reshapings = self._write_rows(wanted, actual)
            self._reshape(reshapings, self._dropped(wanted, actual))
            for table in wanted.values():
                have = actual.get(table.name)
                self._run(comment_on(self._schema, table, have.comments if have else {}))
            if self._options.serving_role:
                self._served.grant(self._options.serving_role, (table.name for table in wanted.values()))
            if self._done.changes or self._before is None or self._before.to_json() != self._release.to_json():
                self._served.write(self._release)
            self._done.warnings += self._rows.warnings
            self._done.warnings += [
                f"{name}: {count:,} values contain the character NUL, which Postgres cannot store; it is replaced by "
                f"{NO_NUL!a}"
                for name, count in self._differences.nul_values.items()
            ]
            self._done.unchanged = len(wanted) - len(self._done.changes.keys() & wanted.keys())
            return self._done
        finally:
            self._differences.close()

    def _require_ownership(self, wanted: Mapping[str, Wanted], actual: Mapping[str, Actual]) -> None:
        """Check that no relation that Lakemesh did not create has the name of a published table.

        Raises:
            ConfigError: there is one.
        """
        served = self._before.tables if self._before else {}
        for name, table in wanted.items():
            found = actual.get(table.name)
            if found is not None and (name not in served or found.kind != "r"):
                raise ConfigError(
                    f"{self._schema}.{table.name} already exists and is not a Lakemesh table; rename or drop it, or "
                    "set SERVING_SCHEMA to another schema"
                )

    def _write_rows(
        self, wanted: Mapping[str, Wanted], actual: Mapping[str, Actual]
    ) -> list[tuple[str, Reshaping, str]]:
        """Write the rows of new tables and of tables that keep their definition, without blocking readers.

        Returns:
            Name and change of each table whose definition changes, and the temporary table with its rows; empty if its
            rows do not change.
        """
        reshapings: list[tuple[str, Reshaping, str]] = []
        for name, table in wanted.items():
            found, is_changed = actual.get(table.name), self._differences.is_changed(name)
            if found is None:
                self._run([create_table(self._schema, table)])
                self._done.changes[name] = self._rows.replace_all(name, table.name, table.columns)
                self._run(add_key(self._schema, key) for key in table.keys)
                continue
            assert self._before is not None
            own = frozenset(column for column, _, _ in self._before.tables[name].columns)
            reshaping = Reshaping(self._schema, table, found, own)
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
        """Tables of the previous release whose models were removed."""
        served = self._before.tables if self._before else {}
        gone = {name: _table_name(name) for name in served if name not in wanted and _table_name(name) in actual}
        self._done.changes |= {name: Change(served[name].rows) for name in gone}
        return list(gone.values())

    def _reshape(self, reshapings: list[tuple[str, Reshaping, str]], dropped: list[str]) -> None:
        """Change the definitions of tables and drop removed ones. Only readers of these wait until the commit.

        Raises:
            ConfigError: an object not created by Lakemesh depends on what is dropped.
        """
        from psycopg2.sql import SQL, Identifier

        self._lock_tables([*(item.wanted.name for _, item, _ in reshapings), *dropped])
        for name, item, waiting in reshapings:
            if waiting:
                self._done.changes[name].deleted = self._rows.delete_all(item.wanted.name)
            with self._reject_dependents(f"{self._schema}.{item.wanted.name} changes ({item.describe()})"):
                self._run(item.before_rows())
            if waiting:
                table = Identifier(self._schema, item.wanted.name)
                columns = SQL(", ").join(map(Identifier, item.wanted.columns))
                insert = SQL("INSERT INTO {} ({}) SELECT {} FROM {}")
                self._run([insert.format(table, columns, columns, Identifier(TEMPORARY, waiting))])
            self._run(item.after_rows())
            self._rows.analyze(item.wanted.name)
        for table_name in dropped:
            with self._reject_dependents(f"{self._schema}.{table_name} is dropped, since its model was removed"):
                self._run([SQL("DROP TABLE {}").format(Identifier(self._schema, table_name))])

    def _lock_tables(self, names: list[str]) -> None:
        """Lock tables against readers, who queue for at most _TRY_MILLISECONDS per attempt.

        Raises:
            LockNotAvailable: a reader kept one of them for LOCK_SECONDS.
        """
        import psycopg2
        from psycopg2.sql import SQL, Identifier

        if not names:
            return
        tables = SQL(", ").join(Identifier(self._schema, name) for name in sorted(names))

        def locked() -> None:
            self._cursor.execute("SAVEPOINT before_locks")
            self._cursor.execute(f"SET LOCAL lock_timeout = {_TRY_MILLISECONDS}")
            try:
                self._run([SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(tables)])
            except psycopg2.errors.LockNotAvailable:
                self._cursor.execute("ROLLBACK TO SAVEPOINT before_locks")
                raise

        while_busy(
            locked,
            lambda error: isinstance(error, psycopg2.errors.LockNotAvailable),
            LOCK_SECONDS,
            _TRY_MILLISECONDS / 1000,
        )
        self._cursor.execute(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}")

    @contextmanager
    def _reject_dependents(self, change: str) -> Iterator[None]:
        import psycopg2

        try:
            yield
        except (psycopg2.errors.DependentObjectsStillExist, psycopg2.errors.DuplicateColumn) as error:
            detail = " ".join((error.diag.message_detail or error.diag.message_primary or "").split())
            raise ConfigError(
                f"{change}, but {detail}. Drop or change that first, then publish again; until then Postgres keeps "
                f"{f'release {self._before.number}' if self._before else 'its current contents'}"
            ) from None

    def _run(self, statements: Iterable[Composable]) -> None:
        for statement in statements:
            self._cursor.execute(statement)


def _table_name(name: str) -> str:
    """The name of a published table in the serving schema: `gold.x` → `x`."""
    return name.split(".")[-1]
