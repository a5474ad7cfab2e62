"""After an erasure no page of Postgres has rows that the release lacks, and what cannot be written again is named."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import RetriableError
from ingest.settings import Settings, read_settings, settings
from pipeline.process import vacuum as vacuuming
from pipeline.process.postgres import LOCKS
from pipeline.serving.serve import serve
from pipeline.serving.session import lock_key
from pipeline.serving.vacuum import vacuum
from pipeline.state.opening import state_database
from tests.gold_states import GoldStates, Table
from tests.postgres_server import Postgres

psycopg2 = pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed, the extra `postgres`")
PERSON = "person-5f0c77aa91"


@dataclass(frozen=True, slots=True)
class Bi:
    """A database for BI, and the releases that are copied into it."""

    server: Postgres
    database: str
    options: Settings
    gold: GoldStates

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        session = psycopg2.connect(self.options.serving_dsn)
        session.autocommit = True
        try:
            with session.cursor() as cursor:
                cursor.execute(query)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            session.close()

    def places(self) -> set[str]:
        """Tables and indexes of which a page has the person's bytes, as they are on the disk."""
        self.rows("CHECKPOINT")
        found = self.rows(
            "SELECT space.nspname || '.' || relation.relname, "
            f"position('{PERSON}'::BYTEA IN pg_read_binary_file(pg_relation_filepath(relation.oid))) > 0 "
            "FROM pg_class AS relation JOIN pg_namespace AS space ON space.oid = relation.relnamespace "
            "WHERE pg_relation_filepath(relation.oid) IS NOT NULL AND pg_relation_size(relation.oid) > 0"
        )
        return {name for name, has_person in found if has_person}


@pytest.fixture
def bi(clean_settings: Path, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bi]:
    """A database that had the person in release 1, and has release 2 now."""
    database = f"bi_{uuid.uuid4().hex}"
    postgres_server.sql("postgres", f"CREATE DATABASE {database}")
    given = {name.removeprefix("PG").lower(): value for name, value in postgres_server.variables.items()}
    monkeypatch.setenv("SERVING_DSN", str(psycopg2.extensions.make_dsn(**given, dbname=database)))
    settings.cache_clear()
    options = read_settings()
    found = Bi(postgres_server, database, options, GoldStates(options))
    found.gold.publish(people=people(PERSON), other=people("ann"))
    serve(options, found.gold.published)
    found.rows("ANALYZE")
    found.gold.publish(people=people("bob"), other=people("ann"))
    serve(options, found.gold.published)
    yield found
    postgres_server.sql("postgres", f"DROP DATABASE {database} WITH (FORCE)")


def people(name: str) -> Table:
    """Thirty rows, of which ten have the name."""
    query = f"SELECT i AS id, CASE WHEN i < 10 THEN '{name}' ELSE 'x' || i END AS name FROM RANGE(30) AS numbers(i)"
    return Table({"id": "BIGINT", "name": "TEXT"}, {"": query}, grain=("id",))


def test_deleted_rows_are_on_no_page_and_readers_see_the_same(bi: Bi) -> None:
    # GIVEN rows that are deleted, and statistics about them
    assert bi.places() >= {"gold.people", "pg_catalog.pg_statistic"}
    before = bi.rows("SELECT * FROM gold.people ORDER BY id"), bi.rows("SELECT state FROM gold.lakemesh_state")

    done = vacuum(bi.options, bi.gold.published, 2)

    assert bi.places() == set()
    assert (
        bi.rows("SELECT * FROM gold.people ORDER BY id"),
        bi.rows("SELECT state FROM gold.lakemesh_state"),
    ) == before
    assert done.left == ()
    assert len(done.done) == 1
    assert "wrote 4 tables again without deleted rows" in done.done[0]
    assert [line for line in done.beyond if "its WAL, its back-ups and its replicas" in line]
    indexes = "SELECT COUNT(*) FROM pg_constraint WHERE contype IN ('p', 'u') AND connamespace = 'gold'::regnamespace"
    assert bi.rows(indexes) == [(3,)]
    assert vacuum(bi.options, bi.gold.published, 2) == done


def test_release_that_is_not_served_yet_is_served_first(bi: Bi) -> None:
    bi.gold.publish(people=people("cyd"), other=people("ann"))

    done = vacuum(bi.options, bi.gold.published, 3)

    assert "serves release 3" in done.done[0]
    assert bi.places() == set()
    assert bi.rows("SELECT COUNT(*) FROM gold.people WHERE name = 'cyd'") == [(10,)]


def test_schema_whose_readers_have_no_release_is_reported_with_what_it_still_has(bi: Bi) -> None:
    bi.gold.published.store.delete(["current.json", "current.duckdb"])
    done = vacuum(bi.options, bi.gold.published, 3)
    assert len(done.left) == 1
    assert "still has release 2; run `lake run`, then this again" in done.left[0]


def test_schema_that_never_had_a_release_is_nothing_to_do(bi: Bi) -> None:
    empty = bi.options.model_copy(update={"serving_schema": "none", "published_uri": bi.options.lake_home + "/none"})
    assert vacuum(empty, GoldStates(empty).published, 2).done == ()


