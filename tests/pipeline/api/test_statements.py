"""The query API runs exactly one SELECT over published tables."""

from __future__ import annotations

import duckdb
import pytest

from pipeline.api.problems import Problem
from pipeline.api.statement import checked
from tests.pipeline.api.serving import Server, World, tree

TABLES = ["gold.fees", "gold.plays_daily"]
GOOD = [
    "SELECT 1",
    "FROM gold.fees",
    "select * from GOLD.Fees",
    'SELECT * FROM "gold"."fees" AS f, lake.gold.plays_daily p LIMIT 5',
    "WITH a AS (SELECT 1 AS x), b AS (FROM a) SELECT b.x FROM b, (FROM a) c",
    "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE x < 9) FROM r",
    "SELECT (SELECT MAX(fees) FROM gold.fees), EXISTS(FROM gold.plays_daily), [x + 1 FOR x IN [1, 2]]",
    "WITH a AS (SELECT 1) (WITH b AS (FROM a) FROM b) UNION ALL FROM a",
    "SELECT * FROM range(3), LATERAL (SELECT 1), UNNEST([1, 2])",
    "PIVOT gold.fees ON currency IN ('EUR') USING SUM(fees)",
    "SELECT currency, SUM(fees) OVER (ORDER BY month_date) FROM gold.fees QUALIFY ROW_NUMBER() OVER () < 5 /* ; */",
    "SELECT 'COPY x TO y; DROP TABLE z' AS text -- ATTACH 'x'",
    "SELECT COLUMNS('fe.*') FROM gold.fees;",
]
FILES = ["read_text", "read_blob", "read_csv", "read_parquet", "read_json", "glob", "sniff_csv", "parquet_metadata"]
BAD = [
    *(f"SELECT * FROM {name}('/etc/passwd')" for name in FILES),
    *(f"SELECT * FROM gold.fees WHERE EXISTS (FROM {name}('x'))" for name in FILES),
    *("COPY gold.fees TO 'x.csv'", "COPY (SELECT 1) TO 'x.parquet'", "EXPORT DATABASE 'x'", "IMPORT DATABASE 'x'"),
    *("ATTACH 'x.db'", "DETACH lake", "USE memory", "INSTALL httpfs", "LOAD httpfs", "CALL pragma_version()"),
    *("SET threads = 1", "RESET threads", "PRAGMA database_list", "PRAGMA version", "CHECKPOINT", "VACUUM", "ANALYZE"),
    *(
        "CREATE TABLE x AS SELECT 1",
        "CREATE TEMP VIEW x AS SELECT 1",
        "DROP VIEW gold.fees",
        "ALTER VIEW gold.fees RENAME TO x",
    ),
    *(
        "INSERT INTO gold.fees VALUES (1)",
        "UPDATE gold.fees SET fees = 1",
        "DELETE FROM gold.fees",
        "TRUNCATE gold.fees",
    ),
    *("BEGIN", "COMMIT", "PREPARE x AS SELECT 1", "EXECUTE x", "EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT 1"),
    *("DESCRIBE gold.fees", "SUMMARIZE gold.fees", "SHOW TABLES", "SHOW ALL TABLES", "FROM (DESCRIBE gold.fees)"),
    *(
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW gold.fees",
        "SELECT 1;; COPY gold.fees TO 'x'",
        "",
        ";",
        "--",
        "/* */",
    ),
    *("FROM 'file.parquet'", "FROM '/etc/passwd'", 'SELECT * FROM "data/*.csv"', "FROM 's3://bucket/x.parquet'"),
    *("FROM fees", "FROM gold.secrets", "FROM lake.silver.users", "FROM memory.gold.fees", "FROM other.gold.fees"),
    *(
        "FROM duckdb_settings()",
        "FROM duckdb_settings",
        "FROM duckdb_views()",
        "FROM duckdb_secrets()",
        "FROM sqlite_master",
    ),
    *("FROM information_schema.tables", "FROM pg_catalog.pg_class", "FROM pragma_table_info('gold.fees')"),
    *(
        "FROM query('SELECT 1')",
        "FROM query_table('gold.fees')",
        "FROM json_execute_serialized_sql('{}')",
        "FROM seq_scan('x')",
    ),
    *("SELECT getvariable('x')", "SELECT current_setting('threads')", "SELECT write_log('x')", "SELECT sleep_ms(1)"),
    *("SELECT main.current_setting('threads')", "SELECT system.main.getvariable('x')", "SELECT current_query()"),
    "SELECT json_serialize_plan('FROM gold.fees')",
    "WITH passwd AS (SELECT 1) SELECT * FROM (FROM other)",
    "SELECT * FROM (WITH inner_one AS (SELECT 1) FROM inner_one), inner_one",
    "WITH duckdb_settings AS (FROM duckdb_settings) FROM duckdb_settings",
    "SELECT * FROM gold.fees WHERE fees IN (WITH a AS (FROM read_text('x')) FROM a)",
    "SELECT * FROM gold.fees ORDER BY (SELECT 1 FROM read_text('x'))",
    "SELECT list_transform([1], x -> (SELECT COUNT(*) FROM read_text('y')))",
    "PIVOT gold.fees ON currency USING SUM(fees)",
    "SELECT ?",
    "SELECT $1",
    "SELECT $name",
    "SELECT 1\0",
    "SELECT " + "1 + " * 6000 + "1",
    "SELECT * FROM " + "(SELECT * FROM " * 400 + "gold.fees" + ")" * 400,
    "SELECT '" + "x" * 30_000 + "'",
]


