"""Queries that are limited to keys, and read only the rows of these keys."""

from __future__ import annotations

import duckdb
import pytest
from sqlglot import exp, parse_one

from pipeline.warehouse.by_key.sources import Source, follows_from, narrowed

A, B, WHOLE = "db.s.a__1", "db.s.b__2", "db.s.whole__3"
KEYS = (2, 3)


@pytest.fixture
def warehouse() -> duckdb.DuckDBPyConnection:
    """Rows of the keys 1 to 4 in two tables, and a table without the key."""
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS db; USE db; CREATE SCHEMA s")
    connection.execute(
        f"CREATE TABLE {A} AS SELECT range % 4 + 1 AS k, range AS v, range % 3 AS w, [range, range + 1] AS l "
        "FROM RANGE(12)"
    )
    connection.execute(f"CREATE TABLE {B} AS SELECT range % 5 + 1 AS k, range * 10 AS u FROM RANGE(11)")
    connection.execute(f"CREATE TABLE {WHOLE} AS SELECT range AS w, 'w' || range AS name FROM RANGE(3)")
    connection.execute("CREATE TEMP TABLE changed_keys AS SELECT UNNEST([2, 3]) AS key")
    return connection


def sources(*narrow: str) -> list[Source]:
    return [Source(exp.to_table(name), name in narrow, [], None) for name in (A, B, WHOLE)]


QUERIES = {
    "unaliased": f"SELECT k, SUM(v) AS s FROM {A} GROUP BY k",
    "qualified by its own name": f"SELECT a__1.k, a__1.v FROM {A}",
    "quoted": 'SELECT "x"."k" FROM "db"."s"."a__1" AS "x"',
    "alias with columns": f"SELECT x.one AS k, x.two FROM {A} AS x(one, two)",
    "an alias that is a keyword": f'SELECT "select".k FROM {A} AS "select"',
    "join": f"SELECT a.k, b.u, c.name FROM {A} AS a JOIN {B} AS b ON a.k = b.k LEFT JOIN {WHOLE} AS c ON a.w = c.w",
    "outer joins": f"SELECT COALESCE(a.k, b.k) AS k, a.v, b.u FROM {A} AS a FULL JOIN {B} AS b ON a.k = b.k",
    "self-join": f"SELECT x.k, x.v, y.v AS earlier FROM {A} AS x LEFT JOIN {A} AS y ON x.k = y.k AND y.v < x.v",
    "joins in parentheses": f"SELECT a.k, b.u FROM ({A} AS a JOIN {B} AS b ON a.k = b.k)",
    "comma": f"SELECT a.k, b.u FROM {A} AS a, {B} AS b WHERE a.k = b.k",
    "CTEs": f"WITH x AS (SELECT k, v FROM {A}), a__1 AS (SELECT k, MAX(v) AS v FROM x GROUP BY k) FROM a__1",
    "a CTE named like the keys": f"WITH changed_keys AS (SELECT k, 1 AS key FROM {A}) SELECT k, key FROM changed_keys",
    "window": f"SELECT a.k, a.v FROM {A} AS a QUALIFY ROW_NUMBER() OVER (PARTITION BY a.k ORDER BY a.v DESC) = 1",
    "unnest": f"SELECT a.k, u.item, u.place FROM {A} AS a CROSS JOIN UNNEST(a.l) WITH ORDINALITY AS u(item, place)",
    "unnest in the projection": f"SELECT a.k, UNNEST(a.l) AS item FROM {A} AS a",
    "subquery": f"SELECT x.k, x.s FROM (SELECT k, SUM(v) AS s FROM {A} GROUP BY k) AS x",
    "IN": f"SELECT a.k, a.v FROM {A} AS a WHERE a.k IN (SELECT b.k FROM {B} AS b WHERE b.u > 20)",
    "EXISTS": f"SELECT a.k, a.v FROM {A} AS a WHERE NOT EXISTS (SELECT 1 FROM {B} AS b WHERE b.k = a.k AND b.u > 60)",
    "lateral": f"SELECT a.k, b.u FROM {A} AS a, LATERAL (SELECT MAX(b.u) AS u FROM {B} AS b WHERE b.k = a.k) AS b",
    "union": f"SELECT k, v FROM {A} UNION ALL SELECT k, u FROM {B}",
    "except": f"(SELECT k FROM {A}) EXCEPT (SELECT k FROM {B} WHERE u > 60)",
    "struct": f"SELECT a.k, {{'v': a.v, 'l': a.l}} AS both FROM {A} AS a",
    "pivot": f"SELECT p.* FROM (PIVOT {A} ON w USING SUM(v) GROUP BY k) AS p",
}


@pytest.mark.parametrize("text", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("narrow", [(), (A,), (A, B)], ids=["nothing", "one", "both"])
def test_rows_are_those_of_the_query_with_the_keys(
    warehouse: duckdb.DuckDBPyConnection, text: str, narrow: tuple[str, ...]
) -> None:
    query = parse_one(text, dialect="duckdb")
    before = query.sql("duckdb")

    found = narrowed(query, sources(*narrow), "k", "temp.changed_keys").sql("duckdb")

    everything = warehouse.execute(text).fetchall()
    place = [column[0] for column in warehouse.description].index("k")
    wanted = [row for row in everything if row[place] in KEYS]
    assert wanted
    assert sorted(map(repr, warehouse.execute(found).fetchall())) == sorted(map(repr, wanted))
    assert query.sql("duckdb") == before


def test_only_rows_of_the_keys_are_read(warehouse: duckdb.DuckDBPyConnection) -> None:
    """GIVEN a row of another key that cannot be computed THEN the query of the keys does not notice it."""
    warehouse.execute(f"INSERT INTO {A} (k, v, w) VALUES (4, NULL, 9)")
    query = f"SELECT k, IF(v IS NULL, ERROR('read')::INT, v) AS v FROM {A} AS a"
    with pytest.raises(duckdb.InvalidInputException, match="read"):
        warehouse.execute(query).fetchall()

    found = narrowed(parse_one(query, dialect="duckdb"), sources(A), "k", "temp.changed_keys").sql("duckdb")

    assert {row[0] for row in warehouse.execute(found).fetchall()} == set(KEYS)


@pytest.mark.parametrize(
    ("text", "is_known"),
    [
        (f"WITH x AS (SELECT k FROM {A}) SELECT x.k FROM x JOIN {B} AS b ON x.k = b.k", True),
        (f"SELECT a.k, u.item FROM {A} AS a CROSS JOIN UNNEST(a.l) AS u(item)", True),
        (f"SELECT a.k, CURRENT_DATE AS today FROM {A} AS a", False),
        (f"SELECT a.k, NOW() AS now FROM {A} AS a", False),
        (f"SELECT a.k, RANDOM() AS chance FROM {A} AS a", False),
        (f"SELECT a.k FROM {A} AS a USING SAMPLE 10%", False),
        (f"SELECT a.k FROM {A} AS a JOIN db.s.unknown AS u ON a.k = u.k", False),
        ("SELECT u.k FROM READ_CSV('x.csv') AS u", False),
        (f"SELECT a.k, some_function(a.v) AS v FROM {A} AS a", False),
    ],
)
def test_what_changes_without_its_sources_is_noticed(text: str, is_known: bool) -> None:
    assert follows_from(parse_one(text, dialect="duckdb"), sources()) is is_known
