"""Values are found in a real Postgres: rows, definitions, statistics, and what deleted rows leave."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from pipeline.checks.traces.find import find_traces
from pipeline.checks.traces.places import PostgresPlace
from pipeline.checks.traces.trace import Kind, Scan
from tests.pipeline.checks.traces.planted import EMAIL, LONG, NAME, USER, VALUES, escaped, hashed
from tests.postgres_server import Postgres

psycopg2 = pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed, the extra `postgres`")


class Database:
    """A database of its own for a test."""

    def __init__(self, server: Postgres, name: str) -> None:
        given = {key.removeprefix("PG").lower(): value for key, value in server.variables.items()}
        self.dsn = psycopg2.extensions.make_dsn(**(given | {"dbname": name}))

    def connect(self) -> Any:
        session = psycopg2.connect(self.dsn)
        session.autocommit = True
        return session

    def run(self, *statements: str) -> None:
        """Run statements in a session of its own, whose counts of dead rows are known once it has ended."""
        with closing(self.connect()) as session, session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            if session.server_version >= 150000:
                cursor.execute("SELECT pg_stat_force_next_flush()")
                cursor.execute("SELECT 1")

    def scan(self, *schemas: str, keeps_deleted: bool = True) -> Scan:
        place = PostgresPlace("Postgres", self.connect, schemas or ("gold", "gold_analyst"), keeps_deleted)
        return find_traces([place], VALUES)


@pytest.fixture
def database(postgres_server: Postgres) -> Iterator[Database]:
    name = f"traces_{uuid.uuid4().hex}"
    postgres_server.sql("postgres", f"CREATE DATABASE {name}")
    yield Database(postgres_server, name)
    postgres_server.sql("postgres", f"DROP DATABASE {name} WITH (FORCE)")


PEOPLE = (
    "CREATE SCHEMA gold",
    "CREATE SCHEMA gold_analyst",
    "CREATE SCHEMA other",
    'CREATE TABLE gold."peo ple" (customer_id INT, mail TEXT, note JSONB, ids TEXT[], amount NUMERIC, buyer_ids INT[])',
    "INSERT INTO gold.\"peo ple\" SELECT i + 1000, 'x' || i || '@example.com', '{}', '{}', 17, '{17}' "
    "FROM GENERATE_SERIES(1, 5000) AS numbers(i)",
    "ANALYZE",
)


def labels(scan: Scan, part: str = "") -> set[str]:
    return {trace.label for trace in scan.of(Kind.FOUND) if part in trace.where}


def test_rows_of_every_type_and_encoding(database: Database) -> None:
    database.run(*PEOPLE)
    assert [str(trace) for trace in database.scan().traces] == []
    database.run(
        f'INSERT INTO gold."peo ple" VALUES (17, \'a\n{EMAIL.text}\tb\', \'{{"a": ["{NAME.text}"]}}\', '
        f"'{{{USER.text}}}', 17, '{{17}}')",
        f"CREATE TABLE gold_analyst.visits AS SELECT '{LONG.text}'::UUID AS id, 17.00 AS buyer_id, 17 AS other_id",
        f"CREATE TABLE other.visits AS SELECT '{LONG.text}' AS id",
    )
    scan = database.scan()
    assert labels(scan, "gold.peo ple") == {"user_id", "email", "name", "customer_id"}
    assert labels(scan, "gold_analyst.visits") == {"visitor_id", "customer_id"}
    assert {trace.where for trace in scan.traces} <= {
        *("gold.peo ple", "gold.peo ple, column customer_id"),
        *("gold_analyst.visits", "gold_analyst.visits, column buyer_id"),
    }
    assert labels(database.scan("other")) == {"visitor_id"}


def test_each_encoding_in_texts_and_bytes(database: Database) -> None:
    database.run("CREATE SCHEMA gold")
    encoded = [*escaped(EMAIL.text), *hashed(EMAIL.text)]
    with closing(database.connect()) as session, session.cursor() as cursor:
        for number, (_, data) in enumerate(encoded):
            is_text = b"\0" not in data and _is_text(data)
            cursor.execute(f"CREATE TABLE gold.t{number} (a {'TEXT' if is_text else 'BYTEA'})")
            cursor.execute(f"INSERT INTO gold.t{number} VALUES (%s)", (data.decode() if is_text else data,))
    places = {trace.where for trace in database.scan().of(Kind.FOUND)}
    assert places == {f"gold.t{number}" for number in range(len(encoded))}


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_definitions_comments_and_statistics(database: Database) -> None:
    database.run(
        *PEOPLE,
        f"CREATE VIEW gold.v AS SELECT '{USER.text}' AS a",
        f"COMMENT ON COLUMN gold.\"peo ple\".mail IS 'as {EMAIL.text}'",
        "CREATE TABLE gold.often (mail TEXT, buyer_id INT)",
        f"INSERT INTO gold.often SELECT '{NAME.text}', 17 FROM GENERATE_SERIES(1, 100)",
        "ANALYZE gold.often",
        "TRUNCATE gold.often",
    )
    scan = database.scan()
    assert labels(scan, "gold.v, definition") == {"user_id"}
    assert labels(scan, "gold.peo ple, definition") == {"email"}
    assert labels(scan, "statistics of column mail") == {"name"}
    assert labels(scan, "statistics of column buyer_id") == {"customer_id"}
    database.run("ANALYZE gold.often")  # of an empty table it keeps what it has
    database.run("INSERT INTO gold.often VALUES ('b', 1)", "ANALYZE gold.often")
    assert not labels(database.scan(), "statistics")


@pytest.mark.parametrize("clean", [(), ("VACUUM",)])
def test_deleted_rows_are_reported_until_the_table_is_written_anew(clean: tuple[str, ...], database: Database) -> None:
    database.run(*PEOPLE, f"UPDATE gold.\"peo ple\" SET mail = '{EMAIL.text}' WHERE customer_id = 2000")
    database.run('DELETE FROM gold."peo ple" WHERE customer_id = 2000', "ANALYZE")
    database.run(*clean)
    scan = database.scan()
    assert not labels(scan)
    assert [trace.where for trace in scan.of(Kind.MAY_REMAIN)] == ["gold.peo ple"]
    assert not database.scan(keeps_deleted=False).traces

    database.run("VACUUM (FULL, ANALYZE)")

    assert [str(trace) for trace in database.scan().traces] == []


def test_pages_are_searched_where_that_is_allowed(database: Database) -> None:
    try:
        database.run("CREATE EXTENSION pageinspect")
    except psycopg2.errors.UndefinedFile:
        pytest.skip("PostgreSQL: the extension pageinspect is not installed")
    database.run(*PEOPLE, f"UPDATE gold.\"peo ple\" SET mail = '{EMAIL.text}' WHERE customer_id = 2000")
    database.run('DELETE FROM gold."peo ple" WHERE customer_id = 2000', "ANALYZE")
    assert labels(database.scan(), "pages") == {"email"}
    database.run("VACUUM (FULL, ANALYZE)")
    assert [str(trace) for trace in database.scan().traces] == []


def test_a_database_that_cannot_be_read_is_a_trace(database: Database) -> None:
    database.run("CREATE SCHEMA gold", "CREATE TABLE gold.a (b INT)")
    database.run("CREATE ROLE traces_reader", "GRANT USAGE ON SCHEMA gold TO traces_reader")

    def connect() -> Any:
        session = database.connect()
        with session.cursor() as cursor:
            cursor.execute("SET ROLE traces_reader")
        return session

    (trace,) = find_traces([PostgresPlace("Postgres", connect, ("gold",))], VALUES).traces
    assert trace.kind is Kind.UNREADABLE
    assert "permission denied" in trace.encoding
    database.run("DROP OWNED BY traces_reader", "DROP ROLE traces_reader")