@pytest.fixture(scope="module")
def parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@pytest.mark.parametrize("sql", GOOD)
def test_one_select_over_published_tables_is_run(
    open_server: Server, parser: duckdb.DuckDBPyConnection, sql: str
) -> None:
    read = checked(parser, sql, TABLES)
    assert read == {name for name in TABLES if name in sql.lower().replace('"', "")}
    reply = open_server.sql(sql)
    assert (reply.status, reply.headers["lake-release"]) == (200, "1"), reply.body


@pytest.mark.parametrize("sql", BAD, ids=lambda sql: sql[:50])
def test_anything_else_is_refused_before_it_runs(parser: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(Problem) as found:
        checked(parser, sql, TABLES)
    assert found.value.kind.status == 400


def test_the_server_refuses_them_too_and_changes_nothing(open_server: Server, shared: World) -> None:
    before = tree(shared.folder)
    for sql in BAD:
        reply = open_server.sql(sql)
        assert reply.status in (400, 413), (sql[:80], reply.body)
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json["detail"]
    assert tree(shared.folder) == before
    assert open_server.get("/healthz").json["workers_ended"] == 0


def test_the_session_itself_opens_no_other_file(shared: World) -> None:
    """The second wall: a statement that came past the first finds its files closed and its configuration locked."""
    from pipeline.api.limits import Limits
    from pipeline.api.session import Session

    own = shared.folder / "home" / "other.parquet"
    duckdb.execute(f"COPY (SELECT 1 AS secret) TO '{own}'")
    session = Session(shared.options, "", 1, shared.folder / "project" / "metrics", Limits())
    file = next((shared.home / "published" / "tables").rglob("*.parquet"))
    try:
        for sql in (
            f"FROM '{own}'",
            f"FROM read_text('{shared.folder}/dotenv')",
            f"COPY gold.fees TO '{own}.csv'",
            f"COPY (SELECT 1) TO '{file}'",
            "SET memory_limit = '9GB'",
            "SET enable_external_access = true",
            f"ATTACH '{own}.db'",
            "INSTALL httpfs",
            "CREATE TABLE lake.gold.x AS SELECT 1",
        ):
            with pytest.raises(duckdb.Error):
                session.connection.execute(sql).fetchall()
        assert session.connection.execute("SELECT COUNT(*) > 0 FROM gold.fees").fetchone() == (True,)
    finally:
        session.close()
        own.unlink()


def test_errors_of_statements_name_the_fault(open_server: Server) -> None:
    for sql, said in [
        ("SELECT fee FROM gold.fees", "fee"),
        ("SELECT 1 AS a, 2 AS a", "another name with AS"),
        ("SELECT FROM", "yntax"),
        ("SELECT 'x'::INT", "Could not convert"),
    ]:
        reply = open_server.sql(sql)
        assert (reply.status, reply.kind) == (400, "statement-failed"), reply.body
        assert said in reply.json["detail"]
        assert str(reply.body).count("/home/") == 0