def test_without_the_right_each_table_is_named(bi: Bi) -> None:
    """The tables belong to another user: VACUUM warns, and does nothing."""
    role = f"r{uuid.uuid4().hex}"
    bi.rows(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    bi.rows(f"GRANT ALL ON SCHEMA gold TO {role}")
    bi.rows(f"GRANT ALL ON ALL TABLES IN SCHEMA gold TO {role}")
    dsn = psycopg2.extensions.make_dsn(bi.options.serving_dsn, user=role, password="p")
    session = psycopg2.connect(dsn)
    session.autocommit = True
    try:
        done = vacuuming.vacuum_full(session, ["gold"], "postgresql://here", "SERVING_DSN")
    finally:
        session.close()
    assert done.done == ()
    assert [line.split(": ", 1)[1] for line in done.left] == [
        *(
            f"gold.{name} keeps deleted rows: the user of SERVING_DSN must own the table or the database to write it "
            "again"
            for name in ("lakemesh_state", "other", "people")
        ),
        "pg_catalog.pg_statistic keeps statistics, which have values of columns: the user of SERVING_DSN must own the "
        "table or the database to write it again",
    ]
    bi.rows(f"DROP OWNED BY {role}")
    bi.rows(f"DROP ROLE {role}")


def in_use(bi: Bi, statement: str) -> Any:
    """A session in a transaction that has run a statement."""
    session = psycopg2.connect(bi.options.serving_dsn)
    session.set_session(isolation_level="REPEATABLE READ")
    with session.cursor() as cursor:
        cursor.execute(statement)
    return session


def test_rows_that_older_transactions_still_see_are_reported(bi: Bi) -> None:
    session = in_use(bi, "SELECT COUNT(*) FROM gold.other")
    bi.gold.publish(people=people("cyd"), other=people("ann"))
    serve(bi.options, bi.gold.published)
    done = _with_short_waits(lambda: vacuum(bi.options, bi.gold.published, 3))
    left = [line for line in done.left if "transactions which began before can still see" in line]
    assert [line for line in left if "gold.people" in line]
    session.close()
    assert vacuum(bi.options, bi.gold.published, 3).left == ()


def _with_short_waits(call: Callable[[], Any]) -> Any:
    before = vacuuming._LOCK_SECONDS
    vacuuming._LOCK_SECONDS = 1.0
    try:
        return call()
    finally:
        vacuuming._LOCK_SECONDS = before


def test_table_in_use_is_left_and_its_readers_never_wait_for_long(bi: Bi) -> None:
    session = in_use(bi, "SELECT COUNT(*) FROM gold.people")
    waits: list[float] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            began = time.monotonic()
            bi.rows("SELECT COUNT(*) FROM gold.people")
            waits.append(time.monotonic() - began)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        done = _with_short_waits(lambda: vacuum(bi.options, bi.gold.published, 2))
    finally:
        stop.set()
        reader.join()
        session.close()
    assert [line for line in done.left if "gold.people has been in use by other sessions" in line]
    assert max(waits) < 3
    assert vacuum(bi.options, bi.gold.published, 2).left == ()
    assert bi.places() == set()


def test_two_processes_do_not_serve_and_vacuum_at_once(bi: Bi) -> None:
    session = psycopg2.connect(bi.options.serving_dsn)
    with session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", (LOCKS, lock_key("gold")))
    with pytest.raises(RetriableError, match="in use by"):
        vacuum(bi.options, bi.gold.published, 2)
    session.close()


def test_materialized_views_of_users_are_named(bi: Bi) -> None:
    bi.rows("CREATE SCHEMA own")
    bi.rows("CREATE MATERIALIZED VIEW own.names AS SELECT name FROM gold.people")
    done = vacuum(bi.options, bi.gold.published, 2)
    assert [line for line in done.beyond if "materialized views own.names are their owners'" in line]


def test_state_in_postgres_is_written_again(
    postgres_server: Postgres, clean_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"state_{uuid.uuid4().hex}"
    postgres_server.sql("postgres", f"CREATE DATABASE {database}")
    wanted = {"LAKE_GATEWAY": "postgres_state", "PGDATABASE": database, **postgres_server.variables}
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    state = state_database(read_settings())
    with state.open() as opened:
        opened.execute(f"INSERT INTO lakemesh.settled VALUES ('{PERSON}', 7, NULL), ('events', 3, NULL)")
        opened.execute(f"DELETE FROM lakemesh.settled WHERE feed = '{PERSON}'")

    done = state.rewrite()

    assert done.left == ()
    file = "pg_read_binary_file(pg_relation_filepath('lakemesh.settled'))"
    query = f"CHECKPOINT; SELECT position('{PERSON}'::BYTEA IN {file}), (SELECT MAX(feed) FROM lakemesh.settled)"
    shown = postgres_server.run(
        "psql", "-X", "-A", "-t", "-d", database, "-c", "CHECKPOINT", "-c", query.split("; ")[1]
    )
    assert shown.split() == ["CHECKPOINT", "0|events"]
    postgres_server.sql("postgres", f"DROP DATABASE {database} WITH (FORCE)")
